//! The schema of this version: both sides' migrations, compiled in, same names on both sides.

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::migration::{Migration, MigrationConnection, MigrationSource, MigrationVersion};
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::conn::PgConnection;
use super::{StoreError, Tx, db};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Under this key one node migrates while the others wait.
const ADVISORY_LOCK: i64 = 0x7665_7374_6962_756c;

/// Brings the schema up to this version; answers the names of what was missing.
pub(super) fn sqlite(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    // Taken at once, so that a second process waits instead of making the same tables.
    conn.immediate_transaction(|conn| run(conn, SQLITE))
}

/// Brings the schema up to this version; answers the names of what was missing.
pub(super) fn postgres(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    conn.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))?;
    // The lock goes with this connection, which is used for nothing else, however the migration ends.
    run(conn, POSTGRES)
}

#[derive(diesel::QueryableByName)]
struct Applied {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

/// The names of this version's migrations that the database lacks. Those of a newer version, with which this one
/// runs side by side during an upgrade, are no lack.
///
/// # Errors
/// The database fails.
pub fn missing(tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
    let applied: Vec<Applied> = db!(tx, |c| diesel::sql_query(
        "SELECT version FROM __diesel_schema_migrations"
    )
    .load(c))?;
    let known: Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>> =
        SQLITE.migrations().map_err(failed)?;
    Ok(known
        .iter()
        .map(|one| (one.name().version().to_string(), one.name().to_string()))
        .filter(|(version, _)| !applied.iter().any(|row| row.version == *version))
        .map(|(_, name)| name)
        .collect())
}

/// The names of this version's migrations that the database does not have.
pub(super) fn pending_on_sqlite(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let ledgers = sql::<BigInt>(
        "(SELECT count(*) FROM sqlite_schema WHERE name = '__diesel_schema_migrations')",
    );
    let ledgers: i64 = diesel::select(ledgers).get_result(conn)?;
    pending(conn, &SQLITE, ledgers > 0)
}

/// The names of this version's migrations that the database does not have.
pub(super) fn pending_on_postgres(conn: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let ledgers = sql::<BigInt>(
        "(SELECT count(*) FROM pg_tables WHERE tablename = '__diesel_schema_migrations' \
         AND schemaname = ANY (current_schemas(false)))",
    );
    let ledgers: i64 = diesel::select(ledgers).get_result(conn)?;
    pending(conn, &POSTGRES, ledgers > 0)
}

/// Looks, and makes nothing: Diesel would make its ledger where there is none yet, and whoever migrates at that
/// moment would find it half made.
fn pending<C, DB>(
    conn: &mut C,
    source: &EmbeddedMigrations,
    has_ledger: bool,
) -> Result<Vec<String>, StoreError>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known: Vec<Box<dyn Migration<DB>>> = source.migrations().map_err(failed)?;
    let applied = if has_ledger {
        refuse_newer(conn, &known)?;
        conn.applied_migrations().map_err(failed)?
    } else {
        Vec::new()
    };
    let mut pending: Vec<String> = known
        .iter()
        .filter(|one| !applied.contains(&one.name().version()))
        .map(|one| one.name().to_string())
        .collect();
    pending.sort_unstable();
    Ok(pending)
}

fn run<C, DB>(conn: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, StoreError>
where
    C: MigrationHarness<DB> + MigrationConnection<Backend = DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    conn.setup().map_err(StoreError::Query)?;
    let missing = pending(conn, &source, true)?;
    conn.run_pending_migrations(source).map_err(failed)?;
    Ok(missing)
}

fn refuse_newer<C, DB>(conn: &mut C, known: &[Box<dyn Migration<DB>>]) -> Result<(), StoreError>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
{
    let applied = conn.applied_migrations().map_err(failed)?;
    let unknown = applied
        .iter()
        .find(|version| !known.iter().any(|one| one.name().version() == **version));
    unknown.map_or(Ok(()), |version| Err(newer(version)))
}

fn failed(cause: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Schema(cause.to_string())
}

fn newer(version: &MigrationVersion<'_>) -> StoreError {
    StoreError::Schema(format!(
        "the database holds migration {version}, which this version of Vestibule does not know: \
         start the newer version, or restore a backup from before the upgrade"
    ))
}
