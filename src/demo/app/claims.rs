//! Decodes tokens for display: which claims, under which words a person understands.
//!
//! Nothing is decided here. ID tokens were verified by the library before; an access token
//! is the resource server's business, and an app that looks inside does so at its own risk.

use std::time::{Duration, SystemTime};

use actix_web::http::header::HttpDate;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};

/// A token taken apart.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Decoded {
    /// `alg` of the header and so on, as `name value` pairs.
    pub header: Vec<Claim>,
    pub claims: Vec<Claim>,
}

/// One line of a table of claims.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Claim {
    pub name: String,
    pub label: &'static str,
    pub value: String,
    /// The value as a date, where it is one.
    pub time: Option<String>,
}

/// `None` where `token` is not a JWT: access tokens may be anything.
pub(super) fn decode(token: &str) -> Option<Decoded> {
    let mut parts = token.split('.');
    let mut object = || -> Option<Map<String, Value>> {
        let json = BASE64_URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        serde_json::from_slice(&json).ok()
    };
    let (header, claims) = (object()?, object()?);
    (parts.count() == 1).then(|| Decoded {
        header: rows(&header),
        claims: rows(&claims),
    })
}

/// The members of a JSON object, labelled, in their order.
pub(super) fn rows(object: &Map<String, Value>) -> Vec<Claim> {
    let row = |(name, value): (&String, &Value)| Claim {
        name: name.clone(),
        label: label(name),
        value: match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => items
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", "),
            other => other.to_string(),
        },
        time: time(name, value),
    };
    object.iter().map(row).collect()
}

/// Claims that are seconds since 1970 read as a date.
fn time(name: &str, value: &Value) -> Option<String> {
    let is_time = matches!(name, "exp" | "iat" | "nbf" | "auth_time" | "updated_at");
    let seconds = value.as_u64().filter(|_| is_time)?;
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    // The date type panics beyond the year 9999.
    (seconds < 253_402_300_800).then(|| HttpDate::from(at).to_string())
}

/// What a claim tells, in a few words; empty for one that nobody standardised.
fn label(name: &str) -> &'static str {
    match name {
        "iss" => "who vouches for this",
        "sub" => "who you are, for ever",
        "aud" => "whom it is meant for",
        "azp" | "client_id" => "the app it was given to",
        "exp" => "worthless after",
        "iat" => "made at",
        "nbf" => "worthless before",
        "auth_time" => "when you proved who you are",
        "nonce" => "ties it to this sign-in",
        "at_hash" => "ties the access token to it",
        "sid" => "your session at the identity provider",
        "jti" => "its serial number",
        "acr" => "how sure the identity provider is",
        "amr" => "how you proved it",
        "typ" => "what kind of token",
        "alg" => "signature algorithm",
        "kid" => "which key signed",
        "scope" => "what the app may see",
        "name" => "your name",
        "given_name" => "your first name",
        "family_name" => "your last name",
        "preferred_username" => "what you call yourself",
        "email" => "where mail reaches you",
        "email_verified" => "whether that was checked",
        "locale" => "your language",
        "updated_at" => "profile changed at",
        "realm_access" => "roles everywhere",
        "resource_access" => "roles in single apps",
        "allowed-origins" => "origins that may call",
        "groups" => "groups you are in",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(header), encode(claims))
    }

    #[test]
    fn claims_keep_their_order_and_get_words() {
        let claims = r#"{"sub":"a","aud":["x","y"],"exp":784111777,"realm_access":{"roles":[]}}"#;
        let decoded = decode(&jwt(r#"{"alg":"RS256"}"#, claims)).unwrap();
        let shown: Vec<_> = decoded
            .claims
            .iter()
            .map(|claim| {
                (
                    claim.name.as_str(),
                    claim.value.as_str(),
                    claim.time.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("sub", "a", None),
                ("aud", "x, y", None),
                ("exp", "784111777", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
                ("realm_access", r#"{"roles":[]}"#, None),
            ]
        );
        assert_eq!(decoded.header[0].label, "signature algorithm");
    }

    #[test]
    fn absurd_times_and_numbers_that_are_no_times_stay_numbers() {
        let decoded = decode(&jwt(
            "{}",
            r#"{"exp":18446744073709551615,"iat":-1,"age":7}"#,
        ));
        assert!(
            decoded
                .unwrap()
                .claims
                .iter()
                .all(|claim| claim.time.is_none())
        );
    }

    #[test]
    fn an_opaque_token_is_not_decoded() {
        for token in ["", "opaque", "a.b.c", "e30.e30", "e30.e30.x.y", "W10.e30.x"] {
            assert_eq!(decode(token), None, "{token}");
        }
    }
}
