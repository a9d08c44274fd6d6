//! The storage suite: what the store promises, asked of SQLite and of PostgreSQL alike.
//!
//! [`on_both`] runs a test on a fresh database of each kind. Raw SQL goes past the store on connections of its own.

mod concurrency;
mod crash;
mod differential;
mod migrations;
mod outage;
mod postgres;
mod single_use;
mod sqlite;
mod tls;
mod transactions;
mod users;

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Barrier;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::sqlite::SqliteConnection;
use serde_json::Map;
use tokio_postgres::{NoTls, SimpleQueryMessage};
use vestibule::client::{Client, ClientSettings};
use vestibule::kernel::{ClientUuid, Clock, Entropy, RealmId, SessionId, Timestamp, UserId};
use vestibule::realm::{Realm, RealmSettings};
use vestibule::session::{Session, SessionKind};
use vestibule::store::{Location, PostgresOptions, Store, StoreError, Tx};
use vestibule::user::{AuthEpoch, User};
use vestibule::{client, realm, session, user};

use crate::support::services;

/// As many connections as a PostgreSQL store of these tests keeps.
const POOL: usize = 16;

/// A throw-away database with a store on it.
struct Database {
    store: Store,
    clock: Clock,
    place: Place,
}

enum Place {
    Sqlite(tempfile::TempDir),
    Postgres { name: String },
}

impl Database {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let location = Location::Sqlite(folder.path().join("vestibule.db"));
        Self {
            store: Store::open(&location, clock.clone(), POOL).unwrap(),
            clock,
            place: Place::Sqlite(folder),
        }
    }

    /// `None` where no server is there (and none is required).
    fn postgres() -> Option<Self> {
        let name = new_postgres_database()?;
        let clock = Clock::system();
        Some(Self {
            store: Store::open(&postgres_location(&name), clock.clone(), POOL).unwrap(),
            clock,
            place: Place::Postgres { name },
        })
    }

    fn location(&self) -> Location {
        match &self.place {
            Place::Sqlite(folder) => Location::Sqlite(folder.path().join("vestibule.db")),
            Place::Postgres { name } => postgres_location(name),
        }
    }

    /// Another store on the same data, as another node or a restarted process has it.
    fn open_again(&self) -> Store {
        Store::open(&self.location(), self.clock.clone(), POOL).unwrap()
    }

    /// Runs statements past the store.
    fn execute(&self, sql: &str) {
        match &self.place {
            Place::Sqlite(folder) => {
                let path = folder.path().join("vestibule.db");
                let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
                conn.batch_execute(sql).unwrap();
            }
            Place::Postgres { name } => {
                postgres_rows(name, sql);
            }
        }
    }

    /// Opens a realm with a client and a user in it.
    fn furnish(&self) -> Furniture {
        let furniture = Furniture::new(&self.clock);
        write(&self.store, |tx| furniture.store(tx));
        furniture
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Place::Postgres { name } = &self.place {
            drop_postgres_database(name);
        }
    }
}

/// Runs a test on a fresh SQLite database, and on a PostgreSQL one where there is a server.
fn on_both(test: impl Fn(&Database)) {
    test(&Database::sqlite());
    if let Some(database) = Database::postgres() {
        test(&database);
    }
}

/// Makes an empty database beside the one that the URL names.
fn new_postgres_database() -> Option<String> {
    services::postgres_url()?;
    let name = format!("store_{}", Entropy.random_uuid().replace('-', ""));
    postgres_admin(&format!("CREATE DATABASE {name}"));
    Some(name)
}

fn drop_postgres_database(name: &str) {
    postgres_admin(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
}

fn postgres_location(database: &str) -> Location {
    let url = services::postgres_url().unwrap();
    Location::Postgres(
        PostgresOptions::parse(&url)
            .unwrap()
            .with_database(database),
    )
}

fn postgres_admin(sql: &str) {
    let url = services::postgres_url().unwrap();
    let config = tokio_postgres::Config::from_str(&url).unwrap();
    simple_query(&config, sql);
}

/// The rows that PostgreSQL answers to statements, as text.
fn postgres_rows(database: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    let url = services::postgres_url().unwrap();
    let mut config = tokio_postgres::Config::from_str(&url).unwrap();
    config.dbname(database);
    simple_query(&config, sql)
}

fn simple_query(config: &tokio_postgres::Config, sql: &str) -> Vec<Vec<Option<String>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let messages = runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client.simple_query(sql).await.unwrap()
    });
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|i| row.get(i).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

/// A write transaction that has to succeed.
fn write<R>(store: &Store, f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, StoreError>) -> R {
    store.tx(f).unwrap()
}

/// A read transaction that has to succeed.
fn read<R>(store: &Store, f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, StoreError>) -> R {
    store.read(f).unwrap()
}

/// Runs `work` on that many threads at once; answers what each of them answered.
fn at_once<R: Send>(threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// A realm, a client of it and a person with a session.
struct Furniture {
    realm: Realm,
    client: Client,
    user: User,
    session: Session,
    now: Timestamp,
}

impl Furniture {
    fn new(clock: &Clock) -> Self {
        let now = clock.now();
        let realm = new_realm("harbour", now);
        let client = Client {
            id: ClientUuid::new(Entropy.uuid(now)),
            realm_id: realm.id.clone(),
            client_id: "app".into(),
            enabled: true,
            secret_digest: None,
            settings: ClientSettings::default(),
            default_scopes: Vec::new(),
            optional_scopes: Vec::new(),
            mappers: Vec::new(),
        };
        let user = new_user(&realm.id, "alice", Some("alice@people.example"), now);
        let session = Session {
            id: SessionId::new(Entropy.short_id()),
            realm_id: realm.id.clone(),
            user_id: user.id.clone(),
            auth_epoch: user.auth_epoch.clone(),
            kind: SessionKind::Online,
            amr: vec!["pwd".into()],
            remember_me: false,
            auth_time: now,
            started_at: now,
            last_seen_at: now,
            ip_address: "192.0.2.7".into(),
        };
        Self {
            realm,
            client,
            user,
            session,
            now,
        }
    }

    fn store(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        assert!(realm::rows::insert(tx, &self.realm, self.now)?);
        assert!(client::rows::insert(tx, &self.client, None, self.now)?);
        assert_eq!(user::rows::insert(tx, &self.user, true)?, Ok(()));
        session::rows::insert(tx, &self.session, None)
    }
}

fn new_realm(name: &str, now: Timestamp) -> Realm {
    let settings = RealmSettings::default_json().unwrap();
    Realm {
        id: RealmId::new(Entropy.uuid(now)),
        name: name.into(),
        enabled: true,
        not_before: Timestamp::from_micros(0),
        version: 1,
        settings: serde_json::from_value(settings.into()).unwrap(),
    }
}

fn new_user(realm: &RealmId, username: &str, email: Option<&str>, now: Timestamp) -> User {
    User {
        id: UserId::new(Entropy.uuid(now)),
        realm_id: realm.clone(),
        username: username.into(),
        email: email.map(str::to_owned),
        email_verified: false,
        first_name: None,
        last_name: None,
        enabled: true,
        auth_epoch: AuthEpoch::new(Entropy.random_uuid()),
        not_before: Timestamp::from_micros(0),
        locked_until: None,
        service_client: None,
        attributes: BTreeMap::new(),
        extra: Map::new(),
        created_at: now,
    }
}
