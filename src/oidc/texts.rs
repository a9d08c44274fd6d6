//! Texts of the protocol's pages: what a rule, a flash or a scope says.

use crate::flow::FlashError;
use crate::password::Rule;
use crate::scope::ClientScope;
use crate::web::texts::Text;

/// Every sentence that a flow can keep for its next page; nothing else comes out of storage as a key.
const KEPT: [&str; 44] = [
    "password-by-mail-only",
    "password-by-mail-only-forgot",
    "invalid-username-or-password",
    "account-disabled",
    "window-expired",
    "temporary-password-expired",
    "temporary-password-expired-forgot",
    "re-authenticate",
    "action-expired",
    "password-missing",
    "passwords-do-not-match",
    "field-missing",
    "email-invalid",
    "email-taken",
    "change-email-same",
    "change-email-later",
    "code-wrong",
    "code-expired",
    "code-sent-again",
    "code-resend-later",
    "terms-declined",
    "try-later",
    "invalid-password-same-as-old",
    "invalid-password-too-common",
    "invalid-password-too-little-left",
    "invalid-password-min-length",
    "invalid-password-max-length",
    "invalid-password-min-digits",
    "invalid-password-min-lower-case-chars",
    "invalid-password-min-upper-case-chars",
    "invalid-password-min-special-chars",
    "invalid-password-not-username",
    "invalid-password-not-email",
    "invalid-password-not-contains-username",
    "invalid-password-regex-pattern",
    "invalid-password-history",
    "password-advice-keyboard",
    "password-advice-repeats",
    "password-advice-common",
    "password-advice-sequence",
    "password-advice-dates",
    "password-advice-single-word",
    "password-advice-names",
    "password-advice-add-words",
];

/// A kept key as a text.
pub fn kept(key: &str) -> Option<Text> {
    KEPT.iter()
        .find(|known| **known == key)
        .map(|known| Text::key(known))
}

/// A kept error as a text.
pub fn error(error: &FlashError) -> Option<Text> {
    let text = kept(&error.key)?;
    Some(
        match error
            .value
            .as_ref()
            .and_then(|value| value.parse::<u32>().ok())
        {
            Some(count) => text.with("count", count),
            None => text,
        },
    )
}

/// `Invalid parameter: …`.
pub fn parameter(name: &str) -> Text {
    Text::key("invalid-parameter").with("name", name)
}

/// A rule before it is broken.
pub fn rule(rule: &Rule) -> Text {
    let (key, _) = keys(rule);
    counted(Text::key(key), rule)
}

/// The key of a broken rule, and its number.
pub fn broken_rule(rule: &Rule) -> FlashError {
    let (_, key) = keys(rule);
    FlashError {
        field: "password-new".to_owned(),
        key: key.to_owned(),
        value: rule.parameters().first().cloned(),
    }
}

fn counted(text: Text, rule: &Rule) -> Text {
    match rule
        .parameters()
        .first()
        .and_then(|value| value.parse::<u32>().ok())
    {
        Some(count) => text.with("count", count),
        None => text,
    }
}

fn keys(rule: &Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::MinimumLength(_) => ("rule-min-length", "invalid-password-min-length"),
        Rule::MaximumLength(_) => ("rule-max-length", "invalid-password-max-length"),
        Rule::Digits(_) => ("rule-min-digits", "invalid-password-min-digits"),
        Rule::LowerCase(_) => (
            "rule-min-lower-case-chars",
            "invalid-password-min-lower-case-chars",
        ),
        Rule::UpperCase(_) => (
            "rule-min-upper-case-chars",
            "invalid-password-min-upper-case-chars",
        ),
        Rule::SpecialCharacters(_) => (
            "rule-min-special-chars",
            "invalid-password-min-special-chars",
        ),
        Rule::NotUsername => ("rule-not-username", "invalid-password-not-username"),
        Rule::NotContainsUsername => (
            "rule-not-contains-username",
            "invalid-password-not-contains-username",
        ),
        Rule::NotEmail => ("rule-not-email", "invalid-password-not-email"),
        Rule::Pattern(_) => ("rule-regex-pattern", "invalid-password-regex-pattern"),
        Rule::NotCommon => ("rule-too-common", "invalid-password-too-common"),
        Rule::NotPersonal(_) => ("rule-too-little-left", "invalid-password-too-little-left"),
        Rule::History(_) | Rule::HistoryDays(_) => ("rule-history", "invalid-password-history"),
    }
}

/// What a scope asks for, in a sentence.
pub fn scope(scope: &ClientScope) -> Text {
    let configured = scope
        .attributes
        .get("consent.screen.text")
        .map(String::as_str)
        .filter(|text| !text.is_empty());
    match configured {
        Some(text) => Text::keycloak(text).unwrap_or_else(|| Text::plain(text)),
        None => Text::plain(scope.name.as_str()),
    }
}
