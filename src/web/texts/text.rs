//! A sentence before it is in a language: a key with its variables, or somebody's words.

use std::collections::BTreeMap;

use serde::Serialize;

/// Keycloak's message names, which its API answers carry and its realm files name, and the
/// keys of ours that hold the same sentence. The number of Keycloak's `{0}` is `$count`.
pub(super) const KEYCLOAK: [(&str, &str); 20] = [
    (
        "invalidPasswordMinLengthMessage",
        "invalid-password-min-length",
    ),
    (
        "invalidPasswordMaxLengthMessage",
        "invalid-password-max-length",
    ),
    (
        "invalidPasswordMinDigitsMessage",
        "invalid-password-min-digits",
    ),
    (
        "invalidPasswordMinLowerCaseCharsMessage",
        "invalid-password-min-lower-case-chars",
    ),
    (
        "invalidPasswordMinUpperCaseCharsMessage",
        "invalid-password-min-upper-case-chars",
    ),
    (
        "invalidPasswordMinSpecialCharsMessage",
        "invalid-password-min-special-chars",
    ),
    (
        "invalidPasswordNotUsernameMessage",
        "invalid-password-not-username",
    ),
    (
        "invalidPasswordNotEmailMessage",
        "invalid-password-not-email",
    ),
    (
        "invalidPasswordNotContainsUsernameMessage",
        "invalid-password-not-contains-username",
    ),
    (
        "invalidPasswordRegexPatternMessage",
        "invalid-password-regex-pattern",
    ),
    ("invalidPasswordHistoryMessage", "invalid-password-history"),
    (
        "invalidPasswordBlacklistedMessage",
        "invalid-password-blacklisted",
    ),
    ("profileScopeConsentText", "scope-profile"),
    ("emailScopeConsentText", "scope-email"),
    ("addressScopeConsentText", "scope-address"),
    ("phoneScopeConsentText", "scope-phone"),
    ("rolesScopeConsentText", "scope-roles"),
    ("offlineAccessScopeConsentText", "scope-offline-access"),
    ("organizationScopeConsentText", "scope-organization"),
    ("samlRoleListScopeConsentText", "scope-roles"),
];

/// What a text's variable stands for. A number also chooses the plural form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A count.
    Number(i64),
    /// A name, an address or other words, put in as they are.
    Words(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(i64::from(number))
    }
}

impl From<&str> for Value {
    fn from(words: &str) -> Value {
        Value::Words(words.to_owned())
    }
}

impl From<String> for Value {
    fn from(words: String) -> Value {
        Value::Words(words)
    }
}

/// A sentence that is not yet in a language: what code hands to a page or a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Text {
    /// A text of ours.
    Keyed {
        /// Its key in the `.ftl` files.
        key: &'static str,
        /// Its variables.
        args: BTreeMap<&'static str, Value>,
    },
    /// Words somebody else wrote, such as a scope's description; shown as they are.
    Plain(String),
}

impl Text {
    /// The text with this key.
    #[must_use]
    pub fn key(key: &'static str) -> Text {
        Text::Keyed {
            key,
            args: BTreeMap::new(),
        }
    }

    /// The same with a variable filled in; a plain text has none and stays as it is.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Text {
        if let Text::Keyed { args, .. } = &mut self {
            args.insert(name, value.into());
        }
        self
    }

    /// Somebody else's words.
    #[must_use]
    pub fn plain(words: impl Into<String>) -> Text {
        Text::Plain(words.into())
    }

    /// The text that Keycloak calls `name` (`invalidPasswordMinLengthMessage`), also in the
    /// `${name}` form of its realm files; `None` where we have no such text.
    #[must_use]
    pub fn keycloak(name: &str) -> Option<Text> {
        let name = name
            .strip_prefix("${")
            .and_then(|n| n.strip_suffix('}'))
            .unwrap_or(name);
        KEYCLOAK
            .iter()
            .find(|(theirs, _)| *theirs == name)
            .map(|(_, ours)| Text::key(ours))
    }
}
