//! The configuration: a TOML file overlaid by the environment. Owns every setting, its default and
//! its checks; the command line loads it once and the composition root hands each part to the one
//! who needs it. Invariants: nothing here is read from the surroundings but what the caller passes
//! in and the files it names; an unknown key is an error; all problems are reported together.
//!
//! In the file a setting is its lower-case word (`database_url = "…"`), in the environment the same
//! word in capitals behind `VESTIBULE_`. A secret can be kept in a file of its own, which
//! `<key>_file` names. An empty variable counts as not set. The table of settings is in `settings.rs`.

mod argon2;
mod bootstrap;
mod database;
pub mod limits;
mod listeners;
mod log;
mod mail;
mod outbound;
mod problem;
mod proxies;
mod public_url;
mod secret;
mod settings;
mod show;
mod sources;
#[cfg(test)]
mod tests;

pub use argon2::{Argon2, FLOOR as ARGON2_FLOOR, HasherParams};
pub use bootstrap::{Bootstrap, BootstrapAdmin, Keys};
pub use database::{Cache, Database, DatabaseUrl};
pub use listeners::{Https, Listeners};
pub use log::{Log, LogFormat};
pub use mail::{Mail, Smtp, SmtpCredentials, SmtpTls};
pub use outbound::Outbound;
pub use problem::{ConfigError, Problem};
pub use proxies::{ForwardedHeader, Proxies};
pub use public_url::PublicUrl;
pub use secret::Secret;

use sources::{Reported, Sources};
use std::path::{Path, PathBuf};

/// The file that is read where `--config` names none, if it is there.
pub const DEFAULT_FILE: &str = "vestibule.toml";

/// Everything an operator can set, checked.
#[derive(Clone)]
pub struct Config {
    /// Where the data lies.
    pub database: Database,
    /// What nodes share beside the database.
    pub cache: Cache,
    /// Where this node listens.
    pub listeners: Listeners,
    /// The address people use.
    pub public_url: PublicUrl,
    /// Keys outside the database.
    pub keys: Keys,
    /// Mail for realms that name no server.
    pub mail: Mail,
    /// What is made at the first start.
    pub bootstrap: Bootstrap,
    /// Which proxies are believed.
    pub proxies: Proxies,
    /// Where requests of ours may go.
    pub outbound: Outbound,
    /// What is logged and how.
    pub log: Log,
    /// The cost of a password digest.
    pub argon2: Argon2,
}

impl Config {
    /// Reads the file, if one is given, and lays the environment over it. `environment` may hold
    /// anything; only `VESTIBULE_*` and Keycloak's two bootstrap variables are looked at.
    ///
    /// # Errors
    ///
    /// Every problem found, each with what to do about it.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Sources::gather(file, environment);
        let config = Self::read(&mut sources);
        match config {
            Ok(config) if sources.problems.is_empty() => Ok(config),
            _ => Err(ConfigError {
                problems: sources.problems,
            }),
        }
    }

    /// Reads every part before it gives up on any, so that all problems are in the list.
    fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let database = Database::read(sources);
        let cache = Cache::read(sources);
        let listeners = Listeners::read(sources);
        let public_url = PublicUrl::read(sources, listeners.as_ref().ok());
        let keys = Keys::read(sources);
        let mail = Mail::read(sources);
        let bootstrap = Bootstrap::read(sources);
        let proxies = Proxies::read(sources);
        let outbound = Outbound::read(sources);
        let log = Log::read(sources);
        let argon2 = Argon2::read(sources);
        Ok(Self {
            database: database?,
            cache: cache?,
            listeners: listeners?,
            public_url: public_url?,
            keys: keys?,
            mail: mail?,
            bootstrap: bootstrap?,
            proxies: proxies?,
            outbound: outbound?,
            log: log?,
            argon2: argon2?,
        })
    }

    /// The dangerous switches that are on, to be shown in the log at start and in the console.
    pub fn insecure_switches(&self) -> Vec<&'static str> {
        [
            (
                self.public_url.insecure_plain_http,
                settings::INSECURE_PLAIN_HTTP_PUBLIC_URL.key,
            ),
            (
                self.mail.insecure_plain_smtp,
                settings::INSECURE_PLAIN_SMTP.key,
            ),
        ]
        .into_iter()
        .filter_map(|(on, key)| on.then_some(key))
        .collect()
    }
}

/// The file to read where none is named: [`DEFAULT_FILE`], if it is in the working directory. For
/// the command line, which alone knows where it was started.
pub fn default_file() -> Option<PathBuf> {
    let file = PathBuf::from(DEFAULT_FILE);
    file.exists().then_some(file)
}

/// The variables of this process, for the command line to pass to [`Config::load`].
///
/// # Errors
///
/// A variable of ours whose value is not UTF-8: guessing at a password would be worse.
pub fn process_environment() -> Result<Vec<(String, String)>, ConfigError> {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        match value.into_string() {
            Ok(value) => variables.push((name.to_owned(), value)),
            Err(_) if settings::is_ours(name) => problems.push(Problem::Conflict(format!(
                "the value of `{name}` is not UTF-8: write it in UTF-8"
            ))),
            Err(_) => {}
        }
    }
    if problems.is_empty() {
        Ok(variables)
    } else {
        Err(ConfigError { problems })
    }
}
