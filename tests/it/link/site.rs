//! A server as an operator runs it: real processes on either database, and an administrator at their API.

use std::time::Duration;

use parking_lot::Mutex;
use reqwest::{Client, ClientBuilder, Method};
use serde_json::{Map, Value, json};
use url::Url;

use crate::operations::process::Place;
use crate::support::database::{Database, Kind};

/// The realm that tests make there.
pub const REALM: &str = "t1";

/// Processes that share a database: two on PostgreSQL, and one on SQLite, which has one.
pub struct Site {
    /// What they share.
    pub database: Database,
    /// Their folders and settings; the first one's address is the public one.
    pub places: Vec<Place>,
}

impl Site {
    /// Sets it up, with these settings for each process. None where the tests have no PostgreSQL.
    pub fn on(kind: Kind, settings: &[(&str, &str)]) -> Option<Self> {
        let database = Database::empty(kind)?;
        let place = || {
            let place = Place::new().set("VESTIBULE_DATABASE_URL", database.url());
            settings
                .iter()
                .fold(place, |place, (name, value)| place.set(name, *value))
        };
        let first = place();
        let ran = first.run(&["migrate"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let mut places = vec![first];
        if kind == Kind::Postgres {
            let key = places[0].path("master.key").display().to_string();
            let second = place()
                .set("VESTIBULE_MASTER_KEY_FILE", key)
                .set("VESTIBULE_PUBLIC_URL", places[0].url());
            places.push(second);
        }
        Some(Self { database, places })
    }

    /// The public URL.
    pub fn public_url(&self) -> String {
        self.places[0].url()
    }

    /// A number out of the database.
    pub fn count(&self, query: &str) -> i64 {
        self.database.rows(query)[0].parse().expect("a number")
    }
}

/// Where a process is reached, without the name that has two addresses.
pub fn address(place: &Place) -> String {
    place.url().replace("localhost", "127.0.0.1")
}

/// A client that keeps its connections, follows nothing and has no cookies.
pub fn client() -> Client {
    client_with(|builder| builder)
}

/// The same with something else about it.
pub fn client_with(more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    crate::support::app::install_tls();
    let builder = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60));
    more(builder).build().expect("a client")
}

/// The administrator that the processes' settings name.
pub struct Operator {
    http: Client,
    address: String,
    token: Mutex<String>,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub location: Option<String>,
    pub body: Value,
}

/// A link that was answered and not mailed.
pub struct Revealed {
    pub url: Url,
    pub code: String,
}

impl Operator {
    /// At that address.
    pub fn at(http: &Client, address: &str) -> Self {
        Self {
            http: http.clone(),
            address: address.to_owned(),
            token: Mutex::default(),
        }
    }

    async fn sign_in(&self) {
        let url = format!(
            "{}/realms/master/protocol/openid-connect/token",
            self.address
        );
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", "an admin passphrase"),
        ];
        let answer = self.http.post(url).form(&form).send().await;
        let body: Value = answer.expect("an answer").json().await.expect("JSON");
        let token = body["access_token"].as_str();
        token
            .unwrap_or_else(|| panic!("{body}"))
            .clone_into(&mut self.token.lock());
    }

    /// A call, its path below `/admin/realms`. Tokens live for minutes, so one that is over is fetched anew.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, path, ("application/json", text)).await
    }

    /// The same with a body of any type.
    pub async fn send(&self, method: Method, path: &str, (kind, body): (&str, String)) -> Reply {
        let url = format!("{}/admin/realms{path}", self.address);
        for _ in 0..2 {
            let token = self.token.lock().clone();
            let mut request = self.http.request(method.clone(), &url).bearer_auth(token);
            if !body.is_empty() {
                request = request.header("content-type", kind).body(body.clone());
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            if status == 401 {
                self.sign_in().await;
                continue;
            }
            let location = answer.headers().get("location");
            let location = location.map(|url| url.to_str().expect("a location").to_owned());
            let body = answer.json().await.unwrap_or(Value::Null);
            return Reply {
                status,
                location,
                body,
            };
        }
        panic!("{path}: the administrator's new token is refused");
    }

    /// Makes realm `t1` with these settings.
    pub async fn realm(&self, settings: Value) {
        let mut body = Map::from_iter([
            ("realm".to_owned(), json!(REALM)),
            ("enabled".to_owned(), json!(true)),
            ("eventsEnabled".to_owned(), json!(true)),
        ]);
        body.extend(settings.as_object().cloned().unwrap_or_default());
        let made = self.call(Method::POST, "", Some(Value::Object(body))).await;
        assert_eq!(made.status, 201, "{made:?}");
    }

    /// Makes a person with an address and no password, and answers the id.
    pub async fn person(&self, name: &str) -> String {
        let body = json!({
            "username": name, "email": format!("{name}@people.example"), "enabled": true,
        });
        let path = format!("/{REALM}/users");
        let made = self.call(Method::POST, &path, Some(body)).await;
        assert_eq!(made.status, 201, "{made:?}");
        let location = made.location.expect("where the person is");
        let id = location.rsplit('/').next().expect("an id");
        id.to_owned()
    }

    /// A link to set the first password, as an answer.
    pub async fn reveal(&self, person: &str) -> Revealed {
        let path = format!("/{REALM}/users/{person}/pre-registration");
        let body = json!({ "send": false });
        let made = self.call(Method::POST, &path, Some(body)).await;
        assert_eq!(made.status, 200, "{made:?}");
        let text = |name: &str| made.body[name].as_str().expect("a text").to_owned();
        Revealed {
            url: Url::parse(&text("link")).expect("an address"),
            code: text("code"),
        }
    }
}
