//! The closed loop: each worker does its unit, measures it, and does it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::http::Answer;
use crate::options::Options;
use crate::process;
use crate::scenario::{Scenario, Worker};
use crate::server::Server;
use crate::setup::Target;

/// How long answers may take after the measured time before they count as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a worker rests after a failure, so that failures do not become the load.
const REST: Duration = Duration::from_millis(10);

/// A unit that did not end as it should.
pub struct Failure {
    status: Option<u16>,
    detail: String,
}

impl Failure {
    /// An answer with another status than the expected one.
    pub fn unexpected(what: &str, answer: &Answer<'_>) -> Self {
        let detail = format!("{what}: {} {}", answer.status, answer.excerpt());
        Self {
            status: Some(answer.status),
            detail,
        }
    }

    /// Whether it was an answer with this status.
    pub fn is_status(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// The same as an error.
    pub fn into_error(self) -> anyhow::Error {
        anyhow::anyhow!("{}", self.detail)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            status: None,
            detail: format!("{error:#}"),
        }
    }
}

/// Failures by their kind: how many, and the first one's words.
#[derive(Default, Serialize)]
pub struct Failures(BTreeMap<String, (u64, String)>);

impl Failures {
    /// Counts one.
    pub fn add(&mut self, failure: Failure) {
        let kind = match failure.status {
            Some(status) => format!("status {status}"),
            None => "broken exchange".to_owned(),
        };
        self.0.entry(kind).or_insert((0, failure.detail)).0 += 1;
    }

    /// Takes over what another one counted.
    pub fn merge(&mut self, other: Self) {
        for (kind, (count, detail)) in other.0 {
            self.0.entry(kind).or_insert((0, detail)).0 += count;
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.values().map(|(count, _)| count).sum()
    }

    /// One line per kind.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .map(|(kind, (count, first))| format!("{count} x {kind}, first: {first}"))
    }
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of them took at most this.
    pub p50: f64,
    /// 95 % of them took at most this.
    pub p95: f64,
    /// 99 % of them took at most this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Collects latencies: nanoseconds up to two minutes, to two digits.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1_000, 120_000_000_000, 2)?))
    }

    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes over what another one counted.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The figures.
    pub fn summary(&self) -> Latency {
        let ms = |nanoseconds: u64| Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3;
        let at = |quantile| ms(self.0.value_at_quantile(quantile));
        Latency {
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            max: ms(self.0.max()),
        }
    }
}

/// What one scenario did at one number of connections.
#[derive(Serialize)]
pub struct Figures {
    /// Units that ended within the measured time, per second.
    pub per_second: f64,
    /// Their latencies in milliseconds.
    pub latency: Latency,
    /// Cores that the server used.
    pub server_cores: f64,
    /// Cores that this generator used.
    pub load_cores: f64,
    /// Memory of the server right after.
    pub resident_mib: f64,
    /// What did not end as it should, warm-up included.
    pub failures: Failures,
}

/// Prepares the workers of a scenario and measures them.
pub async fn run(
    options: &Options,
    server: &Server,
    target: &Arc<Target>,
    scenario: Scenario,
    connections: usize,
) -> Result<Figures> {
    let mut workers = Vec::with_capacity(connections);
    for index in 0..connections {
        workers.push(scenario.worker(target, index).await?);
    }
    measure(workers, server.pid(), options.warm_up(), options.measured()).await
}

/// Lets the workers run through the warm-up and the measured time, against the process `pid`.
pub async fn measure(
    workers: Vec<Worker>,
    pid: u32,
    warm_up: Duration,
    measured: Duration,
) -> Result<Figures> {
    let opens = Instant::now() + warm_up;
    let closes = opens + measured;
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, opens, closes));
    }
    let usage = || -> Result<(Instant, f64, f64)> {
        let own = process::cpu_seconds(std::process::id())?;
        Ok((Instant::now(), process::cpu_seconds(pid)?, own))
    };
    sleep_until(opens).await;
    let before = usage()?;
    sleep_until(closes).await;
    let after = usage()?;
    let mut latencies = Latencies::new()?;
    let mut failures = Failures::default();
    while let Some(worked) = timeout_at(closes + PATIENCE, tasks.join_next())
        .await
        .with_context(|| format!("no answer for {PATIENCE:?}"))?
    {
        let (some, failed) = worked??;
        latencies.merge(&some)?;
        failures.merge(failed);
    }
    let elapsed = after.0.duration_since(before.0).as_secs_f64();
    Ok(Figures {
        per_second: latencies.count() as f64 / measured.as_secs_f64(),
        latency: latencies.summary(),
        server_cores: (after.1 - before.1) / elapsed,
        load_cores: (after.2 - before.2) / elapsed,
        resident_mib: process::memory(pid)?.resident_mib,
        failures,
    })
}

/// One worker's loop. What ends between `opens` and `closes` counts, however long it took.
async fn work(
    mut worker: Worker,
    opens: Instant,
    closes: Instant,
) -> Result<(Latencies, Failures)> {
    let mut latencies = Latencies::new()?;
    let mut failures = Failures::default();
    let mut begun = Instant::now();
    while begun < closes {
        let outcome = worker.step().await;
        let ended = Instant::now();
        match outcome {
            Ok(()) if ended >= opens && ended <= closes => latencies.record(ended - begun),
            Ok(()) => {}
            Err(failure) => {
                failures.add(failure);
                tokio::time::sleep(REST).await;
            }
        }
        begun = Instant::now();
    }
    Ok((latencies, failures))
}
