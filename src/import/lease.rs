//! The lease on an import job, and everything that its holder writes about the job.
//!
//! Invariant: whatever a worker writes for a job is in one transaction with [`advance`] or [`finish`], whose WHERE names
//! the worker's lease; a worker whose lease was taken writes nothing.

use diesel::prelude::*;

use super::Counts;
use super::jobs::{Job, State, in_realm};
use crate::kernel::{ImportId, RealmId, Timestamp};
use crate::store::schema::{import_jobs, import_pieces};
use crate::store::{StoreError, Tx, db};

/// Seconds for which a lease holds without a word from its holder (reliability R-01: a job goes on within five).
pub const LEASE: i64 = 4;

/// Seconds for which a job rests whose worker failed.
const REST: i64 = 30;

/// Takes the lease of a job that waits; with `steal` also of one that somebody has. `None` where another was faster.
///
/// # Errors
/// The database fails.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    job: &Job,
    token: &str,
    steal: bool,
) -> Result<Option<Job>, StoreError> {
    let now = tx.now()?;
    let free = if steal {
        Timestamp::from_micros(i64::MAX)
    } else {
        now
    };
    let taken = db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(&job.id))
            .filter(import_jobs::state.eq_any([State::Queued.as_str(), State::Running.as_str()]))
            .filter(import_jobs::lease_until.le(free))
    )
    .set((
        import_jobs::state.eq(State::Running.as_str()),
        import_jobs::lease_token.eq(token),
        import_jobs::lease_until.eq(now.plus_seconds(LEASE)),
    ))
    .execute(c))?;
    if taken == 1 {
        in_realm(tx, &job.realm_id, &job.id)
    } else {
        Ok(None)
    }
}

/// Holds the lease for another while; `false` where it is lost or the job was cancelled.
///
/// # Errors
/// The database fails.
pub fn renew(tx: &mut Tx<'_>, id: &ImportId, token: &str) -> Result<bool, StoreError> {
    let until = tx.now()?.plus_seconds(LEASE);
    let held = db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::lease_token.eq(token))
            .filter(import_jobs::state.eq(State::Running.as_str()))
    )
    .set(import_jobs::lease_until.eq(until))
    .execute(c))?;
    Ok(held == 1)
}

/// Notes how many rows the file has.
///
/// # Errors
/// The database fails.
pub fn set_total(
    tx: &mut Tx<'_>,
    id: &ImportId,
    token: &str,
    total: i64,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::lease_token.eq(token))
    )
    .set(import_jobs::total.eq(total))
    .execute(c))?;
    Ok(())
}

/// Moves the marker from `from` to `to.done` and renews the lease; `false` where the lease is lost, the job cancelled,
/// or the marker elsewhere. The chunk's rows are written in this transaction.
///
/// # Errors
/// The database fails.
pub fn advance(
    tx: &mut Tx<'_>,
    id: &ImportId,
    token: &str,
    from: i64,
    to: &Counts,
) -> Result<bool, StoreError> {
    let until = tx.now()?.plus_seconds(LEASE);
    let moved = db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::lease_token.eq(token))
            .filter(import_jobs::state.eq(State::Running.as_str()))
            .filter(import_jobs::done.eq(from))
    )
    .set((
        import_jobs::done.eq(to.done),
        import_jobs::accepted.eq(to.accepted),
        import_jobs::updated.eq(to.updated),
        import_jobs::skipped.eq(to.skipped),
        import_jobs::rejected.eq(to.rejected),
        import_jobs::noted.eq(to.noted),
        import_jobs::lease_until.eq(until),
    ))
    .execute(c))?;
    Ok(moved == 1)
}

/// Ends a job that this worker has; its file goes with it. `false` where the lease is lost.
///
/// # Errors
/// The database fails.
pub fn finish(
    tx: &mut Tx<'_>,
    id: &ImportId,
    token: &str,
    state: State,
    error: Option<&str>,
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let ended = db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::lease_token.eq(token))
            .filter(import_jobs::state.eq(State::Running.as_str()))
    )
    .set((
        import_jobs::state.eq(state.as_str()),
        import_jobs::error.eq(error),
        import_jobs::lease_token.eq(None::<String>),
        import_jobs::lease_until.eq(0),
        import_jobs::finished_at.eq(now),
    ))
    .execute(c))?;
    if ended == 1 {
        drop_pieces(tx, id)?;
    }
    Ok(ended == 1)
}

/// Lets a job that fails again and again wait, so that the others get their turn.
///
/// # Errors
/// The database fails.
pub(super) fn postpone(tx: &mut Tx<'_>, id: &ImportId, token: &str) -> Result<(), StoreError> {
    let until = tx.now()?.plus_seconds(REST);
    db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::lease_token.eq(token))
    )
    .set(import_jobs::lease_until.eq(until))
    .execute(c))?;
    Ok(())
}

/// Gives the lease back, so that the next one need not wait for its end.
///
/// # Errors
/// The database fails.
pub fn release(tx: &mut Tx<'_>, id: &ImportId, token: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::lease_token.eq(token))
            .filter(import_jobs::state.eq(State::Running.as_str()))
    )
    .set((
        import_jobs::state.eq(State::Queued.as_str()),
        import_jobs::lease_token.eq(None::<String>),
        import_jobs::lease_until.eq(0),
    ))
    .execute(c))?;
    Ok(())
}

/// Ends a job from outside: its worker stops before its next chunk. `false` where it is over already.
///
/// # Errors
/// The database fails.
pub fn cancel(tx: &mut Tx<'_>, realm: &RealmId, id: &ImportId) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let cancelled = db!(tx, |c| diesel::update(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::realm_id.eq(realm))
            .filter(import_jobs::state.eq_any([State::Queued.as_str(), State::Running.as_str()]))
    )
    .set((
        import_jobs::state.eq(State::Cancelled.as_str()),
        import_jobs::lease_token.eq(None::<String>),
        import_jobs::finished_at.eq(now),
    ))
    .execute(c))?;
    if cancelled == 1 {
        drop_pieces(tx, id)?;
    }
    Ok(cancelled == 1)
}

fn drop_pieces(tx: &mut Tx<'_>, id: &ImportId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        import_pieces::table.filter(import_pieces::job_id.eq(id))
    )
    .execute(c))?;
    Ok(())
}
