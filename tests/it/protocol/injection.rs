//! What a query string or a path of the admin API can hold: text, and never more than text.

use reqwest::Method;
use serde_json::Value;
use vestibule::admin;

use crate::support::app::TestApp;
use crate::support::database::{ADMIN, on_both};

/// What a scanner for injections sends, and what breaks parsers.
const PAYLOADS: [&str; 20] = [
    "'",
    "\"",
    "\\",
    "a' OR '1'='1",
    "a' OR 1=1 -- ",
    "a\") OR (\"1\"=\"1",
    "' UNION SELECT secret FROM credentials -- ",
    "1; DROP TABLE users; --",
    "x'/**/OR/**/1=1#",
    "' AND 1=CAST((SELECT version()) AS int) -- ",
    "' || (SELECT secret FROM credentials LIMIT 1) || '",
    "'; SELECT pg_sleep(9); --",
    "$1",
    "?1",
    ":name",
    "id:' OR 1=1",
    "x\u{0}y",
    "\u{202e}x\u{1F4A9}\u{fffd}",
    "9223372036854775808",
    "1e9",
];

/// Numbers at the edges of what can be counted.
const NUMBERS: [&str; 6] = [
    "-1",
    "-9223372036854775808",
    "9223372036854775807",
    "0",
    "0x10",
    "NaN",
];

/// Everything that a list of this API, of Keycloak's or of others reads.
const PARAMETERS: [&str; 22] = [
    "search",
    "first",
    "max",
    "q",
    "username",
    "email",
    "firstName",
    "lastName",
    "enabled",
    "emailVerified",
    "exact",
    "pendingAction",
    "status",
    "mailState",
    "state",
    "type",
    "user",
    "client",
    "clientId",
    "dateFrom",
    "sort",
    "after",
];

/// Texts by which people are looked for: a payload is in nobody's.
const NAMES: [&str; 5] = ["search", "username", "email", "firstName", "lastName"];

struct Caller<'a> {
    app: &'a TestApp,
    token: String,
}

impl Caller<'_> {
    /// What the route answers; no server error, nothing of the database's, and nobody of another realm.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let url = self
            .app
            .here(&format!("{}/admin/realms{path}", self.app.public_url()));
        let request = self.app.http.request(Method::GET, url).query(query);
        let answer = request.bearer_auth(&self.token).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        assert!(status < 500, "{path} {query:?}: {status} {text}");
        for leak in [
            "$argon2",
            "elsewhere",
            "syntax error",
            "SELECT ",
            "no such column",
        ] {
            let echoed = query.iter().any(|(_, value)| value.contains(leak));
            assert!(
                echoed || !text.contains(leak),
                "{path} {query:?} tells {leak:?}: {text}"
            );
        }
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

async fn operator(app: &TestApp) -> Caller<'_> {
    let mut client = app.legacy.in_realm("master");
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    let answer = client.password_grant(ADMIN.0, ADMIN.1).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let token = answer.text("access_token").to_owned();
    Caller { app, token }
}

/// The paths that can be read, with something in their holes.
fn paths(user: &str, hole: &str) -> Vec<String> {
    let table = admin::table();
    let read = table.iter().filter(|entry| entry.method.as_str() == "GET");
    read.map(|entry| {
        let path = entry.path.replace("{realm}", "t1").replace("{user}", user);
        let parts = path.split('/').map(|part| match part.strip_prefix('{') {
            Some(_) => hole,
            None => part,
        });
        parts.collect::<Vec<_>>().join("/")
    })
    .collect()
}

fn rows(answer: &Value) -> Option<usize> {
    answer.as_array().map(Vec::len)
}

on_both!(what_a_query_holds_is_text_and_finds_no_more_than_that);
/// V133: every list and every parameter; no 5xx, and no row that would not be there without the query.
async fn what_a_query_holds_is_text_and_finds_no_more_than_that(app: TestApp) {
    app.make_realm("t2").await;
    app.user_of("t2", "elsewhere").await;
    let alice = app.user("alice").await;
    for name in ["bob", "carol"] {
        app.user(name).await;
    }
    let people = app.count("SELECT count(*) AS value FROM users");
    let caller = operator(&app).await;
    let mut lists = 0;
    for path in paths(alice.id.as_str(), "UPDATE_PASSWORD") {
        let (_, all) = caller.get(&path, &[("max", "-1")]).await;
        let Some(all) = rows(&all) else {
            for payload in PAYLOADS {
                let query = PARAMETERS.map(|name| (name, payload));
                caller.get(&path, &query).await;
            }
            continue;
        };
        lists += 1;
        for payload in PAYLOADS.iter().chain(&NUMBERS) {
            for name in PARAMETERS {
                let (_, found) = caller.get(&path, &[(name, payload), ("max", "50")]).await;
                let count = rows(&found).unwrap_or(0);
                assert!(count <= all, "{path}?{name}={payload:?}: {count} of {all}");
            }
        }
    }
    assert!(lists >= 8, "{lists} lists");
    for payload in PAYLOADS {
        for name in NAMES {
            let query = [(name, payload)];
            let (status, found) = caller.get("/t1/users", &query).await;
            let (_, count) = caller.get("/t1/users/count", &query).await;
            if payload.contains('\0') {
                assert_eq!(status, 400, "{query:?}: {found}");
                continue;
            }
            assert_eq!((status, rows(&found)), (200, Some(0)), "{query:?}: {found}");
            assert_eq!(count, 0, "{query:?}");
        }
        let attribute = format!("department:{payload}");
        let (_, found) = caller.get("/t1/users", &[("q", &attribute)]).await;
        assert_eq!(rows(&found).unwrap_or(0), 0, "{attribute:?}: {found}");
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM users"), people);
}

on_both!(what_a_path_holds_is_a_name_and_nothing_else);
/// V133: the same in every hole of every path.
async fn what_a_path_holds_is_a_name_and_nothing_else(app: TestApp) {
    app.make_realm("t2").await;
    app.user_of("t2", "elsewhere").await;
    app.user("alice").await;
    let caller = operator(&app).await;
    for payload in PAYLOADS {
        let hole: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        let hole = hole.replace('+', "%20");
        let plain = paths("nobody", "nothing");
        for (path, plain) in paths(&hole, &hole).iter().zip(plain) {
            if *path == plain {
                continue;
            }
            let (status, found) = caller.get(path, &[]).await;
            let (expected, _) = caller.get(&plain, &[]).await;
            assert!(
                status == expected || (400..500).contains(&status),
                "{path}: {status} {found}"
            );
        }
    }
}
