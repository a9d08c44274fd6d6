//! Addresses that were replaced: for three days notices go there too, and whoever reads one may have a say.
//!
//! Called by whoever changes an address, by notices, and by the link of “this was not me”. What a reader may do is
//! decided when the address is replaced and stored beside it: nothing that happens later makes it more.

use diesel::prelude::*;

use crate::kernel::{Timestamp, UserId};
use crate::store::schema::former_addresses;
use crate::store::{StoreError, Tx, corrupt, db};

/// Seconds for which notices still go to an address that was replaced (threat V157).
const KEPT: i64 = 72 * 3600;

/// What the reader of an address that was replaced may do about the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Close it, and have it back: the person had proved the address and replaced it without an administrator.
    Returns,
    /// Close it, and no more: nobody had proved the address, or an administrator replaced it, whom no mailbox overrules.
    Shuts,
    /// Nothing but hear of it: an administrator replaced it because it is in wrong hands.
    Hears,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Returns, Self::Shuts, Self::Hears];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Returns => "returns",
            Self::Shuts => "shuts",
            Self::Hears => "hears",
        }
    }
}

/// An address that was replaced.
#[derive(Debug, Clone)]
pub struct FormerAddress {
    /// The address as it was stored.
    pub email: String,
    /// What its reader may do.
    pub standing: Standing,
}

/// Remembers an address that is being replaced, under a new id.
///
/// # Errors
/// The database fails.
pub fn keep(
    tx: &mut Tx<'_>,
    id: &str,
    user: &UserId,
    (email, standing): (&str, Standing),
) -> Result<(), StoreError> {
    let until = tx.now()?.plus_seconds(KEPT);
    db!(tx, |c| diesel::insert_into(former_addresses::table)
        .values((
            former_addresses::id.eq(id),
            former_addresses::user_id.eq(user),
            former_addresses::email.eq(email),
            former_addresses::standing.eq(standing.as_str()),
            former_addresses::until.eq(until),
        ))
        .execute(c))?;
    Ok(())
}

/// Those that notices still go to, each once and as it was replaced last, in the order in which that happened.
///
/// # Errors
/// The database fails.
pub fn of_user(
    tx: &mut Tx<'_>,
    user: &UserId,
    now: Timestamp,
) -> Result<Vec<FormerAddress>, StoreError> {
    let rows: Vec<(String, String, String)> = db!(tx, |c| former_addresses::table
        .filter(former_addresses::user_id.eq(user))
        .filter(former_addresses::until.gt(now))
        .order((former_addresses::until, former_addresses::id))
        .select((
            former_addresses::id,
            former_addresses::email,
            former_addresses::standing,
        ))
        .load(c))?;
    let mut found: Vec<FormerAddress> = Vec::new();
    for (id, email, standing) in rows {
        let standing = Standing::ALL
            .into_iter()
            .find(|known| known.as_str() == standing)
            .ok_or_else(|| corrupt("former_addresses", "standing", &id, &standing))?;
        found.retain(|known| known.email != email);
        found.push(FormerAddress { email, standing });
    }
    Ok(found)
}

/// Takes their say from all of the person's former addresses; they still hear what happens.
///
/// # Errors
/// The database fails.
pub fn silence(tx: &mut Tx<'_>, user: &UserId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        former_addresses::table.filter(former_addresses::user_id.eq(user))
    )
    .set(former_addresses::standing.eq(Standing::Hears.as_str()))
    .execute(c))?;
    Ok(())
}

/// Forgets all former addresses of the person but these.
///
/// # Errors
/// The database fails.
pub fn forget_others(tx: &mut Tx<'_>, user: &UserId, spared: &[String]) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        former_addresses::table
            .filter(former_addresses::user_id.eq(user))
            .filter(former_addresses::email.ne_all(spared))
    )
    .execute(c))?;
    Ok(())
}
