//! Who a mailing is for, and what became of each: written down when it starts, and never forgotten.
//!
//! A recipient's row outlives their account, so that the sums stay true. Its state is what became of the newest mail
//! (`outcomes.rs`).

use diesel::prelude::*;

use super::outcomes;
pub use super::outcomes::{any_in_doubt, came_back, reap, resent, resent_one};
use crate::kernel::{Timestamp, UserId};
use crate::link::LinkId;
use crate::mail::OutboxId;
use crate::store::schema::campaign_recipients as rows;
use crate::store::{StoreError, Tx, db};

/// Not handed over yet.
pub const WAITING: &str = "waiting";
/// Handed over to the outbox.
pub const QUEUED: &str = "queued";
/// The mail server has taken the mail.
pub const SENT: &str = "sent";
/// It was refused for good, or came back.
pub const BOUNCED: &str = "bounced";
/// Nobody knows whether it went out.
pub const IN_DOUBT: &str = "in_doubt";
/// Passed over, with a reason.
pub const SKIPPED: &str = "skipped";
/// Given up.
pub const FAILED: &str = "failed";

/// Those whose turn it is.
///
/// # Errors
/// The database fails.
pub fn next(tx: &mut Tx<'_>, campaign: &str, limit: i64) -> Result<Vec<UserId>, StoreError> {
    db!(tx, |c| rows::table
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::state.eq(WAITING))
        .order(rows::user_id)
        .limit(limit)
        .select(rows::user_id)
        .load(c))
}

/// Notes that somebody was handed over.
///
/// # Errors
/// The database fails.
pub fn handed_over(
    tx: &mut Tx<'_>,
    (campaign, user): (&str, &UserId),
    (link, mail, recipient): (&LinkId, &OutboxId, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::user_id.eq(user))
    )
    .set((
        rows::state.eq(QUEUED),
        rows::recipient.eq(recipient),
        rows::link_id.eq(link.as_str()),
        rows::outbox_id.eq(mail.as_str()),
        rows::handed_at.eq(now),
    ))
    .execute(c))?;
    Ok(())
}

/// Passes over somebody.
///
/// # Errors
/// The database fails.
pub fn skip(
    tx: &mut Tx<'_>,
    whose: (&str, &UserId),
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    outcomes::settle(tx, whose, (SKIPPED, Some(why)), now)
}

/// Passes over everybody whose turn has not come.
///
/// # Errors
/// The database fails.
pub fn skip_waiting(tx: &mut Tx<'_>, campaign: &str, why: &str) -> Result<usize, StoreError> {
    let now = tx.now()?;
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq(WAITING))
    )
    .set((
        rows::state.eq(SKIPPED),
        rows::reason.eq(why),
        rows::settled_at.eq(now),
    ))
    .execute(c))
}

/// How many recipients there are in each state.
///
/// # Errors
/// The database fails.
pub fn states(tx: &mut Tx<'_>, campaign: &str) -> Result<Vec<(String, i64)>, StoreError> {
    db!(tx, |c| rows::table
        .filter(rows::campaign_id.eq(campaign))
        .group_by(rows::state)
        .select((rows::state, diesel::dsl::count_star()))
        .load(c))
}

/// How many of those handed over since then were sent and how many bounced; of all where no time is given. While
/// people are reminded, of the reminders alone.
///
/// # Errors
/// The database fails.
pub fn judged(
    tx: &mut Tx<'_>,
    campaign: &str,
    since: Option<Timestamp>,
    reminders: bool,
) -> Result<(i64, i64), StoreError> {
    let since = since.unwrap_or(Timestamp::from_micros(0));
    let known = [SENT, BOUNCED];
    let counted: Vec<(String, i64)> = if reminders {
        db!(tx, |c| rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq_any(known))
            .filter(rows::reminder_id.is_not_null())
            .filter(rows::reminded_at.ge(since))
            .group_by(rows::state)
            .select((rows::state, diesel::dsl::count_star()))
            .load(c))?
    } else {
        db!(tx, |c| rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq_any(known))
            .filter(rows::handed_at.ge(since))
            .group_by(rows::state)
            .select((rows::state, diesel::dsl::count_star()))
            .load(c))?
    };
    let of = |wanted: &str| {
        let found = counted.iter().find(|(state, _)| state == wanted);
        found.map_or(0, |(_, count)| *count)
    };
    Ok((of(SENT), of(BOUNCED)))
}

