//! PostgreSQL without libpq: connections with a runtime of their own, TLS by rustls, a pool.

use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::BlockOn;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conn::PgConnection;
use super::{Conn, StoreError, Tx};
use crate::kernel::Clock;

/// What each connection is told first: a statement ends after 5 s, a wait for a lock after 1 s (reliability H015).
///
/// So does a transaction that says nothing for 5 s: its node is frozen or gone, and what it holds locked, a mailing or
/// the pace of its mails, would hold up the other nodes. None of ours computes for that long between two
/// statements, save those that call [`wait_long`](super::dialect::wait_long).
const SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '5s'; SET application_name = 'vestibule';";

/// Ends a transaction. Where a statement failed and the work went on regardless, PostgreSQL would take a bare
/// `COMMIT` as a rollback without an error; the `SELECT` fails in that case.
const COMMIT: &str = "SELECT 1; COMMIT";

/// How long connecting may take with all hosts, TLS and authentication.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach a PostgreSQL server.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    config: tokio_postgres::Config,
    root_certificate: Option<PathBuf>,
}

impl PostgresOptions {
    /// Parses a `postgres://` URL as libpq has it: several hosts, `sslmode`, `sslrootcert`, `target_session_attrs`.
    ///
    /// Certificates are always verified against the host's name where TLS is used. Without `sslmode`, loopback
    /// hosts and sockets are spoken to in the clear and every other host by TLS.
    ///
    /// # Errors
    /// [`StoreError::Connect`] names the part that is wrong.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let bad = |what: String| StoreError::Connect(format!("VESTIBULE_DATABASE_URL: {what}"));
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = None;
        let mut root_certificate = None;
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => root_certificate = Some(PathBuf::from(value.into_owned())),
                _ => {
                    rest.append_pair(&name, &value);
                }
            }
        }
        let rest = rest.finish().replace('+', "%20");
        let mut config: tokio_postgres::Config = format!("{base}?{rest}")
            .parse()
            .map_err(|cause: tokio_postgres::Error| bad(describe(&cause)))?;
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            Host::Unix(_) => true,
        });
        config.ssl_mode(match mode.as_deref() {
            None if local => SslMode::Disable,
            Some("disable") => SslMode::Disable,
            None | Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some("prefer") => SslMode::Prefer,
            Some(other) => {
                return Err(bad(format!(
                    "sslmode={other} is not one of disable, prefer, require, verify-ca, verify-full"
                )));
            }
        });
        // A host that has vanished is noticed within seconds, and the next one of the list gets its chance.
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(2));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(10));
        }
        if !query.contains("keepalives_idle") {
            config.keepalives_idle(Duration::from_secs(30));
        }
        Ok(Self {
            config,
            root_certificate,
        })
    }

    /// The same server and another database: for throw-away databases of tests.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    fn connector(&self) -> Result<MakeRustlsConnect, StoreError> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = &self.root_certificate {
            let unreadable = |cause: String| {
                StoreError::Connect(format!("sslrootcert {}: {cause}", path.display()))
            };
            let certificates = CertificateDer::pem_file_iter(path)
                .map_err(|cause| unreadable(cause.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|cause| unreadable(cause.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|cause| unreadable(cause.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("holds no certificate".into()));
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| StoreError::Connect(cause.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(tls))
    }

    fn connect(&self, connector: &MakeRustlsConnect) -> Result<Conn, StoreError> {
        let unreachable = |cause: String| StoreError::Connect(cause);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| unreachable(cause.to_string()))?;
        let connecting = async {
            let (client, connection) = self
                .config
                .connect(connector.clone())
                .await
                .map_err(|error| unreachable(describe(&error)))?;
            AsyncPgConnection::try_from_client_and_connection(client, connection)
                .await
                .map_err(|error| unreachable(error.to_string()))
        };
        let connected = runtime
            .block_on(async { tokio::time::timeout(CONNECT_TIMEOUT, connecting).await })
            .map_err(|_| unreachable(format!("no answer within {CONNECT_TIMEOUT:?}")))??;
        HANDED_OVER.with(|slot| slot.borrow_mut().replace(runtime));
        let mut conn = PgConnection::from(connected);
        conn.batch_execute(SETTINGS)?;
        Ok(Conn::Postgres(conn))
    }
}

