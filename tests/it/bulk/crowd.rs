//! A new password is asked of a crowd while others sign in through the pages: with the real binary, on both databases.
//!
//! `VESTIBULE_SOAK=1` flags a million people and prints figures; without it 5,000, and it is looked whether everybody
//! who signs in meanwhile is answered rightly: into the app before the flag, to the gate from it on.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use vestibule::kernel::UserId;

use crate::mail::Api;
use crate::operations::process::{Place, Server, empty_postgres};
use crate::support::app::User;
use crate::support::browser::Browser;
use crate::support::database::soak;
use crate::support::rp::RelyingParty;
use crate::support::seed::{RP, SECRET};

/// How many sign in at the same time.
const AT_ONCE: usize = 4;
/// Of each kind, for each of them: who is in the crowd, and who is not.
const EACH: usize = 2;

/// Somebody who signs in again and again.
struct Person {
    user: User,
    /// Whether they are in the crowd.
    flagged: bool,
    /// Whether they have met the gate: from then on they meet nothing else.
    gated: bool,
}

impl Person {
    fn new(flagged: bool, number: usize) -> Self {
        let username = format!("{}{number}", if flagged { "in" } else { "out" });
        let host = if flagged { "crowd" } else { "door" };
        Self {
            user: User {
                id: UserId::new(username.as_str()),
                realm: "harbour".to_owned(),
                email: format!("{username}@{host}.example"),
                password: format!("the first passphrase of {username}"),
                username,
            },
            flagged,
            gated: false,
        }
    }
}

/// Where they sign in.
#[derive(Clone)]
struct Site {
    http: reqwest::Client,
    public_url: String,
    address: String,
    rp: RelyingParty,
}

impl Site {
    fn of(place: &Place) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        let public_url = place.url();
        let address = public_url.replace("localhost", "127.0.0.1");
        let issuer = format!("{public_url}/realms/harbour");
        let rp = RelyingParty::new(&RP, &issuer, (&public_url, &address), &http);
        Self {
            http,
            public_url,
            address,
            rp,
        }
    }

    /// One sign-in in a browser of its own; answers how long it took.
    async fn sign_in(&self, person: &mut Person) -> Duration {
        let known = (self.public_url.as_str(), self.address.as_str());
        let mut browser = Browser::at(&self.http, known);
        let began = Instant::now();
        browser.authorize(&self.rp).await.assert_page("login");
        browser.sign_in(&person.user).await;
        let took = began.elapsed();
        if browser.got_a_code() {
            assert!(
                !person.gated,
                "{} was at the gate before",
                person.user.username
            );
            let arrival = browser.assert_redirect_to(&self.rp);
            // The flag may have come between the code and its redemption, and then there are no tokens.
            let exchanged = arrival.exchange().await;
            match exchanged.outcome {
                Ok(_) => {}
                Err(_) if person.flagged => exchanged.assert_refused("invalid_grant"),
                Err(answer) => panic!("{}: {answer:?}", person.user.username),
            }
        } else {
            browser.assert_page("update-password");
            assert!(person.flagged, "{} is at a gate", person.user.username);
            person.gated = true;
        }
        took
    }
}

/// Lets people sign in one after another until told to stop, and at least so often.
async fn keep_signing_in(
    site: Site,
    mut people: Vec<Person>,
    (stop, least): (Arc<AtomicBool>, usize),
) -> (Vec<Person>, Vec<Duration>) {
    let mut took = Vec::new();
    while took.len() < least || !stop.load(Ordering::Relaxed) {
        for person in &mut people {
            took.push(site.sign_in(person).await);
        }
    }
    (people, took)
}

/// All of them at once, while `meanwhile` goes on.
async fn sign_in_during(
    site: &Site,
    groups: Vec<Vec<Person>>,
    least: usize,
    meanwhile: impl Future<Output = ()>,
) -> (Vec<Vec<Person>>, Vec<Duration>) {
    let stop = Arc::new(AtomicBool::new(false));
    // On one thread: what the relying party's library does cannot go from one to another.
    let local = tokio::task::LocalSet::new();
    let workers: Vec<_> = groups
        .into_iter()
        .map(|people| {
            let until = (Arc::clone(&stop), least);
            local.spawn_local(keep_signing_in(site.clone(), people, until))
        })
        .collect();
    let working = async {
        meanwhile.await;
        stop.store(true, Ordering::Relaxed);
        let (mut groups, mut all) = (Vec::new(), Vec::new());
        for worker in workers {
            let (people, took) = worker.await.expect("every sign-in is answered rightly");
            groups.push(people);
            all.extend(took);
        }
        (groups, all)
    };
    let (groups, mut all) = local.run_until(working).await;
    all.sort();
    (groups, all)
}

/// Median and 99th percentile, in milliseconds.
fn percentiles(sorted: &[Duration]) -> (u128, u128) {
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].as_millis();
    (at(50), at(99))
}

