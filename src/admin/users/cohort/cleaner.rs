//! Forgetting orders for many people. Called by the server's cleaner.
//!
//! An undo needs what was before the order, person by person. It is offered for ninety days after the order's end; the
//! rows are kept for a day more, so that an undo which began on the last day comes to its end.

use diesel::prelude::*;

use super::rows::Job;
use crate::kernel::{Timestamp, UserId};
use crate::store::schema::{cohort_before, cohort_jobs, cohort_people};
use crate::store::{StoreError, Tx, db};

/// Seconds for which an order can be undone after its end: 90 days.
const OFFERED: i64 = 90 * 24 * 3600;
/// Seconds for which an order is kept after its end.
const KEPT: i64 = OFFERED + 24 * 3600;
/// How many people's rows are deleted in one transaction.
const AT_ONCE: i64 = 1000;

/// Whether what the order has changed can still be put back.
pub(super) fn is_kept(job: &Job, now: Timestamp) -> bool {
    job.finished_at
        .is_none_or(|end| now < end.plus_seconds(OFFERED))
}

/// Deletes a portion of what is too old; answers how many rows, and none once there is nothing left.
///
/// # Errors
/// The database fails.
pub fn forget(tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    let before = tx.now()?.plus_seconds(-KEPT);
    let old: Option<String> = db!(tx, |c| cohort_jobs::table
        .filter(cohort_jobs::finished_at.lt(before))
        .select(cohort_jobs::id)
        .first(c)
        .optional())?;
    let Some(id) = old else { return Ok(0) };
    let people: Vec<UserId> = db!(tx, |c| cohort_people::table
        .filter(cohort_people::job_id.eq(&id))
        .order(cohort_people::user_id)
        .limit(AT_ONCE)
        .select(cohort_people::user_id)
        .load(c))?;
    let Some(last) = people.last() else {
        return db!(tx, |c| diesel::delete(
            cohort_jobs::table.filter(cohort_jobs::id.eq(&id))
        )
        .execute(c));
    };
    db!(tx, |c| diesel::delete(
        cohort_before::table
            .filter(cohort_before::job_id.eq(&id))
            .filter(cohort_before::user_id.le(last))
    )
    .execute(c))?;
    db!(tx, |c| diesel::delete(
        cohort_people::table
            .filter(cohort_people::job_id.eq(&id))
            .filter(cohort_people::user_id.le(last))
    )
    .execute(c))
}
