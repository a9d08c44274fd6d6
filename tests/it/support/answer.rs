//! An answer of the server, and what every answer to a browser promises.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::html::Page;

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or("unreadable"))
    }

    /// Where it redirects to.
    pub fn location(&self) -> Option<Url> {
        let location = self.header("location");
        (!location.is_empty()).then(|| self.url.join(location).expect("a location"))
    }
}

/// What holds for every answer that a browser gets.
pub(super) fn check(method: &Method, answer: &Answer) {
    let at = format!("{method} {} ({})", answer.url, answer.status);
    assert!(answer.status < 500 || answer.status == 503, "{at}");
    assert_eq!(answer.header("access-control-allow-origin"), "", "{at}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{at}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{at}");
    assert_eq!(answer.header("x-frame-options"), "DENY", "{at}");
    if !answer.header("content-type").starts_with("text/html") {
        return;
    }
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{at}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{at}: {policy}");
    assert_eq!(answer.header("cache-control"), "no-store", "{at}");
    assert!(!answer.body.contains("<svg/onload"), "{at}: the canary");
    if *method == Method::POST && answer.status == 200 {
        let page = Page::parse(&answer.url, &answer.body);
        let marker = page.marker.as_deref().unwrap_or_default();
        let leads_out = page
            .forms
            .iter()
            .any(|form| form.action.origin() != answer.url.origin());
        assert!(
            leads_out || marker == "message",
            "{at}: a POST is answered by a redirect, not by the page {marker:?}"
        );
    }
}

/// The members that a refusal may have: OAuth's, and those of Keycloak's admin API.
const REFUSAL: [&str; 7] = [
    "error",
    "error_description",
    "errorMessage",
    "field",
    "params",
    "required_actions",
    "continue_uri",
];

/// Words of what is behind: no refusal holds one.
const INSIDES: [&str; 10] = [
    "postgres",
    "sqlite",
    "diesel",
    "panicked",
    "SELECT ",
    "INSERT ",
    "constraint",
    "src/",
    ".rs:",
    "stack backtrace",
];

/// What holds for every refusal in JSON (threat V173): it has the members of a refusal and says nothing of what is
/// behind.
#[track_caller]
pub fn check_refusal(status: u16, body: &Value) {
    if status < 400 || body.is_null() {
        return;
    }
    let Some(members) = body.as_object() else {
        panic!("{status} with {body}");
    };
    let known = |name: &String| REFUSAL.contains(&name.as_str());
    assert!(members.keys().all(known), "{status} with {body}");
    assert!(
        members.contains_key("error") || members.contains_key("errorMessage"),
        "{status} with {body}"
    );
    let text = body.to_string();
    let told = INSIDES.iter().find(|word| text.contains(**word));
    assert_eq!(told, None, "{status} with {body}");
}
