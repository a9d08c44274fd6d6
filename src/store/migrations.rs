//! The schema of this version: both sides' migrations, compiled in, same names on both sides.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationConnection, MigrationSource, MigrationVersion};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;
use super::conn::PgConnection;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Under this key one node migrates while the others wait.
const ADVISORY_LOCK: i64 = 0x7665_7374_6962_756c;

pub(super) fn sqlite(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    // Taken at once, so that a second process waits instead of making the same tables.
    conn.immediate_transaction(|conn| run(conn, SQLITE))
}

pub(super) fn postgres(conn: &mut PgConnection) -> Result<(), StoreError> {
    conn.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))?;
    // The lock goes with this connection, which is used for nothing else, however the migration ends.
    run(conn, POSTGRES)
}

fn run<C, DB>(conn: &mut C, source: EmbeddedMigrations) -> Result<(), StoreError>
where
    C: MigrationHarness<DB> + MigrationConnection<Backend = DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let failed =
        |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Schema(cause.to_string());
    conn.setup().map_err(StoreError::Query)?;
    let known: Vec<Box<dyn Migration<DB>>> = source.migrations().map_err(failed)?;
    let applied = conn.applied_migrations().map_err(failed)?;
    let unknown = applied
        .iter()
        .find(|version| !known.iter().any(|one| one.name().version() == **version));
    if let Some(version) = unknown {
        return Err(newer(version));
    }
    conn.run_pending_migrations(source).map_err(failed)?;
    Ok(())
}

fn newer(version: &MigrationVersion<'_>) -> StoreError {
    StoreError::Schema(format!(
        "the database holds migration {version}, which this version of Vestibule does not know: \
         start the newer version, or restore a backup from before the upgrade"
    ))
}
