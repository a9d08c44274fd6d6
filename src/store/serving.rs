//! One server on one SQLite file (reliability R-29): an advisory lock on a file beside the database.
//!
//! SQLite itself would let two servers share the file, each with caches of its own that the other does not know of.
//! Other commands share the file and do not ask for this lock. The operating system gives it back when the process
//! ends, however it ends, so there is nothing to clean up.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

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

fn lock(database: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut name = database.as_os_str().to_owned();
    name.push(".serving");
    let path = Path::new(&name);
    let failed = |cause: &dyn std::fmt::Display| {
        StoreError::Connect(format!("{} cannot be locked: {cause}", path.display()))
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(|cause| failed(&cause))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|cause| failed(&cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Connect(format!(
            "another vestibule serves {}: stop it first. Several servers at once need PostgreSQL",
            database.display()
        ))),
        Err(TryLockError::Error(cause)) => Err(failed(&cause)),
    }
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
