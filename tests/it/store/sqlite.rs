//! SQLite alone: how it was built, and the file that it keeps.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use vestibule::kernel::Clock;
use vestibule::store::{Location, Store, StoreError, meta};

use super::{Database, Place, read, write};

/// A connection past the store.
pub(super) fn connect(database: &Database) -> SqliteConnection {
    match &database.place {
        Place::Sqlite(folder) => {
            let path = folder.path().join("vestibule.db");
            SqliteConnection::establish(path.to_str().unwrap()).unwrap()
        }
        Place::Postgres { .. } => panic!("not a SQLite database"),
    }
}

/// The one number that a query answers.
pub(super) fn number(database: &Database, sql: &str) -> i64 {
    diesel::select(diesel::dsl::sql::<BigInt>(&format!("({sql})")))
        .get_result(&mut connect(database))
        .unwrap()
}

#[test]
fn sqlite_is_built_as_the_project_asks() {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        compile_options: String,
    }
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    let options: Vec<Line> = diesel::sql_query("PRAGMA compile_options")
        .load(&mut conn)
        .unwrap();
    for wanted in ["DEFAULT_MEMSTATUS=0", "ENABLE_QPSG"] {
        assert!(
            options.iter().any(|line| line.compile_options == wanted),
            "{wanted} of .cargo/config.toml did not reach SQLite's build"
        );
    }
}

#[test]
fn the_file_and_what_lies_beside_it_are_the_owners_alone() {
    let database = Database::sqlite();
    write(&database.store, |tx| meta::put(tx, "secret", "1"));
    let Place::Sqlite(folder) = &database.place else {
        unreachable!()
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "vestibule.db",
            "vestibule.db-shm",
            "vestibule.db-wal",
            // The lock under which one process migrates while others wait.
            "vestibule.db.migrating"
        ]
    );
}

#[test]
fn a_folder_that_is_not_there_is_made_and_one_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/vestibule.db");
    assert!(Store::open(&Location::Sqlite(deep.clone()), Clock::system(), 1).is_ok());
    assert!(deep.exists());
    let below_a_file = deep.join("c/vestibule.db");
    let refused = Store::open(&Location::Sqlite(below_a_file), Clock::system(), 1);
    match refused.map(|_| ()) {
        Err(StoreError::Connect(message)) => {
            assert!(message.contains("a/b/vestibule.db"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.txt");
    std::fs::write(
        &path,
        "these are letters, not a database, and they matter".repeat(99),
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&Location::Sqlite(path.clone()), Clock::system(), 1);
    let error = refused.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("not a database"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn the_write_ahead_log_shrinks_again_after_a_long_read() {
    const LIMIT: u64 = 64 << 20;
    let database = Database::sqlite();
    let Place::Sqlite(folder) = &database.place else {
        unreachable!()
    };
    let wal = folder.path().join("vestibule.db-wal");
    let store = &database.store;
    let (written, wait_written) = mpsc::channel();
    let (looked, wait_looked) = mpsc::channel();
    let page = "x".repeat(1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // While this one reads, nothing of the log can be taken over into the file.
            read(store, |tx| {
                meta::get(tx, "0")?;
                looked.send(()).unwrap();
                wait_written.recv().unwrap();
                Ok(())
            });
        });
        wait_looked.recv().unwrap();
        write(store, |tx| {
            (0..80).try_for_each(|number| meta::put(tx, &number.to_string(), &page))
        });
        written.send(()).unwrap();
    });
    assert!(wal.metadata().unwrap().len() > LIMIT);
    for number in 0..3 {
        write(store, |tx| meta::put(tx, "after", &number.to_string()));
    }
    assert!(wal.metadata().unwrap().len() <= LIMIT);
}
