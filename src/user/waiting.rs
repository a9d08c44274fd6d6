//! Required actions that wait on a person: rows beside the user.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::rows::touch_gate;
use crate::kernel::{Timestamp, UserId};
use crate::store::schema::required_actions;
use crate::store::{StoreError, Tx, corrupt, db};

/// Who can complete a waiting `UPDATE_PASSWORD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetProof {
    /// Whoever knows the old password.
    Password,
    /// Only who opens a mailed link; the old password is dead.
    Mailbox,
}

impl ResetProof {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Mailbox => "mailbox",
        }
    }

    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Password, Self::Mailbox]
            .into_iter()
            .find(|proof| proof.as_str() == text)
    }
}

/// An action that waits on a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingAction {
    /// Its name. A name that this binary does not know gates all the same (an older node beside a newer one).
    pub action: String,
    /// Who set it: `admin`, `temporary-password`, `default`, `import`, …
    pub source: String,
    /// The administrator's reason.
    pub reason: Option<String>,
    /// Since when it waits.
    pub since: Timestamp,
    /// Before this time only interactive sign-ins meet it; from then on everything shuts.
    pub due_at: Timestamp,
    /// Who can complete it.
    pub reset_proof: ResetProof,
    /// The job of the order for many people that asked for it last. Nothing if somebody else did: the undo of an order
    /// touches what carries its job alone.
    pub set_by_job: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = required_actions)]
struct WaitingRow {
    action: String,
    source: String,
    reason: Option<String>,
    since: Timestamp,
    due_at: Timestamp,
    reset_proof: String,
    set_by_job: Option<String>,
}

/// What waits on the user, by name.
///
/// # Errors
/// The database fails.
pub fn of_user(tx: &mut Tx<'_>, user: &UserId) -> Result<Vec<WaitingAction>, StoreError> {
    let rows: Vec<WaitingRow> = db!(tx, |c| required_actions::table
        .filter(required_actions::user_id.eq(user))
        .order(required_actions::action)
        .select(WaitingRow::as_select())
        .load(c))?;
    rows.into_iter()
        .map(|row| {
            let reset_proof = ResetProof::parse(&row.reset_proof).ok_or_else(|| {
                corrupt("required_actions", "reset_proof", user, &row.reset_proof)
            })?;
            Ok(WaitingAction {
                action: row.action,
                source: row.source,
                reason: row.reason,
                since: row.since,
                due_at: row.due_at,
                reset_proof,
                set_by_job: row.set_by_job,
            })
        })
        .collect()
}

/// Sets an action on the user, or changes the one that waits; the user's row is written with it.
///
/// # Errors
/// The database fails.
pub fn put(tx: &mut Tx<'_>, user: &UserId, waiting: &WaitingAction) -> Result<(), StoreError> {
    touch_gate(tx, user)?;
    db!(tx, |c| diesel::insert_into(required_actions::table)
        .values((
            required_actions::user_id.eq(user),
            required_actions::action.eq(&waiting.action),
            required_actions::source.eq(&waiting.source),
            required_actions::reason.eq(&waiting.reason),
            required_actions::since.eq(waiting.since),
            required_actions::due_at.eq(waiting.due_at),
            required_actions::reset_proof.eq(waiting.reset_proof.as_str()),
            required_actions::set_by_job.eq(&waiting.set_by_job),
        ))
        .on_conflict((required_actions::user_id, required_actions::action))
        .do_update()
        .set((
            required_actions::source.eq(&waiting.source),
            required_actions::reason.eq(&waiting.reason),
            required_actions::due_at.eq(waiting.due_at),
            required_actions::reset_proof.eq(waiting.reset_proof.as_str()),
            required_actions::set_by_job.eq(&waiting.set_by_job),
        ))
        .execute(c))?;
    Ok(())
}

/// Notes who has asked last for an action that waits, and changes nothing else of it: the job of an order, or nothing
/// for anybody else. From then on no undo of an earlier order takes it.
///
/// # Errors
/// The database fails.
pub fn claim(
    tx: &mut Tx<'_>,
    user: &UserId,
    action: &str,
    job: Option<&str>,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        required_actions::table
            .filter(required_actions::user_id.eq(user))
            .filter(required_actions::action.eq(action))
    )
    .set(required_actions::set_by_job.eq(job))
    .execute(c))?;
    Ok(())
}

/// Takes an action from the user; the row count tells whether it waited.
///
/// # Errors
/// The database fails.
pub fn remove(tx: &mut Tx<'_>, user: &UserId, action: &str) -> Result<bool, StoreError> {
    touch_gate(tx, user)?;
    let removed = db!(tx, |c| diesel::delete(
        required_actions::table
            .filter(required_actions::user_id.eq(user))
            .filter(required_actions::action.eq(action))
    )
    .execute(c))?;
    Ok(removed == 1)
}