/// The error with its causes: "error connecting to server" alone tells nobody what to do.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

thread_local! {
    /// The runtime on which a connection was made, on its way into the wrapper that drives it.
    static HANDED_OVER: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// A connection's own runtime: a round trip takes 29 µs on it against 44 µs on a shared one.
pub struct OwnRuntime(Option<Runtime>);

impl BlockOn for OwnRuntime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => futures_util::FutureExt::now_or_never(future)
                .unwrap_or_else(|| std::process::abort()),
        }
    }

    fn get_runtime() -> Self {
        Self(HANDED_OVER.with(|slot| slot.borrow_mut().take()))
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping a runtime waits, which an async thread must not; this does not wait.
            runtime.shutdown_background();
        }
    }
}

pub(super) struct Postgres {
    options: PostgresOptions,
    connector: MakeRustlsConnect,
    idle: Mutex<Vec<Conn>>,
    keep: usize,
}

impl Postgres {
    pub(super) fn open(options: &PostgresOptions, keep: usize) -> Result<Self, StoreError> {
        let connector = options.connector()?;
        let postgres = Self {
            options: options.clone(),
            connector,
            idle: Mutex::new(Vec::new()),
            keep,
        };
        let first = postgres.fresh()?;
        postgres.idle.lock().push(first);
        Ok(postgres)
    }

    fn fresh(&self) -> Result<Conn, StoreError> {
        self.options.connect(&self.connector)
    }

    /// A connection on which `begin` has succeeded. An idle one that the server has closed meanwhile is replaced.
    fn begun(&self, begin: &str) -> Result<Conn, StoreError> {
        loop {
            let idle = self.idle.lock().pop();
            let Some(mut conn) = idle else { break };
            if execute(&mut conn, begin).is_ok() {
                return Ok(conn);
            }
        }
        let mut conn = self.fresh()?;
        execute(&mut conn, begin)?;
        Ok(conn)
    }

    pub(super) fn transaction<R, E>(
        &self,
        clock: &Clock,
        writable: bool,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<StoreError>,
    {
        let begin = if writable {
            "BEGIN"
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        };
        let mut conn = self.begun(begin)?;
        let result = f(&mut Tx::new(&mut conn, clock, writable));
        // A connection that cannot end its transaction is dropped with it.
        let ended = execute(&mut conn, if result.is_ok() { COMMIT } else { "ROLLBACK" });
        match (result, ended) {
            (Ok(value), Ok(())) => {
                self.give_back(conn);
                Ok(value)
            }
            (Ok(_), Err(error)) => Err(StoreError::Commit(error.to_string()).into()),
            (Err(error), Ok(())) => {
                self.give_back(conn);
                Err(error)
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Runs work that manages its own transactions (migrations) on a connection of its own, without its timeouts.
    pub(super) fn exclusive<R>(
        &self,
        f: impl FnOnce(&mut PgConnection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match self.fresh()? {
            Conn::Postgres(mut conn) => {
                conn.batch_execute(
                    "SET statement_timeout = 0; SET lock_timeout = 0; \
                     SET idle_in_transaction_session_timeout = '60s';",
                )?;
                f(&mut conn)
            }
            Conn::Sqlite(_) => Err(StoreError::Schema(
                "the pool of a PostgreSQL store holds SQLite".into(),
            )),
        }
    }

    fn give_back(&self, conn: Conn) {
        let mut idle = self.idle.lock();
        if idle.len() < self.keep {
            idle.push(conn);
        }
    }
}

fn execute(conn: &mut Conn, sql: &str) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(conn) => Ok(conn.batch_execute(sql)?),
        Conn::Postgres(conn) => Ok(conn.batch_execute(sql)?),
    }
}