/// The files: the crowd, and those who sign in, with their passwords.
fn write_files(place: &Place, crowd: usize) {
    let mut text = String::from("username,email\n");
    for number in 0..crowd {
        writeln!(text, "p{number},p{number}@crowd.example").unwrap();
    }
    std::fs::write(place.path("crowd.csv"), text).unwrap();
    let mut text = String::from("username,email,emailVerified,password,temporary\n");
    for number in 0..AT_ONCE * EACH {
        for person in [Person::new(true, number), Person::new(false, number)] {
            let User {
                username,
                email,
                password,
                ..
            } = person.user;
            writeln!(text, "{username},{email},true,{password},false").unwrap();
        }
    }
    std::fs::write(place.path("visitors.csv"), text).unwrap();
}

async fn prepare(api: &Api) {
    api.realm("harbour", &json!({})).await;
    let client =
        json!({ "clientId": RP.client_id, "secret": SECRET, "redirectUris": [RP.redirect_uri] });
    Api::fine(&api.call(Method::POST, "/harbour/clients", client).await);
}

/// Orders the flag and waits until everybody has it; answers how long that took, and the most memory meanwhile.
async fn flag_everybody(api: &Api, server: &Server<'_>, total: usize) -> (Duration, u64) {
    let began = Instant::now();
    let order = json!({ "filter": { "email": "crowd.example" }, "add": ["UPDATE_PASSWORD"], "reason": "a leak" });
    let path = "/harbour/users/required-actions";
    let ordered = api.call(Method::POST, path, order).await;
    assert_eq!(ordered.status, 202, "{}", ordered.body);
    let path = format!("/harbour/jobs/{}", ordered.body["id"].as_str().unwrap());
    let mut most = 0;
    loop {
        most = most.max(server.resident());
        let job = api.call(Method::GET, &path, json!(null)).await.body;
        if job["state"] == "done" {
            assert_eq!(job["done"], total, "{job}");
            return (began.elapsed(), most);
        }
        assert_ne!(job["state"], "failed", "{job}");
        assert!(began.elapsed() < Duration::from_secs(7200), "{job}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn a_crowd_is_flagged(database: &str, place: &Place) {
    crate::support::app::install_tls();
    let crowd = if soak() { 1_000_000 } else { 5_000 };
    let total = crowd + AT_ONCE * EACH;
    write_files(place, crowd);
    let server = place.serve();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = Api::new(&place.url(), ("admin", "an admin passphrase"));
    runtime.block_on(prepare(&api));
    for file in ["visitors.csv", "crowd.csv"] {
        let ran = place.run(&["user", "import", "--realm", "harbour", file]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
    let site = Site::of(place);
    let numbers: Vec<usize> = (0..AT_ONCE * EACH).collect();
    let groups = numbers
        .chunks(EACH)
        .map(|numbers| {
            let both = numbers
                .iter()
                .map(|number| [true, false].map(|flagged| Person::new(flagged, *number)));
            both.flatten().collect()
        })
        .collect();
    runtime.block_on(async {
        let least = if soak() { 200 } else { 8 };
        let (groups, before) = sign_in_during(&site, groups, least, async {}).await;
        assert!(groups.iter().flatten().all(|person| !person.gated));
        let at_rest = server.resident();
        let mut flagged = (Duration::ZERO, 0);
        let (groups, during) = sign_in_during(&site, groups, 1, async {
            flagged = flag_everybody(&api, &server, total).await;
        })
        .await;
        let (groups, _) = sign_in_during(&site, groups, 1, async {}).await;
        for person in groups.iter().flatten() {
            assert_eq!(person.gated, person.flagged, "{}", person.user.username);
        }
        let path = "/harbour/users/count?pendingAction=UPDATE_PASSWORD";
        let count = api.call(Method::GET, path, json!(null)).await.body;
        assert_eq!(count, total);
        let ((p50, p99), (p50_during, p99_during)) = (percentiles(&before), percentiles(&during));
        let (took, most) = flagged;
        eprintln!(
            "{database}: {total} people flagged in {:.1} s; sign-ins by {AT_ONCE} at once, p50/p99: {p50}/{p99} ms of {} before, \
             {p50_during}/{p99_during} ms of {} during; memory {} MiB before, at most {} MiB",
            took.as_secs_f64(),
            before.len(),
            during.len(),
            at_rest / (1024 * 1024),
            most / (1024 * 1024),
        );
    });
}

#[test]
fn many_are_flagged_while_people_sign_in() {
    a_crowd_is_flagged("SQLite", &Place::new());
}

#[test]
fn many_are_flagged_while_people_sign_in_on_postgres() {
    let Some(url) = empty_postgres("crowd") else {
        return;
    };
    a_crowd_is_flagged(
        "PostgreSQL",
        &Place::new().set("VESTIBULE_DATABASE_URL", url),
    );
}
