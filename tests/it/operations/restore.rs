//! A restored backup brings nobody's session back, and holds no key (V175, V184, R-21).

use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;
use vestibule::kernel::UserId;

use super::process::{Place, Server, empty_postgres};
use crate::support::app::User;
use crate::support::arrival::Arrival;
use crate::support::browser::Browser;
use crate::support::database::Kind;
use crate::support::rp::{RelyingParty, Tokens};
use crate::support::seed;
use crate::support::services;

const PASSWORD: &str = "an admin passphrase";

/// A database that can be copied away and back while no server runs.
enum Backup<'a> {
    File(&'a Place),
    /// The names of the database and its copy.
    Postgres(String, String),
}

impl Backup<'_> {
    /// Statements by the tests' server, none of them in a transaction.
    fn administer(runtime: &Runtime, statements: &[String]) {
        let server = services::postgres_url().expect("PostgreSQL");
        runtime.block_on(async move {
            let connecting = tokio_postgres::connect(&server, tokio_postgres::NoTls);
            let (client, connection) = connecting.await.unwrap();
            tokio::spawn(connection);
            for statement in statements {
                client.batch_execute(statement).await.unwrap();
            }
        });
    }

    fn save(&self, runtime: &Runtime) {
        match self {
            Self::File(place) => {
                std::fs::copy(place.path("v.db"), place.path("backup.db")).unwrap();
            }
            Self::Postgres(name, copy) => Self::administer(
                runtime,
                &[format!("CREATE DATABASE {copy} TEMPLATE {name}")],
            ),
        }
    }

    fn restore(&self, runtime: &Runtime) {
        match self {
            Self::File(place) => {
                std::fs::copy(place.path("backup.db"), place.path("v.db")).unwrap();
            }
            Self::Postgres(name, copy) => Self::administer(
                runtime,
                &[
                    format!("DROP DATABASE {name}"),
                    format!("CREATE DATABASE {name} TEMPLATE {copy}"),
                ],
            ),
        }
    }
}

/// Somebody with everything that can be had: two sets of tokens, a browser, a code, and somebody else's link.
struct Life<'a> {
    place: &'a Place,
    runtime: &'a Runtime,
    http: reqwest::Client,
    rp: RelyingParty,
    admin: User,
}

struct Held {
    tokens: [Tokens; 2],
    browser: Browser,
    code: Arrival,
    link: Url,
}

