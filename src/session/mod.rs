//! Browser sessions and those of grants without a browser; what each client got in them.
//!
//! A session has a public id, the `sid` of tokens, and a secret cookie of which only the digest is stored. It
//! carries the `auth_epoch` it was born in: one UPDATE of the user's epoch ends all of them.

pub mod remember;
pub mod rows;
pub mod throttle;

use crate::kernel::{RealmId, SessionId, Timestamp, UserId};
use crate::realm::Realm;
use crate::user::AuthEpoch;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A browser's, or a password grant's.
    Online,
    /// Behind an offline token (scope `offline_access`): idles for longer and has no cookie.
    Offline,
}

impl SessionKind {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }

    /// The stored word, read.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Online, Self::Offline]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A signed-in session.
#[derive(Debug, Clone)]
pub struct Session {
    /// The public id, `sid`.
    pub id: SessionId,
    /// Its realm.
    pub realm_id: RealmId,
    /// Whose it is.
    pub user_id: UserId,
    /// The user's epoch at its birth.
    pub auth_epoch: AuthEpoch,
    /// What it is for.
    pub kind: SessionKind,
    /// How the person proved who he is (RFC 8176), e.g. `pwd`.
    pub amr: Vec<String>,
    /// Whether it is remembered beyond the browser's.
    pub remember_me: bool,
    /// When the person last proved who he is.
    pub auth_time: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last used, to about a minute.
    pub last_seen_at: Timestamp,
    /// From where it began.
    pub ip_address: String,
}

/// Use of a session is noted at most this often, so that reading tokens does not write each time.
pub const SEEN_EVERY: i64 = 60;

impl Session {
    /// When the session ends if nobody uses it any more, by the realm's present settings.
    pub fn expires_at(&self, realm: &Realm) -> Timestamp {
        match self.kind {
            SessionKind::Online => {
                let lifespan = realm.session_lifespan(self.remember_me);
                let idle = self
                    .last_seen_at
                    .plus_seconds(lifespan.idle.saturating_add(SEEN_EVERY));
                idle.min(self.started_at.plus_seconds(lifespan.max))
            }
            SessionKind::Offline => self.last_seen_at.plus_seconds(
                realm
                    .settings
                    .offline_session_idle_timeout
                    .saturating_add(SEEN_EVERY),
            ),
        }
    }

    /// Whether the session still lives at `now`.
    pub fn is_live(&self, realm: &Realm, now: Timestamp) -> bool {
        // A remembered session dies when the realm stops remembering (threat V029).
        let remembered_in_vain = self.remember_me && !realm.settings.remember_me;
        !remembered_in_vain && now < self.expires_at(realm)
    }
}
