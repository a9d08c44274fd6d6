//! Ten thousand people with one link, five hundred connections, real processes: one of them sets the password.
//!
//! In CI 300 tries over 50 connections and a few kills; with `VESTIBULE_SOAK=1` 10,000 over 500 and forty kills. The
//! figures are printed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;
use vestibule::password::{Hasher, Password, PasswordHash};

use super::rush::{Attempt, Node, Outcome, rush};
use super::site::{Operator, REALM, Site, client};
use crate::operations::process::{Place, Server};
use crate::support::database::{CHEAP, Kind, soak};

/// What the database says of a person whose link was used once: one end of a link, one hash, one event of each kind.
fn assert_used_once(site: &Site, person: &str) {
    for (table, count) in [
        ("links WHERE committed_at IS NOT NULL AND user_id = '{}'", 1),
        ("credentials WHERE user_id = '{}'", 1),
        ("events WHERE kind = 'LINK_REDEEMED' AND user_id = '{}'", 1),
        (
            "events WHERE kind = 'UPDATE_PASSWORD' AND user_id = '{}'",
            1,
        ),
        ("sessions WHERE user_id = '{}'", 1),
    ] {
        let table = table.replace("{}", person);
        let query = format!("SELECT count(*) AS value FROM {table}");
        assert_eq!(site.count(&query), count, "{query}");
    }
}

/// Whose password is stored now; none of them where it is somebody else's.
async fn owner<'a>(site: &Site, person: &str, attempts: &'a [Attempt]) -> Option<&'a str> {
    let query = format!("SELECT secret AS value FROM credentials WHERE user_id = '{person}'");
    let stored = PasswordHash::parse(&site.database.rows(&query)[0]).expect("a hash");
    let hasher = Hasher::new(CHEAP).expect("a hasher");
    for attempt in attempts {
        let typed = Password::parse(&attempt.password).expect("a password");
        let verdict = hasher.verify(typed, Some(&stored)).await;
        if verdict.expect("nobody waits").matches {
            return Some(&attempt.password);
        }
    }
    None
}

/// The realm, whose gate waits for an hour: ten thousand tries take their time to prepare.
async fn make_realm(operator: &Operator) {
    operator
        .realm(json!({ "accessCodeLifespanUserAction": 3600 }))
        .await;
}

/// V035.
fn one_of_all_sets_the_password(kind: Kind) {
    let (count, connections) = if soak() { (10_000, 500) } else { (300, 50) };
    let Some(site) = Site::on(kind, &[]) else {
        return;
    };
    let servers: Vec<Server<'_>> = site.places.iter().map(Place::serve).collect();
    Runtime::new().expect("a runtime").block_on(async {
        let http = client();
        let nodes: Vec<Node> = site
            .places
            .iter()
            .map(|place| Node::of(&http, &site, place))
            .collect();
        let operator = Operator::at(&http, &nodes[0].address);
        make_realm(&operator).await;
        let alice = operator.person("alice").await;
        let link = operator.reveal(&alice).await.url;
        let began = Instant::now();
        let attempts = Node::prepare_all(&nodes, &link, count).await;
        let prepared = began.elapsed();
        assert_eq!(attempts.len(), count);
        let everybody = attempts.clone();
        let came = rush((&nodes, &servers), everybody, connections, async {}).await;
        eprintln!(
            "V035 {kind:?}, {} processes: {count} browsers prepared in {prepared:.1?}; {count} submits over \
             {connections} connections in {:.1?}, {:.0}/s, p50 {} ms, p99 {} ms, longest {} ms; {} times asked again \
             after 503; open files at the most {:?}",
            nodes.len(),
            came.took,
            count as f64 / came.took.as_secs_f64(),
            came.answers.value_at_quantile(0.5),
            came.answers.value_at_quantile(0.99),
            came.answers.max(),
            came.busy,
            came.open_files,
        );
        let winners = came.winners();
        assert_eq!(winners.len(), 1, "winners");
        let others: BTreeSet<&str> = came
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Won => None,
                Outcome::Said(text) => Some(text.as_str()),
                Outcome::Gone => Some("no answer"),
            })
            .collect();
        assert_eq!(others.len(), 1, "one answer for all others: {others:#?}");
        let said = others.first().expect("an answer");
        assert!(said.contains("It was used already"), "{said}");
        assert!(
            came.open_files.iter().sum::<usize>() >= connections,
            "{:?}",
            came.open_files
        );
        assert_used_once(&site, &alice);
        let winner = &attempts[winners[0]];
        let stored = owner(&site, &alice, std::slice::from_ref(winner)).await;
        assert!(stored.is_some(), "the hash is the winner's");
        let url = format!(
            "{}/realms/{REALM}/protocol/openid-connect/token",
            nodes[0].address
        );
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "alice"),
            ("password", &winner.password),
        ];
        let signed_in = http.post(url).form(&form).send().await.expect("an answer");
        assert_eq!(signed_in.status(), 200, "and signs in");
    });
}

/// Where a process was killed, as its clients and the database tell it.
#[derive(Debug, Default)]
struct Kills {
    heard: usize,
    unheard: usize,
    unused: usize,
}

