//! `notBefore` of a person, and the time of their last flag: tokens from before the one never work again, and a copy of
//! the person from before either takes no flag (threat V179).
//!
//! The two are apart because they say different things. A flag that is due later leaves the tokens of today alone, and
//! is none the less newer than the copies of today. And copies carry whole seconds: a flag that is set anew in the
//! second of the one before moves the time of flags to the next second, so that a copy read between the two is told
//! from one read after, while tokens of that second work as soon as the flag is gone. What is shown as `notBefore` is
//! the later of the two; it is never written back from there.

use diesel::prelude::*;

use super::User;
use crate::kernel::{Timestamp, UserId};
use crate::store::schema::users;
use crate::store::{StoreError, Tx, db};

/// A second, in the unit of the columns.
const SECOND: i64 = 1_000_000;

/// Raises it to now for people whose rows the caller has locked: tokens from before are dead.
///
/// # Errors
/// The database fails.
pub fn raise(tx: &mut Tx<'_>, ids: &[&UserId], now: Timestamp) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::not_before.lt(now))
    )
    .set((
        users::not_before.eq(now),
        users::gate_version.eq(users::gate_version + 1)
    ))
    .execute(c))?;
    Ok(())
}

/// Notes that people, whose rows the caller has locked, are flagged now: in a later second than they ever were.
///
/// # Errors
/// The database fails.
pub fn flag(tx: &mut Tx<'_>, ids: &[&UserId], now: Timestamp) -> Result<(), StoreError> {
    let second = Timestamp::from_seconds(now.seconds());
    // Each statement leaves alone whom the one before it has done: they are in a later second than both.
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::flagged_at.ge(second))
            .filter(users::flagged_at.ge(users::not_before))
    )
    .set(users::flagged_at.eq(users::flagged_at + SECOND))
    .execute(c))?;
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::not_before.ge(second))
            .filter(users::not_before.gt(users::flagged_at))
    )
    .set(users::flagged_at.eq(users::not_before + SECOND))
    .execute(c))?;
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::flagged_at.lt(second))
            .filter(users::not_before.lt(second))
    )
    .set(users::flagged_at.eq(now))
    .execute(c))?;
    Ok(())
}

/// What a copy of the person carries as `notBefore`.
///
/// # Errors
/// The database fails.
pub fn shown(tx: &mut Tx<'_>, user: &User) -> Result<Timestamp, StoreError> {
    let flagged_at: Option<Timestamp> = db!(tx, |c| users::table
        .filter(users::id.eq(&user.id))
        .select(users::flagged_at)
        .first(c)
        .optional())?;
    Ok(flagged_at.map_or(user.not_before, |at| at.max(user.not_before)))
}
