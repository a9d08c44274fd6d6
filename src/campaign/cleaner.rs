//! Forgetting mailings: ninety days after their end, as long as their links are kept, from which their figures come.
//! One with mails in doubt stays until somebody decides. Called by the server's cleaner.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::kernel::UserId;
use crate::mail::outbox::State;
use crate::store::schema::{campaign_recipients, campaigns, outbox};
use crate::store::{StoreError, Tx, db};

/// Seconds for which a mailing and its recipients are kept after its end: 90 days.
const KEPT: i64 = 90 * 24 * 3600;
/// How many recipients are deleted in one transaction.
const AT_ONCE: i64 = 1000;

/// Deletes a portion of what is too old; answers how many rows, and none once there is nothing left.
///
/// # Errors
/// The database fails.
pub fn forget(tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    let before = tx.now()?.plus_seconds(-KEPT);
    let unsettled = [
        State::Queued,
        State::Held,
        State::Leased,
        State::Sending,
        State::InDoubt,
    ]
    .map(State::as_str);
    let old: Option<String> = db!(tx, |c| campaigns::table
        .filter(campaigns::finished_at.lt(before))
        .filter(not(exists(
            outbox::table
                .filter(outbox::batch.eq(campaigns::id.nullable()))
                .filter(outbox::state.eq_any(unsettled)),
        )))
        .select(campaigns::id)
        .first(c)
        .optional())?;
    let Some(id) = old else { return Ok(0) };
    let people: Vec<UserId> = db!(tx, |c| campaign_recipients::table
        .filter(campaign_recipients::campaign_id.eq(&id))
        .order(campaign_recipients::user_id)
        .limit(AT_ONCE)
        .select(campaign_recipients::user_id)
        .load(c))?;
    match people.last() {
        Some(last) => db!(tx, |c| diesel::delete(
            campaign_recipients::table
                .filter(campaign_recipients::campaign_id.eq(&id))
                .filter(campaign_recipients::user_id.le(last))
        )
        .execute(c)),
        None => db!(tx, |c| diesel::delete(
            campaigns::table
                .filter(campaigns::id.eq(&id))
                .filter(campaigns::finished_at.lt(before))
        )
        .execute(c)),
    }
}
