//! Many at once: turns, dropped callers, shared commits, and locks on a user's row.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use vestibule::action::gate::{self, Outstanding, Provenance, Subject};
use vestibule::kernel::{Timestamp, UserId};
use vestibule::store::dialect::{Lock, lock_user};
use vestibule::store::{Store, StoreError, Tx, meta};
use vestibule::user::waiting::{self, ResetProof, WaitingAction};

use super::{Database, Furniture, POOL, at_once, on_both, read, write};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn count(tx: &mut Tx<'_>, name: &str) -> Result<u32, StoreError> {
    Ok(meta::get(tx, name)?.map_or(0, |text| text.parse().unwrap()))
}

fn read_and_write(tx: &mut Tx<'_>, alice: &UserId, number: u32) -> Result<(), StoreError> {
    // Where one writer is not the rule, the user's row is what they queue at.
    assert!(lock_user(tx, alice, Lock::Update)?);
    let count = count(tx, "counter")?;
    meta::put(tx, &format!("row {number}"), "there")?;
    meta::put(tx, "counter", &(count + 1).to_string())
}

#[test]
fn eight_hundred_transactions_that_read_and_write_all_count() {
    on_both(|database| {
        let alice = database.furnish().user.id;
        let store = database.store.clone();
        let acknowledged: Vec<u32> = runtime().block_on(async {
            let running: Vec<_> = (0..800_u32)
                .map(|number| {
                    let (store, alice) = (store.clone(), alice.clone());
                    tokio::spawn(async move {
                        loop {
                            let alice = alice.clone();
                            let counted = store.run(move |store| {
                                store.tx(|tx| read_and_write(tx, &alice, number))
                            });
                            match counted.await {
                                // Refused before it began: a caller tries again.
                                Err(StoreError::Busy) => {}
                                counted => return counted.map(|()| number).unwrap(),
                            }
                        }
                    })
                })
                .collect();
            let mut numbers = Vec::new();
            for task in running {
                numbers.push(task.await.unwrap());
            }
            numbers
        });
        assert_eq!(acknowledged.len(), 800);
        let reopened = database.open_again();
        assert_eq!(read(&reopened, |tx| count(tx, "counter")), 800);
        for number in acknowledged {
            let row = read(&reopened, |tx| meta::get(tx, &format!("row {number}")));
            assert!(row.is_some(), "row {number} was acknowledged and is lost");
        }
    });
}

#[test]
fn a_neighbour_that_fails_or_panics_takes_nobody_with_it() {
    on_both(|database| {
        let store = &database.store;
        let outcomes = at_once(POOL, |number| {
            (0..30)
                .map(|round| {
                    let name = format!("{number}.{round}");
                    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        store.tx(|tx| {
                            meta::put(tx, &name, "there")?;
                            match (number + round) % 5 {
                                0 => Err(StoreError::Sealed("on purpose".into())),
                                1 => panic!("on purpose"),
                                _ => Ok(()),
                            }
                        })
                    }));
                    (name, matches!(attempt, Ok(Ok(()))))
                })
                .collect::<Vec<_>>()
        });
        let (mut kept, mut gone) = (0, 0);
        for (name, acknowledged) in outcomes.into_iter().flatten() {
            let there = read(store, |tx| meta::get(tx, &name)).is_some();
            assert_eq!(there, acknowledged, "{name}");
            if there {
                kept += 1;
            } else {
                gone += 1;
            }
        }
        assert_eq!((kept, gone), (POOL * 30 * 3 / 5, POOL * 30 * 2 / 5));
    });
}

#[test]
fn a_caller_that_goes_away_does_not_stop_its_transaction() {
    on_both(|database| {
        let store = database.store.clone();
        let (started, wait_started) = mpsc::channel();
        let (go_on, wait_go_on) = mpsc::channel::<()>();
        runtime().block_on(async {
            let caller = store.clone();
            let request = tokio::spawn(async move {
                let work = caller.run(move |store| {
                    store.tx(|tx| {
                        meta::put(tx, "first", "1")?;
                        started.send(()).unwrap();
                        wait_go_on.recv().unwrap();
                        meta::put(tx, "second", "2")
                    })
                });
                work.await
            });
            tokio::task::spawn_blocking(move || wait_started.recv().unwrap())
                .await
                .unwrap();
            request.abort();
            assert!(request.await.unwrap_err().is_cancelled());
            go_on.send(()).unwrap();
        });
        // Ending the runtime has waited for the work.
        assert_eq!(read(&store, |tx| count(tx, "first")), 1);
        assert_eq!(read(&store, |tx| count(tx, "second")), 2);
    });
}

