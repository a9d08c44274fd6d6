//! PostgreSQL alone: two kinds of row locks, timeouts, and connections that the server ends.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use vestibule::store::dialect::{Lock, lock_user};
use vestibule::store::{StoreError, meta};

use super::{Database, Place, at_once, postgres_rows, read, write};

fn sql(database: &Database, sql: &str) -> Vec<Vec<Option<String>>> {
    match &database.place {
        Place::Postgres { name } => postgres_rows(name, sql),
        Place::Sqlite(_) => panic!("not a PostgreSQL database"),
    }
}

/// The store's connections as the server counts them.
fn connections(database: &Database) -> usize {
    sql(
        database,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vestibule'",
    )
    .len()
}

#[test]
fn two_mints_for_one_person_do_not_wait_for_each_other() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let alice = database.furnish().user.id;
    let together = std::sync::Barrier::new(2);
    at_once(2, |_| {
        write(&database.store, |tx| {
            assert!(lock_user(tx, &alice, Lock::Share)?);
            // Both stand here at once, or neither ever gets on.
            together.wait();
            Ok(())
        });
    });
}

#[test]
fn a_lock_that_is_not_to_be_had_is_an_error_after_a_second() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let alice = database.furnish().user.id;
    let (locked, wait_locked) = mpsc::channel();
    let (gave_up, wait_gave_up) = mpsc::channel();
    std::thread::scope(|scope| {
        let (store, alice) = (&database.store, &alice);
        scope.spawn(move || {
            write(store, |tx| {
                lock_user(tx, alice, Lock::Update)?;
                locked.send(()).unwrap();
                wait_gave_up.recv().unwrap();
                Ok(())
            });
        });
        wait_locked.recv().unwrap();
        for lock in [Lock::Share, Lock::Update] {
            let asked = Instant::now();
            let refused = store.tx(|tx| lock_user(tx, alice, lock));
            let waited = asked.elapsed();
            // Its cause tells it from the five seconds of a statement, however slow the machine is.
            match refused {
                Err(StoreError::Query(cause)) => {
                    assert!(cause.to_string().contains("lock timeout"), "{cause}");
                }
                other => panic!("{other:?}"),
            }
            assert!(waited >= Duration::from_millis(900), "{waited:?}");
        }
        gave_up.send(()).unwrap();
    });
    assert!(write(&database.store, |tx| lock_user(
        tx,
        &alice,
        Lock::Update
    )));
}

#[test]
fn idle_connections_that_the_server_ended_are_replaced() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let together = std::sync::Barrier::new(4);
    at_once(4, |_| {
        read(&database.store, |_| {
            together.wait();
            Ok(())
        });
    });
    assert_eq!(connections(&database), 4);
    for round in 0..3 {
        let ended = sql(
            &database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'vestibule'",
        );
        assert!(!ended.is_empty());
        let name = format!("round {round}");
        write(&database.store, |tx| meta::put(tx, &name, "1"));
        assert!(read(&database.store, |tx| meta::get(tx, &name)).is_some());
    }
}

#[test]
fn a_connection_that_the_server_ends_in_a_transaction_is_an_error_and_commits_nothing() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let outcome = database.store.tx(|tx| {
        meta::put(tx, "cut", "1")?;
        sql(
            &database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'vestibule' AND state = 'idle in transaction'",
        );
        Ok::<_, StoreError>(())
    });
    assert!(matches!(outcome, Err(StoreError::Commit(_))), "{outcome:?}");
    assert_eq!(read(&database.store, |tx| meta::get(tx, "cut")), None);
}

#[test]
fn panics_and_errors_leave_no_connection_and_no_lock_behind() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let alice = database.furnish().user.id;
    for round in 0..20 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            database.store.tx(|tx| {
                assert!(lock_user(tx, &alice, Lock::Update)?);
                assert!(round % 2 == 0, "on purpose");
                Err::<(), _>(StoreError::Sealed("on purpose".into()))
            })
        }));
        assert_eq!(outcome.is_err(), round % 2 == 1);
    }
    assert!(write(&database.store, |tx| lock_user(
        tx,
        &alice,
        Lock::Update
    )));
    // The server takes a moment to see that the other ends are gone.
    let deadline = Instant::now() + Duration::from_secs(60);
    while connections(&database) > 1 {
        assert!(
            Instant::now() < deadline,
            "{} connections",
            connections(&database)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_pool_keeps_no_more_connections_than_it_was_told() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let together = std::sync::Barrier::new(super::POOL + 8);
    at_once(super::POOL + 8, |_| {
        read(&database.store, |_| {
            together.wait();
            Ok(())
        });
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while connections(&database) > super::POOL {
        assert!(
            Instant::now() < deadline,
            "{} connections",
            connections(&database)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
