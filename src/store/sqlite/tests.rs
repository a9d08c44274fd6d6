//! What only the store itself can see: the settings of its connections, and a batch that SQLite takes back.

use std::sync::mpsc;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Sqlite;
use crate::kernel::Clock;
use crate::store::{Conn, StoreError, Tx, meta};

fn sqlite<'a>(tx: &'a mut Tx<'_>) -> &'a mut SqliteConnection {
    match tx.conn() {
        Conn::Sqlite(conn) => conn,
        Conn::Postgres(_) => unreachable!(),
    }
}

fn number(tx: &mut Tx<'_>, pragma: &str) -> Result<i64, StoreError> {
    let query = format!("(SELECT {pragma} FROM pragma_{pragma})");
    Ok(diesel::select(diesel::dsl::sql::<BigInt>(&query)).get_result(sqlite(tx))?)
}

fn settings(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for (pragma, value) in [
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("temp_store", 2),
        ("query_only", i64::from(!tx.writable())),
    ] {
        assert_eq!(number(tx, pragma)?, value, "{pragma}");
    }
    let journal: String = diesel::select(diesel::dsl::sql::<Text>(
        "(SELECT journal_mode FROM pragma_journal_mode)",
    ))
    .get_result(sqlite(tx))?;
    assert_eq!(journal, "wal");
    let timeout: i64 = diesel::select(diesel::dsl::sql::<BigInt>(
        "(SELECT timeout FROM pragma_busy_timeout)",
    ))
    .get_result(sqlite(tx))?;
    assert_eq!(timeout, 5000);
    Ok(())
}

fn open(folder: &tempfile::TempDir) -> Sqlite {
    let store = Sqlite::open(&folder.path().join("test.db")).unwrap();
    store.exclusive(crate::store::migrations::sqlite).unwrap();
    store
}

#[test]
fn every_connection_has_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (open(&folder), Clock::system());
    store.write(&clock, settings).unwrap();
    // Several readers at once, so that each is a connection of its own.
    let together = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let looked = store.read(&clock, |tx| {
                    together.wait();
                    settings(tx)
                });
                looked.unwrap();
            });
        }
    });
    assert_eq!(store.readers.lock().len(), 4);
}

#[test]
fn a_reader_whose_work_panicked_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (open(&folder), Clock::system());
    store.read(&clock, settings).unwrap();
    assert_eq!(store.readers.lock().len(), 1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.read(&clock, |_| -> Result<(), StoreError> {
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(store.readers.lock().len(), 0);
    store.read(&clock, settings).unwrap();
}

/// On a full disk SQLite takes the whole transaction back, not the one statement.
#[test]
fn a_batch_that_sqlite_takes_back_is_acknowledged_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (open(&folder), Clock::system());
    store
        .write(&clock, |tx| {
            let pages = number(tx, "page_count")?;
            diesel::sql_query(format!("PRAGMA max_page_count = {}", pages + 20))
                .execute(sqlite(tx))?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let (begun, wait_begun) = mpsc::channel();
    let (first, second, third) = std::thread::scope(|scope| {
        let (store, clock) = (&store, &clock);
        let first = scope.spawn(move || {
            store.write(clock, |tx| {
                meta::put(tx, "first", "1")?;
                begun.send(()).unwrap();
                // Until the others wait to join.
                while store.writer.waiting() < 2 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok::<_, StoreError>(())
            })
        });
        wait_begun.recv().unwrap();
        let second = scope.spawn(|| {
            store.write(clock, |tx| {
                // Passes over the failure, as work that must go on might.
                let _ = meta::put(tx, "second", &"x".repeat(1 << 20));
                Ok::<_, StoreError>(())
            })
        });
        let third = scope.spawn(|| store.write(clock, |tx| meta::put(tx, "third", "3")));
        (
            first.join().unwrap(),
            second.join().unwrap(),
            third.join().unwrap(),
        )
    });
    assert!(second.is_err(), "{second:?}");
    let kept = |name: &str| {
        store
            .read(&clock, |tx| meta::get(tx, name))
            .unwrap()
            .is_some()
    };
    assert_eq!(first.is_ok(), kept("first"), "{first:?}");
    assert_eq!(third.is_ok(), kept("third"), "{third:?}");
    assert!(
        first.is_err(),
        "the first shared the commit that never came"
    );
    // The writer is fit for the next one.
    store
        .write(&clock, |tx| meta::put(tx, "after", "1"))
        .unwrap();
    assert!(kept("after"));
    store
        .exclusive(|conn| Ok(conn.batch_execute("BEGIN IMMEDIATE; ROLLBACK")?))
        .unwrap();
}

/// What the writer's thread is given at once shares a commit, and each part of it stands for itself.
#[test]
fn submitted_work_stands_or_falls_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (open(&folder), Clock::system());
    let (tell, told) = mpsc::channel();
    let submit = |name: &'static str, end: fn() -> Result<(), StoreError>| {
        let tell = tell.clone();
        store.submit(
            clock.clone(),
            move |tx| {
                meta::put(tx, name, "1")?;
                end()
            },
            move |result: Result<(), StoreError>| tell.send((name, result.is_ok())).unwrap(),
        );
    };
    // While this thread holds the writer, the others queue up behind one commit.
    store
        .write(&clock, |_| {
            submit("first", || Ok(()));
            submit("refused", || Err(StoreError::Busy));
            submit("panicked", || panic!("in the middle"));
            submit("last", || Ok(()));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let answers: Vec<_> = (0..4)
        .map(|_| told.recv_timeout(Duration::from_secs(60)).unwrap())
        .collect();
    assert_eq!(
        answers,
        [
            ("first", true),
            ("refused", false),
            ("panicked", false),
            ("last", true)
        ]
    );
    for (name, stands) in answers {
        let kept = store.read(&clock, |tx| meta::get(tx, name)).unwrap();
        assert_eq!(kept.is_some(), stands, "{name}");
    }
}

/// Nobody is told of success whose batch SQLite took back.
#[test]
fn a_batch_of_submitted_work_that_is_taken_back_is_refused_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (open(&folder), Clock::system());
    let (tell, told) = mpsc::channel();
    store
        .write(&clock, |tx| {
            let pages = number(tx, "page_count")?;
            diesel::sql_query(format!("PRAGMA max_page_count = {}", pages + 20))
                .execute(sqlite(tx))?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let shared = store.write(&clock, |_| {
        for (name, value) in [("small", 1), ("large", 1 << 20)] {
            let tell = tell.clone();
            store.submit(
                clock.clone(),
                move |tx| {
                    let _ = meta::put(tx, name, &"x".repeat(value));
                    Ok::<_, StoreError>(())
                },
                move |result: Result<(), StoreError>| tell.send(result.is_ok()).unwrap(),
            );
        }
        // Until the writer's thread waits to join.
        while store.writer.waiting() < 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok::<_, StoreError>(())
    });
    assert!(shared.is_err(), "it shared the commit that never came");
    let wait = || told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!((wait(), wait()), (false, false));
    let small = store.read(&clock, |tx| meta::get(tx, "small")).unwrap();
    assert_eq!(small, None);
}