/// Takes every turn of the store; dropping the answer lets the holders go.
fn take_all_turns(store: &Store, turns: usize) -> Vec<mpsc::Sender<()>> {
    let (taken, wait_taken) = mpsc::channel();
    let mut holders = Vec::new();
    for _ in 0..turns {
        let (store, taken) = (store.clone(), taken.clone());
        let (release, wait_release) = mpsc::channel::<()>();
        holders.push(release);
        tokio::spawn(async move {
            let held = store.run(move |_| {
                taken.send(()).unwrap();
                let _ = wait_release.recv();
                Ok::<_, StoreError>(())
            });
            held.await.unwrap();
        });
    }
    tokio::task::block_in_place(|| {
        for _ in 0..turns {
            wait_taken.recv().unwrap();
        }
    });
    holders
}

#[test]
fn whoever_gets_no_turn_within_two_seconds_hears_busy() {
    on_both(|database| {
        let store = database.store.clone();
        let turns = if store.kind() == "sqlite" { 64 } else { POOL };
        runtime().block_on(async {
            let holders = tokio::spawn({
                let store = store.clone();
                async move { take_all_turns(&store, turns) }
            });
            let holders = holders.await.unwrap();
            let asked = Instant::now();
            let refused = store
                .run(|store| store.tx(|tx| meta::put(tx, "late", "1")))
                .await;
            assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
            let waited = asked.elapsed();
            assert!(waited >= Duration::from_millis(1900), "{waited:?}");
            drop(holders);
            store
                .run(|store| store.tx(|tx| meta::put(tx, "in time", "1")))
                .await
                .unwrap();
        });
        assert_eq!(read(&store, |tx| meta::get(tx, "late")), None);
    });
}

#[test]
fn every_turn_comes_back_whatever_the_work_did() {
    on_both(|database| {
        let store = database.store.clone();
        let turns = if store.kind() == "sqlite" { 64 } else { POOL };
        runtime().block_on(async {
            for round in 0..turns * 2 {
                let outcome = store
                    .run(move |store| {
                        store.tx(|tx| {
                            meta::put(tx, "round", &round.to_string())?;
                            assert!(round % 2 == 0, "on purpose");
                            Err::<(), _>(StoreError::Sealed("on purpose".into()))
                        })
                    })
                    .await;
                match outcome {
                    Err(StoreError::Sealed(_)) => assert!(round % 2 == 0),
                    Err(StoreError::Panicked) => assert!(round % 2 == 1),
                    other => panic!("{other:?}"),
                }
            }
            // All of them are there, and not one too many.
            let holders = tokio::spawn({
                let store = store.clone();
                async move { take_all_turns(&store, turns) }
            });
            let holders = holders.await.unwrap();
            let one_more = store.run(|_| Ok::<_, StoreError>(())).await;
            assert!(matches!(one_more, Err(StoreError::Busy)), "{one_more:?}");
            drop(holders);
        });
    });
}

fn forced_reset(at: Timestamp) -> WaitingAction {
    WaitingAction {
        action: "UPDATE_PASSWORD".into(),
        source: "admin".into(),
        reason: None,
        since: at,
        due_at: at,
        reset_proof: ResetProof::Password,
        set_by_job: None,
    }
}

fn at_a_browser(alice: &Furniture) -> Subject {
    Subject {
        realm: alice.realm.id.clone(),
        user: alice.user.id.clone(),
        provenance: Provenance::Session {
            session: alice.session.id.clone(),
            interactive: true,
        },
    }
}

