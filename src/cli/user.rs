//! `vestibule user`: people, in bulk.

mod import;

use super::{Failure, mailing};
use crate::config::Config;

/// What can be done about people.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Imports people from a file: CSV, NDJSON, Keycloak's export or Auth0's, also packed with gzip.
    Import(import::Arguments),
    /// Mails set-password links: to one person, or after a question to everybody.
    SendPasswordReset(mailing::SendPasswordReset),
    /// Mails (or prints) links to people who have no password yet.
    PreRegister(mailing::PreRegister),
}

pub(super) fn run(config: &Config, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Import(arguments) => import::run(config, arguments),
        Command::SendPasswordReset(arguments) => mailing::send_password_reset(config, arguments),
        Command::PreRegister(arguments) => mailing::pre_register(config, arguments),
    }
}
