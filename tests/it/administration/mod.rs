//! The admin API as a whole: every route of its table, asked by whoever should get nothing there.
//!
//! Rows of the threat list are named in the doc comments of their tests. Routes come from the table that mounts them,
//! so a new one is covered by being there; [`body`] says what a new one wants.

mod addresses;
mod delegates;
mod events;
mod realms;
mod settings;
mod superiors;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::admin;
use vestibule::link::{self, NewLink, Purpose, Sender};
use vestibule::realm;

use crate::support::answer::check_refusal;
use crate::support::app::{TestApp, User};
use crate::support::database::ADMIN;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    text: String,
    location: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The id of what was made.
    #[track_caller]
    fn made(&self) -> String {
        assert!((200..300).contains(&self.status), "{self:?}");
        let id = self.json()["id"].as_str().map(str::to_owned);
        let of_location = || self.location.rsplit('/').next().unwrap_or_default();
        id.unwrap_or_else(|| of_location().to_owned())
    }
}

/// An access token, as scripts get one.
async fn token(app: &TestApp, realm: &str, username: &str, password: &str) -> String {
    let mut client = app.legacy.in_realm(realm);
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    let answer = client.password_grant(username, password).await;
    assert_eq!(answer.status, 200, "{username}: {}", answer.body);
    answer.text("access_token").to_owned()
}

async fn operator(app: &TestApp) -> String {
    token(app, "master", ADMIN.0, ADMIN.1).await
}

/// A person of `t1` with these management roles, and their token.
async fn manager(app: &TestApp, name: &str, roles: &[&str]) -> (User, String) {
    let mut user = app.user(name);
    for role in roles {
        user = user.client_role("realm-management", role);
    }
    let user = user.await;
    let token = token(app, "t1", name, &user.password).await;
    (user, token)
}

/// A call, its path below `/admin`; an empty token is none.
async fn call(
    app: &TestApp,
    token: &str,
    (method, path): (&Method, &str),
    body: Option<&Value>,
) -> Answer {
    let url = app.here(&format!("{}/admin{path}", app.public_url()));
    let mut request = app.http.request(method.clone(), url);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.expect("an answer");
    let location = answer.headers().get("location");
    let location = location.map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
    let answer = Answer {
        status: answer.status().as_u16(),
        location,
        text: answer.text().await.expect("a body"),
    };
    check_refusal(answer.status, &answer.json());
    answer
}

/// Every route of the API: its method and its pattern below `/admin`.
fn routes() -> Vec<(Method, String)> {
    let entries = admin::table();
    let mut routes: Vec<(Method, String)> = entries
        .iter()
        .map(|entry| {
            let method = entry.method.as_str().parse().expect("a method");
            (method, format!("/realms{}", entry.path))
        })
        .collect();
    assert!(routes.len() > 100, "{} routes", routes.len());
    routes.push((Method::GET, "/serverinfo".to_owned()));
    routes.sort_by_key(|(method, pattern)| (rank(method, pattern), usize::MAX - pattern.len()));
    routes
}

/// What takes away what others need comes later.
fn rank(method: &Method, pattern: &str) -> u8 {
    match (method.as_str(), pattern) {
        ("GET", _) => 0,
        ("DELETE", pattern) if pattern.contains("{session}") => 1,
        ("DELETE", pattern) if pattern.contains("{credential}") => 2,
        ("DELETE", "/realms/{realm}/users/{user}" | "/realms/{realm}/clients/{client}") => 5,
        ("DELETE", "/realms/{realm}") => 6,
        ("DELETE", _) => 4,
        _ => 3,
    }
}

/// The kinds of things that a pattern names, in their order.
fn holes(pattern: &str) -> Vec<&'static str> {
    let parts = pattern.split('/').filter_map(|part| part.strip_prefix('{'));
    parts
        .filter_map(|name| match name.trim_end_matches('}') {
            "realm" => None,
            // A role by its name: of the client that is named before it, or of the realm.
            "role" if pattern.contains("/clients/{client}/roles") => Some("role of a client"),
            name => Some(*KINDS.iter().find(|kind| **kind == name).expect(name)),
        })
        .collect()
}

const KINDS: [&str; 17] = [
    "alias",
    "campaign",
    "client",
    "credential",
    "group",
    "import",
    "inner_client",
    "job",
    "link",
    "mail",
    "purpose",
    "role",
    "role_id",
    "scope",
    "session",
    "user",
    "role of a client",
];

