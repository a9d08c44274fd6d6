//! The databases under test: a fresh one for each test, copied from a template that is made once.
//!
//! `on_both!(name)` beside `async fn name(app: TestApp)` makes two tests, `name::sqlite` and
//! `name::postgres`. The template is migrated, has realm `master` with its administrator and realm
//! `t1` with its clients, so that a test costs a copy and not a bootstrap.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use tempfile::TempDir;
use vestibule::app::{self, FirstAdmin, Parts};
use vestibule::config::Proxies;
use vestibule::kernel::seal::{Keyring, MasterKey};
use vestibule::kernel::{Clock, Entropy};
use vestibule::mail;
use vestibule::oidc::engine::Engine;
use vestibule::password::HasherConfig;
use vestibule::store::meta::{self, MASTER_KEY_FINGERPRINT};
use vestibule::store::{Location, PostgresOptions, Store, StoreError};

use super::app::TestApp;
use super::{seed, services};

/// The administrator of realm `master` in every test database, who is not gated.
pub const ADMIN: (&str, &str) = ("admin", "the operator's own passphrase");

/// Whether the long form of what takes minutes to prove was asked for.
pub fn soak() -> bool {
    std::env::var("VESTIBULE_SOAK").is_ok_and(|value| value == "1")
}

/// Argon2 for tests: one KiB-sized lane, one pass, so that a hash costs next to nothing.
pub const CHEAP: HasherConfig = HasherConfig {
    memory_kib: 8,
    iterations: 1,
    parallelism: 1,
    permits: 4,
};

/// Makes the tests `name::sqlite` and `name::postgres` out of `async fn name(app: TestApp)`.
macro_rules! on_both {
    ($name:ident) => {
        mod $name {
            #[test]
            fn sqlite() {
                $crate::support::database::run(
                    $crate::support::database::Kind::Sqlite,
                    super::$name,
                );
            }

            #[test]
            fn postgres() {
                $crate::support::database::run(
                    $crate::support::database::Kind::Postgres,
                    super::$name,
                );
            }
        }
    };
}

/// Makes the test `name::postgres` alone: for what needs two nodes or two connections.
macro_rules! on_postgres {
    ($name:ident) => {
        mod $name {
            #[test]
            fn postgres() {
                $crate::support::database::run(
                    $crate::support::database::Kind::Postgres,
                    super::$name,
                );
            }
        }
    };
}

pub(crate) use {on_both, on_postgres};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Runs a test's body on a database of its own; skips PostgreSQL where there is none.
pub fn run<F: Future<Output = ()>>(kind: Kind, scenario: fn(TestApp) -> F) {
    if kind == Kind::Postgres && services::postgres_url().is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for the test");
    runtime.block_on(async {
        scenario(TestApp::on(kind).await).await;
    });
}

/// A database of one test; it goes when this is dropped.
pub struct Database {
    pub kind: Kind,
    pub location: Location,
    /// The file of the master key that sealed what lies in it.
    pub key_file: PathBuf,
    name: String,
    folder: Option<TempDir>,
}

