//! Throttles: wrong tries counted in SQL, atomically, before the password is looked at.
//!
//! Every try takes a slot *before* it is verified, and a right one gives it back, so that a thousand parallel
//! guesses get no more verifications than the limit (threat V119). Names are keys of normalised text, so that
//! unknown people and every spelling of a known one count alike.

use diesel::prelude::*;

use crate::kernel::{RealmId, Timestamp, sha256_base64};
use crate::store::schema::throttles;
use crate::store::{StoreError, Tx, db};
use crate::user::name::name_key;

/// How many tries in how long, and how long the door stays shut after that.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Tries until it shuts.
    pub tries: i64,
    /// Seconds after which tries are forgotten.
    pub window: i64,
    /// Seconds that it stays shut the first time.
    pub block: i64,
    /// Each further shut doubles, up to this many seconds.
    pub longest: i64,
}

/// A person's password: 5 wrong in 15 minutes, then a minute, doubling to 15 (reliability H013).
pub const PER_USER: Limit = Limit {
    tries: 5,
    window: 900,
    block: 60,
    longest: 900,
};
/// Wrong passwords from one network: 30 in a minute.
pub const PER_ADDRESS: Limit = Limit {
    tries: 30,
    window: 60,
    block: 60,
    longest: 60,
};
/// Failed authentications of one client from one network: 60 in a minute.
pub const PER_CLIENT: Limit = Limit {
    tries: 60,
    window: 60,
    block: 60,
    longest: 60,
};

/// Mails to one mailbox: one in a minute …
pub const MAILS_PER_MINUTE: Limit = Limit {
    tries: 1,
    window: 60,
    block: 60,
    longest: 60,
};
/// … and five in an hour (threat V053).
pub const MAILS_PER_HOUR: Limit = Limit {
    tries: 5,
    window: 3600,
    block: 3600,
    longest: 3600,
};

/// The kind of mails to an address that somebody has typed and not proved, for [`take_mail`].
pub const TYPED: &str = "mail-typed";

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Go on; give the slot back by [`forgive`] if it was right.
    Taken,
    /// Shut until then.
    Shut(Timestamp),
}

type Row = (i64, Timestamp, Timestamp);

/// What a mailbox is called in the name of a throttle: the same for every spelling of its address, and not readable.
pub fn mailbox(realm: &RealmId, address: &str) -> String {
    let key = sha256_base64(name_key(address).as_bytes());
    format!("{realm}/{key}")
}

/// Takes a slot of the throttle `name`.
///
/// # Errors
/// The database fails.
pub fn take(tx: &mut Tx<'_>, name: &str, limit: Limit, now: Timestamp) -> Result<Turn, StoreError> {
    let expires = now.plus_seconds(limit.window.max(limit.longest).saturating_mul(2));
    // The insert (or the no-op update) locks the row, so that what follows is alone with it on both databases.
    let row: Row = db!(tx, |c| diesel::insert_into(throttles::table)
        .values((
            throttles::name.eq(name),
            throttles::failures.eq(0),
            throttles::window_started_at.eq(now),
            throttles::blocked_until.eq(Timestamp::from_micros(0)),
            throttles::expires_at.eq(expires),
        ))
        .on_conflict(throttles::name)
        .do_update()
        .set(throttles::expires_at.eq(expires))
        .returning((
            throttles::failures,
            throttles::window_started_at,
            throttles::blocked_until
        ))
        .get_result(c))?;
    let (failures, started, blocked_until) = row;
    if now < blocked_until {
        return Ok(Turn::Shut(blocked_until));
    }
    let quiet_since = started.max(blocked_until);
    let (failures, started) = if now.seconds_since(quiet_since) >= limit.window {
        (1, now)
    } else {
        (failures.saturating_add(1), started)
    };
    let over = failures.saturating_sub(limit.tries);
    let blocked_until = if over >= 0 {
        let doubled = limit.block.saturating_mul(
            1_i64
                .checked_shl(over.clamp(0, 20).unsigned_abs() as u32)
                .unwrap_or(1),
        );
        now.plus_seconds(doubled.min(limit.longest))
    } else {
        Timestamp::from_micros(0)
    };
    db!(tx, |c| diesel::update(
        throttles::table.filter(throttles::name.eq(name))
    )
    .set((
        throttles::failures.eq(failures),
        throttles::window_started_at.eq(started),
        throttles::blocked_until.eq(blocked_until),
    ))
    .execute(c))?;
    Ok(Turn::Taken)
}

/// Takes a slot for a mail of that kind to one mailbox, whoever it is for.
///
/// # Errors
/// The database fails.
pub fn take_mail(
    tx: &mut Tx<'_>,
    (kind, realm, address): (&str, &RealmId, &str),
    now: Timestamp,
) -> Result<Turn, StoreError> {
    let to = mailbox(realm, address);
    for (name, limit) in [("minute", MAILS_PER_MINUTE), ("hour", MAILS_PER_HOUR)] {
        let name = format!("{kind}/{name}/{to}");
        if let Turn::Shut(until) = take(tx, &name, limit, now)? {
            return Ok(Turn::Shut(until));
        }
    }
    Ok(Turn::Taken)
}

/// Whether the throttle is shut, without taking a slot.
///
/// # Errors
/// The database fails.
pub fn shut_until(
    tx: &mut Tx<'_>,
    name: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let until: Option<Timestamp> = db!(tx, |c| throttles::table
        .filter(throttles::name.eq(name))
        .select(throttles::blocked_until)
        .first(c)
        .optional())?;
    Ok(until.filter(|until| now < *until))
}

/// Failures, since when they are counted, and until when the throttle is shut.
///
/// # Errors
/// The database fails.
pub fn state(
    tx: &mut Tx<'_>,
    name: &str,
) -> Result<Option<(i64, Timestamp, Timestamp)>, StoreError> {
    db!(tx, |c| throttles::table
        .filter(throttles::name.eq(name))
        .select((
            throttles::failures,
            throttles::window_started_at,
            throttles::blocked_until
        ))
        .first(c)
        .optional())
}

/// Forgets all tries of the throttle: after a right password.
///
/// # Errors
/// The database fails.
pub fn reset(tx: &mut Tx<'_>, name: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        throttles::table.filter(throttles::name.eq(name))
    )
    .execute(c))?;
    Ok(())
}

/// Gives one slot back: the try was right, others may have been wrong.
///
/// # Errors
/// The database fails.
pub fn forgive(tx: &mut Tx<'_>, name: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        throttles::table
            .filter(throttles::name.eq(name))
            .filter(throttles::failures.gt(0))
    )
    .set((
        throttles::failures.eq(throttles::failures - 1),
        throttles::blocked_until.eq(Timestamp::from_micros(0)),
    ))
    .execute(c))?;
    Ok(())
}
