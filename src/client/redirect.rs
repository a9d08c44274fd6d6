//! Redirect URIs: exact string comparison, and one freedom, the port of a loopback address (RFC 9700 section 2.1,
//! RFC 8252 section 7.3).

use std::net::IpAddr;

use url::{Host, Url};

/// Schemes that a browser would run or read locally: refused at registration and at use (threat V063).
const FORBIDDEN_SCHEMES: [&str; 8] = [
    "javascript",
    "data",
    "vbscript",
    "blob",
    "file",
    "about",
    "filesystem",
    "ws",
];

/// Why a URI cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It is not absolute, has a fragment, user info, control characters, or a forbidden scheme.
    #[error("{0} is not an absolute URI without fragment and user info")]
    Malformed(String),
}

/// Checks a URI that somebody wants to register. Wildcards are kept and match nothing.
///
/// # Errors
/// The URI could never be a safe target.
pub fn validate(uri: &str, root_url: Option<&str>, public_url: &str) -> Result<(), RedirectError> {
    let malformed = || RedirectError::Malformed(uri.to_owned());
    if uri.contains('*') || uri == "+" {
        return if has_forbidden_scheme(uri) {
            Err(malformed())
        } else {
            Ok(())
        };
    }
    let absolute = resolve(uri, root_url, public_url).ok_or_else(malformed)?;
    if acceptable(&absolute) {
        Ok(())
    } else {
        Err(malformed())
    }
}

/// Whether a browser would take the text for a URI of a forbidden scheme: what stands before it and the line breaks and
/// tabs inside are nothing to a browser (URL Standard, section 4.4).
pub fn has_forbidden_scheme(uri: &str) -> bool {
    let read: String = uri
        .trim_start_matches(|c: char| c.is_control() || c.is_whitespace())
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .take_while(|c| *c != ':')
        .collect();
    let scheme = read.trim_end().to_ascii_lowercase();
    FORBIDDEN_SCHEMES.contains(&scheme.as_str())
}

/// Whether a URI may be redirected to at all.
fn acceptable(uri: &str) -> bool {
    if uri.is_empty()
        || uri.len() > 8192
        || uri.chars().any(|c| c.is_control() || c == ' ' || c == '\\')
    {
        return false;
    }
    let Ok(parsed) = Url::parse(uri) else {
        return false;
    };
    let web = matches!(parsed.scheme(), "http" | "https");
    !FORBIDDEN_SCHEMES.contains(&parsed.scheme())
        && parsed.fragment().is_none()
        && !uri.contains('#')
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && (!web || parsed.has_host())
}

/// Whether `requested` is one of the registered URIs.
pub fn matches(
    registered: &[String],
    requested: &str,
    root_url: Option<&str>,
    public_url: &str,
) -> bool {
    acceptable(requested)
        && registered
            .iter()
            .filter(|entry| !entry.contains('*') && *entry != "+")
            .filter_map(|entry| resolve(entry, root_url, public_url))
            .any(|entry| entry == requested || differs_in_loopback_port_only(&entry, requested))
}

/// Whether both are `http` to the same literal loopback address and equal but for the port.
fn differs_in_loopback_port_only(registered: &str, requested: &str) -> bool {
    let (Some(one), Some(two)) = (split_loopback(registered), split_loopback(requested)) else {
        return false;
    };
    one == two
}

/// `http://127.0.0.1:PORT/rest` as (`127.0.0.1`, `/rest`), compared as text so that nothing is normalised away.
fn split_loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]"]
        .into_iter()
        .find(|host| rest.starts_with(host))?;
    let after = rest.get(host.len()..)?;
    let (port, path) = match after.strip_prefix(':') {
        Some(tail) => tail.split_at(tail.find(['/', '?']).unwrap_or(tail.len())),
        None => ("", after),
    };
    let numeric = port.chars().all(|c| c.is_ascii_digit())
        && port.len() <= 5
        && port.parse::<u16>().is_ok() | port.is_empty();
    let ends_host = path.is_empty() || path.starts_with(['/', '?']);
    (numeric && ends_host && (after.is_empty() || after.starts_with([':', '/', '?'])))
        .then_some((host, path))
}

/// A registered entry as an absolute URI: relative ones hang below the client's root URL.
pub fn resolve(entry: &str, root_url: Option<&str>, public_url: &str) -> Option<String> {
    if !entry.starts_with('/') {
        return Some(entry.to_owned());
    }
    let root = match root_url {
        None | Some("" | "${authBaseUrl}" | "${authAdminUrl}") => public_url,
        Some(root) => root,
    };
    Some(format!("{}{entry}", root.trim_end_matches('/')))
}