impl Database {
    /// A copy of the template.
    pub fn fresh(kind: Kind) -> Self {
        let template = template(kind);
        let key_file = template.key_file.clone();
        let name = new_name();
        match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                let file = folder.path().join("vestibule.db");
                std::fs::copy(&template.sqlite_file, &file).expect("a copy of the template");
                Self {
                    kind,
                    location: Location::Sqlite(file),
                    key_file,
                    name,
                    folder: Some(folder),
                }
            }
            Kind::Postgres => {
                administer(&format!(
                    "CREATE DATABASE {name} TEMPLATE {}",
                    template.postgres_name
                ));
                let server = services::postgres_url().expect("PostgreSQL");
                Self {
                    kind,
                    location: Location::Postgres(options(&server, &name)),
                    key_file,
                    name,
                    folder: None,
                }
            }
        }
    }

    /// A database without a table, for a process that migrates it; none where the tests have no PostgreSQL.
    pub fn empty(kind: Kind) -> Option<Self> {
        let name = new_name();
        let (location, folder) = match kind {
            Kind::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                let file = folder.path().join("vestibule.db");
                (Location::Sqlite(file), Some(folder))
            }
            Kind::Postgres => {
                let server = services::postgres_url()?;
                administer(&format!("CREATE DATABASE {name}"));
                (Location::Postgres(options(&server, &name)), None)
            }
        };
        Some(Self {
            kind,
            location,
            key_file: PathBuf::new(),
            name,
            folder,
        })
    }

    /// What a process is told in `VESTIBULE_DATABASE_URL`.
    pub fn url(&self) -> String {
        match &self.location {
            Location::Sqlite(path) => format!("sqlite://{}", path.display()),
            Location::Postgres(_) => {
                let server = services::postgres_url().expect("PostgreSQL");
                let mut url = url::Url::parse(&server).expect("its URL");
                url.set_path(&self.name);
                url.into()
            }
        }
    }

    /// Every column as `table.column` with what its rows hold, as text; bytes in hexadecimal digits.
    pub fn contents(&self) -> Vec<(String, Vec<String>)> {
        let (tables, columns, hex) = match self.kind {
            Kind::Sqlite => (
                "SELECT name AS value FROM sqlite_master WHERE type = 'table'",
                "SELECT name || ' ' || type AS value FROM pragma_table_info('{}')",
                "lower(hex({}))",
            ),
            Kind::Postgres => (
                "SELECT table_name AS value FROM information_schema.tables WHERE table_schema = 'public'",
                "SELECT column_name || ' ' || data_type AS value FROM information_schema.columns WHERE table_name = '{}'",
                "encode({}, 'hex')",
            ),
        };
        let mut contents = Vec::new();
        for table in self.rows(tables) {
            for column in self.rows(&columns.replace("{}", &table)) {
                let (name, kind) = column.split_once(' ').expect("a name and a type");
                let value = match kind {
                    "BLOB" | "bytea" => hex.replace("{}", name),
                    _ => format!("CAST({name} AS TEXT)"),
                };
                let query =
                    format!("SELECT {value} AS value FROM {table} WHERE {name} IS NOT NULL");
                contents.push((format!("{table}.{name}"), self.rows(&query)));
            }
        }
        contents
    }

    /// Opens it as a node does.
    pub fn open(&self, clock: &Clock) -> Store {
        Store::open(&self.location, clock.clone(), 8).expect("the store opens")
    }

    /// The rows of a query that answers one column of text.
    pub fn rows(&self, query: &str) -> Vec<String> {
        match &self.location {
            Location::Sqlite(path) => {
                let query = format!("SELECT CAST(value AS TEXT) AS value FROM ({query})");
                let rows: Vec<OneText> = diesel::sql_query(query)
                    .load(&mut sqlite(path))
                    .unwrap_or_else(|error| panic!("{error}"));
                rows.into_iter().map(|row| row.value).collect()
            }
            Location::Postgres(_) => postgres(&self.name, query),
        }
    }

    /// Runs statements.
    pub fn execute(&self, statements: &str) {
        match &self.location {
            Location::Sqlite(path) => sqlite(path)
                .batch_execute(statements)
                .unwrap_or_else(|error| panic!("{statements}: {error}")),
            Location::Postgres(_) => {
                postgres(&self.name, statements);
            }
        }
    }

    /// A connection beside the server's, for a test that holds a lock. PostgreSQL only.
    pub async fn connect(&self) -> tokio_postgres::Client {
        connect(&self.name).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.folder.is_none() {
            administer(&format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                self.name
            ));
        }
    }
}

#[derive(QueryableByName)]
struct OneText {
    #[diesel(sql_type = Text)]
    value: String,
}

fn sqlite(path: &Path) -> SqliteConnection {
    let mut connection =
        SqliteConnection::establish(&path.to_string_lossy()).expect("a second connection");
    connection
        .batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON;")
        .expect("its settings");
    connection
}

/// A name that says which process it belongs to, so that a later run can clear up after a killed one.
fn new_name() -> String {
    let tail: String = Entropy
        .bytes::<8>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("vestibule_test_{}_{tail}", std::process::id())
}

fn options(server: &str, name: &str) -> PostgresOptions {
    PostgresOptions::parse(server)
        .expect("the URL of PostgreSQL")
        .with_database(name)
}

