//! The only file that may write a query twice: what the two databases say differently.

use diesel::connection::SimpleConnection as _;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Bool, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::schema::{campaigns, link_requests, mail_paces, outbox, users};
use super::{Conn, StoreError, Tx};
use crate::kernel::{RealmId, Timestamp, UserId};

/// Rows in one statement that writes or asks for many: 18 columns of them stay below the 32,766 variables that SQLite
/// takes, and PostgreSQL's 65,535.
pub const ROWS: usize = 1000;

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

/// A mail whose time has come.
#[derive(Debug, Clone, Queryable)]
pub struct DueMail {
    /// Its id.
    pub id: String,
    /// Where it goes.
    pub recipient: String,
    /// The batch that it is part of.
    pub batch: Option<String>,
}

/// Locks up to `limit` mails of a realm whose state is `queued` and whose time has come, single ones before bulk, and
/// answers them. What another node has locked is passed over.
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
) -> Result<Vec<DueMail>, StoreError> {
    if !tx.writable() {
        return Err(StoreError::ReadOnly);
    }
    let due = outbox::table
        .filter(outbox::state.eq("queued"))
        .filter(outbox::realm_id.eq(realm))
        .filter(outbox::not_before.le(now))
        .order((outbox::bulk, outbox::not_before, outbox::id))
        .limit(limit)
        .select((outbox::id, outbox::recipient, outbox::batch));
    Ok(match tx.conn() {
        Conn::Sqlite(c) => due.load(c)?,
        Conn::Postgres(c) => due.for_update().skip_locked().load(c)?,
    })
}

/// Locks up to `limit` of the oldest wishes for a link, and answers their ids. What another node has locked is passed
/// over.
///
/// On SQLite a write transaction is alone already, so this is a look at the rows.
///
/// # Errors
/// The database fails.
pub fn lock_link_requests(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<String>, StoreError> {
    if !tx.writable() {
        return Err(StoreError::ReadOnly);
    }
    let waiting = link_requests::table
        .order((link_requests::created_at, link_requests::id))
        .limit(limit)
        .select(link_requests::id);
    Ok(match tx.conn() {
        Conn::Sqlite(c) => waiting.load(c)?,
        Conn::Postgres(c) => waiting.for_update().skip_locked().load(c)?,
    })
}

/// A bucket of a pace: its name, how far apart its mails are in microseconds, how many may come at once, and when it
/// would be full.
pub type PaceRow = (String, i64, i64, Timestamp);

/// Locks those of the named buckets that no other node has locked, and answers them; with the names of the others, for
/// whose holder nobody waits: it may sleep.
///
/// # Errors
/// The database fails.
pub fn lock_paces(
    tx: &mut Tx<'_>,
    names: &[String],
) -> Result<(Vec<PaceRow>, Vec<String>), StoreError> {
    let named = || mail_paces::table.filter(mail_paces::name.eq_any(names));
    let rows = named().order(mail_paces::name).select((
        mail_paces::name,
        mail_paces::every,
        mail_paces::burst,
        mail_paces::next_at,
    ));
    Ok(match tx.conn() {
        Conn::Sqlite(c) => (rows.load(c)?, Vec::new()),
        Conn::Postgres(c) => {
            let locked: Vec<PaceRow> = rows.for_update().skip_locked().load(c)?;
            let mut others: Vec<String> = named().select(mail_paces::name).load(c)?;
            others.retain(|name| locked.iter().all(|(own, ..)| own != name));
            (locked, others)
        }
    })
}

/// Locks the mailing that has waited longest for its turn; what another node works on is passed over.
///
/// # Errors
/// The database fails.
pub fn lock_due_campaign(
    tx: &mut Tx<'_>,
    now: Timestamp,
    id: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let due = campaigns::table
        .filter(campaigns::wake_at.le(now))
        .order(campaigns::wake_at)
        .limit(1)
        .select(campaigns::id);
    let found = match (tx.conn(), id) {
        (Conn::Sqlite(c), None) => due.first(c).optional()?,
        (Conn::Sqlite(c), Some(id)) => due.filter(campaigns::id.eq(id)).first(c).optional()?,
        (Conn::Postgres(c), None) => due.for_update().skip_locked().first(c).optional()?,
        (Conn::Postgres(c), Some(id)) => due
            .filter(campaigns::id.eq(id))
            .for_update()
            .skip_locked()
            .first(c)
            .optional()?,
    };
    Ok(found)
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

/// Lets the rest of this transaction wait a minute for what others hold, instead of the second that a request may, and
/// compute for a minute between two statements.
/// SQLite has one writer, who waits for its turn before the transaction begins.
///
/// # Errors
/// The database fails.
pub fn wait_long(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    match tx.conn() {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(c) => Ok(c.batch_execute(
            "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '60s'; \
             SET LOCAL idle_in_transaction_session_timeout = '60s'",
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

diesel::define_sql_function! {
    /// Lower case. On SQLite it is ours ([`prepare_sqlite`]), because SQLite's own knows ASCII alone.
    fn lower(text: Nullable<Text>) -> Nullable<Text>;
}

diesel::define_sql_function! {
    /// The first of the two that is there.
    fn coalesce(first: Nullable<Text>, second: Nullable<Text>) -> Nullable<Text>;
}

/// Teaches a connection to SQLite what PostgreSQL knows by itself.
///
/// # Errors
/// SQLite refuses.
pub(super) fn prepare_sqlite(c: &mut SqliteConnection) -> QueryResult<()> {
    lower_utils::register_impl(c, |text: Option<String>| {
        text.map(|text| text.to_lowercase())
    })
}

/// Whether `users.attributes`, a JSON object of lists, has this value under this name, in any case.
#[derive(Debug, Clone, QueryId)]
pub struct HasAttribute {
    name: String,
    value: String,
}

impl HasAttribute {
    /// The question for one attribute.
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_lowercase(),
        }
    }
}

impl Expression for HasAttribute {
    type SqlType = Bool;
}

impl AppearsOnTable<users::table> for HasAttribute {}
impl SelectableExpression<users::table> for HasAttribute {}
impl ValidGrouping<()> for HasAttribute {
    type IsAggregate = is_aggregate::Never;
}

impl QueryFragment<Sqlite> for HasAttribute {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "EXISTS (SELECT 1 FROM json_each(users.attributes) AS attribute, json_each(attribute.value) AS one \
             WHERE attribute.key = ",
        );
        out.push_bind_param::<Text, _>(&self.name)?;
        out.push_sql(" AND lower(one.value) = ");
        out.push_bind_param::<Text, _>(&self.value)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<Pg> for HasAttribute {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // PostgreSQL cannot unpack a text with a NUL, which JSON can hold.
        out.push_sql(
            "CASE WHEN strpos(users.attributes, '\\u0000') > 0 THEN FALSE ELSE EXISTS (SELECT 1 FROM \
             json_array_elements_text(users.attributes::json -> ",
        );
        out.push_bind_param::<Text, _>(&self.name)?;
        out.push_sql(") AS one(value) WHERE lower(one.value) = ");
        out.push_bind_param::<Text, _>(&self.value)?;
        out.push_sql(") END");
        Ok(())
    }
}
