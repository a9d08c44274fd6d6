//! Who a mailing is for, and what became of each: written down when it starts, and never forgotten.
//!
//! A recipient's row outlives their account, so that the sums stay true. Its state is what became of the newest mail: a
//! reminder counts as the first mail does, save that one which was called back leaves what came of the first.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::kernel::{Timestamp, UserId};
use crate::link::LinkId;
use crate::mail::OutboxId;
use crate::store::dialect::coalesce;
use crate::store::schema::{campaign_recipients as rows, outbox};
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
    (campaign, user): (&str, &UserId),
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::user_id.eq(user))
    )
    .set((
        rows::state.eq(SKIPPED),
        rows::reason.eq(why),
        rows::settled_at.eq(now),
    ))
    .execute(c))?;
    Ok(())
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

fn settle(
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
    state: Option<&str>,
    (after, limit): (&str, i64),
) -> Result<Vec<Recipient>, StoreError> {
    db!(tx, |c| {
        let mut query = rows::table
            .filter(rows::campaign_id.eq(campaign))
            .filter(rows::user_id.gt(after))
            .into_boxed();
        if let Some(state) = state {
            query = query.filter(rows::state.eq(state));
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
