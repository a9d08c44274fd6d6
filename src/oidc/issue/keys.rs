//! A realm's signing keys: sealed in the database, parsed once, published as a JWKS.

use std::sync::Arc;

use diesel::prelude::*;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use super::sign::{Algorithm, SigningKey};
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId, Timestamp};
use crate::realm;
use crate::store::schema::{realm_keys, realms};
use crate::store::{StoreError, Tx, corrupt, db};

/// Whether a key signs, only verifies, or is about to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, and signs nothing yet: clients get to know it first.
    Next,
    /// Signs.
    Active,
    /// Published until the longest token that it signed has expired.
    Passive,
}

impl KeyState {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }

    /// The stored word, read.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Next, Self::Active, Self::Passive]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A key of a realm with its state.
#[derive(Clone)]
pub struct RealmKey {
    /// The parsed key.
    pub key: Arc<SigningKey>,
    /// What it does now.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
}

/// All keys of a realm.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<RealmKey>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = realm_keys)]
struct KeyRow {
    id: String,
    realm_id: RealmId,
    algorithm: String,
    state: String,
    private_sealed: Vec<u8>,
    public_jwk: String,
    created_at: Timestamp,
}

/// Where a sealed private key lies: part of what it is sealed with, so that it opens nowhere else.
fn place(realm: &RealmId, kid: &str) -> String {
    format!("realm_keys/private_sealed/{kid}/{realm}")
}

