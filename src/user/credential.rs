//! Credentials in SQL: the password's hash, its expiry, and the hashes before it.

use diesel::prelude::*;

use crate::kernel::{CredentialId, Timestamp, UserId};
use crate::store::schema::{credentials, password_history};
use crate::store::{StoreError, Tx, db};

/// A password as it is stored. No `Debug`: the hash is nobody's to print.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = credentials)]
pub struct StoredPassword {
    /// The credential's id.
    pub id: CredentialId,
    /// The hash as a PHC string.
    pub secret: String,
    /// What the person calls it.
    pub label: Option<String>,
    /// A temporary password is dead from then on. Stored when it is set: a longer lifespan later revives none.
    pub expires_at: Option<Timestamp>,
    /// When it was set.
    pub created_at: Timestamp,
    /// The digest of the hash in the file that it was imported from; absent where it was set here, by the person or an
    /// administrator. A hash with today's parameters keeps it.
    pub imported_digest: Option<String>,
}

/// The user's password.
///
/// # Errors
/// The database fails.
pub fn password(tx: &mut Tx<'_>, user: &UserId) -> Result<Option<StoredPassword>, StoreError> {
    db!(tx, |c| credentials::table
        .filter(credentials::user_id.eq(user))
        .filter(credentials::kind.eq("password"))
        .select(StoredPassword::as_select())
        .first(c)
        .optional())
}

/// Stores a password in the place of the one before, which goes into the history.
///
/// # Errors
/// The database fails.
pub fn set_password(
    tx: &mut Tx<'_>,
    user: &UserId,
    new: &StoredPassword,
) -> Result<(), StoreError> {
    if let Some(old) = password(tx, user)? {
        db!(tx, |c| diesel::insert_into(password_history::table)
            .values((
                password_history::id.eq(old.id.as_str()),
                password_history::user_id.eq(user),
                password_history::secret.eq(&old.secret),
                password_history::created_at.eq(old.created_at),
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
        db!(tx, |c| diesel::delete(
            credentials::table.filter(credentials::id.eq(&old.id))
        )
        .execute(c))?;
    }
    db!(tx, |c| diesel::insert_into(credentials::table)
        .values((
            credentials::id.eq(&new.id),
            credentials::user_id.eq(user),
            credentials::kind.eq("password"),
            credentials::label.eq(&new.label),
            credentials::secret.eq(&new.secret),
            credentials::expires_at.eq(new.expires_at),
            credentials::created_at.eq(new.created_at),
            credentials::imported_digest.eq(&new.imported_digest),
        ))
        .execute(c))?;
    Ok(())
}

/// Replaces the hash of an unchanged password by one with today's parameters; only while it is still the same hash.
///
/// # Errors
/// The database fails.
pub fn rehash(tx: &mut Tx<'_>, id: &CredentialId, old: &str, new: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        credentials::table
            .filter(credentials::id.eq(id))
            .filter(credentials::secret.eq(old))
    )
    .set(credentials::secret.eq(new))
    .execute(c))?;
    Ok(())
}

/// The hashes of the last `count` passwords before the present one, newest first.
///
/// # Errors
/// The database fails.
pub fn history(tx: &mut Tx<'_>, user: &UserId, count: i64) -> Result<Vec<String>, StoreError> {
    db!(tx, |c| password_history::table
        .filter(password_history::user_id.eq(user))
        .order(password_history::created_at.desc())
        .limit(count)
        .select(password_history::secret)
        .load(c))
}

/// Deletes a credential of the user; the row count tells whether it was there.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, user: &UserId, id: &CredentialId) -> Result<bool, StoreError> {
    let deleted = db!(tx, |c| diesel::delete(
        credentials::table
            .filter(credentials::user_id.eq(user))
            .filter(credentials::id.eq(id))
    )
    .execute(c))?;
    Ok(deleted == 1)
}
