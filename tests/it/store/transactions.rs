//! What a transaction promises: all or nothing, one snapshot, no writes in a read, no transaction inside another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use vestibule::store::{Store, StoreError, meta};

use super::{on_both, read, write};

fn fact(store: &Store, name: &str) -> Option<String> {
    read(store, |tx| meta::get(tx, name))
}

#[test]
fn ok_commits_and_another_store_sees_it() {
    on_both(|database| {
        write(&database.store, |tx| meta::put(tx, "kept", "yes"));
        assert_eq!(fact(&database.store, "kept").as_deref(), Some("yes"));
        assert_eq!(fact(&database.open_again(), "kept").as_deref(), Some("yes"));
    });
}

#[test]
fn an_error_rolls_back_everything_the_closure_wrote() {
    on_both(|database| {
        let failed: Result<(), StoreError> = database.store.tx(|tx| {
            meta::put(tx, "one", "1")?;
            meta::put(tx, "two", "2")?;
            Err(StoreError::Sealed("made up".into()))
        });
        assert!(matches!(failed, Err(StoreError::Sealed(_))), "{failed:?}");
        assert_eq!(fact(&database.store, "one"), None);
        assert_eq!(fact(&database.store, "two"), None);
    });
}

#[test]
fn a_refusal_is_a_value_and_commits() {
    on_both(|database| {
        let refused: Result<&str, &str> = write(&database.store, |tx| {
            meta::put(tx, "wrong tries", "1")?;
            Ok(Err("wrong password"))
        });
        assert_eq!(refused, Err("wrong password"));
        assert_eq!(fact(&database.store, "wrong tries").as_deref(), Some("1"));
    });
}

#[test]
fn a_failed_statement_that_the_closure_passes_over_is_never_a_silent_loss() {
    on_both(|database| {
        let alice = database.furnish();
        let outcome = database.store.tx(|tx| {
            meta::put(tx, "before", "1")?;
            // The session is there already, so this breaks its primary key.
            let broken = vestibule::session::rows::insert(tx, &alice.session, None);
            assert!(broken.unwrap_err().is_unique_violation());
            Ok::<_, StoreError>(())
        });
        // SQLite goes on after a failed statement, PostgreSQL does not; neither may say yes and keep nothing.
        assert_eq!(outcome.is_ok(), fact(&database.store, "before").is_some());
        assert_eq!(outcome.is_ok(), database.store.kind() == "sqlite");
        write(&database.store, |tx| meta::put(tx, "after", "1"));
    });
}

#[test]
fn a_panic_rolls_back_and_the_store_goes_on() {
    on_both(|database| {
        let store = &database.store;
        for round in 0..40 {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                store.tx(|tx| {
                    meta::put(tx, "half", "1")?;
                    assert!(round < 0, "on purpose");
                    Ok::<_, StoreError>(())
                })
            }));
            assert!(panicked.is_err());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                store.read(|tx| {
                    meta::get(tx, "half")?;
                    assert!(round < 0, "on purpose");
                    Ok::<_, StoreError>(())
                })
            }));
            assert!(panicked.is_err());
        }
        assert_eq!(fact(store, "half"), None);
        write(store, |tx| meta::put(tx, "half", "whole"));
        assert_eq!(fact(store, "half").as_deref(), Some("whole"));
    });
}

#[test]
fn a_read_cannot_write() {
    on_both(|database| {
        let store = &database.store;
        let alice = database.furnish();
        let outcome = store.read(|tx| {
            assert!(!tx.writable());
            meta::put(tx, "smuggled", "1")
        });
        assert!(matches!(outcome, Err(StoreError::Query(_))), "{outcome:?}");
        let outcome = store.read(|tx| {
            use vestibule::store::dialect::{Lock, lock_user};
            lock_user(tx, &alice.user.id, Lock::Share)
        });
        assert!(matches!(outcome, Err(StoreError::ReadOnly)), "{outcome:?}");
        assert_eq!(fact(store, "smuggled"), None);
        // The connections that refused are good for reading and the store for writing.
        write(store, |tx| meta::put(tx, "smuggled", "openly"));
        assert_eq!(fact(store, "smuggled").as_deref(), Some("openly"));
    });
}

#[test]
fn a_read_sees_one_snapshot_and_does_not_stop_writers() {
    on_both(|database| {
        let store = &database.store;
        write(store, |tx| meta::put(tx, "price", "1"));
        let (looked, wait_looked) = mpsc::channel();
        let (changed, wait_changed) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                wait_looked.recv().unwrap();
                write(store, |tx| meta::put(tx, "price", "2"));
                changed.send(()).unwrap();
            });
            read(store, |tx| {
                let first = meta::get(tx, "price")?;
                looked.send(()).unwrap();
                wait_changed.recv().unwrap();
                assert_eq!(meta::get(tx, "price")?, first);
                Ok(())
            });
        });
        assert_eq!(fact(store, "price").as_deref(), Some("2"));
    });
}

#[test]
fn a_transaction_inside_a_transaction_is_an_error_and_not_a_wait() {
    on_both(|database| {
        let store = &database.store;
        let nested = store.tx(|tx| {
            meta::put(tx, "outer", "1")?;
            let inner = store.tx(|tx| meta::put(tx, "inner", "1"));
            assert!(matches!(inner, Err(StoreError::Nested)), "{inner:?}");
            let inner = store.read(|tx| meta::get(tx, "outer"));
            assert!(matches!(inner, Err(StoreError::Nested)), "{inner:?}");
            Ok::<_, StoreError>(())
        });
        assert!(nested.is_ok(), "{nested:?}");
        assert_eq!(fact(store, "outer").as_deref(), Some("1"));
        assert_eq!(fact(store, "inner"), None);
    });
}

#[test]
fn the_transaction_goes_by_the_clock_that_tests_move() {
    on_both(|database| {
        let before = read(&database.store, |tx| tx.now());
        database.clock.advance(std::time::Duration::from_secs(3600));
        let after = read(&database.store, |tx| tx.now());
        let passed = after.seconds_since(before);
        assert!((3600..3660).contains(&passed), "{passed}");
    });
}
