//! `vestibule user`: people, in bulk.

mod import;

use super::Failure;
use crate::config::Config;

/// What can be done about people.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Imports people from a file: CSV, NDJSON, Keycloak's export or Auth0's, also packed with gzip.
    Import(import::Arguments),
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Import(arguments) => import::run(config, arguments),
    }
}