/// One round: everybody sends to one process, which is killed after that time; whoever has no answer sends again to
/// the process that goes on.
struct Round {
    first: Vec<Outcome>,
    second: Vec<Outcome>,
}

impl Round {
    /// Checks what holds wherever the kill came, and counts where it came; answers whether nothing was stored before.
    fn judge(&self, kills: &mut Kills) -> bool {
        let won = |all: &[Outcome]| all.iter().filter(|one| **one == Outcome::Won).count();
        let (before, after) = (won(&self.first), won(&self.second));
        assert!(before + after <= 1, "winners: {before} and {after}");
        assert!(!self.second.contains(&Outcome::Gone), "the rest answers");
        let mut unheard = 0;
        for outcome in self.first.iter().chain(&self.second) {
            match outcome {
                // Stored, and the answer with the browser's new cookie was lost: what it sends again is of a step that
                // is over.
                Outcome::Said(text) if text.contains("Action expired") => unheard += 1,
                Outcome::Said(text) => assert!(text.contains("It was used already"), "{text}"),
                Outcome::Won | Outcome::Gone => {}
            }
        }
        assert!(
            before + after + unheard <= 1,
            "{unheard} of {before} and {after}"
        );
        match (before, after) {
            (1, _) => kills.heard += 1,
            (_, 1) => kills.unused += 1,
            _ => kills.unheard += 1,
        }
        after == 1
    }
}

/// V035 with the process of the winner killed: at most one hears that the password is set, and if it was not stored
/// before the end, the link works once afterwards.
fn one_at_most_wins_where_the_process_is_killed(kind: Kind) {
    let (rounds, count) = if soak() { (40, 40) } else { (6, 20) };
    let Some(site) = Site::on(kind, &[]) else {
        return;
    };
    let runtime = Runtime::new().expect("a runtime");
    let http = client();
    let node = Node::of(&http, &site, &site.places[0]);
    let operator = Operator::at(&http, &node.address);
    let rest = Node::of(&http, &site, site.places.last().expect("a process"));
    // The process that goes on: a second one, or the only one anew.
    let mut other = site.places.get(1).map(Place::serve);
    let mut kills = Kills::default();
    let mut after = Duration::ZERO;
    for round in 0..=rounds {
        if site.places.len() == 1 {
            drop(other.take());
        }
        let killed = site.places[0].serve();
        let (person, attempts) = runtime.block_on(async {
            if round == 0 {
                make_realm(&operator).await;
            }
            let person = operator.person(&format!("person{round}")).await;
            let link = operator.reveal(&person).await.url;
            let nodes = [node.clone()];
            (person, Node::prepare_all(&nodes, &link, count).await)
        });
        let nodes = [node.clone()];
        if round == 0 {
            // Nobody is killed: how soon somebody is answered.
            let sending = rush((&nodes, &[]), attempts, count, async {});
            let came = runtime.block_on(sending);
            assert_eq!(came.winners().len(), 1);
            assert_used_once(&site, &person);
            after = Duration::from_millis(came.answers.min().max(10));
            continue;
        }
        // The first time at once; then ever nearer to the moment in which the password is stored.
        let soon = if round == 1 { Duration::ZERO } else { after };
        let killing = async move {
            tokio::time::sleep(soon).await;
            killed.kill();
        };
        let sending = rush((&nodes, &[]), attempts.clone(), count, killing);
        let first = runtime.block_on(sending).outcomes;
        if other.is_none() {
            other = Some(site.places[0].serve());
        }
        let again: Vec<Attempt> = attempts
            .iter()
            .zip(&first)
            .filter(|(_, outcome)| **outcome == Outcome::Gone)
            .map(|(attempt, _)| attempt.clone())
            .collect();
        let connections = again.len().max(1);
        let rest = [rest.clone()];
        let sending = rush((&rest, &[]), again, connections, async {});
        let second = runtime.block_on(sending).outcomes;
        let too_early = Round { first, second }.judge(&mut kills);
        if round > 1 {
            after = if too_early {
                after * 5 / 4
            } else {
                after * 4 / 5
            };
        }
        assert_used_once(&site, &person);
        let owner = runtime.block_on(owner(&site, &person, &attempts));
        assert!(owner.is_some(), "the hash is of one of them");
    }
    eprintln!(
        "V035 {kind:?}, killed {rounds} times with {count} submits under way: the winner had heard of it {} times, \
         the password was stored and nobody had heard {} times, nothing was stored and the link worked once \
         afterwards {} times",
        kills.heard, kills.unheard, kills.unused
    );
    assert!(
        kills.unused > 0,
        "killed before the end of the link: {kills:?}"
    );
}

#[test]
fn of_ten_thousand_one_sets_the_password_on_sqlite() {
    one_of_all_sets_the_password(Kind::Sqlite);
}

#[test]
fn of_ten_thousand_one_sets_the_password_on_two_nodes() {
    one_of_all_sets_the_password(Kind::Postgres);
}

#[test]
fn a_killed_process_leaves_one_winner_at_most_on_sqlite() {
    one_at_most_wins_where_the_process_is_killed(Kind::Sqlite);
}

#[test]
fn a_killed_process_leaves_one_winner_at_most_on_postgres() {
    one_at_most_wins_where_the_process_is_killed(Kind::Postgres);
}
