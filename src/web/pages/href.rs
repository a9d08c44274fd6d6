//! Addresses that a page may lead to.
//!
//! Escaping keeps an address inside its attribute but does not keep it from being a script;
//! so whatever people can press or are led to is this type, whatever was checked before.

use serde::Serialize;
use url::Url;

/// Schemes that run or read something in the browser instead of leading somewhere.
const NOWHERE: [&str; 8] = [
    "about",
    "blob",
    "data",
    "file",
    "filesystem",
    "javascript",
    "vbscript",
    "view-source",
];

/// An address that is safe to press.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Href(String);

impl Href {
    /// Takes an absolute URL, or a path of our own origin that starts with one slash. Native
    /// apps have schemes of their own, so only those that lead nowhere are refused.
    #[must_use]
    pub fn to(address: &str) -> Option<Href> {
        // A browser drops these before it looks at the rest, so `//` and schemes could hide.
        if address.contains(|c: char| c.is_ascii_control() || c == '\\') {
            return None;
        }
        let own = address.starts_with('/') && !address.starts_with("//");
        let leads = |url: Url| !NOWHERE.contains(&url.scheme());
        (own || Url::parse(address).is_ok_and(leads)).then(|| Href(address.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_places_only() {
        for good in [
            "/realms/demo/account/",
            "https://shop.example/cb?x=1&y='",
            "http://127.0.0.1:4000/cb",
            "com.example.app:/callback",
            "myapp://callback",
        ] {
            assert_eq!(Href::to(good), Some(Href(good.to_owned())), "{good}");
        }
    }

    #[test]
    fn nothing_that_runs_is_a_place() {
        for bad in [
            "",
            "#",
            "relative",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "blob:https://shop.example/1",
            "file:///etc/passwd",
            "view-source:https://shop.example",
        ] {
            assert_eq!(Href::to(bad), None, "{bad}");
        }
    }
}
