//! What becomes of the password in a row about somebody who is there already.
//!
//! A file is older than what has happened here. So its password is taken only from people whose password came from a
//! file, or who have none; one that was set here stays, unless the import is told to overwrite such passwords too. Where
//! a mailed link alone may set a new password, no file ever does, and no file takes a waiting `UPDATE_PASSWORD`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;

use super::check::{NewPassword, Person};
use super::draft::Problem;
use super::write::Pen;
use crate::action::assign::{self, Setting};
use crate::action::kinds::update_password;
use crate::kernel::{CredentialId, Timestamp, UserId};
use crate::mail::Purpose;
use crate::oidc::notices::{self, Reach};
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::user::credential::{self, StoredPassword};
use crate::user::waiting::{self, ResetProof};

/// Under which label the hashes of files are digested.
const LABEL: &str = "imported-password";

/// What becomes of a row's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Password {
    /// There is none, or it is the one that was imported before.
    Untouched,
    /// It becomes the person's.
    Taken,
    /// It becomes the person's in the place of one that was set here then, and the person is told.
    Overwrites(Timestamp),
    /// The one that was set here then stays.
    Kept(Timestamp),
    /// Only a mailed link sets a new one.
    ByLinkAlone,
}

impl Password {
    /// Whether the row's password is stored.
    pub(super) const fn is_taken(self) -> bool {
        matches!(self, Self::Taken | Self::Overwrites(_))
    }

    /// What the report says of it.
    pub(super) fn note(self) -> Option<Problem> {
        let said = match self {
            Self::Untouched | Self::Taken => return None,
            Self::Overwrites(then) => format!("replaces the one set here on {}", day(then)),
            Self::Kept(then) => format!("kept: set here on {}", day(then)),
            Self::ByLinkAlone => "kept: a new one must be set by link".to_owned(),
        };
        Some(Problem::of("password", said))
    }
}

fn day(then: Timestamp) -> String {
    DateTime::from_timestamp(then.seconds(), 0)
        .map_or_else(String::new, |then| then.format("%Y-%m-%d").to_string())
}

impl NewPassword {
    /// Whether its owner has to replace it at the first sign-in.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Plain {
                temporary: true,
                ..
            } | Self::Stored {
                temporary: true,
                ..
            }
        )
    }
}

impl Pen<'_> {
    /// The hash of a row's password.
    pub(super) fn hash<'p>(&'p self, number: i64, person: &'p Person) -> Option<&'p str> {
        match &person.password {
            NewPassword::None => None,
            NewPassword::Plain { .. } => self.hashes.get(&number).map(String::as_str),
            NewPassword::Stored { hash, .. } => Some(hash),
        }
    }

    /// What becomes of a row's password. Where it is acted on, the caller holds the person's lock.
    pub(super) fn password_of(
        &self,
        tx: &mut Tx<'_>,
        id: &UserId,
        person: &Person,
    ) -> Result<Password, StoreError> {
        if matches!(person.password, NewPassword::None) {
            return Ok(Password::Untouched);
        }
        let stored = credential::password(tx, id)?;
        if stored
            .as_ref()
            .is_some_and(|stored| self.is_the_same(stored, &person.password))
        {
            return Ok(Password::Untouched);
        }
        let waiting = waiting::of_user(tx, id)?;
        if waiting
            .iter()
            .any(|action| action.reset_proof == ResetProof::Mailbox)
        {
            return Ok(Password::ByLinkAlone);
        }
        Ok(match stored {
            Some(own) if own.imported_digest.is_none() => {
                if self.options.overwrite_passwords {
                    Password::Overwrites(own.created_at)
                } else {
                    Password::Kept(own.created_at)
                }
            }
            Some(_) | None => Password::Taken,
        })
    }

    /// Whether the stored password was imported with that very hash, whatever it is hashed with since.
    fn is_the_same(&self, stored: &StoredPassword, new: &NewPassword) -> bool {
        let (NewPassword::Stored { hash, temporary }, Some(known)) = (new, &stored.imported_digest)
        else {
            return false;
        };
        let keyring = self.mailer.tools().keyring;
        let same = URL_SAFE_NO_PAD
            .decode(known)
            .is_ok_and(|known| keyring.is_digest(LABEL, hash.as_bytes(), &known));
        // One that was for good becomes temporary by being set anew.
        same && (!temporary || stored.expires_at.is_some())
    }

    /// A password of the file, as it is stored. The digest knows the file's hash again once it was replaced by a
    /// stronger one; it is keyed, because some files hold hashes that a plain digest would give away.
    pub(super) fn stored(&self, hash: &str, temporary: bool) -> StoredPassword {
        let lifespan = self.rules.realm.temporary_password_lifespan();
        let digest = self.mailer.tools().keyring.digest(LABEL, hash.as_bytes());
        StoredPassword {
            id: CredentialId::new(self.entropy.uuid(self.now)),
            secret: hash.to_owned(),
            label: None,
            expires_at: lifespan
                .filter(|_| temporary)
                .map(|seconds| self.now.plus_seconds(seconds)),
            created_at: self.now,
            imported_digest: Some(URL_SAFE_NO_PAD.encode(digest)),
        }
    }

    /// Gives somebody the file's password. Everything older ends; an `UPDATE_PASSWORD` that waits goes on waiting, and a
    /// temporary password sets one that is due now.
    pub(super) fn set_password(
        &self,
        tx: &mut Tx<'_>,
        id: &UserId,
        (hash, temporary): (&str, bool),
    ) -> Result<(), StoreError> {
        credential::set_password(tx, id, &self.stored(hash, temporary))?;
        if temporary {
            let now = tx.now()?;
            let is_due = waiting::of_user(tx, id)?
                .iter()
                .any(|action| action.action == update_password::NAME && action.due_at <= now);
            if !is_due {
                let setting = Setting::by("temporary-password");
                assign::set(tx, id, update_password::NAME, &setting)?;
            }
        }
        assign::end_everything(tx, id, self.entropy)
    }

    /// Tells somebody whose own password was overwritten, as where an administrator sets one.
    pub(super) fn tell_owner(
        &self,
        tx: &mut Tx<'_>,
        user: &User,
        temporary: bool,
    ) -> Result<(), StoreError> {
        let when = tx.now()?;
        let purpose = if temporary {
            let works_until =
                credential::password(tx, &user.id)?.and_then(|stored| stored.expires_at);
            Purpose::TemporaryPasswordSet { when, works_until }
        } else {
            Purpose::PasswordSet { when }
        };
        let at = (self.mailer, &self.rules.realm, None);
        notices::deliver_by(tx, at, user, &purpose, Reach::Many)
    }
}
