//! The tokens of "remember me" in SQL: one unused one per remembered session, and the used ones, by whose second use
//! a theft is seen (threat V110).
//!
//! They hang on the session and end with it, so a new password, a sign-out or an administrator ends them as well.

use diesel::prelude::*;

use crate::kernel::{SessionId, Timestamp};
use crate::store::schema::remember_tokens;
use crate::store::{StoreError, Tx, db};

/// A token as it is stored.
pub struct Stored {
    /// The session that it brings back.
    pub session: SessionId,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// From when it brings back nothing.
    pub expires_at: Timestamp,
}

/// The token of that digest.
///
/// # Errors
/// The database fails.
pub fn by_digest(tx: &mut Tx<'_>, digest: &str) -> Result<Option<Stored>, StoreError> {
    let row: Option<(SessionId, Option<Timestamp>, Timestamp)> =
        db!(tx, |c| remember_tokens::table
            .filter(remember_tokens::digest.eq(digest))
            .select((
                remember_tokens::session_id,
                remember_tokens::used_at,
                remember_tokens::expires_at,
            ))
            .first(c)
            .optional())?;
    Ok(row.map(|(session, used_at, expires_at)| Stored {
        session,
        used_at,
        expires_at,
    }))
}

/// Stores a session's next token.
///
/// # Errors
/// The database fails.
pub fn insert(
    tx: &mut Tx<'_>,
    session: &SessionId,
    digest: &str,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(remember_tokens::table)
        .values((
            remember_tokens::digest.eq(digest),
            remember_tokens::session_id.eq(session),
            remember_tokens::expires_at.eq(expires_at),
        ))
        .execute(c))?;
    Ok(())
}

/// Uses a token up; `false` where somebody else was faster.
///
/// # Errors
/// The database fails.
pub fn spend(tx: &mut Tx<'_>, digest: &str, now: Timestamp) -> Result<bool, StoreError> {
    let spent = db!(tx, |c| diesel::update(
        remember_tokens::table
            .filter(remember_tokens::digest.eq(digest))
            .filter(remember_tokens::used_at.is_null())
    )
    .set(remember_tokens::used_at.eq(now))
    .execute(c))?;
    Ok(spent == 1)
}

/// Forgets a session's tokens: its person has just proved anew who they are.
///
/// # Errors
/// The database fails.
pub fn forget(tx: &mut Tx<'_>, session: &SessionId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        remember_tokens::table.filter(remember_tokens::session_id.eq(session))
    )
    .execute(c))?;
    Ok(())
}