/// A code or a refresh token, as its grant asks for whom it is.
fn by_token(alice: &Furniture) -> Subject {
    Subject {
        provenance: Provenance::Token {
            session: alice.session.id.clone(),
            epoch: Some(alice.user.auth_epoch.clone()),
            issued_at: alice.now,
        },
        ..at_a_browser(alice)
    }
}

/// How long one side holds its transaction open: longer than any statement, shorter than `lock_timeout`.
const PAUSE: Duration = Duration::from_millis(250);

/// Both orders of a mint and a flag that meet (threat V183), at a browser and by a token.
#[test]
fn a_flag_waits_for_the_mint_in_progress_and_shuts_the_next_one() {
    for subject in [at_a_browser, by_token] {
        on_both(|database| {
            let alice = database.furnish();
            let other_node = (database.store.kind() == "postgres").then(|| database.open_again());
            let other_node = other_node.as_ref().unwrap_or(&database.store);
            let (cleared, wait_cleared) = mpsc::channel();
            let (minted, flagged) = std::thread::scope(|scope| {
                let alice = &alice;
                let flag = scope.spawn(move || {
                    wait_cleared.recv().unwrap();
                    write(other_node, |tx| {
                        waiting::put(tx, &alice.user.id, &forced_reset(alice.now))
                    });
                    Instant::now()
                });
                let minted = write(&database.store, |tx| {
                    assert!(gate::clear(tx, &subject(alice))?.is_ok());
                    cleared.send(()).unwrap();
                    std::thread::sleep(PAUSE);
                    meta::put(tx, "minted", "1")?;
                    Ok(Instant::now())
                });
                (minted, flag.join().unwrap())
            });
            assert!(
                flagged > minted,
                "the flag was set under a mint in progress"
            );
            assert_gated(database, &subject(&alice));
        });
    }
}

#[test]
fn a_mint_waits_for_the_flag_in_progress_and_is_refused() {
    for subject in [at_a_browser, by_token] {
        on_both(|database| {
            let alice = database.furnish();
            let (flagging, wait_flagging) = mpsc::channel();
            std::thread::scope(|scope| {
                let alice = &alice;
                scope.spawn(move || {
                    wait_flagging.recv().unwrap();
                    assert_gated(database, &subject(alice));
                });
                write(&database.store, |tx| {
                    waiting::put(tx, &alice.user.id, &forced_reset(alice.now))?;
                    flagging.send(()).unwrap();
                    std::thread::sleep(PAUSE);
                    Ok(())
                });
            });
        });
    }
}

fn assert_gated(database: &Database, subject: &Subject) {
    let outcome = write(&database.store, |tx| {
        Ok(gate::clear(tx, subject)?.map(|_| ()))
    });
    match outcome {
        Err(Outstanding::Actions(waiting)) => assert_eq!(waiting.actions, ["UPDATE_PASSWORD"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn now_moves_on_while_a_transaction_waits_for_a_lock() {
    on_both(|database| {
        let alice = &database.furnish().user.id;
        let (locked, wait_locked) = mpsc::channel();
        let (asking, wait_asking) = mpsc::channel();
        std::thread::scope(|scope| {
            let store = &database.store;
            let on_postgres = store.kind() == "postgres";
            let waiter = scope.spawn(move || {
                wait_locked.recv().unwrap();
                let asked = Instant::now();
                // On SQLite the wait is over before the transaction begins.
                if !on_postgres {
                    asking.send(()).unwrap();
                }
                let passed = write(store, |tx| {
                    let before = tx.now()?;
                    if on_postgres {
                        asking.send(()).unwrap();
                    }
                    lock_user(tx, alice, Lock::Update)?;
                    Ok(tx.now()?.micros() - before.micros())
                });
                (asked.elapsed(), passed)
            });
            write(store, |tx| {
                lock_user(tx, alice, Lock::Update)?;
                locked.send(()).unwrap();
                wait_asking.recv().unwrap();
                std::thread::sleep(PAUSE);
                Ok(())
            });
            let (waited, passed) = waiter.join().unwrap();
            assert!(waited >= PAUSE, "{waited:?}");
            if on_postgres {
                assert!(
                    u128::try_from(passed).unwrap() >= PAUSE.as_micros(),
                    "{passed} microseconds"
                );
            }
        });
    });
}
