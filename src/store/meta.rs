//! Facts about the database itself, by name.

use diesel::prelude::*;

use super::schema::meta;
use super::{StoreError, Tx, db};

/// The name under which the master key's fingerprint is kept.
pub const MASTER_KEY_FINGERPRINT: &str = "master_key_fingerprint";

/// The fact of that name.
///
/// # Errors
/// The database fails.
pub fn get(tx: &mut Tx<'_>, name: &str) -> Result<Option<String>, StoreError> {
    db!(tx, |c| meta::table
        .filter(meta::name.eq(name))
        .select(meta::value)
        .first(c)
        .optional())
}

/// Sets a fact.
///
/// # Errors
/// The database fails.
pub fn put(tx: &mut Tx<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(meta::table)
        .values((meta::name.eq(name), meta::value.eq(value)))
        .on_conflict(meta::name)
        .do_update()
        .set(meta::value.eq(value))
        .execute(c))?;
    Ok(())
}

/// Sets a fact unless it is set; answers what it is then. Whoever is first decides.
///
/// # Errors
/// The database fails.
pub fn settle(tx: &mut Tx<'_>, name: &str, value: &str) -> Result<String, StoreError> {
    db!(tx, |c| diesel::insert_into(meta::table)
        .values((meta::name.eq(name), meta::value.eq(value)))
        .on_conflict(meta::name)
        .do_nothing()
        .execute(c))?;
    Ok(get(tx, name)?.unwrap_or_else(|| value.to_owned()))
}
