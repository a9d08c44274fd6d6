//! One-time links of every purpose: what a mail says “set your password” with.
//!
//! Owns the tables `links` and `link_keys`. Whoever wants somebody to get a link calls [`create()`] in the transaction in
//! which that becomes true; the pages are `oidc`'s, and read and end links through this module.
//!
//! Invariants: nothing usable is stored, because token and typed code are derived ([`token`]); a link is bound to its
//! user, realm, purpose, address and the user's epoch, so whatever gives the person a new epoch ends it; it is
//! committed by one conditional write that asks for its expiry, too ([`rows::commit`]), and the row count decides; a
//! request that nobody has proved who made it never ends or shortens a link (threat V186). One purpose outlives epoch
//! and address, because it is there for the time after a thief has changed them: [`Purpose::NotMe`], which opens
//! nothing and can only shut ([`not_me`]).

pub mod code;
pub mod create;
pub mod handover;
pub mod keys;
pub mod new_address;
pub mod not_me;
mod renew;
pub mod requests;
pub mod rows;
pub mod token;

pub use create::{
    Created, MailWords, NewLink, Refused, Revealed, Sender, create, mail_again, reveal, with_user,
};
pub use handover::Linker;
pub use renew::{Renewed, renew, revoke, revoke_campaign};
pub use rows::{by_id, of_user};

use crate::kernel::{RealmId, Timestamp, UserId, text_newtype};
use crate::mail::{LinkKind, OutboxId};
use crate::realm::Realm;
use crate::user::{AuthEpoch, User};

text_newtype!(
    /// The id of a link. It is in the token, and gives nothing without the rest of it.
    LinkId
);

/// The action whose name stands in every list of actions that sets a password.
pub const UPDATE_PASSWORD: &str = "UPDATE_PASSWORD";

/// The action that proves an address.
pub const VERIFY_EMAIL: &str = "VERIFY_EMAIL";

/// What a link is for. Part of what its token is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody who has no password yet sets the first one.
    PreRegistration,
    /// Somebody asked for a new password without being signed in.
    ForgottenPassword,
    /// An administrator asks for actions.
    Actions,
    /// Proves the address that it was mailed to.
    VerifyEmail,
    /// Proves a new address, and changes to it.
    UpdateEmail,
    /// Stands in a notice: closes the account, and does nothing else.
    NotMe,
    /// The account was closed so; its person sets a new password.
    ClosedAccount,
}

impl Purpose {
    const ALL: [Self; 7] = [
        Self::PreRegistration,
        Self::ForgottenPassword,
        Self::Actions,
        Self::VerifyEmail,
        Self::UpdateEmail,
        Self::NotMe,
        Self::ClosedAccount,
    ];

    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreRegistration => "pre-registration",
            Self::ForgottenPassword => "forgotten-password",
            Self::Actions => "actions",
            Self::VerifyEmail => "verify-email",
            Self::UpdateEmail => "update-email",
            Self::NotMe => "not-me",
            Self::ClosedAccount => "closed-account",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }

    /// Whether it is about an address: such a link commits only while its person is signed in.
    pub const fn is_about_an_address(self) -> bool {
        matches!(self, Self::VerifyEmail | Self::UpdateEmail)
    }

    /// Seconds that such a link lives in the realm unless the call says otherwise.
    pub fn lifespan(self, realm: &Realm, sender: Sender) -> i64 {
        let field = |name: &str, default: i64| {
            let value = realm.settings.rest.get(name);
            value.and_then(serde_json::Value::as_i64).unwrap_or(default)
        };
        let seconds = match (self, sender) {
            (Self::PreRegistration, _) => realm
                .settings
                .seconds("preRegistrationLifespan", 7 * 24 * 3600),
            (Self::NotMe, _) => realm.settings.seconds("notMeLifespan", 7 * 24 * 3600),
            (Self::ForgottenPassword, _) | (_, Sender::Person) => {
                field("actionTokenGeneratedByUserLifespan", 1800)
            }
            (
                Self::Actions | Self::VerifyEmail | Self::UpdateEmail | Self::ClosedAccount,
                Sender::Administrator,
            ) => field("actionTokenGeneratedByAdminLifespan", 43_200),
        };
        seconds.clamp(1, LONGEST_LIFESPAN)
    }
}

/// The longest that any link lives, in seconds: a year.
pub const LONGEST_LIFESPAN: i64 = 365 * 24 * 3600;

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, and not handed over yet.
    Created,
    /// A mail server has taken it, or it was handed out.
    Sent,
    /// Somebody pressed its button.
    Opened,
    /// It has done what it was for.
    Committed,
    /// Its time is over.
    Expired,
    /// Taken back, or older than the person's password, address or account is now.
    Revoked,
    /// A newer one took its place.
    Superseded,
}

