//! From configuration to an engine: the steps that every command shares.

use std::io::IsTerminal as _;

use super::Failure;
use crate::app::{self, Parts};
use crate::config::{Config, DatabaseUrl, SmtpTls};
use crate::kernel::seal::{Keyring, MasterKey};
use crate::kernel::{Clock, Entropy};
use crate::mail::{self, transport};
use crate::oidc::engine::Engine;
use crate::password::HasherConfig;
use crate::store::meta::{self, MASTER_KEY_FINGERPRINT};
use crate::store::{Location, PostgresOptions, Store, StoreError};

/// Starts logging.
pub(super) fn logging(config: &Config) -> Result<(), Failure> {
    crate::logging::init(&config.log, std::io::stderr().is_terminal()).map_err(Failure::usage)
}

/// Opens the database, which brings its schema up to date.
pub(super) fn store(config: &Config) -> Result<Store, Failure> {
    let location = match &config.database.url {
        DatabaseUrl::Sqlite(path) => Location::Sqlite(path.clone()),
        DatabaseUrl::Postgres(url) => {
            Location::Postgres(PostgresOptions::parse(url.expose()).map_err(Failure::usage)?)
        }
    };
    Store::open(&location, Clock::system(), config.database.pool).map_err(Failure::failed)
}

/// The master key. It is made only while the database holds nothing that another one has sealed.
pub(super) fn keyring(config: &Config, store: &Store) -> Result<Keyring, Failure> {
    let known: Option<String> = store
        .read(|tx| meta::get(tx, MASTER_KEY_FINGERPRINT))
        .map_err(|error: StoreError| Failure::failed(error))?;
    let random = |out: &mut [u8]| Entropy.fill(out);
    let key = MasterKey::load_or_create(&config.keys.master_key_file, known.is_none(), &random)
        .map_err(Failure::usage)?;
    match known {
        Some(known) => key.check_fingerprint(&known).map_err(Failure::usage)?,
        None => {
            let fingerprint = key.fingerprint();
            store
                .tx(|tx| meta::put(tx, MASTER_KEY_FINGERPRINT, &fingerprint))
                .map_err(|error: StoreError| Failure::failed(error))?;
        }
    }
    Ok(Keyring::new(key))
}

/// The engine.
pub(super) fn engine(config: &Config, public_url: String) -> Result<Engine, Failure> {
    let store = store(config)?;
    let keyring = keyring(config, &store)?;
    let params = &config.argon2.params;
    let hasher = HasherConfig {
        memory_kib: params.memory_kib,
        iterations: params.passes,
        parallelism: params.lanes,
        permits: config.argon2.permits(),
    };
    app::engine(Parts {
        store,
        keyring,
        public_url,
        proxies: config.proxies.clone(),
        hasher,
        mail: mail_options(config),
    })
    .map_err(Failure::failed)
}

/// How mail leaves, by configuration.
fn mail_options(config: &Config) -> mail::Options {
    let server = config.mail.smtp.as_ref().map(|smtp| transport::Server {
        host: smtp.host.clone(),
        port: smtp.port,
        security: match smtp.tls {
            SmtpTls::Implicit => transport::Security::Implicit,
            SmtpTls::StartTls => transport::Security::StartTls,
            SmtpTls::None => transport::Security::None,
        },
        login: smtp.credentials.as_ref().map(|login| transport::Login {
            user: login.username.clone(),
            password: login.password.expose().to_owned(),
        }),
    });
    let default = server
        .zip(config.mail.from.clone())
        .map(|(server, from)| transport::DefaultTransport { server, from });
    mail::Options {
        default,
        insecure_plain: config.mail.insecure_plain_smtp,
        ..mail::Options::default()
    }
}
