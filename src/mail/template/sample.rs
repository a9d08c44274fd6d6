//! Mails that nobody gets: what a template would make of each purpose.

use super::{Matter, Person};
use crate::kernel::{ClientUuid, Timestamp};
use crate::mail::link::LinkKind;
use crate::mail::message::Content;
use crate::user::waiting::ResetProof;

/// Seconds that the link of a sample is good for: a week.
pub const LINK_SECONDS: i64 = 7 * 24 * 3600;

/// Seconds that the code of a sample is good for.
pub const CODE_SECONDS: i64 = 600;

/// What a sample is about.
pub struct About<'a> {
    /// The issuer below which links would be.
    pub issuer: &'a str,
    /// The client that links would lead to, and its name.
    pub client: Option<(ClientUuid, &'a str)>,
    /// Words of an administrator.
    pub message: Option<String>,
    /// When it happened.
    pub now: Timestamp,
}

/// Whom samples are for.
pub fn person() -> Person {
    Person {
        name: "Robin Meadow".to_owned(),
        first_name: "Robin".to_owned(),
        username: "robin".to_owned(),
    }
}

/// A mail of that purpose; `None`: there is no such purpose.
pub fn content(purpose: &str, about: About<'_>) -> Option<Content> {
    let when = about.now;
    let link = LinkKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == purpose);
    let matter = match (link, purpose) {
        (Some(kind), _) => Matter::LinkExample {
            kind,
            subject: None,
            app: about.client.as_ref().map(|(_, name)| (*name).to_owned()),
            client: about.client.map(|(id, _)| id),
            issuer: about.issuer.to_owned(),
            seconds: LINK_SECONDS,
            username: Some(person().username),
            old_password_ended: false,
        },
        (None, "verify-email-code") => Matter::VerifyEmailCode {
            code: "EXAMP-1E000".to_owned(),
        },
        (None, "password-changed") => Matter::PasswordChanged { when },
        (None, "password-set") => Matter::PasswordSet { when },
        (None, "temporary-password-set") => Matter::TemporaryPasswordSet {
            when,
            works_until: Some(when.plus_seconds(14 * 24 * 3600)),
        },
        (None, "password-reset-required") => Matter::PasswordResetRequired {
            when,
            proof: ResetProof::Password,
            has_password: true,
        },
        (None, "action-waived") => Matter::ActionWaived {
            action: "UPDATE_PASSWORD".to_owned(),
            when,
        },
        (None, "window-extended") => Matter::WindowExtended { minutes: 30, when },
        (None, "email-changed") => Matter::EmailChanged { when },
        (None, "account-closed") => Matter::AccountClosed { when },
        (None, _) => return None,
    };
    Some(Content {
        purpose: matter,
        note: about.message,
    })
}
