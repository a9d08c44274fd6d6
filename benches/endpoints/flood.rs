//! The flood: wrong passwords at ten times what the machine can hash, while two other connections
//! go on reading the JWKS.
//!
//! The tries are paced, not a closed loop: each has its instant, and a free connection takes the
//! next one. Every try is for another name from another address, so that neither limit on wrong
//! passwords spares the server the hash; the addresses are told by `X-Forwarded-For`, which the
//! server believes of the loopback interface.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::browser::{self, Browser, Form};
use crate::goals::{self, verdict};
use crate::http::Connection;
use crate::limits::Limits;
use crate::load::{Failure, Failures, Latencies, Latency};
use crate::options::Options;
use crate::process;
use crate::readers::Readers;
use crate::server::Server;
use crate::setup::{Client, Target};

/// How many times more passwords are tried than the machine can hash.
const TIMES_CAPACITY: f64 = 10.0;
/// How often the server's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(50);
/// How long answers may take after the end of the flood.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the flood did.
#[derive(Serialize)]
pub struct Flood {
    /// Connections that tried passwords.
    pub connections: usize,
    /// Tries sent per second.
    pub offered_per_second: f64,
    /// Tries per second whose password was looked at and found wrong.
    pub verified_per_second: f64,
    /// Tries and pages answered by 503.
    pub shed: u64,
    /// How long those answers took.
    pub shed_latency: Latency,
    /// Tries answered by 429; there should be none, since no name and no address came twice.
    pub throttled: u64,
    /// Readings of the JWKS meanwhile.
    pub jwks_readings: u64,
    /// How long they took.
    pub jwks_latency: Latency,
    /// Cores that the server used.
    pub server_cores: f64,
    /// Resident memory before.
    pub before_mib: f64,
    /// The most resident memory seen during the flood.
    pub peak_mib: f64,
    /// What it may be.
    pub peak_goal_mib: f64,
    /// Seconds from the end of the flood to a sign-in that worked.
    pub recovered_seconds: f64,
    /// Answers that were none of these.
    pub failures: Failures,
}

/// What the tries of one connection came to.
struct Tally {
    offered: u64,
    verified: u64,
    throttled: u64,
    shed: Latencies,
    failures: Failures,
}

impl Tally {
    fn new() -> Result<Self> {
        let (shed, failures) = (Latencies::new()?, Failures::default());
        Ok(Self {
            offered: 0,
            verified: 0,
            throttled: 0,
            shed,
            failures,
        })
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.offered += other.offered;
        self.verified += other.verified;
        self.throttled += other.throttled;
        self.failures.merge(other.failures);
        self.shed.merge(&other.shed)
    }
}

