//! TLS to mail servers: verified always, and no password without it (threat V057).

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::server::{Script, Server as Fake};
use super::*;

/// An authority, as a PEM file that a mailer can be told to trust.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: tempfile::NamedTempFile,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let pem = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pem.path(), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A server's side of TLS for `name`.
    pub fn server(&self, name: &str, expired: bool) -> Arc<rustls::ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        config(certificate.der().clone(), &key)
    }
}

/// A server's side of TLS for `name`, vouched for by nobody but itself.
fn self_signed(name: &str) -> Arc<rustls::ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    config(certificate.der().clone(), &key)
}

fn config(
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: &KeyPair,
) -> Arc<rustls::ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

fn rig(database: &Database, server: &Fake, (ssl, starttls): (bool, bool), ca: &Authority) -> Rig {
    let mut settings = smtp(server.port);
    settings["ssl"] = ssl.into();
    settings["starttls"] = starttls.to_string().into();
    settings["auth"] = true.into();
    settings["user"] = "idp".into();
    settings["password"] = "p4ss".into();
    let options = Options {
        tls_ca: Some(ca.pem.path().to_owned()),
        timing: HASTY,
        ..Options::default()
    };
    Rig::with(database, settings, options)
}

fn script(tls: Arc<rustls::ServerConfig>) -> Script {
    Script {
        tls: Some(tls),
        ..Script::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_and_a_mail_travel_by_starttls_and_by_implicit_tls() {
    let ca = Authority::new();
    for implicit in [false, true] {
        let server = Fake::start(Script {
            implicit,
            ..script(ca.server("127.0.0.1", false))
        })
        .await;
        let database = sqlite();
        let rig = rig(&database, &server, (implicit, !implicit), &ca);
        assert_eq!(rig.mailer.probe(&rig.realm).await, Ok(()));
        server.seen.lock().commands.clear();
        let running = rig.mailer.spawn();
        let id = rig.send_to("bob@people.example");
        rig.until_state(&id, State::Sent).await;
        let commands = server.commands();
        let at = |start: &str| commands.iter().position(|line| line.starts_with(start));
        let login = at("AUTH PLAIN").unwrap();
        if implicit {
            assert_eq!(at("STARTTLS"), None);
        } else {
            assert!(at("STARTTLS").unwrap() < login);
        }
        assert!(login < at("MAIL").unwrap());
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_tls_is_not_right_gets_neither_password_nor_mail() {
    let (ca, stranger) = (Authority::new(), Authority::new());
    let right = ca.server("127.0.0.1", false);
    // Each with the words by which its administrator finds out what to mend.
    let cases = [
        (
            "another name",
            "not valid for name",
            script(ca.server("mail.evil.example", false)),
        ),
        ("expired", "expired", script(ca.server("127.0.0.1", true))),
        (
            "unknown authority",
            "invalid peer certificate",
            script(stranger.server("127.0.0.1", false)),
        ),
        (
            "self-signed",
            "invalid peer certificate",
            script(self_signed("127.0.0.1")),
        ),
        (
            "stripped",
            "offers no STARTTLS",
            Script {
                stripped: true,
                ..script(right)
            },
        ),
        ("no TLS at all", "offers no STARTTLS", Script::default()),
    ];
    for (case, says, script) in cases {
        for implicit in [false, true] {
            let server = Fake::start(Script {
                implicit: implicit && script.tls.is_some() && !script.stripped,
                ..script.clone()
            })
            .await;
            if implicit && !server.script.lock().implicit {
                continue;
            }
            let database = sqlite();
            let rig = rig(&database, &server, (implicit, !implicit), &ca);
            let running = rig.mailer.spawn();
            let id = rig.send_to("bob@people.example");
            let pause = rig.until_paused().await;
            assert_eq!(pause.kind, "tls", "{case}: {}", pause.reason);
            assert!(pause.reason.contains(says), "{case}: {}", pause.reason);
            assert_eq!(rig.entry(&id).state, State::Queued);
            let commands = server.commands();
            assert!(
                commands
                    .iter()
                    .all(|line| line.starts_with("EHLO") || line == "STARTTLS" || line == "QUIT"),
                "{case}: {commands:?}"
            );
            running.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_put_into_the_connection_before_tls_send_nothing() {
    let ca = Authority::new();
    let server = Fake::start(Script {
        injected: "250-mail.test\r\n250 AUTH PLAIN\r\n",
        ..script(ca.server("127.0.0.1", false))
    })
    .await;
    for login in [true, false] {
        let database = sqlite();
        let rig = rig(&database, &server, (false, true), &ca);
        if !login {
            let mut settings = smtp(server.port);
            settings["starttls"] = true.into();
            rig.set_smtp(settings);
        }
        let running = rig.mailer.spawn();
        let id = rig.send_to("bob@people.example");
        if login {
            assert_eq!(rig.until_paused().await.kind, "login");
        } else {
            let entry = rig.until(&id, |entry| entry.attempts == 1).await;
            assert_eq!(entry.state, State::Queued);
            assert!(entry.last_error.unwrap().contains("out of step"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(server.mails().is_empty());
        running.stop().await;
    }
}

#[test]
fn routes_refuse_what_would_travel_in_the_clear() {
    let database = sqlite();
    let rig = Rig::new(&database, json!({}));
    let route = |smtp: serde_json::Value, insecure_plain| {
        let mut realm = rig.realm.clone();
        realm.settings.smtp_server = serde_json::from_value(smtp).unwrap();
        let defaults = Defaults {
            transport: None,
            insecure_plain,
        };
        transport::route(&realm, &rig.mailer.inner.keyring, defaults)
    };
    let reason = |smtp: serde_json::Value, insecure| match route(smtp, insecure) {
        Ok(_) => panic!("a route"),
        Err(no) => no.reason,
    };
    let plain = json!({"host": "mail.example", "from": "a@b.example"});
    assert!(reason(plain.clone(), false).contains("insecure_plain_smtp"));
    assert!(route(plain, true).is_ok());
    let login = json!({"host": "mail.example", "from": "a@b.example", "auth": true, "user": "u", "password": "p"});
    assert!(reason(login.clone(), true).contains("never sent in the clear"));
    let mut here = login.clone();
    here["host"] = "127.0.0.1".into();
    assert!(route(here, false).is_ok());
    for (field, value, part) in [
        ("from", json!(""), "from is missing"),
        (
            "from",
            json!("a@b.example\r\nBcc: eve@evil.example"),
            "from is not",
        ),
        ("replyTo", json!("nobody"), "replyTo is not"),
        ("envelopeFrom", json!("<x>"), "envelopeFrom is not"),
        ("port", json!("70000"), "port 70000"),
        ("port", json!(0), "port 0"),
        ("user", json!(null), "user is missing"),
        ("password", json!(""), "password is missing"),
        ("password", json!("sealed:AAAA"), "cannot be opened"),
        ("authType", json!("kerberos"), "authType"),
        ("authType", json!("token"), "authTokenUrl is missing"),
    ] {
        let mut smtp = login.clone();
        smtp["starttls"] = true.into();
        smtp[field] = value;
        assert!(reason(smtp, false).contains(part), "{field}");
    }
}

#[test]
fn keycloaks_fields_and_the_default_transport_make_routes() {
    let database = sqlite();
    let rig = Rig::new(&database, json!({}));
    let keyring = &rig.mailer.inner.keyring;
    let sealed = realm::smtp::seal(
        keyring,
        &Entropy,
        (&rig.realm.id, "password"),
        "sealed:p4ss",
    )
    .unwrap();
    assert!(!sealed.contains("p4ss"));
    let mut realm = rig.realm.clone();
    realm.settings.smtp_server = serde_json::from_value(json!({
        "host": "[::1]", "port": 2525, "ssl": "true", "auth": "TRUE", "user": "idp", "password": sealed,
        "from": "idp@rosewood.example", "fromDisplayName": "Accounts\r\nBcc: x@y.example",
        "replyTo": "help@rosewood.example", "replyToDisplayName": "Help",
        "envelopeFrom": "bounces@rosewood.example",
    }))
    .unwrap();
    let none = Defaults {
        transport: None,
        insecure_plain: false,
    };
    let route = transport::route(&realm, keyring, none).unwrap();
    let server = &route.server;
    assert_eq!(
        (server.host.as_str(), server.port, server.security),
        ("::1", 2525, Security::Implicit)
    );
    let login = server.login.as_ref().unwrap();
    assert_eq!(login.user, "idp");
    let Proof::Password(password) = &login.proof else {
        panic!("another proof");
    };
    assert_eq!(password, "sealed:p4ss");
    let sender = &route.sender;
    assert_eq!(
        sender.from.name.as_deref(),
        Some("Accounts Bcc: x@y.example")
    );
    assert_eq!(
        sender.reply_to.as_ref().unwrap().to_string(),
        "Help <help@rosewood.example>"
    );
    assert_eq!(sender.envelope_from.to_string(), "bounces@rosewood.example");
    // A password sealed for one realm opens in no other.
    realm.id = RealmId::new("realm-2");
    assert!(transport::route(&realm, keyring, none).is_err());

    let default = DefaultTransport {
        server: Server::clone(server),
        from: "no-reply@id.example".parse().unwrap(),
    };
    let defaults = Defaults {
        transport: Some(&default),
        insecure_plain: false,
    };
    let route = transport::route(&rig.realm, keyring, defaults).unwrap();
    assert_eq!(
        route.sender.from.to_string(),
        "Rosewood School <no-reply@id.example>"
    );
}
