//! The real binary and a mail server that is not ours, in every way in which they can be told to talk.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, smtp, sql, until};
use crate::operations::process::Place;
use crate::support::mail_peer::MailPeer;
use crate::support::services;

const USER: &str = "idp";
const PASSWORD: &str = "a p4ss:with ü";

/// A server whose only authority is the tests' own.
fn place() -> Option<Place> {
    let tls = services::tls()?;
    services::mail_peer()?;
    Some(Place::new().set("SSL_CERT_FILE", format!("{tls}/ca.pem")))
}

fn api(place: &Place) -> Api {
    Api::new(&place.url(), ("admin", "an admin passphrase"))
}

/// One way of talking: TLS, the mechanism of the login, SMTPUTF8 and 8BITMIME.
struct Way {
    tls: &'static str,
    mechanism: Option<&'static str>,
    utf8: bool,
    eightbit: bool,
}

impl Way {
    fn name(&self) -> String {
        let on = |on: bool| if on { "with" } else { "no" };
        format!(
            "{}-{}-{}-utf8-{}-8bit",
            self.tls,
            self.mechanism.unwrap_or("nobody").to_lowercase(),
            on(self.utf8),
            on(self.eightbit)
        )
    }

    fn peer(&self) -> MailPeer {
        let mechanisms: Vec<&str> = self.mechanism.into_iter().collect();
        let login = self
            .mechanism
            .map(|_| json!({ "user": USER, "password": PASSWORD }));
        let started = MailPeer::start(json!({
            "tls": self.tls, "login": login, "mechanisms": mechanisms,
            "utf8": self.utf8, "eightbit": self.eightbit,
        }));
        started.expect("the program is there")
    }

    fn smtp(&self, port: u16) -> Value {
        let mut settings = smtp(port);
        settings["starttls"] = (self.tls == "starttls").to_string().into();
        settings["ssl"] = (self.tls == "implicit").to_string().into();
        settings["auth"] = self.mechanism.is_some().to_string().into();
        if self.mechanism.is_some() {
            settings["user"] = USER.into();
            settings["password"] = PASSWORD.into();
        }
        settings
    }
}

fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for tls in ["none", "starttls", "implicit"] {
        for mechanism in [None, Some("PLAIN"), Some("LOGIN")] {
            ways.push(Way {
                tls,
                mechanism,
                utf8: ways.len() % 2 == 0,
                eightbit: ways.len() % 3 != 0,
            });
        }
    }
    for (utf8, eightbit) in [(false, false), (false, true), (true, false), (true, true)] {
        ways.push(Way {
            tls: "none",
            mechanism: None,
            utf8,
            eightbit,
        });
    }
    ways.sort_by_key(Way::name);
    ways.dedup_by_key(|way| way.name());
    ways
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_talking_to_a_mail_server_delivers() {
    let Some(place) = place() else { return };
    let _server = tokio::task::block_in_place(|| place.serve());
    let api = api(&place);
    let mut peers = Vec::new();
    for way in ways() {
        let (name, peer) = (way.name(), tokio::task::block_in_place(|| way.peer()));
        api.realm(&name, &way.smtp(peer.port)).await;
        let tried = api.try_mail(&name, &way.smtp(peer.port)).await;
        assert_eq!(tried.status, 204, "{name}: {}", tried.body);
        api.invite(&name, "ann@people.example").await;
        api.invite(&name, "jürgen@people.example").await;
        peers.push((name, way, peer));
    }
    for (name, way, peer) in &peers {
        let mails = peer.expect(if way.utf8 { 2 } else { 1 }).await;
        let to = |address: &str| {
            let found = mails
                .iter()
                .find(|mail| mail.0["rcpt_tos"] == json!([address]));
            found.unwrap_or_else(|| panic!("{name}: none to {address}"))
        };
        let ann = to("ann@people.example");
        assert_eq!(ann.0["tls"], way.tls != "none", "{name}");
        assert_eq!(ann.0["signed_in"], way.mechanism.is_some(), "{name}");
        assert_eq!(ann.0["mail_from"], "idp@harbour.example");
        assert_eq!(ann.0["parsed"]["defects"], json!([]), "{name}");
        assert!(ann.text().contains("/login-actions/link/"), "{name}");
        let said = |address: &str| {
            format!(
                "SELECT state || coalesce(' ' || last_error, '') AS value FROM outbox \
             WHERE recipient = '{address}' AND realm_id = (SELECT id FROM realms WHERE name = '{name}')"
            )
        };
        let database = place.path("v.db");
        if way.utf8 {
            let options = to("jürgen@people.example").0["mail_options"].to_string();
            assert!(options.contains("SMTPUTF8"), "{name}: {options}");
        } else {
            // A server that cannot take the address is not asked to.
            let query = said("jürgen@people.example");
            let state = until(&database, &query, |state| state.starts_with("bounced")).await;
            assert!(state.contains("addresses that are not ASCII"), "{state}");
        }
        until(&database, &said("ann@people.example"), |state| {
            state == "sent"
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_pauses_the_realms_mail_and_says_so_until_the_right_one_is_set() {
    let Some(place) = place() else { return };
    let server = tokio::task::block_in_place(|| place.serve());
    let api = api(&place);
    let way = Way {
        tls: "starttls",
        mechanism: Some("PLAIN"),
        utf8: true,
        eightbit: true,
    };
    let peer = tokio::task::block_in_place(|| way.peer());
    let mut settings = way.smtp(peer.port);
    settings["password"] = "wrong".into();
    api.realm("harbour", &settings).await;
    // The mask stands for what is stored.
    settings["password"] = "**********".into();
    let tried = api.try_mail("harbour", &settings).await;
    assert_eq!(tried.status, 500);
    let why = tried.body["errorMessage"].as_str().unwrap();
    assert!(why.starts_with("Failed to send email: 535 "), "{why}");
    api.invite("harbour", "ann@people.example").await;
    let database = place.path("v.db");
    let pause = "SELECT kind || ': ' || reason AS value FROM mail_pauses";
    let pause = until(&database, pause, |pause| pause.starts_with("login")).await;
    assert!(pause.starts_with("login: 535 "), "{pause}");
    let health = server.management("/health").json();
    assert!(health.to_string().contains("restingRealms"), "{health}");
    let log = server.log();
    assert!(log.contains("the realm's mail rests"), "{log}");
    assert!(!log.contains("wrong"), "{log}");
    assert!(peer.mails().is_empty());

    // Another server does not get the password that was given for this one.
    settings["host"] = "localhost".into();
    let tried = api.try_mail("harbour", &settings).await;
    assert_eq!(tried.status, 400, "{}", tried.body);
    let put = json!({ "smtpServer": settings });
    assert_eq!(api.call(Method::PUT, "/harbour", put).await.status, 400);

    let put = json!({ "smtpServer": way.smtp(peer.port) });
    Api::fine(&api.call(Method::PUT, "/harbour", put).await);
    peer.expect(1).await;
    until(&database, "SELECT state AS value FROM outbox", |state| {
        state == "sent"
    })
    .await;
    assert!(sql(&database, "SELECT kind AS value FROM mail_pauses").is_empty());
    let shown = api.call(Method::GET, "/harbour", Value::Null).await;
    assert_eq!(shown.body["smtpServer"]["password"], "**********");
}

/// Threat V057 with the real binary: what stands in the way, and what comes over the wire.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_right_tls_gets_no_login() {
    let Some(place) = place() else { return };
    let _server = tokio::task::block_in_place(|| place.serve());
    let api = api(&place);
    let login = json!({ "user": USER, "password": PASSWORD });
    let plain = MailPeer::start(json!({ "tls": "none", "login": login, "mechanisms": ["PLAIN"] }));
    let right = MailPeer::start(
        json!({ "tls": "starttls", "login": login, "mechanisms": ["PLAIN"], "address": "127.0.0.2" }),
    );
    let (plain, right) = (plain.unwrap(), right.unwrap());
    let way = Way {
        tls: "starttls",
        mechanism: Some("PLAIN"),
        utf8: true,
        eightbit: true,
    };
    for (name, port, host, says) in [
        ("stripped", plain.port, "127.0.0.1", "STARTTLS"),
        // The certificate is for localhost and 127.0.0.1 alone.
        ("other-name", right.port, "127.0.0.2", "ertificate"),
    ] {
        let mut settings = way.smtp(port);
        settings["host"] = host.into();
        api.realm(name, &settings).await;
        let tried = api.try_mail(name, &settings).await;
        assert_eq!(tried.status, 500, "{name}");
        let why = tried.body["errorMessage"].as_str().unwrap();
        assert!(why.contains(says), "{name}: {why}");
        api.invite(name, "ann@people.example").await;
        let query = format!(
            "SELECT kind || ': ' || reason AS value FROM mail_pauses \
             WHERE realm_id = (SELECT id FROM realms WHERE name = '{name}')"
        );
        let pause = until(&place.path("v.db"), &query, |_| true).await;
        assert!(
            pause.starts_with("tls: ") && pause.contains(says),
            "{pause}"
        );
    }
    for peer in [&plain, &right] {
        let wire = String::from_utf8_lossy(&peer.wire()).into_owned();
        assert!(!wire.contains("AUTH") && !wire.contains("MAIL"), "{wire}");
        assert!(peer.mails().is_empty());
    }
}
