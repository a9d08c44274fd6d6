//! `notBefore` of a person: tokens from before it never work again, and a copy of the person from before it takes no
//! flag (threat V179).
//!
//! Copies carry it in whole seconds. So a flag that is set anew in the second of the one before raises it to the next
//! second, and a copy read between the two is told from one read after; once the flag is gone, a time that lies ahead
//! by that goes back to the present, so that the tokens of that second work.

use diesel::prelude::*;

use crate::kernel::{Timestamp, UserId};
use crate::store::schema::users;
use crate::store::{StoreError, Tx, db};

/// Raises it to now.
///
/// # Errors
/// The database fails.
pub fn raise(tx: &mut Tx<'_>, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq(id))
            .filter(users::not_before.lt(now))
    )
    .set((
        users::not_before.eq(now),
        users::gate_version.eq(users::gate_version + 1)
    ))
    .execute(c))?;
    Ok(())
}

/// Raises it to now, and to a later second than before in any case; the caller has locked the user's row.
///
/// # Errors
/// The database fails.
pub fn raise_anew(tx: &mut Tx<'_>, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
    let before: Option<Timestamp> = db!(tx, |c| users::table
        .filter(users::id.eq(id))
        .select(users::not_before)
        .first(c)
        .optional())?;
    let next = before.map(|before| Timestamp::from_seconds(before.seconds().saturating_add(1)));
    raise(tx, id, next.map_or(now, |next| now.max(next)))
}

/// As [`raise_anew`] for many, whose rows the caller has locked.
///
/// # Errors
/// The database fails.
pub fn raise_all(tx: &mut Tx<'_>, ids: &[&UserId], now: Timestamp) -> Result<(), StoreError> {
    let second = Timestamp::from_seconds(now.seconds());
    let next = second.plus_seconds(1);
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::not_before.ge(second))
            .filter(users::not_before.lt(next))
    )
    .set(users::not_before.eq(next))
    .execute(c))?;
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq_any(ids))
            .filter(users::not_before.lt(second))
    )
    .set(users::not_before.eq(now))
    .execute(c))?;
    Ok(())
}

/// Brings it back to the present where [`raise_anew`] has put it a second ahead; what an administrator has set to a
/// later time stays.
///
/// # Errors
/// The database fails.
pub fn settle(tx: &mut Tx<'_>, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table
            .filter(users::id.eq(id))
            .filter(users::not_before.gt(now))
            .filter(users::not_before.le(now.plus_seconds(1)))
    )
    .set((
        users::not_before.eq(now),
        users::gate_version.eq(users::gate_version + 1)
    ))
    .execute(c))?;
    Ok(())
}
