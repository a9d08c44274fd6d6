//! SQLite: one writer that several transactions share a commit of, and readers beside it.
//!
//! The disk is asked once for several waiting writers (group commit): whoever finishes while others wait leaves
//! the transaction open for them, each inside a savepoint of its own, and the last one commits for all. Nobody
//! is told of success before that commit is durable (`synchronous=FULL`).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, ConnectionError};
use parking_lot::{Condvar, Mutex};

use super::{Conn, StoreError, Tx};
use crate::kernel::Clock;

/// The most transactions that share one commit: bounds how long the first of them waits.
const BATCH: usize = 64;

const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; \
     PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000;";

pub(super) struct Sqlite {
    url: String,
    writer: Mutex<Writer>,
    waiting: AtomicUsize,
    readers: Mutex<Vec<Conn>>,
}

struct Writer {
    conn: Conn,
    open: Option<Arc<Batch>>,
}

/// Several transactions that become durable together.
#[derive(Default)]
struct Batch {
    joined: AtomicUsize,
    outcome: Mutex<Option<Result<(), String>>>,
    done: Condvar,
}

impl Batch {
    fn settle(&self, outcome: Result<(), String>) {
        *self.outcome.lock() = Some(outcome);
        self.done.notify_all();
    }

    fn wait(&self) -> Result<(), StoreError> {
        let mut outcome = self.outcome.lock();
        loop {
            if let Some(settled) = outcome.as_ref() {
                return settled.clone().map_err(StoreError::Commit);
            }
            self.done.wait(&mut outcome);
        }
    }
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|cause| {
                StoreError::Connect(format!("{} cannot be made: {cause}", folder.display()))
            })?;
        }
        private_file(path)?;
        let url = path.to_string_lossy().into_owned();
        let mut conn = establish(&url)?;
        write_ahead(&mut conn)?;
        Ok(Self {
            url,
            writer: Mutex::new(Writer {
                conn: Conn::Sqlite(conn),
                open: None,
            }),
            waiting: AtomicUsize::new(0),
            readers: Mutex::new(Vec::new()),
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        Path::new(&self.url)
    }

    pub(super) fn read<R, E>(
        &self,
        clock: &Clock,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<StoreError>,
    {
        let idle = self.readers.lock().pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => Conn::Sqlite(self.reader()?),
        };
        execute(&mut conn, "BEGIN")?;
        let result = f(&mut Tx::new(&mut conn, clock, false));
        // Nothing was written, so the answer stands however the transaction ends; a connection that cannot end
        // its transaction, or whose work panicked, is dropped instead of going back.
        if execute(&mut conn, "COMMIT").is_ok() {
            self.readers.lock().push(conn);
        }
        result
    }

    pub(super) fn write<R, E>(
        &self,
        clock: &Clock,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<StoreError>,
    {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut writer = self.writer.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let batch = match writer.open.take() {
            Some(batch) => batch,
            None => {
                execute(&mut writer.conn, "BEGIN IMMEDIATE")?;
                Arc::new(Batch::default())
            }
        };
        let joined = batch
            .joined
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let mut step = execute(&mut writer.conn, "SAVEPOINT one");
        let result = match &step {
            Ok(()) => catch_unwind(AssertUnwindSafe(|| {
                f(&mut Tx::new(&mut writer.conn, clock, true))
            })),
            Err(error) => Ok(Err(StoreError::Commit(error.to_string()).into())),
        };
        if step.is_ok() {
            let end = match &result {
                Ok(Ok(_)) => "RELEASE one",
                Ok(Err(_)) | Err(_) => "ROLLBACK TO one; RELEASE one",
            };
            step = execute(&mut writer.conn, end);
        }
        if step.is_ok() && joined < BATCH && self.waiting.load(Ordering::SeqCst) > 0 {
            // Somebody waits for the lock: he joins this transaction, and he or a later one commits it.
            writer.open = Some(Arc::clone(&batch));
        } else {
            // Without its savepoint the transaction is gone: on a full disk or a failing one SQLite takes all of
            // it back by itself, the neighbours' part too. Nobody may join it then, and nobody is told it is safe.
            let outcome = step.and_then(|()| execute(&mut writer.conn, "COMMIT"));
            if outcome.is_err() {
                let _ = execute(&mut writer.conn, "ROLLBACK");
            }
            batch.settle(outcome.map_err(|error| error.to_string()));
        }
        drop(writer);
        match result {
            Ok(Ok(value)) => batch.wait().map(|()| value).map_err(E::from),
            Ok(Err(error)) => Err(error),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// A connection that cannot write, whatever is asked of it.
    fn reader(&self) -> Result<SqliteConnection, StoreError> {
        let mut conn = establish(&self.url)?;
        conn.batch_execute("PRAGMA query_only = ON")?;
        Ok(conn)
    }

    /// Runs work that manages its own transactions (migrations) on the writer.
    pub(super) fn exclusive<R>(
        &self,
        f: impl FnOnce(&mut SqliteConnection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match &mut self.writer.lock().conn {
            Conn::Sqlite(conn) => f(conn),
            Conn::Postgres(_) => Err(StoreError::Schema(
                "the writer of a SQLite store is not SQLite".into(),
            )),
        }
    }
}

/// Switches the file to write-ahead logging. SQLite does not wait for other processes there, whatever `busy_timeout`
/// says, so several that start at once take turns here.
fn write_ahead(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
    let mut tries = 0;
    loop {
        match conn.batch_execute("PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 67108864;")
        {
            Ok(()) => return Ok(()),
            Err(error) if tries >= 250 => return Err(error.into()),
            Err(_) => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn establish(url: &str) -> Result<SqliteConnection, StoreError> {
    let mut conn = SqliteConnection::establish(url).map_err(|error| match error {
        ConnectionError::BadConnection(cause) => StoreError::Connect(format!("{url}: {cause}")),
        other => StoreError::Connect(format!("{url}: {other}")),
    })?;
    conn.batch_execute(PRAGMAS)?;
    super::dialect::prepare_sqlite(&mut conn)?;
    Ok(conn)
}

fn execute(conn: &mut Conn, sql: &str) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(conn) => Ok(conn.batch_execute(sql)?),
        Conn::Postgres(conn) => Ok(conn.batch_execute(sql)?),
    }
}

/// Makes the database file with mode 0600 before SQLite would make it with the umask's (reliability H042).
fn private_file(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(|cause| {
            StoreError::Connect(format!("{} cannot be opened: {cause}", path.display()))
        })
}

#[cfg(test)]
mod tests;
