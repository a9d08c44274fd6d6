//! What the pool promises: bounded work, equal cost for everybody, nothing cut off.

use futures_util::FutureExt as _;

use super::*;

const CHEAP: HasherConfig = HasherConfig {
    memory_kib: 64,
    iterations: 1,
    parallelism: 1,
    permits: 2,
};

fn cheap() -> Hasher {
    Hasher::new(CHEAP).unwrap()
}

fn password(typed: &str) -> Password {
    Password::parse(typed).unwrap()
}

fn salt() -> Salt {
    Salt::new(|out| out.fill(1))
}

const RIGHT: Verdict = Verdict {
    matches: true,
    outdated: false,
};
const WRONG: Verdict = Verdict {
    matches: false,
    outdated: false,
};

#[tokio::test]
async fn the_right_password_matches_and_no_other() {
    let hasher = cheap();
    let stored = hasher
        .hash(password("caf\u{e9} au lait"), salt())
        .await
        .unwrap();
    for (typed, verdict) in [
        ("caf\u{e9} au lait", RIGHT),
        ("cafe\u{301} au lait", RIGHT),
        ("Caf\u{e9} au lait", WRONG),
        ("caf\u{e9} au lait ", WRONG),
        ("caf\u{e9} au lait\0", WRONG),
    ] {
        assert_eq!(
            hasher.verify(password(typed), Some(&stored)).await,
            Ok(verdict),
            "{typed:?}"
        );
    }
}

#[tokio::test]
async fn long_passwords_that_differ_in_the_last_character_are_distinct() {
    let hasher = cheap();
    for length in [63, 71, 72, 128, 1023] {
        let start = "x".repeat(length);
        let stored = hasher
            .hash(password(&format!("{start}a")), salt())
            .await
            .unwrap();
        let same = hasher
            .verify(password(&format!("{start}a")), Some(&stored))
            .await;
        let other = hasher
            .verify(password(&format!("{start}b")), Some(&stored))
            .await;
        assert_eq!((same, other), (Ok(RIGHT), Ok(WRONG)), "{length}");
    }
}

#[tokio::test]
async fn who_does_not_exist_costs_one_hash_of_the_same_size_and_never_matches() {
    let hasher = cheap();
    let stored = hasher.hash(password("secret"), salt()).await.unwrap();
    assert_eq!(hasher.0.dummy.work().unwrap(), stored.work().unwrap());
    assert_eq!(hasher.0.dummy.as_str().len(), stored.as_str().len());
    let before = hasher.load().computed;
    for (attempt, stored) in [
        (Password::attempt("secret"), None),
        (Password::attempt(""), None),
        (Password::attempt(""), Some(&stored)),
        (Password::attempt(&"a".repeat(2000)), Some(&stored)),
        (Password::attempt("wrong"), Some(&stored)),
    ] {
        assert_eq!(hasher.verify(attempt, stored).await, Ok(WRONG));
    }
    assert_eq!(hasher.load().computed, before + 5);
}

#[tokio::test]
async fn an_empty_attempt_fails_even_where_the_hash_of_nothing_is_stored() {
    let hasher = cheap();
    let stored = hasher.hash(Password::attempt(""), salt()).await.unwrap();
    assert_eq!(
        hasher.verify(Password::attempt(""), Some(&stored)).await,
        Ok(WRONG)
    );
}

