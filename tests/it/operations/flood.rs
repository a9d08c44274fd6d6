//! Ten times as many sign-ins as the machine can verify (reliability R-22, threat V124): they are shed, memory stays
//! bounded by the permits, and everybody else is served.
//!
//! Seconds long; ten minutes with `VESTIBULE_SOAK=1`, and the figures printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::Value;

use super::process::{Place, Server};
use crate::support::database::soak;

/// Digests that are computed at once, of 19 MiB each.
const PERMITS: u64 = 2;
const MIB: u64 = 1024 * 1024;
/// Requests that wait for an answer at once; where the machine is too slow for more, fewer are offered.
const MOST_UNDER_WAY: usize = 2_000;

/// What became of the flood's requests.
#[derive(Default)]
struct Tally {
    offered: AtomicU64,
    refused: AtomicU64,
    right: AtomicU64,
    shed: AtomicU64,
    aborted: AtomicU64,
    /// Statuses that nobody expects.
    strange: Mutex<Vec<String>>,
    slowest_shed: AtomicU64,
}

struct Flood {
    http: reqwest::Client,
    url: String,
    tally: Arc<Tally>,
}

impl Flood {
    /// One password grant from an address of its own.
    async fn sign_in(
        &self,
        number: u64,
        password: &str,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let username = if password == PASSWORD {
            "admin".to_owned()
        } else {
            format!("nobody-{number}")
        };
        // Networks of their own: that is what wrong tries are counted by.
        let address = format!("10.{}.{}.1", (number >> 8) & 255, number & 255);
        self.http
            .post(format!(
                "{}/realms/master/protocol/openid-connect/token",
                self.url
            ))
            .header("x-forwarded-for", address)
            .form(&[
                ("grant_type", "password"),
                ("client_id", "admin-cli"),
                ("scope", "openid"),
                ("username", &username),
                ("password", password),
            ])
            .send()
            .await
    }

