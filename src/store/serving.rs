//! One server on one SQLite file (reliability R-29), and one migration at a time: advisory locks on files beside it.
//!
//! SQLite itself would let two servers share the file, each with caches of its own that the other does not know of.
//! Other commands share the file and do not ask for this lock. The operating system gives it back when the process
//! ends, however it ends, so there is nothing to clean up.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::{Location, StoreError};

/// The right to serve a database; held for as long as the server runs.
#[derive(Debug)]
pub struct Serving(Option<File>);

impl Serving {
    /// Takes the right. PostgreSQL has any number of servers, so there it is always free.
    ///
    /// # Errors
    /// Another server has the file, or the lock's file cannot be made.
    pub fn take(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Sqlite(path) => lock(path).map(Some).map(Self),
            Location::Postgres(_) => Ok(Self(None)),
        }
    }

    /// Whether there is a lock at all.
    pub fn is_exclusive(&self) -> bool {
        self.0.is_some()
    }
}

/// Waits until nobody else migrates this file. SQLite serialises the statements of two migrations and not the
/// migrations, so that both would begin with the same one.
pub(super) fn migrating(database: &Path) -> Result<File, StoreError> {
    let (path, file) = beside(database, "migrating")?;
    file.lock().map_err(|cause| unlockable(&path, cause))?;
    Ok(file)
}

fn lock(database: &Path) -> Result<File, StoreError> {
    let (path, file) = beside(database, "serving")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(format!(
            "another vestibule serves {}: stop it first. Several servers at once need PostgreSQL",
            database.display()
        ))),
        Err(TryLockError::Error(cause)) => Err(unlockable(&path, cause)),
    }
}

/// The file that is locked: the database's own would disturb SQLite's locks.
fn beside(database: &Path, suffix: &str) -> Result<(PathBuf, File), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    let path = PathBuf::from(name);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let opened = folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)
        });
    match opened {
        Ok(file) => Ok((path, file)),
        Err(cause) => Err(unlockable(&path, cause)),
    }
}

fn unlockable(path: &Path, cause: impl std::fmt::Display) -> StoreError {
    StoreError::Connect(format!(
        "{} cannot be locked: {cause}: let this user write to that folder, or name another in VESTIBULE_DATABASE_URL",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("new/v.db"));
        let first = Serving::take(&location).unwrap();
        assert!(first.is_exclusive());
        let refused = Serving::take(&location).unwrap_err().to_string();
        assert!(refused.contains("another vestibule serves"), "{refused}");
        drop(first);
        Serving::take(&location).unwrap();
    }
}
