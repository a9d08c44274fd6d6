//! What a mail is about, before it has words.
//!
//! A [`Message`] names its purpose with the data the purpose needs; the words are found when it is sent, in the
//! language it carries. [`Content`], the part that may hold a secret, lies sealed in the outbox.

use serde::{Deserialize, Serialize};

use super::link::LinkKind;
use crate::kernel::{ClientUuid, RealmId, Timestamp, UserId};
use crate::user::waiting::ResetProof;
use crate::web::texts::Locale;

/// Why a mail is sent, with the data of that purpose. It has no `Debug`: a code is as good as a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum Purpose {
    /// The code that proves an address. Its lifetime is the message's, told as the minutes left when it is sent.
    VerifyEmailCode {
        /// The code as people type it.
        code: String,
    },
    /// The person chose a new password.
    PasswordChanged {
        /// When.
        when: Timestamp,
    },
    /// An administrator set a password that need not be changed.
    PasswordSet {
        /// When.
        when: Timestamp,
    },
    /// An administrator set a password that works until a new one is chosen.
    TemporaryPasswordSet {
        /// When.
        when: Timestamp,
        /// Until when it can be used at all; `None` is for ever.
        works_until: Option<Timestamp>,
    },
    /// An administrator demands a new password.
    PasswordResetRequired {
        /// When.
        when: Timestamp,
        /// Who can set it: whoever knows the old one, or who gets a mailed link alone.
        proof: ResetProof,
        /// Whether there is an old one at all.
        has_password: bool,
    },
    /// An administrator lifted a required action.
    ActionWaived {
        /// The action's name, such as `UPDATE_PASSWORD`.
        action: String,
        /// When.
        when: Timestamp,
    },
    /// An administrator gave more time for setting a password.
    WindowExtended {
        /// How many minutes there are now after each sign-in.
        minutes: i64,
        /// When.
        when: Timestamp,
    },
    /// The account has another address now; for the former one and the new one.
    EmailChanged {
        /// When.
        when: Timestamp,
    },
    /// The person, or whoever reads the mails, has closed the account by the link in a notice.
    AccountClosed {
        /// When.
        when: Timestamp,
    },
    /// A link; which one is all that waits in the outbox. The link is made as the mail goes out, and its life starts
    /// when it has gone.
    Link {
        /// The link's id.
        link: String,
        /// A subject in the place of the purpose's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// A mail as [`Purpose::Link`] would be, with a link that opens nothing, for whoever is about to send many.
    LinkExample {
        /// What it would be about.
        kind: LinkKind,
        /// A subject in the place of the purpose's own.
        subject: Option<String>,
        /// The application that it would lead to.
        app: Option<String>,
        /// The id of that application, whose templates it uses.
        #[serde(default)]
        client: Option<ClientUuid>,
        /// The issuer below which the link would be.
        issuer: String,
        /// Seconds that it would be good for.
        seconds: i64,
        /// Whose user name it shows.
        #[serde(default)]
        username: Option<String>,
        /// Whether it says that the old password has ended.
        #[serde(default)]
        old_password_ended: bool,
    },
    /// An administrator tries the mail settings.
    Test,
}

impl Purpose {
    /// The purpose's name: the outbox's `template`, and what may be logged.
    pub fn name(&self) -> &'static str {
        match self {
            Self::VerifyEmailCode { .. } => "verify-email-code",
            Self::PasswordChanged { .. } => "password-changed",
            Self::PasswordSet { .. } => "password-set",
            Self::TemporaryPasswordSet { .. } => "temporary-password-set",
            Self::PasswordResetRequired { .. } => "password-reset-required",
            Self::ActionWaived { .. } => "action-waived",
            Self::WindowExtended { .. } => "window-extended",
            Self::EmailChanged { .. } => "email-changed",
            Self::AccountClosed { .. } => "account-closed",
            Self::Link { .. } => "link",
            Self::LinkExample { .. } => "link-example",
            Self::Test => "test",
        }
    }

    /// Whether it tells of a change by which somebody else may have got at the account, so that the notice carries the
    /// link that closes it. What only makes an account harder to get at is no such change.
    pub fn may_be_a_thiefs(&self) -> bool {
        match self {
            Self::PasswordChanged { .. }
            | Self::PasswordSet { .. }
            | Self::TemporaryPasswordSet { .. }
            | Self::EmailChanged { .. } => true,
            Self::VerifyEmailCode { .. }
            | Self::PasswordResetRequired { .. }
            | Self::ActionWaived { .. }
            | Self::WindowExtended { .. }
            | Self::AccountClosed { .. }
            | Self::Link { .. }
            | Self::LinkExample { .. }
            | Self::Test => false,
        }
    }
}

/// The longest words of an administrator that a mail carries, in bytes.
pub const LONGEST_NOTE: usize = 10 * 1024;

/// The part of a message that is sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What it is about.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Words of an administrator, shown as plain text and as somebody's words; cut at [`LONGEST_NOTE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How long a notice is worth sending, in seconds: three days.
pub const NOTICE_LIFESPAN: i64 = 3 * 24 * 3600;

/// One mail to one address.
#[derive(Clone)]
pub struct Message {
    /// The realm that sends it.
    pub realm_id: RealmId,
    /// Whom it is for, where that is a user: deleting the user deletes the mail.
    pub user_id: Option<UserId>,
    /// One stored address, to whose very bytes the mail goes; never one that was typed (threat V052).
    pub recipient: String,
    /// What it says.
    pub content: Content,
    /// In which language.
    pub locale: Locale,
    /// Whether it is one of many: those let single mails pass.
    pub bulk: bool,
    /// Nothing is sent from this time on.
    pub expires_at: Timestamp,
}

impl Message {
    /// A notice to one address of a user, worth sending for [`NOTICE_LIFESPAN`] seconds.
    pub fn notice(
        (realm_id, user_id): (&RealmId, &UserId),
        recipient: &str,
        purpose: Purpose,
        locale: Locale,
        now: Timestamp,
    ) -> Self {
        Self {
            realm_id: realm_id.clone(),
            user_id: Some(user_id.clone()),
            recipient: recipient.to_owned(),
            content: Content {
                purpose,
                note: None,
            },
            locale,
            bulk: false,
            expires_at: now.plus_seconds(NOTICE_LIFESPAN),
        }
    }
}
