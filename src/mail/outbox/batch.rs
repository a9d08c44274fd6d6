//! Mails that belong together: held, released and called back as one. Called by mailings.

use diesel::prelude::*;

use super::{OutboxId, State};
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx, db};
use crate::web::texts::Locale;

/// Makes a mail part of a batch, and says its language where the batch has one.
///
/// # Errors
/// The database fails.
pub fn join(
    tx: &mut Tx<'_>,
    mail: &OutboxId,
    batch: &str,
    locale: Option<Locale>,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        outbox::table.filter(outbox::id.eq(mail))
    )
    .set((
        outbox::batch.eq(batch),
        locale.map(|locale| outbox::locale.eq(locale.tag())),
    ))
    .execute(c))?;
    Ok(())
}

/// Lets the batch's mails rest of which nothing has gone out. A node that holds one of them learns so when it asks for
/// leave to send the content.
///
/// # Errors
/// The database fails.
pub fn hold(tx: &mut Tx<'_>, batch: &str) -> Result<usize, StoreError> {
    let unsent = [State::Queued.as_str(), State::Leased.as_str()];
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::batch.eq(batch))
            .filter(outbox::state.eq_any(unsent))
    )
    .set((
        outbox::state.eq(State::Held.as_str()),
        outbox::lease_token.eq(None::<String>),
    ))
    .execute(c))
}

/// Lets the batch's mails go on.
///
/// # Errors
/// The database fails.
pub fn release(tx: &mut Tx<'_>, batch: &str) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::batch.eq(batch))
            .filter(outbox::state.eq(State::Held.as_str()))
    )
    .set(outbox::state.eq(State::Queued.as_str()))
    .execute(c))
}

/// Calls back the batch's mails of which nothing has gone out.
///
/// # Errors
/// The database fails.
pub fn cancel(tx: &mut Tx<'_>, batch: &str, why: &str) -> Result<usize, StoreError> {
    let now = tx.now()?;
    let open = [State::Queued, State::Held, State::Leased].map(State::as_str);
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::batch.eq(batch))
            .filter(outbox::state.eq_any(open))
    )
    .set((
        outbox::state.eq(State::Cancelled.as_str()),
        outbox::last_error.eq(why),
        outbox::content_sealed.eq(Vec::new()),
        outbox::lease_token.eq(None::<String>),
        outbox::settled_at.eq(now),
    ))
    .execute(c))
}

/// How many of the batch's mails wait or are on their way.
///
/// # Errors
/// The database fails.
pub fn open(tx: &mut Tx<'_>, batch: &str) -> Result<i64, StoreError> {
    let open = [State::Queued, State::Held, State::Leased, State::Sending].map(State::as_str);
    db!(tx, |c| outbox::table
        .filter(outbox::batch.eq(batch))
        .filter(outbox::state.eq_any(open))
        .count()
        .get_result(c))
}

/// When the first of the batch's mails is tried again, where each one that is open was refused for now.
///
/// # Errors
/// The database fails.
pub fn next_retry(tx: &mut Tx<'_>, batch: &str) -> Result<Option<Timestamp>, StoreError> {
    let now = tx.now()?;
    let refused: Vec<Timestamp> = db!(tx, |c| outbox::table
        .filter(outbox::batch.eq(batch))
        .filter(outbox::state.eq(State::Queued.as_str()))
        .filter(outbox::attempts.gt(0))
        .filter(outbox::not_before.gt(now))
        .order(outbox::not_before)
        .select(outbox::not_before)
        .load(c))?;
    let others = open(tx, batch)? > i64::try_from(refused.len()).unwrap_or(i64::MAX);
    Ok(refused.first().copied().filter(|_| !others))
}

/// Sends every mail of the batch that is in doubt again, because a person said so. Answers how many.
///
/// # Errors
/// The database fails.
pub fn resend_in_doubt(tx: &mut Tx<'_>, batch: &str) -> Result<usize, StoreError> {
    let now = tx.now()?;
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::batch.eq(batch))
            .filter(outbox::state.eq(State::InDoubt.as_str()))
    )
    .set((
        outbox::state.eq(State::Queued.as_str()),
        outbox::lease_token.eq(None::<String>),
        outbox::not_before.eq(now),
    ))
    .execute(c))
}

/// A mail that came back: whose it is, and where it went.
pub type CameBack = (Option<UserId>, String);

/// Notes that a mail which was sent, or may have been, came back: relays bounce later than they accept. `None`: there
/// is no such mail, or that was known.
///
/// # Errors
/// The database fails.
pub fn came_back(
    tx: &mut Tx<'_>,
    (realm, mail): (&RealmId, &OutboxId),
    why: &str,
    now: Timestamp,
) -> Result<Option<CameBack>, StoreError> {
    let went_out = [State::Sent.as_str(), State::InDoubt.as_str()];
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq(mail))
            .filter(outbox::realm_id.eq(realm))
            .filter(outbox::state.eq_any(went_out))
    )
    .set((
        outbox::state.eq(State::Bounced.as_str()),
        outbox::last_error.eq(why),
        outbox::content_sealed.eq(Vec::new()),
        outbox::lease_token.eq(None::<String>),
        outbox::settled_at.eq(now),
    ))
    .returning((outbox::user_id, outbox::recipient))
    .get_result(c)
    .optional())
}
