//! Setting and taking required actions: what an administrator, an import or a rule does to a person.
//!
//! Setting gates at once: the user's row is written in the same transaction, and the mint locks that row. Taking a
//! waiting `UPDATE_PASSWORD` in any way but its completion bumps the epoch, so that nothing stolen comes alive
//! again.

use super::canonical;
use super::kinds::{names, update_password};
use crate::kernel::{Entropy, Timestamp, UserId};
use crate::mail::verify_code;
use crate::realm::RequiredActionConfig;
use crate::session;
use crate::store::dialect::{Lock, lock_user};
use crate::store::{StoreError, Tx};
use crate::user::waiting::{self, ResetProof, WaitingAction};
use crate::user::{self, AuthEpoch};

/// How an action is set.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Who sets it: `admin`, `temporary-password`, `default`, …
    pub source: &'a str,
    /// The administrator's reason.
    pub reason: Option<&'a str>,
    /// From when it shuts everything; absent means now.
    pub due_at: Option<Timestamp>,
    /// Who can complete an `UPDATE_PASSWORD`.
    pub reset_proof: ResetProof,
    /// The job of the order for many people that sets it.
    pub job: Option<&'a str>,
}

impl<'a> Setting<'a> {
    /// Set by `source`, due now, completed by who knows the password.
    pub fn by(source: &'a str) -> Self {
        Self {
            source,
            reason: None,
            due_at: None,
            reset_proof: ResetProof::Password,
            job: None,
        }
    }
}

/// An action that cannot be set: its text names those that can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAssignable {
    /// This server cannot carry it out.
    #[error("Required action {name} is not known here. This server can carry out: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The realm has switched it off.
    #[error(
        "Required action {0} is switched off in this realm: enable it under authentication/required-actions first"
    )]
    SwitchedOff(String),
}

/// The one spelling of each name, if the realm can assign them all.
///
/// # Errors
/// The first name that cannot be assigned.
pub fn assignable(
    actions: &[RequiredActionConfig],
    wanted: &[String],
) -> Result<Vec<&'static str>, NotAssignable> {
    wanted
        .iter()
        .map(|name| {
            let canonical = canonical(name).ok_or_else(|| NotAssignable::Unknown {
                name: name.chars().take(64).collect(),
                known: names().join(", "),
            })?;
            let enabled = actions
                .iter()
                .any(|action| action.alias == canonical && action.enabled);
            if enabled {
                Ok(canonical)
            } else {
                Err(NotAssignable::SwitchedOff(canonical.to_owned()))
            }
        })
        .collect()
}

/// Sets an action on a person; the caller has checked that it is [`assignable`].
///
/// # Errors
/// The database fails.
pub fn set(
    tx: &mut Tx<'_>,
    user: &UserId,
    action: &str,
    setting: &Setting<'_>,
) -> Result<(), StoreError> {
    lock_user(tx, user, Lock::Update)?;
    let now = tx.now()?;
    let row = WaitingAction {
        action: action.to_owned(),
        source: setting.source.to_owned(),
        reason: setting.reason.map(str::to_owned),
        since: now,
        due_at: setting.due_at.unwrap_or(now),
        reset_proof: setting.reset_proof,
        set_by_job: setting.job.map(str::to_owned),
    };
    let waits = waiting::of_user(tx, user)?
        .iter()
        .any(|known| known.action == row.action);
    waiting::put(tx, user, &row)?;
    if action == update_password::NAME {
        if !waits {
            user::not_before::flag(tx, &[user], now)?;
        }
        // What is due later leaves the tokens of today alone; once it is due, the gate refuses them.
        if row.due_at <= now {
            user::not_before::raise(tx, &[user], now)?;
        }
    }
    Ok(())
}

/// Sets an action that does not wait yet; answers whether it was set. What waits stays as it was meant, so that whoever
/// asks for it once more loosens neither its proof nor its date; but it is theirs from then on, and no undo of an order
/// that had set it takes it.
///
/// # Errors
/// The database fails.
pub fn set_missing(
    tx: &mut Tx<'_>,
    user: &UserId,
    action: &str,
    setting: &Setting<'_>,
) -> Result<bool, StoreError> {
    lock_user(tx, user, Lock::Update)?;
    let waiting = waiting::of_user(tx, user)?;
    if waiting.iter().any(|known| known.action == action) {
        waiting::claim(tx, user, action, setting.job)?;
        return Ok(false);
    }
    set(tx, user, action, setting)?;
    Ok(true)
}

/// Takes an action from a person without its completion; answers whether it waited.
///
/// # Errors
/// The database fails.
pub fn waive(
    tx: &mut Tx<'_>,
    user: &UserId,
    action: &str,
    entropy: &Entropy,
) -> Result<bool, StoreError> {
    lock_user(tx, user, Lock::Update)?;
    let waited = waiting::remove(tx, user, action)?;
    if waited && action == update_password::NAME {
        end_everything(tx, user, entropy)?;
    }
    Ok(waited)
}

/// Closes an account that is in wrong hands: no password and nothing that was issued works any more, and a mailed link
/// alone sets a new password. What `compromised` does for an administrator.
///
/// # Errors
/// The database fails.
pub fn close(
    tx: &mut Tx<'_>,
    user: &UserId,
    source: &str,
    entropy: &Entropy,
) -> Result<(), StoreError> {
    let setting = Setting {
        reset_proof: ResetProof::Mailbox,
        ..Setting::by(source)
    };
    set(tx, user, update_password::NAME, &setting)?;
    end_everything(tx, user, entropy)
}

/// Ends every session, token, link, code and approval of a person: a new epoch, and what does not carry it, the
/// sessions with what hangs on them and the code in the mail.
///
/// # Errors
/// The database fails.
pub fn end_everything(tx: &mut Tx<'_>, user: &UserId, entropy: &Entropy) -> Result<(), StoreError> {
    user::rows::bump_epoch(tx, user, &AuthEpoch::new(entropy.random_uuid()))?;
    session::rows::delete_of_user(tx, user)?;
    verify_code::forget(tx, user)
}
