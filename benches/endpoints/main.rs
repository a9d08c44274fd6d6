//! The benchmark: starts the release binary and drives it over loopback from its own process.
//!
//! ```text
//! cargo build --release
//! cargo bench --bench endpoints                                   # everything, SQLite and PostgreSQL
//! cargo bench --bench endpoints -- --database sqlite --only jwks,login --connections 1,16
//! cargo bench --bench endpoints -- --only flood --seconds 30
//! cargo bench --bench endpoints -- --json figures.json --seconds 10
//! ```
//!
//! The server is `target/release/vestibule`, or `$VESTIBULE_BIN`. It gets a temporary directory,
//! free ports, a bootstrap administrator and an empty database; the realm `bench`, its clients and
//! its people are made through the admin API; at the end it is told to stop by SIGTERM. PostgreSQL
//! is the server at `$VESTIBULE_BENCH_POSTGRES` (a URL whose user may create databases; the run
//! makes one of its own and drops it), or else a throw-away one from Debian's package.
//!
//! What is printed, for each scenario and number of connections:
//!
//! - requests (for `login`: whole sign-ins) per second in a closed loop over kept-alive HTTP/1.1
//!   connections, after a warm-up; latency p50, p95, p99 and the longest;
//! - the cores that the server and this load generator used, and the server's resident memory.
//!   They share the machine, so the generator's share is lost to the server. PostgreSQL's own
//!   processes are in neither figure;
//! - the physical limit, from what this machine did in this same run: an empty actix handler in a
//!   child process under the same generator, signatures and Argon2 hashes per second. A scenario's
//!   limit is the rate at which its cheapest possible form would run: so many empty exchanges, so
//!   many signatures, so many hashes, one after the other;
//! - the goal (see `goals.rs`) and whether it was met, which never fails the run. An answer other
//!   than the expected one does: the run ends with exit code 1.
#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

mod browser;
mod empty;
mod flood;
mod goals;
mod http;
mod limits;
mod load;
mod options;
mod postgres;
mod process;
mod readers;
mod report;
mod scenario;
mod server;
mod setup;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use options::{Database, Options};
use report::Report;
use scenario::Scenario;
use server::Server;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let options = Options::parse();
    if options.serve_empty {
        return empty::serve();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut report = Report::default();
    let outcome = runtime.block_on(run(&options, &mut report));
    // After an interruption some thread may still be at a measurement nobody waits for.
    runtime.shutdown_background();
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    outcome?;
    match report.errors() {
        0 => Ok(()),
        errors => bail!("{errors} answers were not the expected ones"),
    }
}

/// Measures the machine, then the server on each database, printing as it goes.
async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let mut signals = Signals::new()?;
    let limits = signals.or(limits::measure(options)).await?;
    limits.print();
    report.limits = Some(limits);
    for database in options.databases() {
        let postgres = match database {
            Database::Postgres => Some(postgres::Postgres::open().await?),
            Database::Sqlite | Database::Both => None,
        };
        let url = postgres.as_ref().map(|postgres| postgres.url.as_str());
        let outcome = signals.or(drive(options, database, url, report)).await;
        let closed = match postgres {
            Some(postgres) => postgres.close().await,
            None => Ok(()),
        };
        outcome
            .and(closed)
            .with_context(|| format!("on {}", database.name()))?;
    }
    Ok(())
}

/// Ctrl-C and SIGTERM: they end the work, and what it started goes with it.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Does the work, unless a signal comes first.
    async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            _ = self.interrupt.recv() => bail!("interrupted"),
            _ = self.terminate.recv() => bail!("told to terminate"),
        }
    }
}

/// One server on one database, from its start to its end.
async fn drive(
    options: &Options,
    database: Database,
    url: Option<&str>,
    report: &mut Report,
) -> Result<()> {
    let server = Server::start(url).await?;
    report.started(database, &server);
    if let Err(error) = measure(options, &server, report).await {
        eprintln!("the server's last lines:\n{}", server.log());
        return Err(error);
    }
    report.ended(&server)?;
    server.stop()
}

/// Every scenario asked for, on a server that has just started.
async fn measure(options: &Options, server: &Server, report: &mut Report) -> Result<()> {
    let target = setup::prepare(server)
        .await
        .context("setting the realm up")?;
    report::print_heading();
    for &scenario in &options.scenarios() {
        if scenario == Scenario::Flood {
            let limits = report.limits.as_ref().context("limits come first")?;
            let flood = flood::run(options, server, &target, limits)
                .await
                .context("flood")?;
            flood.print();
            report.flooded(flood);
            continue;
        }
        for &connections in &options.connections {
            let figures = load::run(options, server, &target, scenario, connections)
                .await
                .with_context(|| format!("{} at {connections} connections", scenario.name()))?;
            report.measured(scenario, connections, figures);
        }
    }
    Ok(())
}
