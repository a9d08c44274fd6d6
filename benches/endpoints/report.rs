//! The output: an aligned table as the run goes, and everything as JSON at its end.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::flood::Flood;
use crate::goals::{self, verdict};
use crate::limits::Limits;
use crate::load::Figures;
use crate::options::Database;
use crate::process::{self, Memory};
use crate::scenario::Scenario;
use crate::server::Server;

/// Everything that was measured so far.
#[derive(Default)]
pub struct Report {
    /// The physical limits, once they are known.
    pub limits: Option<Limits>,
    runs: Vec<Run>,
}

/// One server on one database.
#[derive(Serialize)]
struct Run {
    database: &'static str,
    ready_seconds: f64,
    idle: Memory,
    end: Option<Memory>,
    rows: Vec<Row>,
    flood: Option<Flood>,
}

/// One scenario at one number of connections.
#[derive(Serialize)]
struct Row {
    scenario: &'static str,
    connections: usize,
    #[serde(flatten)]
    figures: Figures,
    limit_per_second: Option<f64>,
    goal_per_second: Option<f64>,
}

impl Report {
    /// The server is ready.
    pub fn started(&mut self, database: Database, server: &Server) {
        let ready = server.ready_after;
        println!(
            "\n{}: ready after {:.3} s (goal {:.1}: {}), idle {:.1} MiB (goal {:.0}: {})",
            database.name(),
            ready.as_secs_f64(),
            goals::READY_WITHIN.as_secs_f64(),
            verdict(ready <= goals::READY_WITHIN),
            server.idle.resident_mib,
            goals::IDLE_MIB,
            verdict(server.idle.resident_mib <= goals::IDLE_MIB),
        );
        self.runs.push(Run {
            database: database.name(),
            ready_seconds: ready.as_secs_f64(),
            idle: server.idle,
            end: None,
            rows: Vec::new(),
            flood: None,
        });
    }

    /// A scenario is measured.
    pub fn measured(&mut self, scenario: Scenario, connections: usize, figures: Figures) {
        let limits = self.limits.as_ref();
        let row = Row {
            scenario: scenario.name(),
            connections,
            figures,
            limit_per_second: limits
                .and_then(|limits| limits.per_second(&scenario.cost(), connections)),
            goal_per_second: limits
                .and_then(|limits| goals::per_second(scenario, connections, limits)),
        };
        row.print();
        if let Some(run) = self.runs.last_mut() {
            run.rows.push(row);
        }
    }

    /// The flood is over.
    pub fn flooded(&mut self, flood: Flood) {
        if let Some(run) = self.runs.last_mut() {
            run.flood = Some(flood);
        }
    }

    /// The server is about to be stopped.
    pub fn ended(&mut self, server: &Server) -> Result<()> {
        let end = process::memory(server.pid())?;
        println!(
            "at the end {:.1} MiB resident, {:.1} MiB at most",
            end.resident_mib, end.peak_mib
        );
        if let Some(run) = self.runs.last_mut() {
            run.end = Some(end);
        }
        Ok(())
    }

    /// Answers that were not the expected ones.
    pub fn errors(&self) -> u64 {
        let of = |run: &Run| {
            let rows: u64 = run
                .rows
                .iter()
                .map(|row| row.figures.failures.total())
                .sum();
            rows + run.flood.as_ref().map_or(0, |flood| flood.failures.total())
        };
        self.runs.iter().map(of).sum()
    }

    /// Everything, for programs.
    pub fn json(&self) -> Value {
        json!({ "limits": self.limits, "runs": self.runs })
    }
}

/// The heading of the table.
pub fn print_heading() {
    println!(
        "{:<15}{:>5}{:>10}{:>9}{:>9}{:>9}{:>9}{:>8}{:>7}{:>8}{:>10}{:>6}{:>9}",
        "scenario",
        "conns",
        "req/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "server",
        "load",
        "RSS MiB",
        "limit/s",
        "of it",
        "goal/s",
    );
}

impl Row {
    fn print(&self) {
        let Figures {
            latency, failures, ..
        } = &self.figures;
        let rate = self.figures.per_second;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let whole = |value: f64| format!("{value:.0}");
        println!(
            "{:<15}{:>5}{:>10}{:>9.3}{:>9.3}{:>9.3}{:>9.2}{:>8.2}{:>7.2}{:>8.1}{:>10}{:>6}{:>9}{}",
            self.scenario,
            self.connections,
            if rate < 1000.0 {
                format!("{rate:.1}")
            } else {
                whole(rate)
            },
            latency.p50,
            latency.p95,
            latency.p99,
            latency.max,
            self.figures.server_cores,
            self.figures.load_cores,
            self.figures.resident_mib,
            or_none(self.limit_per_second.map(whole)),
            or_none(
                self.limit_per_second
                    .map(|limit| format!("{:.0}%", 100.0 * rate / limit))
            ),
            or_none(self.goal_per_second.map(whole)),
            self.goal_per_second
                .map_or(String::new(), |goal| format!(" {}", verdict(rate >= goal))),
        );
        for failure in failures.lines() {
            println!("  FAILED {failure}");
        }
    }
}