/// Counts those whose mails still wait as handed over now: nothing of theirs has gone out.
///
/// # Errors
/// The database fails.
pub fn handed_anew(tx: &mut Tx<'_>, campaign: &str, now: Timestamp) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq(QUEUED))
            .filter(rows::reminder_id.is_null())
    )
    .set(rows::handed_at.eq(now))
    .execute(c))?;
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::state.eq(QUEUED))
            .filter(rows::reminder_id.is_not_null())
    )
    .set(rows::reminded_at.eq(now))
    .execute(c))?;
    Ok(())
}

/// A recipient as it is shown.
#[derive(Debug, Clone, Queryable)]
pub struct Recipient {
    /// The person's id.
    pub user_id: UserId,
    /// The user name when the audience was written down.
    pub username: String,
    /// Where the mail went.
    pub email: Option<String>,
    /// One of the states of this module.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// When the mail was sent, refused or given up, or its person passed over.
    pub settled_at: Option<Timestamp>,
    /// When they were reminded.
    pub reminded_at: Option<Timestamp>,
}

/// The next recipients after a person, by id; those in a state where one is asked for.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    campaign: &str,
    states: &[&str],
    (after, limit): (&str, i64),
) -> Result<Vec<Recipient>, StoreError> {
    db!(tx, |c| {
        let mut query = rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::user_id.gt(after))
            .into_boxed();
        if !states.is_empty() {
            query = query.filter(rows::state.eq_any(states));
        }
        query
            .order(rows::user_id)
            .limit(limit)
            .select((
                rows::user_id,
                rows::username,
                rows::recipient,
                rows::state,
                rows::reason,
                rows::settled_at,
                rows::reminded_at,
            ))
            .load(c)
    })
}

/// Somebody who is to be reminded: the person, the link that was mailed.
pub type Reminder = (UserId, Option<String>);

/// Those who were mailed before `before`, have not come since, and were not reminded.
///
/// # Errors
/// The database fails.
pub fn to_remind(
    tx: &mut Tx<'_>,
    campaign: &str,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Reminder>, StoreError> {
    db!(tx, |c| rows::table
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::state.eq(SENT))
        .filter(rows::reminded_at.is_null())
        .filter(rows::settled_at.le(before))
        .order(rows::user_id)
        .limit(limit)
        .select((rows::user_id, rows::link_id))
        .load(c))
}

/// When the first of those who were not reminded was mailed.
///
/// # Errors
/// The database fails.
pub fn first_unreminded(tx: &mut Tx<'_>, campaign: &str) -> Result<Option<Timestamp>, StoreError> {
    let found: Option<Option<Timestamp>> = db!(tx, |c| rows::table
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::state.eq(SENT))
        .filter(rows::reminded_at.is_null())
        .order(rows::settled_at)
        .select(rows::settled_at)
        .first(c)
        .optional())?;
    Ok(found.flatten())
}

/// Notes that somebody's reminder was handed over, or that they need none any more.
///
/// # Errors
/// The database fails.
pub fn reminded(
    tx: &mut Tx<'_>,
    (campaign, user): (&str, &UserId),
    mail: Option<&OutboxId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::user_id.eq(user))
    )
    .set((
        rows::reminded_at.eq(now),
        rows::reminder_id.eq(mail.map(OutboxId::as_str)),
        mail.map(|_| rows::state.eq(QUEUED)),
    ))
    .execute(c))?;
    Ok(())
}
