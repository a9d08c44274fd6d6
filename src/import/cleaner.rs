//! Forgetting imports: ninety days after their end, and files that stopped coming after two hours. Called by the
//! server's cleaner; the file of an upload goes with the end of its job already.

use diesel::prelude::*;

use super::jobs::{Source, State};
use super::upload;
use crate::kernel::{ImportId, Timestamp};
use crate::store::schema::{import_jobs, import_rows};
use crate::store::{StoreError, Tx, db};

/// Seconds for which a job and its verdicts are kept after its end: 90 days.
const KEPT: i64 = 90 * 24 * 3600;
/// Seconds after which a file that stopped coming is forgotten.
const BROKEN: i64 = 2 * 3600;
/// How many verdicts are deleted in one transaction.
const AT_ONCE: i64 = 5000;

/// Deletes a portion of what is too old; answers how many rows, and none once there is nothing left.
///
/// # Errors
/// The database fails.
pub fn forget(tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    let now = tx.now()?;
    let broken = upload::forget_broken(tx, now.plus_seconds(-BROKEN))?;
    let Some(id) = old(tx, now.plus_seconds(-KEPT))? else {
        return Ok(broken);
    };
    let first: Option<i64> = db!(tx, |c| import_rows::table
        .filter(import_rows::job_id.eq(&id))
        .order(import_rows::row_number)
        .select(import_rows::row_number)
        .first(c)
        .optional())?;
    let forgotten = match first {
        Some(first) => db!(tx, |c| diesel::delete(
            import_rows::table
                .filter(import_rows::job_id.eq(&id))
                .filter(import_rows::row_number.lt(first.saturating_add(AT_ONCE)))
        )
        .execute(c))?,
        None => db!(tx, |c| diesel::delete(
            import_jobs::table.filter(import_jobs::id.eq(&id))
        )
        .execute(c))?,
    };
    Ok(broken.saturating_add(forgotten))
}

/// A job that was over before that time; one of the command line also where it was stopped and nobody came back to it.
fn old(tx: &mut Tx<'_>, before: Timestamp) -> Result<Option<ImportId>, StoreError> {
    let open = [State::Queued.as_str(), State::Running.as_str()];
    let left = import_jobs::source
        .eq(Source::File.as_str())
        .and(import_jobs::state.eq_any(open))
        .and(import_jobs::created_at.lt(before))
        .and(import_jobs::lease_until.lt(before));
    db!(tx, |c| import_jobs::table
        .filter(
            import_jobs::finished_at
                .lt(before)
                .assume_not_null()
                .or(left)
        )
        .select(import_jobs::id)
        .first(c)
        .optional())
}