impl<'a> Life<'a> {
    fn at(place: &'a Place, runtime: &'a Runtime) -> Self {
        crate::support::app::install_tls();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        let url = place.url();
        let address = url.replace("localhost", "127.0.0.1");
        let issuer = format!("{url}/realms/master");
        let rp = RelyingParty::new(&seed::RP, &issuer, (&url, &address), &http);
        let admin = User {
            id: UserId::new("the administrator"),
            realm: "master".to_owned(),
            username: "admin".to_owned(),
            email: String::new(),
            password: PASSWORD.to_owned(),
        };
        Self {
            place,
            runtime,
            http,
            rp,
            admin,
        }
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = self.place.url().replace("localhost", "127.0.0.1");
        let request = self
            .http
            .request(method, format!("{url}/admin/realms/master{path}"))
            .bearer_auth(token);
        let request = match body {
            Value::Null => request,
            body => request.json(&body),
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").cloned();
        let mut body: Value = answer.json().await.unwrap_or(Value::Null);
        if let Some(location) = location {
            body = json!({ "id": location.to_str().unwrap().rsplit('/').next() });
        }
        (status, body)
    }

    async fn manages(&self, token: &str) -> u16 {
        self.call(token, Method::GET, "", Value::Null).await.0
    }

    async fn granted(&self) -> Value {
        let mut client = self.rp.clone();
        (client.client_id, client.secret) = ("admin-cli".to_owned(), None);
        let answer = client.password_grant("admin", PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn browser(&self) -> Browser {
        let url = self.place.url();
        let address = url.replace("localhost", "127.0.0.1");
        Browser::at(&self.http, (&url, &address))
    }

    /// Fills the database.
    async fn begin(&self) -> Held {
        let granted = self.granted().await;
        let token = granted["access_token"].as_str().unwrap();
        let post = async |path: &str, body: Value| {
            let (status, body) = self.call(token, Method::POST, path, body).await;
            assert!(status < 300, "{path}: {status} {body}");
            body
        };
        let longer = json!({ "accessCodeLifespan": 600 });
        assert_eq!(self.call(token, Method::PUT, "", longer).await.0, 204);
        let client = json!({
            "clientId": "rp", "secret": seed::SECRET, "redirectUris": [seed::RP.redirect_uri],
            "directAccessGrantsEnabled": true,
        });
        post("/clients", client).await;
        let made = post("/users", json!({ "username": "alice", "enabled": true })).await;
        let path = format!("/users/{}/pre-registration", made["id"].as_str().unwrap());
        let link = post(&path, json!({ "send": false })).await;
        let link = Url::parse(link["link"].as_str().unwrap()).unwrap();
        let mut browser = self.browser();
        let first = browser
            .authorize(&self.rp)
            .await
            .sign_in(&self.admin)
            .await
            .assert_redirect_to(&self.rp);
        let second = browser
            .authorize(&self.rp)
            .await
            .assert_redirect_to(&self.rp);
        let code = browser
            .authorize(&self.rp)
            .await
            .assert_redirect_to(&self.rp);
        Held {
            tokens: [
                first.exchange().await.assert_tokens(),
                second.exchange().await.assert_tokens(),
            ],
            browser,
            code,
            link,
        }
    }

    /// What of it opens something, by name.
    async fn opens(&self, held: &Held) -> Vec<&'static str> {
        let mut opens = Vec::new();
        for tokens in &held.tokens {
            if self.rp.userinfo(&tokens.access).await.status == 200 {
                opens.push("access token");
            }
            let refresh = tokens.refresh.as_deref().unwrap();
            if self.rp.refresh(refresh).await.status == 200 {
                opens.push("refresh token");
            }
        }
        let asked = &held.code.asked;
        if self
            .rp
            .redeem(held.code.code(), &asked.verifier)
            .await
            .status
            == 200
        {
            opens.push("code");
        }
        let mut browser = held.browser.copy();
        browser
            .authorize_with(&self.rp, &[("prompt", "none")])
            .await;
        if browser.got_a_code() {
            opens.push("cookie");
        }
        let mut browser = self.browser();
        browser.open(held.link.clone()).await;
        if browser.page().marker.as_deref() == Some("link") {
            opens.push("link");
        }
        opens
    }
}

fn stop(server: Server<'_>) {
    server.signal("INT");
    assert_eq!(server.ended().0, Some(0));
}

/// V175: no private half of a key, in whichever form, and nothing that somebody holds.
fn holds_no_secret(backup: &[u8], held: &Held) {
    let has = |part: &[u8]| backup.windows(part.len()).any(|window| window == part);
    assert!(has(b"alice") && has(b"RS256"), "this is not the database");
    let token = held.link.path_segments().unwrap().next_back().unwrap();
    let refresh = held.tokens[0].refresh.as_deref().unwrap();
    let secrets: [(&str, &[u8]); 11] = [
        ("a PEM", b"PRIVATE KEY"),
        ("a JWK", b"\"d\":"),
        ("a JWK", b"\"qi\":"),
        // PKCS #8: the algorithm, and then an octet string where a public key has a bit string.
        (
            "an RSA key",
            &[0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x04, 0x82],
        ),
        ("a key of P-256", &[0xce, 0x3d, 0x03, 0x01, 0x07, 0x04]),
        ("a key of Ed25519", &[0x2b, 0x65, 0x70, 0x04, 0x22]),
        ("a client's secret", seed::SECRET.as_bytes()),
        ("a password", PASSWORD.as_bytes()),
        ("a link", token.as_bytes()),
        ("a code", held.code.code().as_bytes()),
        ("a refresh token", refresh.as_bytes()),
    ];
    for (what, secret) in secrets {
        assert!(!has(secret), "{what} lies in the backup");
    }
}

fn what_a_backup_revives_is_ended_before_it_is_served(kind: Kind) {
    let runtime = Runtime::new().unwrap();
    let mut place = Place::new();
    let url = match kind {
        Kind::Sqlite => None,
        Kind::Postgres => match empty_postgres("restore") {
            Some(url) => Some(url),
            None => return,
        },
    };
    if let Some(url) = &url {
        place = place.set("VESTIBULE_DATABASE_URL", url.as_str());
    }
    let place = place;
    let backup = match url {
        None => Backup::File(&place),
        Some(url) => {
            let name = url.rsplit('/').next().unwrap().to_owned();
            let copy = format!("{name}_copy");
            Backup::Postgres(name, copy)
        }
    };
    let life = Life::at(&place, &runtime);
    let server = place.serve();
    let held = life.runtime.block_on(life.begin());
    stop(server);
    backup.save(&runtime);
    if let Backup::File(place) = &backup {
        holds_no_secret(&std::fs::read(place.path("backup.db")).unwrap(), &held);
    }

    // Everything from before ends, and there is something newer.
    for _ in 0..3 {
        place.run(&["admin", "reset", "admin"]);
    }
    let server = place.serve();
    assert_eq!(runtime.block_on(life.opens(&held)), ["link"], "alice's");
    stop(server);

    // The backup alone brings it back: that is what has to be ended.
    backup.restore(&runtime);
    let server = place.serve();
    let all = [
        "access token",
        "refresh token",
        "access token",
        "refresh token",
        "code",
        "cookie",
        "link",
    ];
    assert_eq!(runtime.block_on(life.opens(&held)), all);
    stop(server);

    backup.restore(&runtime);
    place
        .run(&["admin", "revoke-everything"])
        .refused(2, "--yes");
    let told = place.run(&["admin", "revoke-everything", "--yes", "--json"]);
    assert!(told.json()["people"].as_u64().unwrap() >= 2);
    let server = place.serve();
    runtime.block_on(async {
        let none: [&str; 0] = [];
        assert_eq!(life.opens(&held).await, none);
        // Whoever signs in now is let in; a second later at the latest, for tokens tell their time in seconds.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let granted = life.granted().await;
        let token = granted["access_token"].as_str().unwrap();
        assert_eq!(life.manages(token).await, 200);
        // And what happens to people after it brings nothing of before back.
        let found = life.call(token, Method::GET, "/users?username=alice", Value::Null);
        let path = format!("/users/{}", found.await.1[0]["id"].as_str().unwrap());
        for flag in [true, false, true, false, true, false] {
            let body = json!({ "forcePasswordReset": flag });
            assert_eq!(life.call(token, Method::PUT, &path, body).await.0, 204);
        }
        assert_eq!(life.opens(&held).await, none);
    });
    stop(server);
}

#[test]
fn what_a_backup_revives_is_ended_before_it_is_served_on_sqlite() {
    what_a_backup_revives_is_ended_before_it_is_served(Kind::Sqlite);
}

#[test]
fn what_a_backup_revives_is_ended_before_it_is_served_on_postgres() {
    what_a_backup_revives_is_ended_before_it_is_served(Kind::Postgres);
}