#[tokio::test]
async fn a_weaker_hash_is_outdated_once_the_password_was_right() {
    let stored = cheap().hash(password("secret"), salt()).await.unwrap();
    let stronger = Hasher::new(HasherConfig {
        iterations: 2,
        ..CHEAP
    })
    .unwrap();
    let right = stronger.verify(password("secret"), Some(&stored)).await;
    assert_eq!(
        right,
        Ok(Verdict {
            matches: true,
            outdated: true
        })
    );
    assert_eq!(
        stronger.verify(password("wrong"), Some(&stored)).await,
        Ok(WRONG)
    );
    let renewed = stronger.hash(password("secret"), salt()).await.unwrap();
    assert_eq!(
        stronger.verify(password("secret"), Some(&renewed)).await,
        Ok(RIGHT)
    );
    assert_eq!(
        cheap().verify(password("secret"), Some(&renewed)).await,
        Ok(RIGHT)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_requests_free_no_permit_while_their_hash_goes_on() {
    let hasher = Hasher::new(HasherConfig {
        memory_kib: 4096,
        ..CHEAP
    })
    .unwrap();
    let attempts: Vec<_> = (0..60)
        .map(|_| {
            let hasher = hasher.clone();
            tokio::spawn(async move { hasher.verify(password("wrong"), None).await })
        })
        .collect();
    while hasher.load().in_use == 0 {
        tokio::task::yield_now().await;
    }
    for attempt in attempts.iter().step_by(2) {
        attempt.abort();
    }
    let mut answered = 0;
    for attempt in attempts {
        answered += u64::from(attempt.await.is_ok());
    }
    let load = hasher.load();
    assert!(answered >= 30, "the others were served");
    assert!(load.computed >= answered);
    assert!(load.peak <= 2, "{load:?}");
    assert_eq!(load.waiting, 0, "who went away left the queue");
}

#[tokio::test]
async fn a_started_hash_finishes_and_keeps_its_permit_when_its_request_is_dropped() {
    let hasher = Hasher::new(HasherConfig {
        memory_kib: 32_768,
        permits: 1,
        ..CHEAP
    })
    .unwrap();
    {
        let mut abandoned = Box::pin(hasher.verify(password("wrong"), None));
        assert_eq!((&mut abandoned).now_or_never(), None);
    }
    assert_eq!(
        hasher.0.permits.available_permits(),
        0,
        "the hash still runs"
    );
    assert_eq!(hasher.verify(password("wrong"), None).await, Ok(WRONG));
    assert_eq!(
        hasher.load().computed,
        2,
        "the abandoned one was not stopped half-way"
    );
    assert_eq!(hasher.load().peak, 1);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_hashes_nothing() {
    let hasher = cheap();
    let held = Arc::clone(&hasher.0.permits)
        .acquire_many_owned(2)
        .await
        .unwrap();
    // A machine on which a hash of 64 KiB takes a second: 64 of them may wait all the same.
    (0..500).for_each(|_| hasher.0.queue.record(64, 1.0));
    let mut waiting: Vec<_> = (0..64)
        .map(|_| Box::pin(hasher.verify(password("wrong"), None)))
        .collect();
    for request in &mut waiting {
        assert_eq!(request.now_or_never(), None);
    }
    let started = Instant::now();
    let refused = hasher.verify(password("wrong"), None).await;
    assert_eq!(
        refused,
        Err(Busy {
            retry_after: Duration::from_secs(32)
        })
    );
    assert!(started.elapsed() < Duration::from_millis(50));
    assert_eq!((hasher.load().shed, hasher.load().computed), (1, 0));

    waiting.pop();
    let mut admitted = Box::pin(hasher.verify(password("wrong"), None));
    assert_eq!((&mut admitted).now_or_never(), None);
    drop((waiting, held));
    assert_eq!(admitted.await, Ok(WRONG));
    assert_eq!(hasher.load().waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_that_ask_for_more_memory_run_one_at_a_time() {
    let large = Hasher::new(HasherConfig {
        memory_kib: 512,
        ..CHEAP
    })
    .unwrap();
    let stored = large.hash(password("secret"), salt()).await.unwrap();
    let hasher = cheap();
    let checks = (0..6).map(|_| hasher.verify(password("secret"), Some(&stored)));
    let verdicts = futures_util::future::join_all(checks).await;
    assert_eq!(verdicts, vec![Ok(RIGHT); 6]);
    assert_eq!(hasher.load().peak, 1);
}

#[tokio::test]
async fn waiting_oversize_hashes_keep_nobody_else_out() {
    let large = Hasher::new(HasherConfig {
        memory_kib: 512,
        ..CHEAP
    })
    .unwrap();
    let stored = large.hash(password("secret"), salt()).await.unwrap();
    let hasher = cheap();
    // As slow as an import could make them.
    (0..500).for_each(|_| hasher.0.oversize_queue.record(512, 5.0));
    let held = hasher.0.oversize.clone().acquire_owned().await.unwrap();
    let mut waiting: Vec<_> = (0..64)
        .map(|_| Box::pin(hasher.verify(password("secret"), Some(&stored))))
        .collect();
    for request in &mut waiting {
        assert_eq!(request.now_or_never(), None);
    }
    let one_more = hasher.verify(password("secret"), Some(&stored)).await;
    assert!(one_more.is_err(), "their own queue is full");
    assert_eq!(hasher.verify(password("wrong"), None).await, Ok(WRONG));
    drop((waiting, held));
}

#[test]
fn the_defaults_are_the_documented_ones_and_impossible_costs_are_refused() {
    let HasherConfig {
        memory_kib,
        iterations,
        parallelism,
        permits,
    } = HasherConfig::default();
    assert_eq!((memory_kib, iterations, parallelism), (19_456, 2, 1));
    assert!(permits >= 1);
    assert!(Hasher::new(HasherConfig::default()).is_ok());
    for config in [
        HasherConfig {
            memory_kib: 4,
            ..CHEAP
        },
        HasherConfig {
            memory_kib: 300_000,
            ..CHEAP
        },
        HasherConfig {
            iterations: 0,
            ..CHEAP
        },
        HasherConfig {
            parallelism: 9,
            ..CHEAP
        },
    ] {
        assert!(
            matches!(
                Hasher::new(config).err(),
                Some(HasherConfigError::Cost { .. })
            ),
            "{config:?}"
        );
    }
    let none = Hasher::new(HasherConfig {
        permits: 0,
        ..CHEAP
    });
    assert_eq!(none.err(), Some(HasherConfigError::NoPermits));
}