async fn connect(name: &str) -> tokio_postgres::Client {
    let server = services::postgres_url().expect("PostgreSQL");
    let mut config: tokio_postgres::Config = server.parse().expect("the URL of PostgreSQL");
    config.dbname(name);
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .expect("a connection to PostgreSQL");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

/// Runs statements on a thread of its own, so that it can be called from anywhere; answers first columns.
fn postgres(name: &str, statements: &str) -> Vec<String> {
    apart(|| {
        in_runtime(async {
            let client = connect(name).await;
            match client.simple_query(statements).await {
                Ok(messages) => messages
                    .iter()
                    .filter_map(|message| match message {
                        tokio_postgres::SimpleQueryMessage::Row(row) => {
                            Some(row.get(0).unwrap_or("null").to_owned())
                        }
                        _ => None,
                    })
                    .collect(),
                Err(error) => panic!("{statements}: {error:?}"),
            }
        })
    })
}

/// Runs a statement about databases; a template that somebody still looks at is tried again.
fn administer(statement: &str) {
    let mut tries = 0;
    loop {
        let outcome = apart(|| {
            in_runtime(async {
                let server = services::postgres_url().expect("PostgreSQL");
                let config: tokio_postgres::Config = server.parse().expect("its URL");
                let name = config.get_dbname().expect("a database in its URL");
                connect(name).await.batch_execute(statement).await
            })
        });
        match outcome {
            Ok(()) => return,
            Err(error) if tries == 100 => panic!("{statement}: {error:?}"),
            Err(_) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Runs blocking work on a plain thread, outside any runtime.
pub fn apart<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn in_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// What every test's database is a copy of.
struct Template {
    key_file: PathBuf,
    sqlite_file: PathBuf,
    postgres_name: String,
}

fn template(kind: Kind) -> &'static Template {
    static SQLITE: OnceLock<Template> = OnceLock::new();
    static POSTGRES: OnceLock<Template> = OnceLock::new();
    let slot = match kind {
        Kind::Sqlite => &SQLITE,
        Kind::Postgres => &POSTGRES,
    };
    slot.get_or_init(|| apart(|| make_template(kind)))
}

fn make_template(kind: Kind) -> Template {
    clear_up(kind);
    let name = new_name();
    let folder = std::env::temp_dir().join(&name);
    std::fs::create_dir(&folder).expect("a folder for the template");
    let template = Template {
        key_file: folder.join("master.key"),
        sqlite_file: folder.join("template.db"),
        postgres_name: name,
    };
    let location = match kind {
        Kind::Sqlite => Location::Sqlite(template.sqlite_file.clone()),
        Kind::Postgres => {
            administer(&format!("CREATE DATABASE {}", template.postgres_name));
            let server = services::postgres_url().expect("PostgreSQL");
            Location::Postgres(options(&server, &template.postgres_name))
        }
    };
    let store = Store::open(&location, Clock::system(), 2).expect("the template's store");
    let key = MasterKey::load_or_create(&template.key_file, true, &|out: &mut [u8]| {
        Entropy.fill(out);
    })
    .expect("a master key");
    let fingerprint = key.fingerprint();
    store
        .tx(|tx| meta::put(tx, MASTER_KEY_FINGERPRINT, &fingerprint))
        .expect("the key's fingerprint");
    drop(key);
    let engine = engine(store, &template.key_file, "http://127.0.0.1:1");
    in_runtime(async {
        let admin = FirstAdmin {
            username: ADMIN.0.to_owned(),
            password: app::FirstPassword::Chosen(ADMIN.1.to_owned()),
        };
        app::bootstrap(&engine, admin)
            .await
            .expect("realm master with its administrator");
    });
    let (keyring, entropy) = (&engine.keyring, &engine.entropy);
    engine
        .store
        .tx(|tx| {
            seed::realm(tx, seed::tools(keyring, entropy), "t1")?;
            Ok::<_, StoreError>(())
        })
        .expect("realm t1");
    drop(engine);
    assert!(
        !template.sqlite_file.with_extension("db-wal").exists(),
        "the template is one file"
    );
    template
}

/// An engine as a node has it, with cheap Argon2.
pub fn engine(store: Store, key_file: &Path, public_url: &str) -> Engine {
    app::engine(Parts {
        store,
        keyring: Keyring::new(MasterKey::load(key_file).expect("the master key")),
        public_url: public_url.to_owned(),
        proxies: Proxies::default(),
        hasher: CHEAP,
        mail: mail::Options::default(),
    })
    .expect("an engine")
}

/// Removes what killed runs have left: templates' folders and databases whose process is gone.
fn clear_up(kind: Kind) {
    let stale = |name: &str| {
        let rest = name.strip_prefix("vestibule_test_")?;
        let process: u32 = rest.split('_').next()?.parse().ok()?;
        (!Path::new(&format!("/proc/{process}")).exists()).then_some(())
    };
    match kind {
        Kind::Sqlite => {
            for entry in std::fs::read_dir(std::env::temp_dir())
                .into_iter()
                .flatten()
                .flatten()
            {
                if stale(&entry.file_name().to_string_lossy()).is_some() {
                    let _ = std::fs::remove_dir_all(entry.path());
                }
            }
        }
        Kind::Postgres => {
            let all = postgres("postgres", "SELECT datname FROM pg_database");
            for name in all.iter().filter(|name| stale(name).is_some()) {
                administer(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            }
        }
    }
}