impl KeySet {
    /// The realm's keys, opened and parsed.
    ///
    /// # Errors
    /// The database fails, or a key does not open under the master key.
    pub fn load(tx: &mut Tx<'_>, realm: &RealmId, keyring: &Keyring) -> Result<Self, StoreError> {
        let rows: Vec<KeyRow> = db!(tx, |c| realm_keys::table
            .filter(realm_keys::realm_id.eq(realm))
            .order(realm_keys::created_at.desc())
            .select(KeyRow::as_select())
            .load(c))?;
        let keys = rows
            .into_iter()
            .map(|row| {
                let algorithm = Algorithm::parse(&row.algorithm)
                    .ok_or_else(|| corrupt("realm_keys", "algorithm", &row.id, &row.algorithm))?;
                let state = KeyState::parse(&row.state)
                    .ok_or_else(|| corrupt("realm_keys", "state", &row.id, &row.state))?;
                let pkcs8 = keyring
                    .open(&row.private_sealed, &place(realm, &row.id))
                    .map_err(|cause| {
                        StoreError::Sealed(format!("signing key {}: {cause}", row.id))
                    })?;
                let key = Arc::new(SigningKey::from_pkcs8(algorithm, &pkcs8)?);
                Ok(RealmKey {
                    key,
                    state,
                    created_at: row.created_at,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Self { keys })
    }

    /// The key that signs with `algorithm` today.
    pub fn signer(&self, algorithm: Algorithm) -> Option<&Arc<SigningKey>> {
        self.keys
            .iter()
            .find(|key| key.state == KeyState::Active && key.key.algorithm() == algorithm)
            .map(|key| &key.key)
    }

    /// Every key, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &RealmKey> {
        self.keys.iter()
    }

    /// The public key of that id, for verifying our own tokens.
    pub(super) fn verifier(&self, kid: &str) -> Option<(Algorithm, &DecodingKey)> {
        self.keys
            .iter()
            .find(|key| key.key.kid() == kid)
            .map(|key| (key.key.algorithm(), key.key.verifier()))
    }

    /// The JWK set document (RFC 7517 section 5).
    pub fn jwks(&self) -> Value {
        let keys: Vec<&Value> = self.keys.iter().map(|key| key.key.public_jwk()).collect();
        json!({ "keys": keys })
    }
}

/// What may be said of a key without opening it.
#[derive(Debug, Clone, Queryable)]
pub struct KeySummary {
    /// The realm's name.
    pub realm: String,
    /// The key's id.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: String,
    /// [`KeyState`]'s word.
    pub state: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The keys of one realm or of all, by realm and newest first. Needs no master key.
///
/// # Errors
/// The database fails.
pub fn list(tx: &mut Tx<'_>, realm: Option<&RealmId>) -> Result<Vec<KeySummary>, StoreError> {
    db!(tx, |c| {
        let mut query = realm_keys::table
            .inner_join(realms::table.on(realms::id.eq(realm_keys::realm_id)))
            .into_boxed();
        if let Some(realm) = realm {
            query = query.filter(realm_keys::realm_id.eq(realm));
        }
        query
            .order((realms::name, realm_keys::created_at.desc(), realm_keys::id))
            .select((
                realms::name,
                realm_keys::id,
                realm_keys::algorithm,
                realm_keys::state,
                realm_keys::created_at,
            ))
            .load(c)
    })
}

/// Makes a key for the realm and stores it sealed.
///
/// # Errors
/// The database or the random generator fails.
pub fn create(
    tx: &mut Tx<'_>,
    realm_id: &RealmId,
    algorithm: Algorithm,
    state: KeyState,
    (keyring, entropy): (&Keyring, &Entropy),
) -> Result<String, StoreError> {
    let now = tx.now()?;
    let (key, pkcs8) = SigningKey::generate(algorithm)?;
    let sealed = keyring
        .seal(&pkcs8, &place(realm_id, key.kid()), &|out: &mut [u8]| {
            entropy.fill(out);
        })
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    let row = KeyRow {
        id: key.kid().to_owned(),
        realm_id: realm_id.clone(),
        algorithm: algorithm.as_str().to_owned(),
        state: state.as_str().to_owned(),
        private_sealed: sealed,
        public_jwk: key.public_jwk().to_string(),
        created_at: now,
    };
    db!(tx, |c| diesel::insert_into(realm_keys::table)
        .values(&row)
        .execute(c))?;
    realm::rows::touch(tx, realm_id)?;
    Ok(row.id)
}

/// Changes what a key does.
///
/// # Errors
/// The database fails.
pub fn set_state(
    tx: &mut Tx<'_>,
    realm_id: &RealmId,
    kid: &str,
    state: KeyState,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        realm_keys::table.filter(realm_keys::id.eq(kid))
    )
    .set(realm_keys::state.eq(state.as_str()))
    .execute(c))?;
    realm::rows::touch(tx, realm_id)
}

/// Deletes a key: what it signed verifies no more.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, realm_id: &RealmId, kid: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        realm_keys::table.filter(realm_keys::id.eq(kid))
    )
    .execute(c))?;
    realm::rows::touch(tx, realm_id)
}

/// Seals every key of every realm anew under the ring's current master key; answers how many.
///
/// # Errors
/// The database fails, or a key opens under none of the ring's keys.
pub fn reseal(tx: &mut Tx<'_>, keyring: &Keyring, entropy: &Entropy) -> Result<usize, StoreError> {
    let rows: Vec<KeyRow> = db!(tx, |c| realm_keys::table
        .select(KeyRow::as_select())
        .load(c))?;
    let count = rows.len();
    for row in rows {
        let place = place(&row.realm_id, &row.id);
        let failed = |cause: &dyn std::fmt::Display| {
            StoreError::Sealed(format!("signing key {}: {cause}", row.id))
        };
        let pkcs8 = keyring
            .open(&row.private_sealed, &place)
            .map_err(|cause| failed(&cause))?;
        let sealed = keyring
            .seal(&pkcs8, &place, &|out: &mut [u8]| entropy.fill(out))
            .map_err(|cause| failed(&cause))?;
        db!(tx, |c| diesel::update(
            realm_keys::table.filter(realm_keys::id.eq(&row.id))
        )
        .set(realm_keys::private_sealed.eq(&sealed))
        .execute(c))?;
    }
    Ok(count)
}
