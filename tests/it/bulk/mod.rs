//! Bulk work: filters over many people, cohorts as jobs, mailings.

mod bounces;
mod campaigns;
mod cohorts;
mod commands;
mod crowd;
mod doubt;
mod filters;
mod invitations;
mod kills;
mod outcomes;
mod pace;
mod refusals;
mod reminders;
mod retention;
mod terminal;
mod undo;
mod ways;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::kernel::UserId;
use vestibule::oidc::provision;
use vestibule::realm;

use crate::support::app::{REALM, TestApp};
use crate::support::database::ADMIN;
use crate::support::rp::{JsonAnswer, RelyingParty};
use crate::support::seed;

/// The command line's client, as scripts use it: public, with the password grant.
fn admin_cli(app: &TestApp, realm: &str) -> RelyingParty {
    let mut client = app.legacy.in_realm(realm);
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    client
}

/// An administrator's access token, fetched anew for each call: these live for minutes and tests move the clock.
struct Admin<'a> {
    app: &'a TestApp,
    realm: &'a str,
    username: String,
    password: String,
}

/// The operator of the whole server.
fn operator(app: &TestApp) -> Admin<'_> {
    Admin {
        app,
        realm: "master",
        username: ADMIN.0.to_owned(),
        password: ADMIN.1.to_owned(),
    }
}

impl Admin<'_> {
    async fn token(&self) -> String {
        let answer = admin_cli(self.app, self.realm)
            .password_grant(&self.username, &self.password)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("access_token").to_owned()
    }

    /// A call, its path below `/admin/realms/t1`.
    async fn send(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let app = self.app;
        let url = app.here(&format!("{}/admin/realms/{REALM}{path}", app.public_url()));
        app.http
            .request(method, url)
            .bearer_auth(self.token().await)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> JsonAnswer {
        let mut request = self.send(method, path).await;
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        JsonAnswer::read(answer).await
    }

    async fn get(&self, path: &str) -> JsonAnswer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> JsonAnswer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Asks until the answer is as it shall be; for ten seconds.
    async fn wait_for(&self, path: &str, right: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..200 {
            last = self.get(path).await.body;
            if right(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never became right: {last}");
    }
}

/// Makes many people without a password, `PREFIX0000` and so on, each with an address.
async fn people(app: &TestApp, prefix: &'static str, count: usize) -> Vec<UserId> {
    let (keyring, entropy) = (
        std::sync::Arc::clone(&app.engine().keyring),
        app.engine().entropy,
    );
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
        let tools = seed::tools(&keyring, &entropy);
        let mut made = Vec::new();
        for number in 0..count {
            let name = format!("{prefix}{number:04}");
            let new = vestibule::user::User {
                email: Some(format!("{name}@people.example")),
                email_verified: true,
                enabled: true,
                ..provision::blank_user(tx, tools, &realm, &name)?
            };
            assert!(provision::create_user(tx, &realm, &new, &[])?.is_ok());
            made.push(new.id);
        }
        Ok(made)
    })
    .await
}

/// Quiet hours from so many seconds from now until so many, as the clock on the wall says in Tokyo.
fn quiet(app: &TestApp, (from, to): (i64, i64)) -> Value {
    let now = app.store().clock().now();
    let wall = |seconds: i64| {
        let at = now.plus_seconds(seconds + 9 * 3600);
        let minutes = at.seconds().rem_euclid(24 * 3600) / 60;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    json!({ "from": wall(from), "to": wall(to), "timeZone": "Asia/Tokyo" })
}

/// A filter for everybody whom [`people`] has made.
fn with_prefix(prefix: &str) -> Value {
    json!({ "username": prefix })
}