    /// One request of the flood: half of the clients go away after ten milliseconds, one in forty is right.
    async fn one(&self, number: u64) {
        let tally = &self.tally;
        tally.offered.fetch_add(1, Ordering::Relaxed);
        let right = number % 40 == 7;
        let asked = Instant::now();
        let asking = self.sign_in(
            number,
            if right {
                PASSWORD
            } else {
                "a wrong passphrase"
            },
        );
        let answer = if number.is_multiple_of(2) {
            let Ok(answer) = tokio::time::timeout(Duration::from_millis(10), asking).await else {
                tally.aborted.fetch_add(1, Ordering::Relaxed);
                return;
            };
            answer
        } else {
            asking.await
        };
        let count = match answer {
            Ok(answer) => match answer.status().as_u16() {
                200 if right => &tally.right,
                400 | 401 if !right => &tally.refused,
                503 if answer.headers().contains_key("retry-after") => {
                    let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tally.slowest_shed.fetch_max(took, Ordering::Relaxed);
                    &tally.shed
                }
                status => {
                    let text = answer.text().await.unwrap_or_default();
                    tally.strange.lock().push(format!("{status} {text}"));
                    return;
                }
            },
            Err(error) => {
                tally.strange.lock().push(format!("{error:?}"));
                return;
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

const PASSWORD: &str = "an admin passphrase";

fn client() -> reqwest::Client {
    crate::support::app::install_tls();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        // Who goes away while connecting leaves a connection in the pool: not thousands of them.
        .pool_max_idle_per_host(64)
        .build()
        .unwrap()
}

/// How long others wait while it goes on, in milliseconds.
struct Waits {
    health: Histogram<u64>,
    jwks: Histogram<u64>,
    refresh: Histogram<u64>,
    /// The most digests that were computed at once.
    permits: u64,
}

/// What a gauge stands at.
fn gauge(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("{name} in {metrics}"));
    value.trim().parse().expect("a whole number")
}

/// Asks for the health and the keys and refreshes, each in turn, until told to stop.
async fn ask_meanwhile(
    (url, management): (&str, &str),
    mut token: String,
    stop: &AtomicBool,
) -> Waits {
    let http = client();
    let mut waits = Waits {
        health: Histogram::new(3).unwrap(),
        jwks: Histogram::new(3).unwrap(),
        refresh: Histogram::new(3).unwrap(),
        permits: 0,
    };
    let since = |began: Instant| u64::try_from(began.elapsed().as_millis()).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let health = http.get(format!("{management}/health/live")).send();
        assert_eq!(health.await.unwrap().status(), 200);
        waits.health.record(since(began)).unwrap();
        let metrics = http.get(format!("{management}/metrics")).send();
        let metrics = metrics.await.unwrap().text().await.unwrap();
        let in_use = gauge(&metrics, "idp_argon2_permits_in_use");
        waits.permits = waits.permits.max(in_use);
        let began = Instant::now();
        let keys = http.get(format!("{url}/realms/master/protocol/openid-connect/certs"));
        assert_eq!(keys.send().await.unwrap().status(), 200);
        waits.jwks.record(since(began)).unwrap();
        let began = Instant::now();
        let answer = http
            .post(format!("{url}/realms/master/protocol/openid-connect/token"))
            .form(&[
                ("grant_type", "refresh_token"),
                ("client_id", "admin-cli"),
                ("refresh_token", &token),
            ])
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{body}");
        waits.refresh.record(since(began)).unwrap();
        body["refresh_token"]
            .as_str()
            .unwrap()
            .clone_into(&mut token);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    waits
}

/// Sign-ins per second that this machine verifies, by as many clients as there are permits and one more each.
async fn capacity(flood: &Arc<Flood>) -> f64 {
    let began = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let clients = (0..PERMITS * 2).map(|client| {
        let (flood, done) = (Arc::clone(flood), Arc::clone(&done));
        tokio::spawn(async move {
            while began.elapsed() < Duration::from_secs(2) {
                let number = 1_000_000 * (client + 1) + done.fetch_add(1, Ordering::Relaxed);
                flood.sign_in(number, "a wrong passphrase").await.unwrap();
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    let done = done.load(Ordering::Relaxed) as f64;
    done / began.elapsed().as_secs_f64()
}

/// Offers ten times the capacity for so long, watching the server's memory; answers its peak and the most
/// files it had open.
async fn offer(flood: &Arc<Flood>, server: &Server<'_>, rate: f64, lasts: Duration) -> (u64, u64) {
    let began = Instant::now();
    let (mut peak, mut files) = (0, 0);
    let mut number = 0_u64;
    let mut under_way = tokio::task::JoinSet::new();
    while began.elapsed() < lasts {
        let due = began.elapsed().as_secs_f64() * rate;
        #[allow(clippy::cast_precision_loss, reason = "fewer than a million")]
        while (number as f64) < due {
            number += 1;
            if under_way.len() < MOST_UNDER_WAY {
                let flood = Arc::clone(flood);
                under_way.spawn(async move { flood.one(number).await });
            }
        }
        peak = peak.max(server.resident());
        files = files.max(server.open_files());
        tokio::time::sleep(Duration::from_millis(20)).await;
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {
        peak = peak.max(server.resident());
    }
    (peak, u64::try_from(files).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_sign_ins_is_shed_and_nobody_else_waits() {
    let place = Place::new()
        .set("VESTIBULE_ARGON2_PERMITS", PERMITS.to_string())
        .set("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1/32");
    let server = tokio::task::block_in_place(|| place.serve());
    let flood = Arc::new(Flood {
        http: client(),
        url: place.url().replace("localhost", "127.0.0.1"),
        tally: Arc::default(),
    });
    let first = flood.sign_in(0, PASSWORD).await.unwrap();
    let first: Value = first.json().await.unwrap();
    let token = first["refresh_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{first}"))
        .to_owned();
    let per_second = capacity(&flood).await;
    // Warm, and with every buffer of the permits in it already: what comes on top is the flood's.
    let base = server.resident().saturating_sub(PERMITS * 19 * MIB);

    let lasts = Duration::from_secs(if soak() { 600 } else { 6 });
    let stop = Arc::new(AtomicBool::new(false));
    let meanwhile = tokio::spawn({
        let (url, stop) = (flood.url.clone(), Arc::clone(&stop));
        let management = place.management_url();
        async move { ask_meanwhile((&url, &management), token, &stop).await }
    });
    let (peak, connections) = offer(&flood, &server, per_second * 10.0, lasts).await;
    stop.store(true, Ordering::Relaxed);
    let waits = meanwhile.await.unwrap();
    let over = Instant::now();
    loop {
        let answer = flood.sign_in(2_000_000, PASSWORD).await.unwrap();
        let status = answer.status();
        if status == 200 {
            break;
        }
        let text = answer.text().await.unwrap();
        assert!(
            over.elapsed() < Duration::from_secs(30),
            "it does not recover: {status} {text}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let recovered = over.elapsed();

    let tally = &flood.tally;
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    // A tenth on top, and what each connection costs in buffers.
    let bound = (base + PERMITS * 19 * MIB) * 11 / 10 + connections * 64 * 1024;
    eprintln!(
        "R-22: {per_second:.0} sign-ins/s verified, {} offered in {lasts:?}: {} refused, {} right, {} shed (slowest \
         {} ms), {} went away; memory {} MiB at its peak of {} allowed; at most {} digests at once; health p99 {} ms, \
         keys p99 {} ms, refresh p99 {} ms; recovered after {recovered:?}",
        count(&tally.offered),
        count(&tally.refused),
        count(&tally.right),
        count(&tally.shed),
        count(&tally.slowest_shed),
        count(&tally.aborted),
        peak / MIB,
        bound / MIB,
        waits.permits,
        waits.health.value_at_quantile(0.99),
        waits.jwks.value_at_quantile(0.99),
        waits.refresh.value_at_quantile(0.99),
    );
    assert!(
        tally.strange.lock().is_empty(),
        "{:#?}",
        tally.strange.lock()
    );
    assert!(
        count(&tally.shed) > 0,
        "ten times the capacity, and nothing was shed"
    );
    assert!(count(&tally.refused) > 0, "and some was served");
    assert!(peak <= bound, "{} of {} MiB", peak / MIB, bound / MIB);
    // The long form is for a quiet machine; the short one says that nobody queued behind the flood's two seconds.
    let (shed, keys, refresh) = if soak() {
        (2_500, 100, 100)
    } else {
        (10_000, 1_000, 1_500)
    };
    assert!(
        count(&tally.slowest_shed) < shed,
        "{} ms",
        count(&tally.slowest_shed)
    );
    assert!(
        (1..=PERMITS).contains(&waits.permits),
        "{} digests at once",
        waits.permits
    );
    assert!(waits.health.value_at_quantile(0.99) < keys, "health");
    assert!(waits.jwks.value_at_quantile(0.99) < keys, "keys");
    assert!(waits.refresh.value_at_quantile(0.99) < refresh, "refresh");
    assert!(
        recovered < Duration::from_secs(if soak() { 5 } else { 20 }),
        "{recovered:?}"
    );
}
