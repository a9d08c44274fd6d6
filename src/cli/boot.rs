//! From configuration to an engine: the steps that every command shares.

use std::io::IsTerminal as _;

use super::{Failure, rotate_master};
use crate::app::{self, Parts};
use crate::config::{Config, DatabaseUrl, SmtpTls};
use crate::kernel::seal::{Keyring, MasterKey};
use crate::kernel::{Clock, Entropy};
use crate::mail::{self, transport};
use crate::oidc::engine::Engine;
use crate::password::HasherConfig;
use crate::realm::{self, Realm};
use crate::store::meta::{self, MASTER_KEY_FINGERPRINT};
use crate::store::{Location, PostgresOptions, Serving, Store, StoreError};
use crate::web::outbound::Outbound;

/// Starts logging. A panic becomes one line that says where, and nothing of what was at hand there.
pub(super) fn logging(config: &Config) -> Result<(), Failure> {
    crate::logging::init(&config.log, std::io::stderr().is_terminal()).map_err(Failure::usage)?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location = location.as_deref(), "a panic");
    }));
    Ok(())
}

/// Starts logging for a command that shows how far it is: on a terminal its bar says what `info` would.
pub(super) fn logging_beside_a_bar(config: &Config) -> Result<(), Failure> {
    let mut quiet = config.clone();
    if std::io::stderr().is_terminal() && quiet.log.filter == "info" {
        "warn".clone_into(&mut quiet.log.filter);
    }
    logging(&quiet)
}

/// Where the data lies.
pub(super) fn location(config: &Config) -> Result<Location, Failure> {
    Ok(match &config.database.url {
        DatabaseUrl::Sqlite(path) => Location::Sqlite(path.clone()),
        DatabaseUrl::Postgres(url) => {
            Location::Postgres(PostgresOptions::parse(url.expose()).map_err(Failure::usage)?)
        }
    })
}

/// The right to serve the database, which a SQLite file gives to one process at a time.
pub(super) fn serving(config: &Config) -> Result<Serving, Failure> {
    Serving::take(&location(config)?).map_err(Failure::failed)
}

/// Opens the database, which brings its schema up to date.
pub(super) fn store(config: &Config) -> Result<Store, Failure> {
    Store::open(&location(config)?, Clock::system(), config.database.pool).map_err(|error| {
        match error {
            StoreError::Connect(_) => Failure::failed(format!(
                "{error}. `vestibule doctor` looks for the reason and says what to do"
            )),
            other => Failure::failed(other),
        }
    })
}

/// Opens a database that must be there already: a command that only looks makes no empty one.
pub(super) fn existing_store(config: &Config) -> Result<Store, Failure> {
    if let DatabaseUrl::Sqlite(path) = &config.database.url
        && !path.exists()
    {
        return Err(Failure::failed(format!(
            "there is no database at {}: set VESTIBULE_DATABASE_URL to where it is, or make it with `vestibule migrate`",
            path.display()
        )));
    }
    store(config)
}

/// The master key. It is made only while the database holds nothing that another one has sealed.
pub(super) fn keyring(config: &Config, store: &Store) -> Result<Keyring, Failure> {
    let failed = |error: StoreError| Failure::failed(error);
    let path = &config.keys.master_key_file;
    let known: Option<String> = store
        .read(|tx| meta::get(tx, MASTER_KEY_FINGERPRINT))
        .map_err(failed)?;
    let random = |out: &mut [u8]| Entropy.fill(out);
    let key = MasterKey::load_or_create(path, known.is_none(), &random).map_err(Failure::usage)?;
    // Two nodes may come here at once, each with a key of its own: the first one's stays.
    let own = key.fingerprint();
    let known = store
        .tx(|tx| meta::settle(tx, MASTER_KEY_FINGERPRINT, &own))
        .map_err(failed)?;
    if let Err(error) = key.check_fingerprint(&known) {
        let half_done = MasterKey::load(&rotate_master::next_file(path))
            .is_ok_and(|next| next.fingerprint() == known);
        return Err(if half_done {
            Failure::usage(format!(
                "a rotation of the master key was interrupted after the database was done: \
                 `vestibule keys rotate-master` puts the new key in the place of {}",
                path.display()
            ))
        } else {
            Failure::usage(error)
        });
    }
    Ok(Keyring::new(key))
}

/// The realm of that name.
pub(super) fn realm(store: &Store, name: &str) -> Result<Realm, Failure> {
    let found = store
        .read(|tx| {
            Ok::<_, StoreError>((realm::rows::by_name(tx, name)?, realm::rows::versions(tx)?))
        })
        .map_err(Failure::failed)?;
    match found {
        (Some(realm), _) => Ok(realm),
        (None, all) => {
            let mut names: Vec<&str> = all.iter().map(|(name, _, _)| name.as_str()).collect();
            names.sort_unstable();
            Err(Failure::usage(format!(
                "there is no realm {name:?}; there are: {}",
                names.join(", ")
            )))
        }
    }
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
            proof: transport::Proof::Password(login.password.expose().to_owned()),
        }),
        of_realm: false,
    });
    let default = server
        .zip(config.mail.from.clone())
        .map(|(server, from)| transport::DefaultTransport { server, from });
    mail::Options {
        default,
        insecure_plain: config.mail.insecure_plain_smtp,
        outbound: Outbound::new(config.outbound.networks.iter().copied()),
        ..mail::Options::default()
    }
}
