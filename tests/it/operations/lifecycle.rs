//! Start, stop, and certificates that are renewed while the server runs.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use rcgen::{CertificateParams, KeyPair};

use super::process::{Answer, Place, Server, receive};
use crate::support::mailbox::Mailbox;

const DISCOVERY: &str = "/realms/master/.well-known/openid-configuration";

#[test]
fn a_server_that_shall_stop_is_not_ready_at_once_and_finishes_what_it_began() {
    let place = Place::new();
    let server = place.serve();
    let mut begun = server.connect();
    begun
        .write_all(
            b"POST /realms/master/protocol/openid-connect/token HTTP/1.1\r\nHost: x\r\n\
              Content-Length: 10\r\n\r\ngrant",
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));

    server.signal("TERM");
    let told = Instant::now();
    while server.ready() == Some(200) {
        assert!(told.elapsed() < Duration::from_secs(10), "still ready");
    }
    assert_eq!(server.ready(), Some(503));
    assert_eq!(
        server.get(DISCOVERY).status,
        200,
        "new requests are still served"
    );
    // The listener is closed by now, and this request is still in the air.
    std::thread::sleep(Duration::from_millis(2500));
    begun.write_all(b"_type").unwrap();
    let answer = receive(&mut begun).expect("an answer");
    assert_eq!(answer.status, 400, "{answer:?}");
    let (code, _) = server.ended();
    assert_eq!(code, Some(0));
    assert!(
        told.elapsed() < Duration::from_secs(25),
        "{:?}",
        told.elapsed()
    );
}

/// What the token endpoint gives the administrator.
pub(super) fn administrator(server: &Server<'_>) -> String {
    let form =
        "grant_type=password&client_id=admin-cli&username=admin&password=an+admin+passphrase";
    let answer = server.post("/realms/master/protocol/openid-connect/token", form);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// A call of the admin API.
fn administrate(server: &Server<'_>, token: &str, what: &str, body: &str) -> Answer {
    server.send(&format!(
        "{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn a_node_that_shall_stop_begins_no_further_mail() {
    let mailbox = Mailbox::start();
    let place = Place::new()
        .set(
            "VESTIBULE_SMTP_URL",
            format!("smtp://127.0.0.1:{}?tls=none", mailbox.port()),
        )
        .set("VESTIBULE_MAIL_FROM", "idp@example.org");
    let server = place.serve();
    let token = administrator(&server);
    let ann = r#"{"username":"ann","email":"ann@example.org","enabled":true}"#;
    let made = administrate(&server, &token, "POST /admin/realms/master/users", ann);
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.header("location").unwrap().rsplit('/').next().unwrap();
    server.signal("TERM");
    while server.ready() == Some(200) {}
    let flag = r#"{"forcePasswordReset":true}"#;
    let path = format!("PUT /admin/realms/master/users/{id}");
    let flagged = administrate(&server, &token, &path, flag);
    assert_eq!(flagged.status, 204, "{flagged:?}");
    assert_eq!(server.ended().0, Some(0));
    assert!(mailbox.to("ann@example.org").is_empty());

    let server = place.serve();
    let began = Instant::now();
    while mailbox.to("ann@example.org").is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn readiness_names_the_check_that_is_down() {
    let place = Place::new();
    let server = place.serve();
    let path = place.path("v.db").display().to_string();
    let mut database = SqliteConnection::establish(&path).unwrap();
    database
        .batch_execute("PRAGMA busy_timeout = 5000")
        .unwrap();
    let states = || {
        let answer = server.management("/health/ready");
        let body = answer.json();
        let checks = body["checks"].as_array().unwrap();
        let not_up = |check: &&serde_json::Value| check["status"] != "UP";
        let named = |check: &serde_json::Value| {
            format!("{} {}", check["name"], check["status"]).replace('"', "")
        };
        let names: Vec<String> = checks.iter().filter(not_up).map(named).collect();
        (answer.status, names.join(", "))
    };
    assert_eq!(states(), (200, String::new()));
    let mut set = |sql: &str| database.batch_execute(sql).unwrap();
    set(
        "INSERT INTO mail_pauses (realm_id, kind, reason, since, probe_at)
         SELECT id, 'login', 'refused', 0, 0 FROM realms",
    );
    assert_eq!(states(), (200, "smtp DEGRADED".into()));
    set("DELETE FROM mail_pauses");
    set("CREATE TABLE kept AS SELECT * FROM realm_keys");
    set("DELETE FROM realm_keys; UPDATE realms SET version = version + 1");
    assert_eq!(states(), (503, "keys DOWN".into()));
    set("INSERT INTO realm_keys SELECT * FROM kept; UPDATE realms SET version = version + 1");
    assert_eq!(states(), (200, String::new()));
    set("DELETE FROM __diesel_schema_migrations");
    let (status, names) = states();
    assert_eq!(status, 503);
    assert!(names.starts_with("schema DOWN"), "{names}");
}

#[test]
fn ctrl_c_stops_at_once_even_with_idle_connections() {
    let place = Place::new();
    let server = place.serve();
    let mut idle = server.connect();
    write!(idle, "GET {DISCOVERY} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.signal("INT");
    let (code, took) = server.ended();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

pub(super) fn write_certificate(folder: &Path) -> reqwest::Certificate {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    // As renewal tools do: beside the old ones, then in their place.
    for (name, text) in [
        ("tls.crt", certificate.pem()),
        ("tls.key", key.serialize_pem()),
    ] {
        let written = folder.join("written");
        std::fs::write(&written, text).unwrap();
        std::fs::rename(written, folder.join(name)).unwrap();
    }
    reqwest::Certificate::from_der(certificate.der()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_into_use() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let place = Place::new();
    let https = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = https.local_addr().unwrap().port();
    drop(https);
    let first = write_certificate(&place.path(""));
    let url = format!("https://localhost:{port}{DISCOVERY}");
    let (certificate, key) = (place.path("tls.crt"), place.path("tls.key"));
    let place = place
        .set("VESTIBULE_PUBLIC_URL", format!("https://localhost:{port}"))
        .set("VESTIBULE_HTTPS_ADDR", format!("127.0.0.1:{port}"))
        .set("VESTIBULE_TLS_CERT", certificate.display().to_string())
        .set("VESTIBULE_TLS_KEY", key.display().to_string());
    let server = place.serve();
    crate::support::app::install_tls();
    let ask = |trusted: &reqwest::Certificate| {
        let client = reqwest::Client::builder()
            .tls_built_in_root_certs(false)
            .add_root_certificate(trusted.clone())
            .build()
            .unwrap();
        client.get(&url).send()
    };
    let answer = ask(&first).await.unwrap();
    assert!(answer.headers().contains_key("strict-transport-security"));
    let examined = place.run(&["doctor"]);
    assert!(
        examined.out.contains("the certificate is for localhost"),
        "{}",
        examined.out
    );

    // Files that cannot be used change nothing.
    std::fs::write(place.path("tls.key"), "half a ke").unwrap();
    let began = Instant::now();
    while !server.log().contains("cannot be used") {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(ask(&first).await.is_ok());

    let second = write_certificate(&place.path(""));
    let began = Instant::now();
    while ask(&second).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{}",
            server.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(ask(&first).await.is_err());
}
