//! Security headers of every answer, and the content security policy of pages (reliability H001 to H006).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType, HeaderName, HeaderValue};
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpRequest, HttpResponse};

/// Headers of every answer, pages or not. `Strict-Transport-Security` where the public URL is https.
pub fn list(https: bool) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    const ALWAYS: [(HeaderName, HeaderValue); 7] = [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        (
            HeaderName::from_static("permissions-policy"),
            HeaderValue::from_static(
                "camera=(), microphone=(), geolocation=(), publickey-credentials-get=(self)",
            ),
        ),
        (
            HeaderName::from_static("x-robots-tag"),
            HeaderValue::from_static("noindex, nofollow"),
        ),
    ];
    let transport = https.then_some((
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=63072000; includeSubDomains"),
    ));
    ALWAYS.into_iter().chain(transport)
}

/// The middleware that puts them on.
pub fn everywhere(https: bool) -> DefaultHeaders {
    list(https).fold(DefaultHeaders::new(), DefaultHeaders::add)
}

/// Where a page's forms may lead: ourselves, and what speaks the scheme of the application that a redirect ends at.
/// Browsers enforce `form-action` along the whole chain of redirects.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The application's scheme.
    pub form_action: Option<String>,
    /// The nonce of the one script there is, on the page that posts itself to the application.
    pub script_nonce: Option<String>,
}

impl Policy {
    fn text(&self) -> String {
        let script = match &self.script_nonce {
            Some(nonce) => format!("'nonce-{nonce}'"),
            None => "'self'".to_owned(),
        };
        let target = self.form_action.as_deref().unwrap_or_default();
        let own = if self.script_nonce.is_some() {
            ""
        } else {
            "'self' "
        };
        format!(
            "default-src 'none'; script-src {script}; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; form-action {own}{target}; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
        )
    }
}

/// A page as an answer: never cached, never framed.
pub fn page(status: StatusCode, policy: &Policy, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.text()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(html)
}

/// Whether a POST came from a page of ours: judged by `Sec-Fetch-Site` and `Origin`, beside the form's own token.
///
/// Under our `Referrer-Policy: no-referrer` browsers send `Origin: null` even to ourselves, so `null` counts as ours
/// where `Sec-Fetch-Site` says so, and only there; a POST with neither header comes from no browser page of ours.
pub fn same_origin(request: &HttpRequest, public_url: &str) -> bool {
    let text = |name: &str| {
        let value = request.headers().get(name);
        value.map(|value| value.to_str().unwrap_or("unreadable"))
    };
    let own = url::Url::parse(public_url)
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default();
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin"), None | Some("null")) => true,
        (None | Some("same-origin"), Some(origin)) => origin == own,
        (None, None) | (Some(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_our_own_pages_may_post() {
        let post = |site: Option<&str>, origin: Option<&str>| {
            let mut request = TestRequest::post();
            if let Some(site) = site {
                request = request.insert_header(("Sec-Fetch-Site", site));
            }
            if let Some(origin) = origin {
                request = request.insert_header(("Origin", origin));
            }
            same_origin(&request.to_http_request(), "https://id.example")
        };
        let ours = Some("https://id.example");
        assert!(post(None, ours));
        assert!(post(Some("same-origin"), ours));
        assert!(post(Some("same-origin"), Some("null")));
        assert!(post(Some("same-origin"), None));
        for (site, origin) in [
            (Some("cross-site"), ours),
            (Some("same-site"), ours),
            (Some("cross-site"), Some("https://evil.example")),
            (Some("same-origin"), Some("https://evil.example")),
            (None, Some("null")),
            (None, Some("https://id.example.evil")),
            (None, Some("http://id.example")),
            (None, None),
            (Some("none"), None),
        ] {
            assert!(!post(site, origin), "{site:?} {origin:?}");
        }
    }
}
