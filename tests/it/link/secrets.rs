//! Secrets of a test, and the search for them in everything that a server leaves behind.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use url::Url;

use super::site::Site;
use super::tap::{Seen, Tap};
use crate::operations::process::Server;

/// A secret, and in whose answers it may stand: a part of the request line.
struct Secret {
    what: String,
    text: String,
    /// The ways in which it could be written down.
    spellings: Vec<String>,
    given_by: &'static str,
}

/// In no answer at all.
pub const NOWHERE: &str = "in no answer";

/// In the head of an answer that sets a cookie.
pub const IN_COOKIES: &str = "in a cookie";

/// What was secret in this life.
#[derive(Default)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Remembers one.
    pub fn add(&mut self, what: &str, text: &str, given_by: &'static str) {
        assert!(text.len() >= 8, "{what} is too short to be searched for");
        self.0.push(Secret {
            what: what.to_owned(),
            text: text.to_owned(),
            spellings: spellings(text),
            given_by,
        });
    }

    /// The token of a link's address.
    pub fn token(&mut self, what: &str, url: &Url, given_by: &'static str) {
        let token = url.path_segments().expect("segments").next_back();
        let token = token.expect("a token");
        self.add(&format!("the token of {what}"), token, given_by);
        let mac = URL_SAFE_NO_PAD.decode(token).expect("base64url");
        let hex: String = mac[16..].iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(&format!("the bytes of {what}"), &hex, given_by);
    }

    /// The token of a link's address and the code beside it, in both of its spellings.
    pub fn link(&mut self, what: &str, (url, code): (&Url, &str), given_by: &'static str) {
        self.token(what, url, given_by);
        self.add(&format!("the code of {what}"), code, given_by);
        let plain = code.replace('-', "");
        self.add(&format!("the code of {what} as one word"), &plain, given_by);
        let small = plain.to_lowercase();
        self.add(&format!("the code of {what} in small"), &small, given_by);
    }
}

/// The ways in which a text could be written down.
fn spellings(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let mut all = vec![
        text.to_owned(),
        form.replace('+', "%20"),
        form,
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        URL_SAFE_NO_PAD.encode(bytes),
        STANDARD.encode(bytes),
    ];
    all.sort();
    all.dedup();
    all
}

impl Secret {
    fn is_in(&self, text: &str) -> bool {
        self.spellings.iter().any(|spelled| text.contains(spelled))
    }
}

/// Where a secret stands that should not.
fn hits(secrets: &Secrets, place: &str, text: &str) -> Vec<String> {
    secrets
        .0
        .iter()
        .filter(|secret| secret.is_in(text))
        .map(|secret| format!("{} in {place}", secret.what))
        .collect()
}

/// An answer without what it is there to give away.
fn without_own(seen: &Seen, secret: &Secret) -> Option<String> {
    if seen.asked.contains(secret.given_by) {
        return None;
    }
    let own = match secret.given_by {
        "in a location" => "location: ",
        IN_COOKIES => "set-cookie: ",
        _ => "\0",
    };
    let lines = seen.answered.lines();
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with(own));
    Some(kept.collect::<Vec<_>>().join("\n"))
}

/// Looks for every secret in everything: the log, what went over the wire, the metrics, the database, and more.
pub fn scan(
    site: &Site,
    server: &Server<'_>,
    (tap, secrets): (&Tap, &Secrets),
    more: &[(&str, String)],
) {
    let mut found = Vec::new();
    let log = server.log();
    let talks = log.lines().count() > 100 && log.contains("/login-actions/link/{token}");
    assert!(talks, "the log says too little to be searched: {log}");
    for (number, line) in (1..).zip(log.lines()) {
        found.extend(hits(
            secrets,
            &format!("line {number} of the log: {line}"),
            line,
        ));
    }
    let seen = tap.seen();
    assert!(seen.len() > 100, "{} answers", seen.len());
    for seen in &seen {
        for secret in &secrets.0 {
            if without_own(seen, secret).is_some_and(|text| secret.is_in(&text)) {
                let asked = seen.asked.replace(&secret.text, "…");
                found.push(format!("{} in the answer to {asked}", secret.what));
            }
        }
    }
    // What rightly holds a secret was seen, too: a search that finds nothing anywhere is none.
    for secret in secrets.0.iter().filter(|one| one.given_by != NOWHERE) {
        let given = seen.iter().any(|seen| secret.is_in(&seen.answered));
        let encoded = secret.what.starts_with("the bytes of") || secret.what.contains(" as one ");
        let encoded = encoded || secret.what.ends_with(" in small");
        assert!(given || encoded, "{} was given by nobody", secret.what);
    }
    let metrics = server.management("/metrics").body;
    assert!(metrics.contains("idp_link_issued_total"), "{metrics}");
    found.extend(hits(secrets, "the metrics", &metrics));
    let contents = site.database.contents();
    assert!(contents.len() > 200, "{} columns", contents.len());
    for (column, values) in &contents {
        for value in values {
            found.extend(hits(secrets, &format!("the column {column}"), value));
        }
    }
    for (place, text) in more {
        found.extend(hits(secrets, place, text));
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} hits: {found:#?}", found.len());
    eprintln!(
        "canary scan: {} secrets searched for in {} lines of log, {} answers, {} columns: no hit",
        secrets.0.len(),
        log.lines().count(),
        seen.len(),
        contents.len()
    );
}
