//! one of two nodes is frozen in the middle of its work and thawed when its leases are over.

use std::time::{Duration, Instant};

use super::{Stage, most_within, wait_until};
use crate::operations::process::Server;
use crate::support::database::soak;
use crate::support::dice::Dice;

/// Longer than a mail may be held before it is begun.
const LEASE: Duration = Duration::from_secs(65);
const PER_MINUTE: i64 = 900;
/// A silent transaction is ended after five seconds; the rest is for a busy machine.
const HELD_UP: Duration = Duration::from_secs(15);

/// Frozen inside the transaction that has the mailing's row.
#[test]
fn a_node_frozen_with_the_mailing_in_its_hands_holds_nobody_up() {
    freeze_holding(|id| {
        format!("SELECT id FROM campaigns WHERE id = '{id}' FOR UPDATE SKIP LOCKED")
    });
}

/// Frozen inside the transaction that has the pace of its mails.
#[test]
fn a_node_frozen_with_the_pace_in_its_hands_holds_nobody_up() {
    freeze_holding(|id| {
        format!("SELECT name FROM mail_paces WHERE batch = '{id}' FOR UPDATE SKIP LOCKED")
    });
}

/// `free` answers a row unless somebody holds it.
fn freeze_holding(free: impl Fn(&str) -> String) {
    let patient = soak();
    let people = if patient { 3_000 } else { 300 };
    let Some(stage) = Stage::on_postgres(people, patient) else {
        return;
    };
    let one = stage.places[0].serve();
    let id = stage.start(PER_MINUTE);
    wait_until(Duration::from_secs(60), "the first mail", || {
        stage.ledger.count() > 0
    });
    // One mail is there whose answer the node does not get before it is frozen.
    let told = stage.doors[0].keep_next();
    let kept = told.recv_timeout(Duration::from_secs(60));
    let kept = kept.expect("a mail in the middle of which it is frozen");
    stage.freeze_in_transaction(&one, &free(&id));
    let frozen = Instant::now();
    let before = stage.ledger.count();

    let two = stage.places[1].serve();
    let ready = Instant::now();
    wait_until(HELD_UP, "the other node's first mail", || {
        stage.doors[1].count() > 0
    });
    let held_up = ready.elapsed();
    wait_until(Duration::from_secs(30), "the other node goes on", || {
        stage.doors[1].count() > 20
    });
    if stage.patient {
        std::thread::sleep(LEASE.saturating_sub(frozen.elapsed()));
    }
    stage.leases_end();
    // What it had not begun is the other one's now, before it wakes.
    std::thread::sleep(Duration::from_secs(2));
    one.signal("CONT");
    let to = kept.to.clone();
    kept.answer();
    stage.until_done(&id, Duration::from_secs(600));
    // Awake again it says what it knows: its mail was taken.
    let mails = stage.mails(&id);
    assert_eq!(mails.get(&to).map(String::as_str), Some("sent"), "{to}");
    // Five seconds' worth, one second's worth at once, and what was on its way.
    let allowed = usize::try_from(PER_MINUTE / 60 * 6 + 8).unwrap();
    assert!(most_within(&stage.ledger.arrivals(), Duration::from_secs(5)) <= allowed);
    let doubt = stage.everybody_was_mailed(&id, &two, 4);
    eprintln!(
        "frozen for {:.0} s after {before} mails; the other node was held up for {:.1} s; {doubt} in doubt",
        frozen.elapsed().as_secs_f64(),
        held_up.as_secs_f64()
    );
}

impl Stage {
    /// Freezes a node at a moment at which it holds what the query asks for.
    fn freeze_in_transaction(&self, server: &Server<'_>, free: &str) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let url = self.url.as_deref().expect("PostgreSQL");
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
                .await
                .unwrap();
            tokio::spawn(connection);
            client
        });
        let is_held = || {
            runtime
                .block_on(client.query(free, &[]))
                .unwrap()
                .is_empty()
        };
        let mut dice = Dice::new(u64::from(std::process::id()));
        for _ in 0..2_000 {
            server.signal("STOP");
            // What it had sent before is done by then.
            if is_held() {
                std::thread::sleep(Duration::from_millis(200));
                if is_held() {
                    return;
                }
            }
            server.signal("CONT");
            std::thread::sleep(Duration::from_millis(1 + dice.up_to(25)));
        }
        panic!("never found inside that transaction");
    }
}
