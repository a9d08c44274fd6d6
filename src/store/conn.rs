//! The connection as an enum, and the macro that writes each query once for both arms.

use diesel::sqlite::SqliteConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;

use super::postgres::OwnRuntime;

/// PostgreSQL in pure Rust behind Diesel's synchronous interface.
pub type PgConnection = AsyncConnectionWrapper<AsyncPgConnection, OwnRuntime>;

/// A connection to one of the two databases.
#[expect(
    clippy::large_enum_variant,
    reason = "there are a few dozen, and a box would cost a hop at each statement"
)]
pub enum Conn {
    /// SQLite, bundled.
    Sqlite(SqliteConnection),
    /// PostgreSQL.
    Postgres(PgConnection),
}

/// Runs one query on whichever database the transaction speaks to: `db!(tx, |c| users::table.load(c))`.
///
/// The query is compiled once for each backend; its error becomes a [`StoreError`](super::StoreError).
macro_rules! db {
    ($tx:expr, |$c:ident| $query:expr) => {
        match $tx.conn() {
            $crate::store::Conn::Sqlite($c) => $query,
            $crate::store::Conn::Postgres($c) => $query,
        }
        .map_err($crate::store::StoreError::from)
    };
}

pub(crate) use db;
