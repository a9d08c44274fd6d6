//! Where the services that the tests talk to are, as `tests/run` tells through the environment.
//!
//! Under plain `cargo test` a test whose service is not there says so and returns. Under
//! `tests/run` the variable `VESTIBULE_TEST_REQUIRE=1` turns that into a failure, so that no
//! test is ever skipped where it counts.

use std::env;

/// `postgres://` URL of a superuser's empty database; tests make databases of their own beside it.
pub fn postgres_url() -> Option<String> {
    service("VESTIBULE_TEST_POSTGRES_URL")
}

/// The same server by `sslmode=verify-full`, as a role that it admits over TLS only.
pub fn postgres_tls_url() -> Option<String> {
    service("VESTIBULE_TEST_POSTGRES_TLS_URL")
}

/// Path of the PEM certificate of the authority that signed PostgreSQL's certificate.
pub fn postgres_ca() -> Option<String> {
    service("VESTIBULE_TEST_POSTGRES_CA")
}

/// `redis://` URL of an empty server.
pub fn redis_url() -> Option<String> {
    service("VESTIBULE_TEST_REDIS_URL")
}

/// `http://` URL of a chromedriver.
pub fn chromedriver_url() -> Option<String> {
    service("VESTIBULE_TEST_CHROMEDRIVER_URL")
}

/// Path of the program that starts the app in Node.js (`tests/peers/node`).
pub fn node_peer() -> Option<String> {
    service("VESTIBULE_TEST_NODE_PEER")
}

/// Path of the program that starts the app in Python (`tests/peers/python`).
pub fn python_peer() -> Option<String> {
    service("VESTIBULE_TEST_PYTHON_PEER")
}

/// Path of the program that starts a mail server of another kind (`tests/peers/smtp`).
pub fn mail_peer() -> Option<String> {
    service("VESTIBULE_TEST_MAIL_PEER")
}

/// Path of a folder with `ca.pem`, an authority, and `server.pem` with `server.key`, its certificate for `localhost`
/// and 127.0.0.1.
pub fn tls() -> Option<String> {
    service("VESTIBULE_TEST_TLS")
}

fn service(variable: &str) -> Option<String> {
    let required = env::var("VESTIBULE_TEST_REQUIRE").is_ok_and(|value| value == "1");
    let found = present(variable, env::var(variable).ok(), required);
    if found.is_none() {
        eprintln!("skipped: {variable} is not set; `tests/run` starts what this test needs");
    }
    found
}

/// The value of `variable`; an empty one counts as none, and none where it is required panics.
fn present(variable: &str, value: Option<String>, required: bool) -> Option<String> {
    let value = value.filter(|text| !text.is_empty());
    assert!(
        value.is_some() || !required,
        "{variable} is not set, and VESTIBULE_TEST_REQUIRE=1 forbids skipping"
    );
    value
}

#[test]
fn a_missing_service_is_skipped_only_where_nobody_requires_it() {
    assert_eq!(
        present("X", Some("redis://x".into()), true).as_deref(),
        Some("redis://x")
    );
    assert_eq!(present("X", Some(String::new()), false), None);
    assert_eq!(present("X", None, false), None);
    assert!(std::panic::catch_unwind(|| present("X", None, true)).is_err());
    assert!(std::panic::catch_unwind(|| present("X", Some(String::new()), true)).is_err());
}