/// A pattern with a realm and things in its holes, each chosen by its place among them and its kind.
fn filled(pattern: &str, realm: &str, thing: impl Fn(usize, &'static str) -> String) -> String {
    let mut named = holes(pattern).into_iter().enumerate();
    let parts = pattern.split('/').map(|part| match part {
        "{realm}" => realm.to_owned(),
        part if part.starts_with('{') => {
            let (place, kind) = named.next().expect("a hole");
            thing(place, kind)
        }
        part => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// One thing of each kind that a path can name, in one realm.
struct World {
    realm: &'static str,
    things: BTreeMap<&'static str, String>,
}

impl World {
    fn thing(&self, kind: &'static str) -> String {
        self.things.get(kind).expect(kind).clone()
    }

    /// Makes them. The realm's mail goes nowhere.
    async fn build(app: &TestApp, realm: &'static str) -> Self {
        let admin = operator(app).await;
        let at = |path: &str| format!("/realms/{realm}{path}");
        let send = async |method: Method, path: &str, body: Value| {
            let answer = call(app, &admin, (&method, &at(path)), Some(&body)).await;
            assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
            answer
        };
        let from = format!("no-reply@{realm}.example");
        let smtp = json!({ "host": "127.0.0.1", "port": "1", "from": from });
        send(Method::PUT, "", json!({ "smtpServer": smtp })).await;
        let user = app.user_of(realm, &format!("inhabitant-of-{realm}")).await;
        let mut things = of_person(app, &user).await;
        let client = json!({
            "clientId": format!("client-of-{realm}"), "serviceAccountsEnabled": true,
            "secret": "the-secret-of-a-client-of-this-world",
        });
        let client = send(Method::POST, "/clients", client).await.made();
        for kind in ["role", "role_id", "inside"] {
            let name = format!("{kind}-of-{realm}");
            send(Method::POST, "/roles", json!({ "name": name })).await;
        }
        let inner = format!("inner-of-{realm}");
        let roles = format!("/clients/{client}/roles");
        send(Method::POST, &roles, json!({ "name": inner })).await;
        let id_of = async |path: &str| {
            let answer = call(app, &admin, (&Method::GET, &at(path)), None).await;
            answer.made()
        };
        things.insert("role", format!("role-of-{realm}"));
        things.insert(
            "role_id",
            id_of(&format!("/roles/role_id-of-{realm}")).await,
        );
        things.insert("inside", id_of(&format!("/roles/inside-of-{realm}")).await);
        things.insert("inner", id_of(&format!("{roles}/{inner}")).await);
        things.insert("role of a client", inner);
        things.insert("inner_client", client.clone());
        things.insert("client", client);
        let group = json!({ "name": format!("group-of-{realm}") });
        let group = send(Method::POST, "/groups", group).await.made();
        things.insert("group", group);
        let none = json!({ "username": "nobody-at-all" });
        let order = json!({ "filter": none, "add": ["UPDATE_PASSWORD"] });
        let job = send(Method::POST, "/users/required-actions", order).await;
        things.insert("job", job.made());
        let mailing = json!({ "name": "m", "kind": "password-reset", "audience": none });
        let mailing = send(Method::POST, "/campaigns", mailing).await;
        things.insert("campaign", mailing.made());
        let scopes = call(app, &admin, (&Method::GET, &at("/client-scopes")), None).await;
        let scope = scopes.json()[0]["id"].as_str().expect("a scope").to_owned();
        things.insert("scope", scope);
        let url = app.here(&format!(
            "{}/admin/realms/{realm}/user-imports",
            app.public_url()
        ));
        let import = app.http.post(url).bearer_auth(&admin);
        let file = format!("username\nimported-into-{realm}\n");
        let import = import.header("Content-Type", "text/csv").body(file);
        let import: Value = import.send().await.unwrap().json().await.unwrap();
        let import = import["id"].as_str().expect("an import").to_owned();
        let state = format!("SELECT state AS value FROM import_jobs WHERE id = '{import}'");
        for _ in 0..200 {
            if app.sql(&state) == ["done"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(app.sql(&state), ["done"]);
        things.insert("import", import);
        things.insert("alias", "UPDATE_PASSWORD".to_owned());
        send(Method::PUT, "/mail-templates/pre-registration", template()).await;
        things.insert("purpose", "pre-registration".to_owned());
        Self { realm, things }
    }
}

/// A mail in a realm's own words.
fn template() -> Value {
    json!({
        "subject": "Hello", "text": "{{ link }} {{ message }}",
        "html": "<p><a href=\"{{ link }}\">{{ button }}</a> {{ message }}</p>",
    })
}

/// The things of one person: themselves, a session, a password, a link and its mail, of which nobody knows whether it
/// arrived.
async fn of_person(app: &TestApp, user: &User) -> BTreeMap<&'static str, String> {
    let rp = app.legacy.in_realm(&user.realm);
    let tokens = rp.password_grant(&user.username, &user.password).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let one = |query: &str| {
        app.sql(&format!("{query} WHERE user_id = '{}'", user.id))
            .remove(0)
    };
    let engine = app.engine();
    let (keyring, entropy) = (Arc::clone(&engine.keyring), engine.entropy);
    let (id, name) = (user.id.clone(), user.realm.clone());
    let made = app
        .tx(move |tx| {
            let tools = vestibule::mail::Tools {
                keyring: &keyring,
                entropy: &entropy,
            };
            let realm = realm::rows::by_name(tx, &name)?.expect("the realm");
            let new = NewLink::of(&realm, &id, Purpose::VerifyEmail, Sender::Administrator);
            link::create(tx, tools, &new)
        })
        .await
        .expect("a link");
    let mail = one("SELECT id AS value FROM outbox");
    app.database().execute(&format!(
        "UPDATE outbox SET state = 'in_doubt', lease_token = NULL WHERE id = '{mail}'"
    ));
    BTreeMap::from([
        ("mail", mail),
        ("user", user.id.to_string()),
        ("session", one("SELECT id AS value FROM sessions")),
        ("credential", one("SELECT id AS value FROM credentials")),
        ("link", made.id.to_string()),
    ])
}

/// A body with which a route does its work in this world; none where it wants none.
fn body(method: &Method, pattern: &str, world: &World) -> Option<Value> {
    let named = |kind, name| json!([{ "id": world.thing(kind), "name": name }]);
    let tail = pattern.rsplit('/').next().unwrap_or_default();
    Some(match (method.as_str(), tail) {
        ("GET", _) => return None,
        ("POST" | "DELETE", "realm") => named("inside", format!("inside-of-{}", world.realm)),
        ("POST" | "DELETE", "{client}") if pattern.contains("role-mappings") => {
            named("inner", format!("inner-of-{}", world.realm))
        }
        ("POST" | "DELETE", "composites") => json!([{ "id": world.thing("inside") }]),
        ("PUT", "{user}") => json!({ "firstName": "Changed" }),
        ("PUT", "{client}") => json!({ "description": "changed" }),
        ("PUT", "{realm}") => json!({ "displayName": "changed" }),
        ("PUT", "{alias}") => json!({ "enabled": true }),
        ("PUT", "{purpose}") | ("POST", "preview") if pattern.contains("/mail-templates/") => {
            template()
        }
        ("PUT", "{role}" | "{role_id}") => {
            let kind = holes(pattern).pop().expect("a role");
            let name = match kind {
                "role_id" => format!("role_id-of-{}", world.realm),
                kind => world.thing(kind),
            };
            json!({ "name": name, "description": "changed" })
        }
        ("PUT", "reset-password") => {
            json!({ "type": "password", "value": "a password of the caller", "temporary": false })
        }
        ("PUT", "execute-actions-email") => json!(["UPDATE_PASSWORD"]),
        ("PUT", "disable-credential-types") => json!(["otp"]),
        ("POST", "pre-registration") => json!({ "message": "hello" }),
        ("POST", "roles" | "children" | "groups") => json!({ "name": "fresh" }),
        ("POST", "required-actions") => {
            let ids = json!({ "ids": [world.thing("user")] });
            json!({ "filter": ids, "add": ["UPDATE_PASSWORD"] })
        }
        ("POST", "users") => json!({ "username": "fresh" }),
        ("POST", "clients") => json!({ "clientId": "fresh" }),
        _ => return None,
    })
}

/// The facts that a refused call could have changed.
fn facts(app: &TestApp) -> Vec<(String, Vec<String>)> {
    let tables = [
        "realms.",
        "realm_",
        "clients.",
        "roles.",
        "role_composites.",
        "client_scope",
        "protocol_mappers.",
        "scope_mappings.",
        "users.",
        "credentials.",
        "user_roles.",
        "required_actions.",
        "groups.",
        "user_groups.",
        "sessions.",
    ];
    let mut facts = app.database().contents();
    facts.retain(|(column, _)| tables.iter().any(|table| column.starts_with(table)));
    facts.retain(|(column, _)| column != "sessions.last_seen_at");
    for (_, values) in &mut facts {
        values.sort();
    }
    assert!(facts.len() > 60, "{} columns", facts.len());
    facts
}