impl State {
    /// The shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Sent => "sent",
            Self::Opened => "opened",
            Self::Committed => "committed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
        }
    }

    /// Whether it still does what it is for.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Created | Self::Sent | Self::Opened)
    }
}

/// A link, without anything that could be used as one.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// Its realm.
    pub realm_id: RealmId,
    /// Whose it is.
    pub user_id: UserId,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it sets a password: [`Purpose::PreRegistration`], [`Purpose::ForgottenPassword`],
    /// [`Purpose::ClosedAccount`], and actions with `UPDATE_PASSWORD`.
    pub sets_password: bool,
    /// The stored address that it is mailed to; `None` where it was handed out to somebody without one.
    pub address: Option<String>,
    /// The person's epoch when it was made.
    pub auth_epoch: AuthEpoch,
    /// The version of the key that its token is derived under.
    pub key_version: i64,
    /// The actions that it opens.
    pub actions: Vec<String>,
    /// The OAuth `client_id` of the application that it leads to.
    pub client_id: Option<String>,
    /// Where in that application it leads.
    pub redirect_uri: Option<String>,
    /// Seconds that it lives once it was handed over.
    pub lifespan: i64,
    /// The campaign it is part of.
    pub campaign_id: Option<String>,
    /// The mail by which its life is counted; `None` where it was handed out in another way.
    pub mail_id: Option<OutboxId>,
    /// The link that this one renews.
    pub original_id: Option<LinkId>,
    /// How often it was renewed; counted at the original.
    pub renewals: i64,
    /// When it was last renewed; kept at the original.
    pub renewed_at: Option<Timestamp>,
    /// Wrong codes that were typed for it.
    pub wrong_codes: i64,
    /// Whether it was first opened so soon after the mail was taken that it was no person.
    pub automated: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was handed over.
    pub sent_at: Option<Timestamp>,
    /// When its button was first pressed.
    pub opened_at: Option<Timestamp>,
    /// When it did what it was for.
    pub committed_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// When a newer one took its place.
    pub superseded_at: Option<Timestamp>,
    /// When it ends. Before it was handed over: when it ends at the latest, whatever becomes of the mail.
    pub good_until: Timestamp,
}

impl Link {
    /// When it expires, which is known once it was handed over.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.sent_at.map(|_| self.good_until)
    }

    /// Where it stands, for `user`, who is the person as stored now.
    pub fn state(&self, user: &User, now: Timestamp) -> State {
        if self.committed_at.is_some() {
            State::Committed
        } else if self.superseded_at.is_some() {
            State::Superseded
        } else if self.revoked_at.is_some() || !self.is_of(user) {
            State::Revoked
        } else if self.good_until <= now {
            State::Expired
        } else if self.opened_at.is_some() {
            State::Opened
        } else if self.sent_at.is_some() {
            State::Sent
        } else {
            State::Created
        }
    }

    /// Whether the person is still the one it was made for: same epoch, same address, not switched off. What closes an
    /// account does so whatever has become of its password and its address.
    fn is_of(&self, user: &User) -> bool {
        if self.purpose == Purpose::NotMe {
            return self.user_id == user.id && user.enabled;
        }
        let moved = self.purpose != Purpose::UpdateEmail
            && self
                .address
                .as_deref()
                .is_some_and(|address| user.email.as_deref() != Some(address));
        self.user_id == user.id && self.auth_epoch == user.auth_epoch && user.enabled && !moved
    }

    /// Whether it came by mail, so that opening it proves the mailbox.
    pub fn proves_mailbox(&self) -> bool {
        self.mail_id.is_some()
    }

    /// What its mail is about; `None` where it has none of its own and stands in a notice.
    pub fn kind(&self) -> Option<LinkKind> {
        Some(match self.purpose {
            Purpose::PreRegistration => LinkKind::PreRegistration,
            Purpose::ForgottenPassword => LinkKind::ForgottenPassword,
            Purpose::Actions if self.actions == [UPDATE_PASSWORD] => LinkKind::SetPassword,
            Purpose::Actions => LinkKind::Actions,
            Purpose::VerifyEmail => LinkKind::VerifyEmail,
            Purpose::UpdateEmail => LinkKind::UpdateEmail,
            Purpose::ClosedAccount => LinkKind::ClosedAccount,
            Purpose::NotMe => return None,
        })
    }
}
