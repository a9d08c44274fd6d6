//! The command line of the benchmark.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::scenario::Scenario;

/// Drives the release binary over loopback and prints what it does per second.
#[derive(Parser)]
#[command(name = "endpoints")]
pub struct Options {
    /// Only these scenarios, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Numbers of connections to measure at.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64], value_parser = at_least_one)]
    pub connections: Vec<usize>,
    /// Seconds measured per figure.
    #[arg(long, default_value_t = 5.0, value_parser = some_seconds)]
    seconds: f64,
    /// Seconds of the same load before, which are not counted.
    #[arg(long, default_value_t = 1.0, value_parser = some_seconds)]
    warm_up: f64,
    /// Connections that try wrong passwords in the scenario `flood`; more than the server queues.
    #[arg(long, default_value_t = 400, value_parser = at_least_one)]
    pub flood_connections: usize,
    /// The database under the server.
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
    /// Also writes every figure into this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Serves empty answers: the child process behind the physical limit.
    #[arg(long, hide = true)]
    pub serve_empty: bool,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

/// What the server under test stores its data in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// A file in the server's temporary directory.
    Sqlite,
    /// An own database on a PostgreSQL server.
    Postgres,
    /// First the one, then the other.
    Both,
}

impl Database {
    /// The word on the command line and in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Both => "both",
        }
    }
}

impl Options {
    /// How long each figure is measured.
    pub fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long the load runs before it is measured.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// The databases to run on, one after the other.
    pub fn databases(&self) -> Vec<Database> {
        match self.database {
            Database::Both => vec![Database::Sqlite, Database::Postgres],
            one => vec![one],
        }
    }

    /// The scenarios asked for, in their own order; all of them where none was named.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let asked = |scenario: &Scenario| self.only.is_empty() || self.only.contains(scenario);
        Scenario::value_variants()
            .iter()
            .copied()
            .filter(asked)
            .collect()
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        Ok(_) => Err("must be at least 1".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn some_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) => Err("must lie between 0.1 and 86400 seconds".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
