//! The words around transactions, as statements that stay compiled: each is run with every request.

use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{QueryResult, RunQueryDsl};

use crate::store::{Conn, StoreError};

macro_rules! command {
    ($function:ident, $name:ident, $sql:literal) => {
        #[derive(QueryId)]
        struct $name;

        impl QueryFragment<Sqlite> for $name {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }

        impl RunQueryDsl<SqliteConnection> for $name {}

        pub(super) fn $function(conn: &mut Conn) -> Result<(), StoreError> {
            match conn {
                Conn::Sqlite(conn) => Ok($name.execute(conn).map(|_| ())?),
                Conn::Postgres(_) => Err(StoreError::Schema(
                    "a connection of a SQLite store is not SQLite".into(),
                )),
            }
        }
    };
}

command!(begin, Begin, "BEGIN");
command!(begin_immediate, BeginImmediate, "BEGIN IMMEDIATE");
command!(commit, Commit, "COMMIT");
command!(roll_back, RollBack, "ROLLBACK");
command!(savepoint, Savepoint, "SAVEPOINT one");
command!(release, Release, "RELEASE one");
command!(
    roll_back_to_savepoint,
    RollBackToSavepoint,
    "ROLLBACK TO one"
);