/// Floods the server for the measured time.
pub async fn run(
    options: &Options,
    server: &Server,
    target: &Arc<Target>,
    limits: &Limits,
) -> Result<Flood> {
    let before_mib = process::memory(server.pid())?.resident_mib;
    let cpu_before = process::cpu_seconds(server.pid())?;
    let begun = Instant::now();
    let pace = Arc::new(Pace {
        target: Arc::clone(target),
        begun,
        closes: begun + options.measured(),
        between: Duration::from_secs_f64(1.0 / (TIMES_CAPACITY * limits.argon2.all_cores)),
        next: AtomicU32::new(0),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..options.flood_connections {
        tasks.spawn(guess(Arc::clone(&pace)));
    }
    let readers = Readers::start(target);
    let mut peak_mib = before_mib;
    while Instant::now() < pace.closes {
        peak_mib = peak_mib.max(process::memory(server.pid())?.resident_mib);
        sleep(SAMPLE).await;
    }
    let ended = Instant::now();
    let elapsed = (ended - begun).as_secs_f64();
    let server_cores = (process::cpu_seconds(server.pid())? - cpu_before) / elapsed;
    let (jwks, failures) = readers.stop().await?;
    let recovered = recover(target, ended).await?;
    let mut tally = Tally::new()?;
    tally.failures.merge(failures);
    while let Some(tried) = timeout_at(ended + PATIENCE, tasks.join_next())
        .await
        .with_context(|| format!("no answer for {PATIENCE:?}"))?
    {
        tally.merge(tried??)?;
    }
    Ok(Flood {
        connections: options.flood_connections,
        offered_per_second: tally.offered as f64 / elapsed,
        verified_per_second: tally.verified as f64 / elapsed,
        shed: tally.shed.count(),
        shed_latency: tally.shed.summary(),
        throttled: tally.throttled,
        jwks_readings: jwks.count(),
        jwks_latency: jwks.summary(),
        server_cores,
        before_mib,
        peak_mib,
        peak_goal_mib: goals::flood_peak_mib(before_mib, limits),
        recovered_seconds: recovered.as_secs_f64(),
        failures: tally.failures,
    })
}

/// The tries of all connections: number n is due at the n-th multiple of the time between them.
struct Pace {
    target: Arc<Target>,
    begun: Instant,
    closes: Instant,
    between: Duration,
    next: AtomicU32,
}

/// Tries wrong passwords on one connection until the flood is over.
async fn guess(pace: Arc<Pace>) -> Result<Tally> {
    let mut tally = Tally::new()?;
    let mut connection = Connection::new(pace.target.address);
    let mut browser = Browser::default();
    let mut form = None;
    loop {
        let number = pace.next.fetch_add(1, Ordering::Relaxed);
        let due = pace.begun + pace.between * number;
        if due >= pace.closes || Instant::now() >= pace.closes {
            return Ok(tally);
        }
        sleep_until(due).await;
        tally.offered += 1;
        let sent = Instant::now();
        match guess_once(
            &pace.target,
            &mut connection,
            &mut browser,
            form.take(),
            number,
        )
        .await
        {
            // What was answered after the end is no part of the rate.
            Ok((Guess::Wrong, next)) => {
                tally.verified += u64::from(Instant::now() < pace.closes);
                form = next;
            }
            Ok((Guess::Shed, next)) => {
                tally.shed.record(sent.elapsed());
                form = next;
            }
            Ok((Guess::Throttled, next)) => {
                tally.throttled += 1;
                form = next;
            }
            Err(failure) => tally.failures.add(failure),
        }
    }
}

/// How one try was answered.
enum Guess {
    Wrong,
    Throttled,
    Shed,
}

/// Tries one password, and gives the form for the next try back where there is one.
async fn guess_once(
    target: &Target,
    connection: &mut Connection,
    browser: &mut Browser,
    form: Option<Form>,
    number: u32,
) -> Result<(Guess, Option<Form>), Failure> {
    let form = match form {
        Some(form) => form,
        None => {
            *browser = Browser::default();
            match browser.open(connection, target, Client::Spa).await {
                Ok(form) => form,
                Err(failure) if failure.is_status(503) => return Ok((Guess::Shed, None)),
                Err(failure) => return Err(failure),
            }
        }
    };
    // 10.0.0.0/8, each address once.
    let address = Ipv4Addr::from(0x0a00_0000 | (number & 0x00ff_ffff)).to_string();
    let headers = [("X-Forwarded-For", &*address)];
    let name = format!("nobody-{number}");
    let answer = browser
        .submit(
            connection,
            target,
            &form,
            &name,
            "a wrong passphrase",
            &headers,
        )
        .await?;
    match answer.status {
        303 => {
            let page = browser::redirect(&answer, &form.action, "a wrong password")?;
            match browser.page(connection, target, &page).await {
                Ok(form) => Ok((Guess::Wrong, Some(form))),
                Err(failure) if failure.is_status(503) => Ok((Guess::Wrong, None)),
                Err(failure) => Err(failure),
            }
        }
        429 => Ok((Guess::Throttled, Some(form))),
        503 => Ok((Guess::Shed, Some(form))),
        _ => Err(Failure::unexpected("a wrong password", &answer)),
    }
}

/// How long after `ended` somebody with the right password gets in.
async fn recover(target: &Target, ended: Instant) -> Result<Duration> {
    let person = target.people.first().context("nobody to sign in")?;
    loop {
        let mut connection = Connection::new(target.address);
        match browser::sign_in(&mut connection, target, Client::Spa, person).await {
            Ok(_) => return Ok(ended.elapsed()),
            Err(failure) if failure.is_status(503) => {}
            Err(failure) => return Err(failure.into_error().context("signing in afterwards")),
        }
        ensure!(
            ended.elapsed() < PATIENCE,
            "nobody can sign in after the flood"
        );
        sleep(SAMPLE).await;
    }
}

impl Flood {
    /// A line per promise, with its goal.
    pub fn print(&self) {
        println!(
            "flood of wrong passwords: {} connections, {:.0} tries/s offered, {:.0}/s looked at, \
             {} answered 503, {} answered 429, server {:.2} cores",
            self.connections,
            self.offered_per_second,
            self.verified_per_second,
            self.shed,
            self.throttled,
            self.server_cores,
        );
        let line = |name: &str, value: f64, unit: &str, goal: f64| {
            let verdict = verdict(value <= goal);
            println!("  {name:<24}{value:>10.2} {unit:<4} goal {goal:>8.1} {unit:<4} {verdict}");
        };
        line(
            "JWKS p99 meanwhile",
            self.jwks_latency.p99,
            "ms",
            goals::FLOOD_JWKS_P99_MS,
        );
        line(
            "p99 of the 503s",
            self.shed_latency.p99,
            "ms",
            goals::FLOOD_SHED_P99_MS,
        );
        line(
            "most resident memory",
            self.peak_mib,
            "MiB",
            self.peak_goal_mib,
        );
        let recovered = goals::FLOOD_RECOVERED_WITHIN.as_secs_f64();
        line(
            "sign-in works again",
            self.recovered_seconds,
            "s",
            recovered,
        );
        for failure in self.failures.lines() {
            println!("  FAILED {failure}");
        }
    }
}
