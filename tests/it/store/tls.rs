//! PostgreSQL by TLS and by URL: what is let in, what is refused, and what the refusal says.

use std::net::TcpListener;

use vestibule::kernel::Clock;
use vestibule::store::{Location, PostgresOptions, Store, StoreError, meta};

use super::{drop_postgres_database, new_postgres_database, write};
use crate::support::services;

/// A throw-away database and the URL by which the role that needs TLS reaches it.
struct Server {
    database: String,
    /// `postgres://role:password@`.
    login: String,
    port: u16,
    ca: String,
}

impl Server {
    fn find() -> Option<Self> {
        let url = services::postgres_tls_url()?;
        let ca = services::postgres_ca()?;
        let database = new_postgres_database()?;
        let (login, rest) = url.split_once('@').unwrap();
        let (_, rest) = rest.split_once(':').unwrap();
        let (port, _) = rest.split_once('/').unwrap();
        Some(Self {
            database,
            login: format!("{login}@"),
            port: port.parse().unwrap(),
            ca,
        })
    }

    /// Opens the store at `host` (several: `one:port,two:port`), with those parameters.
    fn open(&self, hosts: &str, parameters: &str) -> Result<Store, StoreError> {
        let url = format!("{}{hosts}/{}?{parameters}", self.login, self.database);
        Store::open(
            &Location::Postgres(PostgresOptions::parse(&url)?),
            Clock::system(),
            2,
        )
    }

    fn host(&self, name: &str) -> String {
        format!("{name}:{}", self.port)
    }

    fn verified(&self) -> String {
        format!("sslmode=verify-full&sslrootcert={}", self.ca)
    }

    fn refusal(&self, hosts: &str, parameters: &str) -> String {
        match self.open(hosts, parameters) {
            Ok(_) => panic!("{hosts} {parameters} was let in"),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop_postgres_database(&self.database);
    }
}

fn works(store: &Store) {
    write(store, |tx| meta::put(tx, "encrypted", "1"));
}

#[test]
fn a_verified_server_is_spoken_to() {
    let Some(server) = Server::find() else {
        return;
    };
    works(
        &server
            .open(&server.host("localhost"), &server.verified())
            .unwrap(),
    );
    works(
        &server
            .open(&server.host("127.0.0.1"), &server.verified())
            .unwrap(),
    );
    // Weaker words of libpq's are heard as the strong one.
    for mode in ["require", "verify-ca"] {
        let parameters = server.verified().replace("verify-full", mode);
        works(&server.open(&server.host("localhost"), &parameters).unwrap());
    }
    let without_mode = server.refusal(&server.host("localhost"), "");
    assert!(without_mode.contains("pg_hba.conf"), "{without_mode}");
}

#[test]
fn without_tls_the_role_is_refused_with_the_servers_reason() {
    let Some(server) = Server::find() else {
        return;
    };
    let said = server.refusal(&server.host("localhost"), "sslmode=disable");
    assert!(said.contains("no encryption"), "{said}");
    assert!(said.contains("pg_hba.conf"), "{said}");
}

#[test]
fn another_name_than_the_certificates_is_refused() {
    let Some(server) = Server::find() else {
        return;
    };
    // The same server, by an address that its certificate does not hold.
    let hosts = server.host("db.example");
    let parameters = format!("hostaddr=127.0.0.1&{}", server.verified());
    for mode in ["verify-full", "verify-ca", "require"] {
        let parameters = parameters.replace("verify-full", mode);
        let said = server.refusal(&hosts, &parameters);
        assert!(said.contains("not valid for name"), "{mode}: {said}");
        assert!(said.contains("db.example"), "{mode}: {said}");
    }
}

#[test]
fn another_authority_than_the_certificates_is_refused() {
    let Some(server) = Server::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let stranger = rcgen::generate_simple_self_signed(["stranger.example".into()]).unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, stranger.cert.pem()).unwrap();
    let host = server.host("localhost");
    let said = server.refusal(
        &host,
        &format!("sslmode=verify-full&sslrootcert={}", path.display()),
    );
    assert!(said.contains("UnknownIssuer"), "{said}");
    // Nor do the system's authorities know it.
    let said = server.refusal(&host, "sslmode=require");
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[test]
fn a_root_certificate_that_is_none_is_named() {
    let Some(server) = Server::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = server.host("localhost");
    let missing = folder.path().join("missing.pem");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (path, why) in [(missing, "No such file"), (empty, "no certificate")] {
        let said = server.refusal(
            &host,
            &format!("sslmode=verify-full&sslrootcert={}", path.display()),
        );
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn the_next_host_of_the_url_is_asked_when_the_first_is_dead() {
    let Some(server) = Server::find() else {
        return;
    };
    // A port that nobody listens at any more.
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let hosts = format!("localhost:{dead},localhost:{}", server.port);
    works(&server.open(&hosts, &server.verified()).unwrap());
    let primary = format!("{}&target_session_attrs=read-write", server.verified());
    works(&server.open(&hosts, &primary).unwrap());
    let said = server.refusal(&format!("localhost:{dead}"), &server.verified());
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn a_url_that_is_wrong_is_told_apart_without_the_password() {
    for (url, what) in [
        ("postgres://u:hunter2@h/d?sslmode=maybe", "sslmode=maybe"),
        ("postgres://u:hunter2@h/d?flavour=plum", "flavour"),
        ("postgres://u:hunter2@h:port/d", "port"),
    ] {
        let said = PostgresOptions::parse(url)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(said.contains("VESTIBULE_DATABASE_URL"), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let options = PostgresOptions::parse("postgres://u:hunter2@h/d").unwrap();
    assert!(!format!("{options:?}").contains("hunter2"));
}
