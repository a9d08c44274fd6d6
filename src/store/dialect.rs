//! The only file that may write a query twice: what the two databases say differently.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

use super::schema::{outbox, users};
use super::{Conn, StoreError, Tx};
use crate::kernel::{RealmId, Timestamp, UserId};

/// How a user's row is locked until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Against writers of gate facts: for the mint. Several may hold it at once.
    Share,
    /// Against everybody: for whoever is going to write the row.
    Update,
}

/// Locks a user's row; answers whether it exists.
///
/// On SQLite a write transaction is alone already (`BEGIN IMMEDIATE`), so this is a look at the row.
///
/// # Errors
/// The database fails, or the lock is not to be had within a second.
pub fn lock_user(tx: &mut Tx<'_>, id: &UserId, lock: Lock) -> Result<bool, StoreError> {
    if !tx.writable() {
        return Err(StoreError::ReadOnly);
    }
    let row = users::table.filter(users::id.eq(id)).select(users::id);
    let found: Option<UserId> = match (tx.conn(), lock) {
        (Conn::Sqlite(c), _) => row.first(c).optional()?,
        (Conn::Postgres(c), Lock::Share) => row.for_share().first(c).optional()?,
        (Conn::Postgres(c), Lock::Update) => row.for_update().first(c).optional()?,
    };
    Ok(found.is_some())
}

/// Locks up to `limit` mails of a realm whose state is `queued` and whose time has come, single ones before bulk, and
/// answers their ids. What another node has locked is passed over.
///
/// On SQLite a write transaction is alone already, so this is a look at the rows.
///
/// # Errors
/// The database fails.
pub fn lock_due_mails(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    if !tx.writable() {
        return Err(StoreError::ReadOnly);
    }
    let due = outbox::table
        .filter(outbox::state.eq("queued"))
        .filter(outbox::realm_id.eq(realm))
        .filter(outbox::not_before.le(now))
        .order((outbox::bulk, outbox::not_before, outbox::id))
        .limit(limit)
        .select(outbox::id);
    Ok(match tx.conn() {
        Conn::Sqlite(c) => due.load(c)?,
        Conn::Postgres(c) => due.for_update().skip_locked().load(c)?,
    })
}

/// How many other connections of servers of ours the database has. On SQLite nobody counts them: there
/// [`Serving`](super::Serving) tells.
///
/// # Errors
/// The database fails.
pub fn other_connections(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    match tx.conn() {
        Conn::Sqlite(_) => Ok(0),
        Conn::Postgres(c) => Ok(
            diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(
                "(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vestibule' \
             AND datname = current_database() AND pid <> pg_backend_pid())",
            ))
            .get_result(c)?,
        ),
    }
}

/// Lets the rest of this transaction wait a minute for what others hold, instead of the second that a request may.
/// SQLite has one writer, who waits for its turn before the transaction begins.
///
/// # Errors
/// The database fails.
pub fn wait_long(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    match tx.conn() {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(c) => Ok(c.batch_execute(
            "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'",
        )?),
    }
}

/// The names of the standbys that a commit waits for; `None` where the database has no standbys of its own.
///
/// # Errors
/// The database fails.
pub fn synchronous_standbys(tx: &mut Tx<'_>) -> Result<Option<String>, StoreError> {
    match tx.conn() {
        Conn::Sqlite(_) => Ok(None),
        Conn::Postgres(c) => Ok(Some(
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
                "current_setting('synchronous_standby_names')",
            ))
            .get_result(c)?,
        )),
    }
}
