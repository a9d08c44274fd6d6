//! The store: SQL on SQLite or PostgreSQL behind plain synchronous closures.
//!
//! [`Store::read`] and [`Store::tx`] run a closure to its end on the calling (blocking) thread, so a dropped
//! request never leaves half a transaction. Async callers go through [`Store::run`].
//!
//! Invariant: `Err` out of a closure means that the infrastructure failed, and rolls back; a refusal of the
//! protocol is an `Ok` value and commits what it must.

pub mod cleaner;
mod conn;
pub mod dialect;
mod error;
pub mod event_types;
pub mod events;
pub mod meta;
pub mod migrations;
mod postgres;
pub mod schema;
mod serving;
mod sqlite;
mod tx;

use std::sync::Arc;
use std::time::Duration;

pub use conn::Conn;
pub(crate) use conn::db;
pub use error::{StoreError, corrupt};
pub use postgres::PostgresOptions;
pub use serving::Serving;
use tx::Alone;
pub use tx::Tx;

use crate::kernel::Clock;

/// How long a request waits for a turn at the database before it is answered 503 (reliability H015).
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the data lies.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Location {
    /// A SQLite file.
    Sqlite(std::path::PathBuf),
    /// A PostgreSQL server.
    Postgres(PostgresOptions),
}

/// A handle on the database; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    clock: Clock,
    turns: Arc<tokio::sync::Semaphore>,
    capacity: usize,
}

#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Store {
    /// Opens the database and brings its schema up to this version.
    ///
    /// # Errors
    /// The file or server cannot be reached, is newer than this binary, or refuses a migration.
    pub fn open(location: &Location, clock: Clock, pool: usize) -> Result<Self, StoreError> {
        let store = Self::connect(location, clock, pool)?;
        store.migrate()?;
        Ok(store)
    }

    /// Opens the database as it is, for whoever only looks at it.
    ///
    /// # Errors
    /// The file or server cannot be reached.
    pub fn connect(location: &Location, clock: Clock, pool: usize) -> Result<Self, StoreError> {
        let (backend, turns) = match location {
            Location::Sqlite(path) => (Backend::Sqlite(sqlite::Sqlite::open(path)?), 64),
            Location::Postgres(options) => (
                Backend::Postgres(postgres::Postgres::open(options, pool)?),
                pool,
            ),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                backend,
                clock,
                turns: Arc::new(tokio::sync::Semaphore::new(turns)),
                capacity: turns,
            }),
        })
    }

    /// Runs a closure in a read transaction: one snapshot, nothing written.
    ///
    /// # Errors
    /// Whatever the closure answers, and a failing database.
    pub fn read<R, E>(&self, f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E>) -> Result<R, E>
    where
        E: From<StoreError>,
    {
        let _alone = Alone::new()?;
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.read(&self.inner.clock, f),
            Backend::Postgres(postgres) => postgres.transaction(&self.inner.clock, false, f),
        }
    }

    /// Runs a closure in a write transaction and returns once it is durable.
    ///
    /// # Errors
    /// Whatever the closure answers (rolled back), and a failing database.
    pub fn tx<R, E>(&self, f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E>) -> Result<R, E>
    where
        E: From<StoreError>,
    {
        let _alone = Alone::new()?;
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.write(&self.inner.clock, f),
            Backend::Postgres(postgres) => postgres.transaction(&self.inner.clock, true, f),
        }
    }

    /// Runs blocking work that uses the store on a blocking thread.
    ///
    /// The work runs to its end even where the caller goes away.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when no turn was free within two seconds, and whatever the work answers.
    pub async fn run<R, E>(
        &self,
        f: impl FnOnce(&Self) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let turn = self.turn().await?;
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            // The turn belongs to the work, not to the request that may go away.
            let _turn = turn;
            f(&store)
        });
        done.await
            .unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// Runs one write transaction and answers once it is durable. On SQLite the writer's own thread runs it, together
    /// with others that have queued up; elsewhere a blocking thread.
    ///
    /// The work runs to its end even where the caller goes away.
    ///
    /// # Errors
    /// As [`Store::run`] and [`Store::tx`].
    pub async fn write<R, E>(
        &self,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Backend::Sqlite(sqlite) = &self.inner.backend else {
            return self.run(move |store| store.tx(f)).await;
        };
        let turn = self.turn().await?;
        let (send, answer) = tokio::sync::oneshot::channel();
        sqlite.submit(self.inner.clock.clone(), f, move |result| {
            drop(turn);
            // Nobody listens any more where the request went away; the transaction stands all the same.
            let _ = send.send(result);
        });
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// A turn at the database, waited for as long as a request may.
    async fn turn(&self) -> Result<tokio::sync::OwnedSemaphorePermit, StoreError> {
        let turns = Arc::clone(&self.inner.turns);
        match tokio::time::timeout(ACQUIRE_TIMEOUT, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(StoreError::Busy),
        }
    }

    /// Runs a short read: in place on SQLite, where it comes out of the page cache and saves a change of threads; on
    /// a blocking thread where it waits for a server.
    ///
    /// # Errors
    /// As [`Store::run`].
    pub async fn look<R, E>(
        &self,
        f: impl FnOnce(&Self) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &self.inner.backend {
            Backend::Sqlite(_) => f(self),
            Backend::Postgres(_) => self.run(f).await,
        }
    }

    /// The clock that transactions of this store go by.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// How many pieces of work may use the database at once, and how many more could begin now.
    pub fn turns(&self) -> (usize, usize) {
        (self.inner.capacity, self.inner.turns.available_permits())
    }

    /// `"sqlite"` or `"postgres"`.
    pub fn kind(&self) -> &'static str {
        match &self.inner.backend {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }

    /// Writes what SQLite's write-ahead log holds into the file itself, so that a copy of the file alone is whole.
    ///
    /// # Errors
    /// The database fails.
    pub fn fold(&self) -> Result<(), StoreError> {
        use diesel::connection::SimpleConnection as _;
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => {
                sqlite.exclusive(|conn| Ok(conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?))
            }
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Brings the schema up to this version, one process at a time; answers the names of what was missing.
    ///
    /// # Errors
    /// The database fails, is newer than this binary, or refuses a migration.
    pub fn migrate(&self) -> Result<Vec<String>, StoreError> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => {
                let _alone = serving::migrating(sqlite.path())?;
                sqlite.exclusive(migrations::sqlite)
            }
            Backend::Postgres(postgres) => postgres.exclusive(migrations::postgres),
        }
    }

    /// The migrations of this version that the database does not have yet.
    ///
    /// # Errors
    /// The database fails, or is newer than this binary.
    pub fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        match &self.inner.backend {
            Backend::Sqlite(sqlite) => sqlite.exclusive(migrations::pending_on_sqlite),
            Backend::Postgres(postgres) => postgres.exclusive(migrations::pending_on_postgres),
        }
    }
}
