//! What became of the mails of a mailing, taken over from the outbox.
//!
//! A recipient's newest mail decides: a reminder counts as the first mail does, save that one which was called back leaves
//! what came of the first.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::recipients::{BOUNCED, FAILED, IN_DOUBT, QUEUED, SENT, SKIPPED, skip};
use crate::kernel::{Timestamp, UserId};
use crate::mail::OutboxId;
use crate::store::dialect::coalesce;
use crate::store::schema::{campaign_recipients as rows, outbox};
use crate::store::{StoreError, Tx, db};

/// The most outcomes that one transaction takes over from the outbox.
const OUTCOMES: i64 = 1000;

/// What became of somebody's newest mail.
#[derive(Queryable)]
struct Outcome {
    user_id: UserId,
    /// Whether it is a reminder.
    reminder: bool,
    state: String,
    why: Option<String>,
    at: Option<Timestamp>,
    /// When the mail before it was settled.
    before: Option<Timestamp>,
}

/// Takes over what became of the mails. Answers how many have changed.
///
/// # Errors
/// The database fails.
pub fn reap(tx: &mut Tx<'_>, campaign: &str) -> Result<usize, StoreError> {
    let now = tx.now()?;
    let ended = [SENT, BOUNCED, FAILED, IN_DOUBT, "cancelled"];
    let changed: Vec<Outcome> = db!(tx, |c| rows::table
        .inner_join(
            outbox::table
                .on(coalesce(rows::reminder_id, rows::outbox_id).eq(outbox::id.nullable()))
        )
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::state.eq_any([QUEUED, IN_DOUBT]))
        .filter(outbox::state.eq_any(ended))
        .filter(outbox::state.ne(rows::state))
        .limit(OUTCOMES)
        .select((
            rows::user_id,
            rows::reminder_id.is_not_null(),
            outbox::state,
            outbox::last_error,
            outbox::settled_at,
            rows::settled_at,
        ))
        .load(c))?;
    let gone: Vec<(UserId, bool, Option<Timestamp>)> = db!(tx, |c| rows::table
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::state.eq(QUEUED))
        .filter(not(exists(outbox::table.filter(
            coalesce(rows::reminder_id, rows::outbox_id).eq(outbox::id.nullable())
        ))))
        .limit(OUTCOMES)
        .select((
            rows::user_id,
            rows::reminder_id.is_not_null(),
            rows::settled_at
        ))
        .load(c))?;
    let count = changed.len().saturating_add(gone.len());
    for (user, reminder, before) in gone {
        let key = (campaign, &user);
        if reminder {
            settle(tx, key, (SENT, None), before.unwrap_or(now))?;
        } else {
            skip(tx, key, "deleted", now)?;
        }
    }
    for outcome in changed {
        let at = outcome.at.unwrap_or(now);
        let (state, why, at) = match (outcome.state.as_str(), outcome.reminder) {
            ("cancelled", true) => (SENT, None, outcome.before.unwrap_or(at)),
            ("cancelled", false) => (SKIPPED, outcome.why.as_deref(), at),
            (state, _) => (state, outcome.why.as_deref(), at),
        };
        settle(tx, (campaign, &outcome.user_id), (state, why), at)?;
    }
    Ok(count)
}

/// Notes that somebody's turn is over, and how it ended.
pub(super) fn settle(
    tx: &mut Tx<'_>,
    (campaign, user): (&str, &UserId),
    (state, why): (&str, Option<&str>),
    at: Timestamp,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::user_id.eq(user))
    )
    .set((
        rows::state.eq(state),
        rows::reason.eq(why),
        rows::settled_at.eq(at),
    ))
    .execute(c))?;
    Ok(())
}

/// Whether somebody's mail is in doubt.
///
/// # Errors
/// The database fails.
pub fn any_in_doubt(tx: &mut Tx<'_>, campaign: &str) -> Result<bool, StoreError> {
    let found: Option<UserId> = db!(tx, |c| rows::table
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::state.eq(IN_DOUBT))
        .select(rows::user_id)
        .first(c)
        .optional())?;
    Ok(found.is_some())
}

/// Notes that mails in doubt are on their way again.
///
/// # Errors
/// The database fails.
pub fn resent(tx: &mut Tx<'_>, campaign: &str) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq(IN_DOUBT))
    )
    .set((
        rows::state.eq(QUEUED),
        rows::reason.eq(None::<String>),
        rows::settled_at.eq(None::<Timestamp>),
    ))
    .execute(c))
}

/// Notes that one mail which was in doubt is on its way again.
///
/// # Errors
/// The database fails.
pub fn resent_one(tx: &mut Tx<'_>, campaign: &str, mail: &OutboxId) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq(IN_DOUBT))
            .filter(coalesce(rows::reminder_id, rows::outbox_id).eq(mail.as_str()))
    )
    .set((
        rows::state.eq(QUEUED),
        rows::reason.eq(None::<String>),
        rows::settled_at.eq(None::<Timestamp>),
    ))
    .execute(c))
}

/// Notes that a mail came back. Answers the mailing that it is part of, and the link that was mailed first.
///
/// # Errors
/// The database fails.
pub fn came_back(
    tx: &mut Tx<'_>,
    mail: &OutboxId,
    why: &str,
    now: Timestamp,
) -> Result<Option<(String, Option<String>)>, StoreError> {
    db!(tx, |c| diesel::update(
        rows::table.filter(
            rows::outbox_id
                .eq(mail.as_str())
                .or(rows::reminder_id.eq(mail.as_str()))
        )
    )
    .set((
        rows::state.eq(BOUNCED),
        rows::reason.eq(why),
        rows::settled_at.eq(now),
    ))
    .returning((rows::campaign_id, rows::link_id))
    .get_result(c)
    .optional())
}
