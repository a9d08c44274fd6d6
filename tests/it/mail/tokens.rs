//! Signing in to a mail server by XOAUTH2: the token endpoint is our own server's `client_credentials` over TLS, the
//! mail server is not ours and checks the string and the token in it.

use std::net::TcpListener;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, smtp, sql, until};
use crate::operations::process::Place;
use crate::support::mail_peer::MailPeer;
use crate::support::services;

const SECRET: &str = "the secret of the mailer's client";

fn count(haystack: &[u8], needle: &str) -> usize {
    String::from_utf8_lossy(haystack).matches(needle).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_stands_for_the_password() {
    let (Some(tls), Some(_)) = (services::tls(), services::mail_peer()) else {
        return;
    };
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let https = free.local_addr().unwrap().port();
    drop(free);
    let place = Place::new()
        .set("SSL_CERT_FILE", format!("{tls}/ca.pem"))
        .set("VESTIBULE_HTTPS_ADDR", format!("127.0.0.1:{https}"))
        .set("VESTIBULE_TLS_CERT", format!("{tls}/server.pem"))
        .set("VESTIBULE_TLS_KEY", format!("{tls}/server.key"))
        .set("VESTIBULE_OUTBOUND_NETWORKS", "127.0.0.0/8,::1");
    let server = tokio::task::block_in_place(|| place.serve());
    let api = Api::new(&place.url(), ("admin", "an admin passphrase"));
    // A connection on which nothing is said for a second ends, so that the next mail has to sign in again.
    let mut peer = MailPeer::start(json!({
        "tls": "starttls", "login": { "user": "idp@harbour.example" }, "mechanisms": ["XOAUTH2"],
        "client_id": "mailer", "timeout": 1,
    }))
    .unwrap();
    let mut settings = smtp(peer.port);
    for (name, value) in [
        ("auth", "true"),
        ("starttls", "true"),
        ("authType", "token"),
        ("user", "idp@harbour.example"),
        ("authTokenClientId", "mailer"),
        ("authTokenClientSecret", SECRET),
        ("authTokenScope", "email"),
    ] {
        settings[name] = value.into();
    }
    let endpoint = |scheme: &str| {
        format!("{scheme}://localhost:{https}/realms/harbour/protocol/openid-connect/token")
    };
    settings["authTokenUrl"] = endpoint("https").into();
    api.realm("harbour", &settings).await;
    let client = json!({
        "clientId": "mailer", "secret": SECRET, "publicClient": false, "serviceAccountsEnabled": true,
        "standardFlowEnabled": false,
    });
    let made = api.call(Method::POST, "/harbour/clients", client).await;
    Api::fine(&made);

    // The button of the console: it signs in, and mails whoever has an address.
    let mut masked = settings.clone();
    masked["authTokenClientSecret"] = "**********".into();
    let tried = api.try_mail("harbour", &masked).await;
    assert_eq!(tried.status, 204, "{}", tried.body);
    assert!(peer.mails().is_empty(), "the administrator has no address");
    let admin = api.call(Method::GET, "/master/users?username=admin", Value::Null);
    let id = admin.await.body[0]["id"].as_str().unwrap().to_owned();
    let change = json!({ "email": "admin@harbour.example" });
    let path = format!("/master/users/{id}");
    Api::fine(&api.call(Method::PUT, &path, change).await);
    let tried = api.try_mail("harbour", &masked).await;
    assert_eq!(tried.status, 204, "{}", tried.body);
    let mails = peer.expect(1).await;
    assert_eq!(mails[0].0["rcpt_tos"], json!(["admin@harbour.example"]));
    assert_eq!(mails[0].0["signed_in"], true);

    // The token is kept; once the mail server does not take it any more, there is a new one, at once.
    assert_eq!(peer.refuse_seen_tokens().await, 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    api.invite("harbour", "ann@people.example").await;
    let mails = peer.expect(2).await;
    assert_eq!(mails[1].0["signed_in"], true);
    let database = place.path("v.db");
    let sent = "SELECT state AS value FROM outbox WHERE recipient = 'ann@people.example'";
    until(&database, sent, |state| state == "sent").await;
    assert!(sql(&database, "SELECT kind AS value FROM mail_pauses").is_empty());
    // One to try, one to mail, one refused, one with the new token; a connection's bytes are told when it has ended.
    let mut signed_in = 0;
    for _ in 0..100 {
        signed_in = count(&peer.wire(), "AUTH XOAUTH2 ");
        if signed_in >= 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(signed_in, 4);

    // What is wrong is said, without a word of the answer, and never over plain HTTP.
    for (field, value, says) in [
        (
            "authTokenClientSecret",
            "another secret".to_owned(),
            "refuses the client",
        ),
        (
            "authTokenClientId",
            "nobody".to_owned(),
            "refuses the client",
        ),
        (
            "authTokenScope",
            "no-such-scope".to_owned(),
            "refuses the scope",
        ),
        ("authTokenUrl", endpoint("http"), "https://"),
        (
            "authTokenUrl",
            format!("https://localhost:{https}/nowhere"),
            "no token from authTokenUrl",
        ),
        (
            "authTokenUrl",
            "https://localhost:1/token".to_owned(),
            "cannot be reached",
        ),
        ("user", "somebody.else@harbour.example".to_owned(), "535 "),
    ] {
        let mut wrong = settings.clone();
        wrong[field] = value.into();
        let tried = api.try_mail("harbour", &wrong).await;
        assert_eq!(tried.status, 500, "{field}");
        let said = tried.body["errorMessage"].as_str().unwrap();
        assert!(said.contains(says), "{field}: {said}");
    }
    // The mask stands for a secret that was given for one endpoint, and goes to no other (threat V159).
    let mut elsewhere = masked.clone();
    elsewhere["authTokenUrl"] = "https://evil.example/token".into();
    assert_eq!(api.try_mail("harbour", &elsewhere).await.status, 400);
    let mut wrong = settings.clone();
    wrong["authTokenClientSecret"] = "another secret".into();
    let put = json!({ "smtpServer": wrong });
    Api::fine(&api.call(Method::PUT, "/harbour", put).await);
    api.invite("harbour", "bob@people.example").await;
    let pause = "SELECT kind || ': ' || reason AS value FROM mail_pauses";
    let pause = until(&database, pause, |_| true).await;
    assert!(
        pause.starts_with("login: ") && pause.contains("refuses the client"),
        "{pause}"
    );
    // The stored secret is sealed, shown to nobody, and in no log.
    let shown = api.call(Method::GET, "/harbour", Value::Null).await;
    assert_eq!(
        shown.body["smtpServer"]["authTokenClientSecret"],
        "**********"
    );
    let stored = sql(
        &database,
        "SELECT settings AS value FROM realms WHERE name = 'harbour'",
    );
    assert!(stored[0].contains("sealed:") && !stored[0].contains("another secret"));
    let log = server.log();
    assert!(
        !log.contains(SECRET) && !log.contains("another secret"),
        "{log}"
    );
}