/// The source of a Content-Security-Policy under which a form can end at the URI: its scheme.
///
/// Its origin would be narrower, and wrong twice: an application may lead on from its callback to another host of its
/// own, and Chromium holds `form-action` against that hop as well, after the code was spent; and the grammar of sources
/// has no IPv6 addresses.
pub fn csp_source(uri: &str) -> Option<String> {
    let scheme = Url::parse(uri).ok()?.scheme().to_owned();
    Some(format!("{scheme}:"))
}

/// The web origin of a URI.
pub fn origin(uri: &str) -> Option<String> {
    let parsed = Url::parse(uri).ok()?;
    let origin = parsed.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Whether the URI leads to this very machine or to an app's own scheme, where another program can be listening.
pub fn is_native(uri: &str) -> bool {
    let Ok(parsed) = Url::parse(uri) else {
        return false;
    };
    match parsed.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        _ => !matches!(parsed.scheme(), "http" | "https"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://id.example";

    fn accepted(registered: &str, requested: &str) -> bool {
        matches(&[registered.to_owned()], requested, None, PUBLIC)
    }

    #[test]
    fn only_the_registered_bytes_match() {
        assert!(accepted("https://app.example/cb", "https://app.example/cb"));
        assert!(accepted(
            "https://app.example/cb?a=b",
            "https://app.example/cb?a=b"
        ));
        assert!(accepted("com.example.app:/cb", "com.example.app:/cb"));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example./cb",
            "https://evil@app.example/cb",
            "https://app.example@evil/cb",
            "https://app.example%40evil/cb",
            "https://app.example\\@evil/cb",
            "https://app.example/cb#x",
            "https://app.example/cb/../evil",
            "https://app.example/cb/%2e%2e/evil",
            "https://app.example/cb\t",
            " https://app.example/cb",
            "//app.example/cb",
            "/cb",
            "",
        ] {
            assert!(!accepted("https://app.example/cb", other), "{other}");
        }
    }

    #[test]
    fn wildcards_match_nothing() {
        for entry in ["*", "https://app.example/*", "+"] {
            assert!(!accepted(entry, "https://app.example/cb"), "{entry}");
            assert!(!accepted(entry, entry), "{entry}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_address_is_free() {
        assert!(accepted("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"));
        assert!(accepted("http://127.0.0.1:8080/cb", "http://127.0.0.1/cb"));
        assert!(accepted("http://[::1]/cb?x=1", "http://[::1]:5/cb?x=1"));
        for other in [
            "http://localhost:49152/cb",
            "http://127.0.0.1.nip.io/cb",
            "http://127.1/cb",
            "http://0x7f000001/cb",
            "http://[::ffff:127.0.0.1]/cb",
            "http://127.0.0.1:49152/other",
            "http://127.0.0.1:x/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:1@evil/cb",
            "https://127.0.0.1:1/cb",
            "http://[::1]:1/cb",
        ] {
            assert!(!accepted("http://127.0.0.1/cb", other), "{other}");
        }
        assert!(!accepted("http://localhost/cb", "http://localhost:3000/cb"));
    }

    #[test]
    fn dangerous_schemes_can_be_neither_registered_nor_used() {
        for uri in [
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "blob:https://x/1",
            "file:///etc/passwd",
        ] {
            assert!(validate(uri, None, PUBLIC).is_err(), "{uri}");
            assert!(!accepted(uri, uri), "{uri}");
        }
        for wildcard in [
            "javascript:*",
            " javascript:*",
            "java\tscript:*",
            "\u{1}data:*",
            "\u{a0}javascript:*",
        ] {
            assert!(validate(wildcard, None, PUBLIC).is_err(), "{wildcard:?}");
        }
        assert!(validate("https://a@b/cb", None, PUBLIC).is_err());
    }

    #[test]
    fn relative_entries_hang_below_the_root_url() {
        let entry = ["/cb".to_owned()];
        assert!(matches(
            &entry,
            "https://app.example/cb",
            Some("https://app.example/"),
            PUBLIC
        ));
        assert!(matches(
            &entry,
            "https://id.example/cb",
            Some("${authBaseUrl}"),
            PUBLIC
        ));
        assert!(!matches(&entry, "https://evil.example/cb", None, PUBLIC));
    }
}
