//! The command line of `vestibule`. Data goes to stdout, everything else to stderr.
//!
//! Exit codes: 0 done, 1 something failed or was refused, 2 wrong usage or configuration.

mod admin;
mod asking;
mod boot;
mod campaign;
mod demo;
mod doctor;
mod ending;
mod following;
mod keys;
mod mail;
mod mailing;
mod migrate;
mod output;
mod print_links;
mod progress;
mod realm;
mod rotate_master;
mod serve;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, default_file, process_environment};

/// A standalone OpenID Connect / OAuth 2 identity provider: nobody gets a token before they have done what was
/// required of them.
#[derive(Parser)]
#[command(name = "vestibule", version, about, arg_required_else_help = true)]
struct Arguments {
    /// The configuration file; `vestibule.toml` if it is there. VESTIBULE_* variables win over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A complete playground in one process, no configuration: people, an app, a mailbox.
    Demo(demo::Options),
    /// The server. Brings the database's schema up to date first.
    Serve(serve::Options),
    /// Brings the database's schema up to date and makes the master key, before any server starts.
    Migrate(migrate::Options),
    /// Looks at everything the server needs and says what is wrong and what to do about it.
    Doctor(doctor::Options),
    /// Signing keys and the master key.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Realms.
    #[command(subcommand)]
    Realm(realm::Command),
    /// People, in bulk.
    #[command(subcommand)]
    User(user::Command),
    /// Running and past mailings.
    #[command(subcommand)]
    Campaign(campaign::Command),
    /// Single mails of which nobody knows whether they went out.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Administrators, for whoever has the host: break glass.
    #[command(subcommand)]
    Admin(admin::Command),
}

/// What a command failed with: its message and its exit code.
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Wrong usage or configuration.
    fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }

    /// Something did not work.
    fn failed(message: impl std::fmt::Display) -> Self {
        Self {
            code: 1,
            message: message.to_string(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

/// Runs the process's arguments.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return report(&Failure::failed(
            "another TLS provider is installed already",
        ));
    }
    let config = arguments.config;
    let result = match arguments.command {
        Command::Demo(options) => demo::run(&options),
        Command::Serve(options) => load(config).and_then(|config| serve::run(config, &options)),
        Command::Migrate(options) => {
            load(config).and_then(|config| migrate::run(&config, &options))
        }
        Command::Doctor(options) => load(config).and_then(|config| doctor::run(&config, &options)),
        Command::Keys(command) => load(config).and_then(|config| keys::run(&config, &command)),
        Command::Realm(command) => load(config).and_then(|config| realm::run(&config, &command)),
        Command::User(command) => load(config).and_then(|config| user::run(&config, &command)),
        Command::Campaign(command) => {
            load(config).and_then(|config| campaign::run(&config, &command))
        }
        Command::Mail(command) => load(config).and_then(|config| mail::run(&config, &command)),
        Command::Admin(command) => load(config).and_then(|config| admin::run(&config, command)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    output::say(&format!("vestibule: {}", failure.message));
    ExitCode::from(failure.code)
}

/// The configuration from the file and the environment.
fn load(file: Option<PathBuf>) -> Result<Config, Failure> {
    let file = file.or_else(default_file);
    Ok(Config::load(
        file.as_deref(),
        process_environment()?.into_iter(),
    )?)
}

/// A runtime for a command.
fn runtime() -> Result<actix_web::rt::SystemRunner, Failure> {
    Ok(actix_web::rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap_or_else(|error| {
                tracing::error!(error = %error, "no runtime");
                std::process::abort()
            })
    }))
}
