//! URLs for log lines. Used by whoever must name a URL in the log. Invariant: only what is known
//! to be harmless is kept, so that a parameter nobody thought of is hidden.

/// What stands for a hidden part.
const HIDDEN: &str = "***";

/// Parameters whose values say nothing about a person and open nothing.
const HARMLESS: [&str; 14] = [
    "client_id",
    "code_challenge_method",
    "display",
    "error",
    "execution",
    "first",
    "grant_type",
    "kc_locale",
    "max",
    "max_age",
    "prompt",
    "response_mode",
    "response_type",
    "ui_locales",
];

/// Paths whose next segment is a one-time token.
const TOKEN_PATHS: [&str; 1] = ["/login-actions/link/"];

/// A URL that may stand in a log line: without user and password, without the fragment, without
/// the token of a one-time link, and with the values of all parameters hidden (`code`, `token`,
/// `link`, `state`, `id_token_hint`, `login_hint`, …) but those known to be harmless. Takes
/// absolute and relative URLs, and anything else without failing.
///
/// ```
/// use vestibule::logging::redact_url;
/// assert_eq!(
///     redact_url("https://app.example/cb?code=abc&response_mode=query#x"),
///     "https://app.example/cb?code=***&response_mode=query#***",
/// );
/// ```
pub fn redact_url(url: &str) -> String {
    let (rest, fragment) = split(url, '#');
    let (place, query) = split(rest, '?');
    let mut redacted = redact_place(place);
    if let Some(query) = query {
        let pairs: Vec<_> = query.split('&').map(redact_pair).collect();
        redacted.push('?');
        redacted.push_str(&pairs.join("&"));
    }
    if fragment.is_some() {
        redacted.push('#');
        redacted.push_str(HIDDEN);
    }
    redacted
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn redact_place(place: &str) -> String {
    let mut redacted = match place.split_once("//") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host_and_path)) => format!("{scheme}//{HIDDEN}@{host_and_path}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    for token_path in TOKEN_PATHS {
        if let Some(start) = redacted.find(token_path) {
            redacted.truncate(start + token_path.len());
            redacted.push_str(HIDDEN);
        }
    }
    redacted
}

fn redact_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if HARMLESS.contains(&name) => pair.to_owned(),
        Some((name, _)) if is_name(name) => format!("{name}={HIDDEN}"),
        Some(_) => format!("{HIDDEN}={HIDDEN}"),
        None if pair.is_empty() => String::new(),
        None => HIDDEN.to_owned(),
    }
}

/// Whether this is a parameter's name, and not a token put in the place of one.
fn is_name(text: &str) -> bool {
    text.len() <= 24
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::redact_url;

    #[test]
    fn only_harmless_values_are_kept() {
        for (url, expected) in [
            ("/realms/demo", "/realms/demo"),
            (
                "/a?client_id=app&state=s3cret",
                "/a?client_id=app&state=***",
            ),
            ("/a?id_token_hint=eyJ.x.y", "/a?id_token_hint=***"),
            ("/a?login_hint=ann%40example.org", "/a?login_hint=***"),
            ("/a?%63ode=s3cret", "/a?***=***"),
            ("/a?code=s3cret=more", "/a?code=***"),
            ("/a?eyJhbGciOiJSUzI1NiJ9=", "/a?***=***"),
            ("/a?s3cret", "/a?***"),
            ("/a?", "/a?"),
            ("/a#access_token=s3cret", "/a#***"),
            ("/a?x=1?code=s3cret", "/a?x=***"),
            ("https://u:s3cret@h/p", "https://***@h/p"),
            ("smtp://u:p@ss@h:25/", "smtp://***@h:25/"),
            (
                "https://h/realms/r/login-actions/link/s3cret",
                "https://h/realms/r/login-actions/link/***",
            ),
            (
                "/realms/r/login-actions/link/s3cret/more?h=s3cret",
                "/realms/r/login-actions/link/***?h=***",
            ),
            ("", ""),
        ] {
            assert_eq!(redact_url(url), expected, "{url}");
        }
    }
}
