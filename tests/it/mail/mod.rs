//! Mail through the whole product, from the admin API to a mail server that is not ours.

mod corpus;
mod foreign;
mod hanging;
pub mod own_words;
mod templates;
mod throughput;
mod tokens;

use std::path::Path;
use std::time::Duration;

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::rp::JsonAnswer;

/// An administrator of the whole server, wherever it runs.
pub struct Api {
    http: reqwest::Client,
    base: String,
    username: String,
    password: String,
}

impl Api {
    pub fn new(base: &str, (username, password): (&str, &str)) -> Self {
        crate::support::app::install_tls();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(60))
            .build();
        Self {
            http: http.expect("a client"),
            base: base.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    async fn token(&self) -> String {
        let url = format!("{}/realms/master/protocol/openid-connect/token", self.base);
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", self.username.as_str()),
            ("password", self.password.as_str()),
        ];
        let answer = self.http.post(url).form(&form).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        let token = answer["access_token"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A call, its path below `/admin/realms`.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> JsonAnswer {
        let url = format!("{}/admin/realms{path}", self.base);
        let request = self
            .http
            .request(method, url)
            .bearer_auth(self.token().await);
        let answer = match body {
            Value::Null => request.send().await,
            body => request.json(&body).send().await,
        };
        let answer = answer.expect("an answer");
        JsonAnswer {
            status: answer.status().as_u16(),
            body: answer.json().await.unwrap_or(Value::Null),
        }
    }

    /// A call that is not refused.
    #[track_caller]
    pub fn fine(answer: &JsonAnswer) {
        assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    }

    /// Makes a realm whose mail goes where `smtp` says.
    pub async fn realm(&self, name: &str, smtp: &Value) {
        let body =
            json!({ "realm": name, "enabled": true, "displayName": name, "smtpServer": smtp });
        Self::fine(&self.call(Method::POST, "", body).await);
    }

    /// Makes a person who is mailed a link at once.
    async fn invite(&self, realm: &str, email: &str) {
        let body =
            json!({ "username": email, "email": email, "enabled": true, "sendInstructions": true });
        let answer = self
            .call(Method::POST, &format!("/{realm}/users"), body)
            .await;
        Self::fine(&answer);
    }

    /// Tries a realm's settings as the console's button does.
    async fn try_mail(&self, realm: &str, smtp: &Value) -> JsonAnswer {
        let path = format!("/{realm}/testSMTPConnection");
        self.call(Method::POST, &path, smtp.clone()).await
    }
}

/// Settings of Keycloak's kind for a server on this machine.
fn smtp(port: u16) -> Value {
    json!({
        "host": "127.0.0.1", "port": port.to_string(), "from": "idp@harbour.example",
        "fromDisplayName": "Harbour Accounts",
    })
}

#[derive(QueryableByName)]
struct OneText {
    #[diesel(sql_type = diesel::sql_types::Text)]
    value: String,
}

/// What a query that answers one column `value` of text finds in a server's SQLite file.
fn sql(database: &Path, query: &str) -> Vec<String> {
    let mut connection = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    let rows: Vec<OneText> = diesel::sql_query(query).load(&mut connection).unwrap();
    rows.into_iter().map(|row| row.value).collect()
}

/// Asks the database until a query's first row is as it shall be; for half a minute.
async fn until(database: &Path, query: &str, right: impl Fn(&str) -> bool) -> String {
    let mut last = Vec::new();
    for _ in 0..300 {
        last = sql(database, query);
        if let Some(row) = last.first().filter(|row| right(row)) {
            return row.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{query}: {last:?}");
}
