//! nodes of a mailing killed with `kill -9`, half of them between the content of a mail and its answer.
//!
//! `VESTIBULE_SOAK_PEOPLE` says for how many people the long form is, where a machine is too slow for twenty thousand.

use std::time::{Duration, Instant};

use super::{Stage, most_within, wait_until};
use crate::operations::process::Server;
use crate::support::database::soak;
use crate::support::dice::Dice;

/// What is proved, in short and in long.
struct Form {
    people: usize,
    kills: u64,
    per_minute: i64,
    /// For how long one of two nodes is frozen.
    frozen: Duration,
    /// Until when everything is over.
    within: Duration,
    patient: bool,
}

impl Form {
    fn new() -> Self {
        if soak() {
            Self {
                people: std::env::var("VESTIBULE_SOAK_PEOPLE")
                    .map_or(20_000, |count| count.parse().expect("a number")),
                kills: 30,
                per_minute: 3_000,
                frozen: Duration::from_secs(75),
                within: Duration::from_secs(3_000),
                patient: true,
            }
        } else {
            Self {
                people: 200,
                kills: 4,
                per_minute: 1_200,
                frozen: Duration::from_secs(1),
                within: Duration::from_secs(180),
                patient: false,
            }
        }
    }
}

#[test]
fn killed_nodes_on_postgresql_lose_nobody_and_mail_nobody_twice() {
    let form = Form::new();
    if let Some(stage) = Stage::on_postgres(form.people, form.patient) {
        kill_again_and_again(&stage, &form, "PostgreSQL, two nodes");
    }
}

#[test]
fn a_killed_node_on_sqlite_loses_nobody_and_mails_nobody_twice() {
    let form = Form::new();
    let stage = Stage::on_sqlite(form.people, form.patient);
    kill_again_and_again(&stage, &form, "SQLite, one node");
}

fn kill_again_and_again(stage: &Stage, form: &Form, name: &str) {
    let seed = u64::from(std::process::id());
    eprintln!("{name}: seed {seed}");
    let mut dice = Dice::new(seed);
    let mut servers: Vec<Server<'_>> = stage.places.iter().map(|place| place.serve()).collect();
    let began = Instant::now();
    let id = stage.start(form.per_minute);
    wait_until(Duration::from_secs(60), "the first mail", || {
        stage.ledger.count() > 0
    });
    let nodes = u64::try_from(servers.len()).unwrap();
    for kill in 0..form.kills {
        if kill == form.kills / 2 && nodes > 1 {
            freeze_for_a_while(stage, &servers[1], form.frozen);
        }
        let node = usize::try_from(dice.up_to(nodes)).unwrap();
        let server = servers.swap_remove(node);
        if kill % 2 == 0 {
            // Its content is there, its answer is not: the node dies in between.
            let told = stage.doors[node].keep_next();
            let kept = told.recv_timeout(Duration::from_secs(60));
            let kept = kept.expect("a mail to die in the middle of");
            server.kill();
            drop(kept);
        } else {
            std::thread::sleep(Duration::from_millis(200 + dice.up_to(1_500)));
            server.kill();
        }
        stage.leases_end();
        servers.push(stage.places[node].serve());
        let last = servers.len() - 1;
        servers.swap(node, last);
    }
    stage.until_done(&id, form.within);
    let took = began.elapsed();
    let most = usize::try_from(form.kills).unwrap() * 8;
    let arrivals = stage.ledger.arrivals();
    let limit = usize::try_from(form.per_minute).unwrap();
    let (window, allowed) = if form.patient {
        (Duration::from_secs(60), limit + limit / 50)
    } else {
        // Five seconds' worth, one second's worth at once, and what was on its way.
        (Duration::from_secs(5), limit / 60 * 6 + 8)
    };
    let busiest = most_within(&arrivals, window);
    let doubt = stage.everybody_was_mailed(&id, &servers[0], most);
    eprintln!(
        "{name}: {} people, {} kills, {} mails in {:.0} s, at most {busiest} in {} s where {limit} a minute are \
         allowed, {doubt} in doubt",
        form.people,
        form.kills,
        arrivals.len(),
        took.as_secs_f64(),
        window.as_secs()
    );
    assert!(busiest <= allowed, "{busiest} within {window:?}");
}

/// One of two nodes stops and goes on, with whatever it holds.
fn freeze_for_a_while(stage: &Stage, server: &Server<'_>, frozen: Duration) {
    server.signal("STOP");
    std::thread::sleep(frozen);
    stage.leases_end();
    server.signal("CONT");
}
