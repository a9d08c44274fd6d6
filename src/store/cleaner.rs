//! Deletes rows that can do nothing any more, a few at a time.
//!
//! Expiry is enforced where rows are read; this only keeps the tables small (reliability H020). Every deletion asks
//! for the expiry once more, so a row that came alive again meanwhile stays. Any number of nodes may do it at once.

use diesel::prelude::*;

use super::schema::{
    codes, email_codes, events, flows, former_addresses, links, refresh_tokens, revoked_tokens,
    throttles,
};
use super::{StoreError, Tx, db};
use crate::kernel::{RealmId, Timestamp};

/// The most rows that one transaction deletes: bounds how long it holds the writer.
pub const BATCH: usize = 500;

/// A kind of row that ends by itself, at a time that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Parked flows.
    Flows,
    /// Authorization codes.
    Codes,
    /// Refresh tokens.
    RefreshTokens,
    /// Access tokens that were revoked before their end.
    RevokedTokens,
    /// Counters of wrong tries.
    Throttles,
    /// Codes typed from a mail.
    EmailCodes,
    /// Addresses that notices went to after a change.
    FormerAddresses,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Flows,
        Self::Codes,
        Self::RefreshTokens,
        Self::RevokedTokens,
        Self::Throttles,
        Self::EmailCodes,
        Self::FormerAddresses,
    ];

    /// The table's name.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Codes => "codes",
            Self::RefreshTokens => "refresh_tokens",
            Self::RevokedTokens => "revoked_tokens",
            Self::Throttles => "throttles",
            Self::EmailCodes => "email_codes",
            Self::FormerAddresses => "former_addresses",
        }
    }
}

macro_rules! delete_before {
    ($tx:expr, $table:ident, $key:ident, $end:ident, $before:expr) => {{
        let keys: Vec<String> = db!($tx, |c| $table::table
            .filter($table::$end.lt($before))
            .select($table::$key)
            .limit(BATCH as i64)
            .load(c))?;
        if keys.is_empty() {
            return Ok(0);
        }
        db!($tx, |c| diesel::delete(
            $table::table
                .filter($table::$key.eq_any(&keys))
                .filter($table::$end.lt($before))
        )
        .execute(c))
    }};
}

/// Deletes up to [`BATCH`] rows of a kind that ended before `before`; answers how many.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, kind: Kind, before: Timestamp) -> Result<usize, StoreError> {
    match kind {
        Kind::Flows => delete_before!(tx, flows, id, expires_at, before),
        Kind::Codes => delete_before!(tx, codes, digest, expires_at, before),
        Kind::RefreshTokens => delete_before!(tx, refresh_tokens, digest, expires_at, before),
        Kind::RevokedTokens => delete_before!(tx, revoked_tokens, jti, expires_at, before),
        Kind::Throttles => delete_before!(tx, throttles, name, expires_at, before),
        Kind::EmailCodes => delete_before!(tx, email_codes, user_id, expires_at, before),
        Kind::FormerAddresses => delete_before!(tx, former_addresses, id, until, before),
    }
}

/// Deletes up to [`BATCH`] links that ended before `before`, used or not.
///
/// # Errors
/// The database fails.
pub fn delete_links(tx: &mut Tx<'_>, before: Timestamp) -> Result<usize, StoreError> {
    delete_before!(tx, links, id, expires_at, before)
}

/// Deletes up to [`BATCH`] events of a realm from before `before`; answers how many.
///
/// # Errors
/// The database fails.
pub fn delete_events(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    before: Timestamp,
) -> Result<usize, StoreError> {
    let ids: Vec<String> = db!(tx, |c| events::table
        .filter(events::realm_id.eq(realm))
        .filter(events::at.lt(before))
        .select(events::id)
        .limit(BATCH as i64)
        .load(c))?;
    if ids.is_empty() {
        return Ok(0);
    }
    db!(tx, |c| diesel::delete(
        events::table.filter(events::id.eq_any(&ids))
    )
    .execute(c))
}
