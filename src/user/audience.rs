//! Which people are meant: the one filter that lists, cohorts and mailings share.
//!
//! An [`Audience`] is data: read from a query string or a body, stored with long work as JSON, and turned into SQL by
//! [`super::search`] alone. Everything given must hold.

use serde::{Deserialize, Serialize};

use super::name::name_key;
use super::search::Status;
use crate::kernel::{RoleId, Timestamp, UserId};

/// Where the newest mail to somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MailState {
    /// It waits or is on its way.
    Queued,
    /// The mail server has taken it.
    Sent,
    /// It was refused for good, at once or later.
    Bounced,
    /// Nobody knows whether it went out.
    InDoubt,
    /// It was given up.
    Failed,
    /// It was called back.
    Cancelled,
    /// There never was one.
    None,
}

impl MailState {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Queued, "queued"),
        (Self::Sent, "sent"),
        (Self::Bounced, "bounced"),
        (Self::InDoubt, "inDoubt"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::None, "none"),
    ];

    /// The word, read; `in_doubt` is `inDoubt` too.
    pub fn parse(text: &str) -> Option<Self> {
        let text = if text == "in_doubt" { "inDoubt" } else { text };
        Self::ALL
            .into_iter()
            .find(|(_, word)| *word == text)
            .map(|(state, _)| state)
    }

    /// Every word.
    pub fn words() -> Vec<&'static str> {
        Self::ALL.into_iter().map(|(_, word)| word).collect()
    }

    /// The word for a state of the outbox.
    pub fn word_of(stored: &str) -> Option<&'static str> {
        Self::ALL
            .into_iter()
            .find(|(state, _)| state.stored().contains(&stored))
            .map(|(_, word)| word)
    }

    /// The states of the outbox that it stands for.
    pub const fn stored(self) -> &'static [&'static str] {
        match self {
            Self::Queued => &["queued", "held", "leased", "sending"],
            Self::Sent => &["sent"],
            Self::Bounced => &["bounced"],
            Self::InDoubt => &["in_doubt"],
            Self::Failed => &["failed"],
            Self::Cancelled => &["cancelled"],
            Self::None => &[],
        }
    }
}

/// Which people are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Audience {
    /// Words as Keycloak's `search` has them: prefixes, `*`, `"exact"`, each in any of the four names.
    pub search: Option<String>,
    /// Part of the user name.
    pub username: Option<String>,
    /// Part of the address.
    pub email: Option<String>,
    /// Part of the given name.
    pub first_name: Option<String>,
    /// Part of the family name.
    pub last_name: Option<String>,
    /// Whether the four above are whole.
    pub exact: bool,
    /// Whether the user is on.
    pub enabled: Option<bool>,
    /// Whether the address is proved.
    pub email_verified: Option<bool>,
    /// Attributes by name and value, in any case.
    pub attributes: Vec<(String, String)>,
    /// Only these.
    pub ids: Option<Vec<UserId>>,
    /// Only those of these user names.
    pub usernames: Option<Vec<String>>,
    /// On whom this action waits.
    pub pending_action: Option<String>,
    /// In this state.
    pub status: Option<Status>,
    /// Whose newest mail stands there.
    pub mail_state: Option<MailState>,
    /// Whether they have never signed in.
    pub never_signed_in: Option<bool>,
    /// Whether they have a password.
    pub has_password: Option<bool>,
    /// Whether they have an address.
    pub has_address: Option<bool>,
    /// To whom one of these roles is mapped directly.
    pub roles: Option<Vec<RoleId>>,
    /// Nobody to whom one of these roles is mapped directly.
    pub without_roles: Vec<RoleId>,
    /// None of these.
    pub without_ids: Vec<UserId>,
    /// Made no later than this.
    pub made_until: Option<Timestamp>,
}

impl Audience {
    /// Exactly one person.
    pub fn one(id: &UserId) -> Self {
        Self {
            ids: Some(vec![id.clone()]),
            ..Self::default()
        }
    }

    /// Whether that person is named by id.
    pub fn names(&self, id: &UserId) -> bool {
        self.ids.as_ref().is_some_and(|ids| ids.contains(id))
    }
}

/// The characters that LIKE reads, taken literally.
pub fn like_literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The LIKE patterns of a `search`: one for each word, all of which must hold.
pub fn search_patterns(search: &str) -> Vec<String> {
    words(search)
        .into_iter()
        .map(|(word, whole)| {
            let key = name_key(&word);
            if whole {
                like_literal(&key)
            } else {
                let infix: Vec<String> = key.split('*').map(like_literal).collect();
                format!("{}%", infix.join("%"))
            }
        })
        .collect()
}

/// Words by white space, those in quotes whole.
fn words(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some((quoted, after)) = rest
            .strip_prefix('"')
            .and_then(|inner| inner.split_once('"'))
        {
            found.push((quoted.to_owned(), true));
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            found.push((word.to_owned(), false));
            rest = after.trim_start();
        }
    }
    found
}

pub(super) fn part(text: &str, exact: bool) -> String {
    let literal = like_literal(text);
    if exact {
        literal
    } else {
        format!("%{literal}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_prefixes_infixes_and_quoted_wholes() {
        assert_eq!(search_patterns("ANN"), ["ann%"]);
        assert_eq!(search_patterns("*nn*"), ["%nn%%"]);
        assert_eq!(search_patterns("ad*s"), ["ad%s%"]);
        assert_eq!(search_patterns("Anna  B"), ["anna%", "b%"]);
        assert_eq!(search_patterns("\"Anna B\" x"), ["anna b", "x%"]);
        assert_eq!(search_patterns("100%_\\"), ["100\\%\\_\\\\%"]);
        assert!(search_patterns("  ").is_empty());
        assert_eq!(search_patterns("\"open"), ["\"open%"]);
    }

    #[test]
    fn fields_are_parts_unless_exact_and_stars_are_stars() {
        assert_eq!(part("a*b_", false), "%a*b\\_%");
        assert_eq!(part("a", true), "a");
    }

    #[test]
    fn an_audience_is_stored_and_read_back_whole() {
        let audience = Audience {
            search: Some("ann".into()),
            attributes: vec![("dept".into(), "it".into())],
            status: Some(Status::LinkExpired),
            mail_state: Some(MailState::InDoubt),
            never_signed_in: Some(true),
            ..Audience::one(&UserId::new("u1"))
        };
        let stored = serde_json::to_string(&audience).unwrap();
        assert_eq!(serde_json::from_str::<Audience>(&stored).unwrap(), audience);
        assert_eq!(
            serde_json::from_str::<Audience>("{}").unwrap(),
            Audience::default()
        );
    }

    #[test]
    fn mail_states_read_in_both_spellings() {
        for word in MailState::words() {
            assert!(MailState::parse(word).is_some(), "{word}");
        }
        assert_eq!(MailState::parse("in_doubt"), Some(MailState::InDoubt));
        assert_eq!(MailState::parse("lost"), None);
    }
}
