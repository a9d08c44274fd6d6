//! The keys that tokens are derived under: random, versioned, sealed under the master key.
//!
//! A link's row names its version, so a new key ends no link, and neither does another master key: it only seals
//! these anew ([`reseal`]). Called by `create`, by whoever checks a token, and by `keys rotate-master`.

use diesel::prelude::*;
use zeroize::Zeroizing;

use crate::kernel::seal::{DerivedKey, Keyring};
use crate::kernel::{Entropy, Timestamp};
use crate::mail::Tools;
use crate::store::schema::link_keys;
use crate::store::{StoreError, Tx, corrupt, db};

fn place(version: i64) -> String {
    format!("link_keys/key_sealed/{version}/all")
}

/// The newest key and its version; made where there is none.
///
/// # Errors
/// The database fails, or the key cannot be opened.
pub fn newest(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<(i64, DerivedKey), StoreError> {
    if let Some(version) = newest_version(tx)? {
        return Ok((version, by_version(tx, tools.keyring, version)?));
    }
    add(tx, tools, 1)?;
    // Another node may have been first; what is stored is the key.
    Ok((1, by_version(tx, tools.keyring, 1)?))
}

/// Makes a new key for the links from now on, and answers its version.
///
/// # Errors
/// The database fails.
pub fn rotate(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<i64, StoreError> {
    let version = newest_version(tx)?.unwrap_or(0).saturating_add(1);
    add(tx, tools, version)?;
    Ok(version)
}

fn newest_version(tx: &mut Tx<'_>) -> Result<Option<i64>, StoreError> {
    db!(tx, |c| link_keys::table
        .order(link_keys::version.desc())
        .select(link_keys::version)
        .first(c)
        .optional())
}

fn add(tx: &mut Tx<'_>, tools: Tools<'_>, version: i64) -> Result<(), StoreError> {
    let now: Timestamp = tx.now()?;
    let key = Zeroizing::new(tools.entropy.bytes::<32>());
    let sealed = seal(tools.keyring, tools.entropy, version, &*key)?;
    db!(tx, |c| diesel::insert_into(link_keys::table)
        .values((
            link_keys::version.eq(version),
            link_keys::key_sealed.eq(&sealed),
            link_keys::created_at.eq(now),
        ))
        .on_conflict(link_keys::version)
        .do_nothing()
        .execute(c))?;
    Ok(())
}

fn seal(
    keyring: &Keyring,
    entropy: &Entropy,
    version: i64,
    key: &[u8],
) -> Result<Vec<u8>, StoreError> {
    keyring
        .seal(key, &place(version), &|out: &mut [u8]| entropy.fill(out))
        .map_err(|cause| StoreError::Sealed(cause.to_string()))
}

/// The key of that version.
///
/// # Errors
/// The database fails, there is none, or it cannot be opened.
pub fn by_version(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    version: i64,
) -> Result<DerivedKey, StoreError> {
    let sealed: Option<Vec<u8>> = db!(tx, |c| link_keys::table
        .filter(link_keys::version.eq(version))
        .select(link_keys::key_sealed)
        .first(c)
        .optional())?;
    let sealed = sealed.ok_or_else(|| corrupt("link_keys", "version", version, "no such key"))?;
    let plain = keyring
        .open(&sealed, &place(version))
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    let key: [u8; 32] = plain
        .as_slice()
        .try_into()
        .map_err(|cause| corrupt("link_keys", "key_sealed", version, cause))?;
    Ok(Zeroizing::new(key))
}

/// Seals every key anew under the ring's current master key, and answers how many.
///
/// # Errors
/// The database fails, or a key opens under none of the ring's keys.
pub fn reseal(tx: &mut Tx<'_>, keyring: &Keyring, entropy: &Entropy) -> Result<usize, StoreError> {
    let versions: Vec<i64> = db!(tx, |c| link_keys::table.select(link_keys::version).load(c))?;
    for version in &versions {
        let key = by_version(tx, keyring, *version)?;
        let sealed = seal(keyring, entropy, *version, &*key)?;
        db!(tx, |c| diesel::update(
            link_keys::table.filter(link_keys::version.eq(version))
        )
        .set(link_keys::key_sealed.eq(&sealed))
        .execute(c))?;
    }
    Ok(versions.len())
}
