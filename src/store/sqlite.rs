//! SQLite: one writer that several transactions share a commit of ([`writer`]), and readers beside it.

mod control;
pub(super) mod writer;

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, ConnectionError};
use parking_lot::Mutex;

use self::writer::{Answer, Writer};
use super::{Conn, StoreError, Tx};
use crate::kernel::Clock;

const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; \
     PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8000;";

pub(super) struct Sqlite {
    url: String,
    writer: Writer,
    readers: Mutex<Vec<Conn>>,
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
            writer: Writer::new(conn)?,
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
        control::begin(&mut conn)?;
        let result = f(&mut Tx::new(&mut conn, clock, false));
        // Nothing was written, so the answer stands however the transaction ends; a connection that cannot end
        // its transaction, or whose work panicked, is dropped instead of going back.
        if control::commit(&mut conn).is_ok() {
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
        self.writer.write(clock, f)
    }

    /// Hands a write transaction to the writer's thread, which calls `answer` in the end.
    pub(super) fn submit<R, E>(
        &self,
        clock: Clock,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E> + Send + 'static,
        answer: impl Answer<R, E>,
    ) where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.submit(clock, f, answer);
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
        self.writer.exclusive(f)
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
