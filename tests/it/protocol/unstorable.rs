//! Texts that a database cannot keep: U+0000, which PostgreSQL has in no text, halves of surrogate pairs, and texts
//! longer than an index takes. Whoever sends one is told so; nowhere does the server fail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use vestibule::{admin, oidc::routes};

use crate::support::app::TestApp;
use crate::support::database::{ADMIN, on_both};
use crate::support::dice::Dice;

const NUL: &str = "a\u{0}b";

/// A text that does not compress: what an index has no room for.
fn long(letters: usize) -> String {
    let mut dice = Dice::new(17);
    let all: Vec<char> = ('a'..='z').chain('0'..='9').collect();
    (0..letters)
        .filter_map(|_| dice.one_of(&all).copied())
        .collect()
}

fn payloads() -> Vec<String> {
    let folding: String = "\u{fdfa}\u{fdfb}\u{33c6}".repeat(85);
    vec![NUL.to_owned(), long(9_000), long(200_000), folding]
}

async fn operator(app: &TestApp) -> String {
    let mut client = app.legacy.in_realm("master");
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    let answer = client.password_grant(ADMIN.0, ADMIN.1).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("access_token").to_owned()
}

/// A body that the route takes; every text of it is replaced in turn.
fn body_of(path: &str) -> Value {
    let one = |ends: &str| path.ends_with(ends);
    if path.is_empty() {
        return json!({
            "realm": "made", "displayName": "d", "displayNameHtml": "d", "defaultLocale": "en",
            "attributes": { "key": "v" }, "passwordPolicy": "length(8)", "supportedLocales": ["en"],
            "smtpServer": { "host": "127.0.0.1", "from": "a@people.example", "user": "u", "password": "p" },
        });
    }
    if one("{realm}") {
        // Neither another name nor another mail server: the rest of the test needs these.
        return json!({ "displayName": "d", "displayNameHtml": "d", "attributes": { "key": "v" } });
    }
    if one("/users") || one("{user}") {
        return json!({
            "username": "made", "email": "made@people.example", "firstName": "f", "lastName": "l",
            "attributes": { "key": ["v"] }, "requiredActions": ["UPDATE_PASSWORD"], "groups": ["/made"],
            "credentials": [{ "type": "password", "value": "a passphrase of theirs", "userLabel": "l" }],
        });
    }
    if one("/clients") || one("{client}") {
        return json!({
            "clientId": "made", "name": "n", "description": "d", "secret": "the secret of a client",
            "redirectUris": ["https://made.example/cb"], "webOrigins": ["https://made.example"],
            "baseUrl": "https://made.example", "rootUrl": "https://made.example",
            "attributes": { "key": "v" },
        });
    }
    if one("/roles") || one("{role}") || one("{role_id}") {
        let name = if one("{role}") {
            "offline_access"
        } else {
            "made-role"
        };
        return json!({ "name": name, "description": "d", "attributes": { "key": ["v"] } });
    }
    if path.contains("/composites") || path.contains("/role-mappings") {
        return json!([{ "id": "no-such-id", "name": "made-role" }]);
    }
    if one("/groups") || one("/children") {
        return json!({ "name": "made", "path": "/made", "attributes": { "key": ["v"] } });
    }
    if one("/required-actions") {
        return json!({
            "filter": { "search": "nobody", "username": "nobody", "ids": ["none"], "status": "ACTIVE" },
            "add": ["UPDATE_PASSWORD"], "remove": ["VERIFY_EMAIL"], "reason": "r", "resetProof": "password",
        });
    }
    if path.contains("/required-actions/") {
        return json!({ "alias": "UPDATE_PASSWORD", "name": "n", "config": { "key": "v" } });
    }
    if one("/campaigns") {
        return json!({
            "name": "n", "kind": "password-reset", "subject": "s", "message": "m", "locale": "en",
            "clientId": "rp", "redirectUri": "https://rp.example/cb", "dryRun": true,
            "audience": { "search": "nobody", "ids": ["none"] }, "actions": ["UPDATE_PASSWORD"],
            "quietHours": { "from": "22:00", "to": "07:00", "timeZone": "Europe/Berlin" },
        });
    }
    if path.contains("/mail-templates/") {
        return json!({
            "subject": "s", "text": "{{ link }} {{ message }}", "html": "<a href='{{ link }}'>x</a> {{ message }}",
        });
    }
    if one("/pre-registration") {
        return json!({ "message": "m", "client_id": "rp", "redirect_uri": "https://rp.example/cb" });
    }
    if one("/reset-password") {
        return json!({ "type": "password", "value": "a passphrase of theirs", "userLabel": "l" });
    }
    if one("-email") || one("/disable-credential-types") {
        return json!(["UPDATE_PASSWORD"]);
    }
    json!({ "name": "n" })
}

/// The value with each of its texts, and each name that is free, replaced in turn.
fn spoiled(value: &Value, with: &str) -> Vec<Value> {
    match value {
        Value::String(_) => vec![json!(with)],
        Value::Array(values) => (0..values.len())
            .flat_map(|place| {
                let inner = spoiled(&values[place], with).into_iter();
                inner.map(move |new| {
                    let mut copy = values.clone();
                    copy[place] = new;
                    Value::Array(copy)
                })
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, old)| {
                let inner = spoiled(old, with)
                    .into_iter()
                    .map(|new| (name.clone(), new));
                let renamed = (name == "key").then(|| (with.to_owned(), old.clone()));
                inner.chain(renamed).map(move |(new_name, new)| {
                    let mut copy = fields.clone();
                    copy.remove(name);
                    copy.insert(new_name, new);
                    Value::Object(copy)
                })
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Sends a request, which may be refused and may not fail.
async fn send(request: reqwest::RequestBuilder) -> (u16, String) {
    let (http, request) = request.build_split();
    let request = request.expect("a request");
    let about = format!("{} {}", request.method(), request.url().path());
    let body = request.body().and_then(|body| body.as_bytes());
    let body = String::from_utf8_lossy(body.unwrap_or_default()).into_owned();
    let answer = http.execute(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap_or_default();
    assert!(status < 500, "{about:.200} {body:.400}: {status} {text}");
    (status, text)
}

on_both!(no_text_of_the_admin_api_is_more_than_the_database_can_take);
/// V133 for bodies and paths: every route of the table, every text of its body.
async fn no_text_of_the_admin_api_is_more_than_the_database_can_take(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let base = app.here(&format!("{}/admin/realms", app.public_url()));
    let mut tried = 0;
    for entry in admin::table() {
        // Anew for each: they live for a minute.
        let token = operator(&app).await;
        let method: Method = entry.method.as_str().parse().expect("a method");
        let path = filled(&entry.path, alice.id.as_str());
        let url = format!("{base}{path}");
        let call = || app.http.request(method.clone(), &url).bearer_auth(&token);
        if method == Method::GET {
            for parameter in ["search", "username", "q", "first", "state", "type", "after"] {
                let query = [(parameter, long(3_000))];
                send(call().query(&query)).await;
            }
            continue;
        }
        if method == Method::DELETE {
            continue;
        }
        for payload in payloads() {
            for body in spoiled(&body_of(&entry.path), &payload) {
                let (status, text) = send(call().json(&body)).await;
                tried += 1;
                if payload == NUL && !entry.path.ends_with("/user-imports") {
                    let told = entry.path.ends_with("/bounces")
                        || reads_no_body(&entry.path)
                        || status == 404
                        || (status == 400 && text.contains("U+0000"));
                    assert!(told, "{method} {} {body}: {status} {text}", entry.path);
                }
            }
        }
        for half in [r#"{"name":"\ud800"}"#, r#"["\udc00"]"#, r#"{"\ud800x":1}"#] {
            let raw = call()
                .header("content-type", "application/json")
                .body(half.to_owned());
            let (status, text) = send(raw).await;
            let refused = reads_no_body(&entry.path) || (400..500).contains(&status);
            let raw = entry.path.ends_with("/bounces") || entry.path.ends_with("/user-imports");
            assert!(refused || raw, "{method} {}: {status} {text}", entry.path);
        }
    }
    assert!(tried > 300, "{tried}");
    for hole in ["a%00b", "%00", "%ff", &long(3_000), "%F0%9F"] {
        let token = operator(&app).await;
        for entry in admin::table() {
            let method: Method = entry.method.as_str().parse().expect("a method");
            let parts = entry.path.split('/').map(|part| match part {
                "{realm}" => "t1",
                part if part.starts_with('{') => hole,
                part => part,
            });
            let path = parts.collect::<Vec<_>>().join("/");
            if !path.contains(hole) {
                continue;
            }
            let url = format!("{base}{path}");
            let request = app.http.request(method, &url).bearer_auth(&token);
            let (status, text) = send(request.json(&json!({}))).await;
            let zero = hole.contains("%00");
            assert!(!zero || status == 404, "{path}: {status} {text}");
        }
    }
}

/// Routes whose body, if one comes, is not looked at.
fn reads_no_body(path: &str) -> bool {
    [
        "/raise-priority",
        "/lower-priority",
        "/cancel",
        "/undo",
        "/pause",
        "/resume",
        "/test-send",
        "/resend-in-doubt",
        "/resend",
        "/logout",
        "/client-secret",
        "{scope}",
        "{group}",
        "/send-verify-email",
        "/reset-password-email",
    ]
    .iter()
    .any(|tail| path.ends_with(tail))
}

/// A pattern with what the test has made in its holes.
fn filled(pattern: &str, user: &str) -> String {
    let part = |part: &str| match part {
        "{realm}" => "t1".to_owned(),
        "{user}" => user.to_owned(),
        "{alias}" => "UPDATE_PASSWORD".to_owned(),
        "{purpose}" => "set-password".to_owned(),
        "{role}" => "offline_access".to_owned(),
        part if part.starts_with('{') => "none".to_owned(),
        part => part.to_owned(),
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Every parameter that some route of the protocol reads.
const PARAMETERS: [&str; 36] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "ui_locales",
    "id_token_hint",
    "claims",
    "code",
    "code_verifier",
    "refresh_token",
    "username",
    "password",
    "password-new",
    "password-confirm",
    "client_secret",
    "token",
    "token_type_hint",
    "access_token",
    "post_logout_redirect_uri",
    "tab_id",
    "execution",
    "flow",
    "h",
    "email",
    "firstName",
    "lastName",
    "confirmLogout",
    "grant_type",
];

on_both!(no_text_of_the_protocol_is_more_than_the_database_can_take);
/// V133 for the protocol: every route of the table, every parameter in query and form, the rest of the request right.
async fn no_text_of_the_protocol_is_more_than_the_database_can_take(app: TestApp) {
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for entry in routes::table() {
        let method: Method = entry.method.as_str().parse().expect("a method");
        let path = entry.path.replace("{realm}", "t1").replace("{token}", "x");
        let url = app.here(&format!("{}{path}", app.public_url()));
        let call = || {
            let request = app.http.request(method.clone(), &url);
            request.header("origin", app.public_url())
        };
        let right = [
            ("client_id", "rp"),
            ("client_secret", crate::support::seed::SECRET),
            ("redirect_uri", "https://rp.example/cb"),
            ("response_type", "code"),
            ("scope", "openid"),
            ("grant_type", "authorization_code"),
            ("code", "x"),
            ("token", "x"),
        ];
        for payload in [NUL.to_owned(), long(2_500)] {
            for name in PARAMETERS {
                let others = right.iter().filter(|(other, _)| *other != name);
                let all: Vec<(&str, &str)> =
                    others.copied().chain([(name, payload.as_str())]).collect();
                let (status, text) = send(call().query(&all)).await;
                let secret = name.contains("password") || name == "client_secret";
                let asked = method == Method::GET && path.ends_with("/auth");
                if payload == NUL && asked && !secret {
                    // Left out, which may be an error of its own, or refused to the application.
                    let refused = status == 400 || status == 303;
                    assert!(refused, "{path}?{name}: {status} {text}");
                }
                if method == Method::POST {
                    let (status, text) = send(call().form(&all)).await;
                    // Redirected with an error, or shown the page for whoever sends nothing.
                    let shown = path.ends_with("/link") || path.ends_with("/logout");
                    let told = status >= 400 || status == 303 || shown;
                    assert!(
                        payload != NUL || secret || told,
                        "{path} {name}: {status} {text}"
                    );
                }
            }
        }
        for header in [
            basic("rp\u{0}:secret"),
            basic("rp%00:secret"),
            basic(&format!("{}:secret", long(5_000))),
            format!("Bearer {}", long(5_000)),
        ] {
            let form = [("grant_type", "client_credentials"), ("token", "x")];
            send(call().header("authorization", header).form(&form)).await;
        }
    }
    for realm in [long(3_000).as_str(), "%ff", "%E2%82"] {
        let url = app.here(&format!(
            "{}/realms/{realm}/protocol/openid-connect/certs",
            app.public_url()
        ));
        let (status, _) = send(app.http.get(url)).await;
        assert_eq!(status, 404, "{realm:.20}");
    }
}

on_both!(no_form_of_a_person_is_more_than_the_database_can_take);
/// The pages' own forms, at the step that they belong to.
async fn no_form_of_a_person_is_more_than_the_database_can_take(app: TestApp) {
    app.mailbox().await;
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    let alice = app.user("alice").action("UPDATE_PROFILE").await;
    app.change_user(&alice, |user| user.email = None).await;
    let bob = app.user("bob").await;
    for payload in [NUL.to_owned(), long(5_000)] {
        for (name, password) in [(payload.as_str(), "x"), ("alice", payload.as_str())] {
            let mut browser = app.browser();
            browser.authorize(&app.rp).await.assert_page("login");
            browser
                .fill_in(&[("username", name), ("password", password)])
                .await;
            assert!(browser.answer.status < 500, "{browser}");
        }
        for field in ["firstName", "lastName", "email"] {
            let mut browser = app.browser();
            browser.authorize(&app.rp).await.sign_in(&alice).await;
            browser.assert_page("update-profile");
            let all = [("firstName", "Ada"), ("lastName", "Byron"), ("email", "")];
            let all = all.map(|(name, value)| match name == field {
                true => (name, payload.as_str()),
                false => (name, value),
            });
            browser.fill_in(&all).await;
            assert!(browser.answer.status < 500, "{field}: {browser}");
        }
        let mut browser = app.browser();
        browser
            .open_path("/realms/t1/login-actions/reset-credentials")
            .await
            .assert_page("forgot-password")
            .fill_in(&[("username", &payload)])
            .await;
        assert!(browser.answer.status < 500, "{browser}");
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.sign_in(&bob).await;
        browser
            .open_path("/realms/t1/account/email")
            .await
            .assert_page("change-email")
            .fill_in(&[("email", &payload)])
            .await;
        assert!(browser.answer.status < 500, "{browser}");
        for fields in [
            [("username", payload.as_str()), ("code", "00000-00000")],
            [("username", "alice@people.example"), ("code", &payload)],
        ] {
            browser
                .open_path("/realms/t1/login-actions/link")
                .await
                .assert_page("link-code")
                .fill_in(&fields)
                .await;
            assert!(browser.answer.status < 500, "{browser}");
        }
    }
}

on_both!(a_file_with_texts_that_cannot_be_kept_is_refused_row_by_row);
/// V147: each row by itself, and what is told about it can be kept.
async fn a_file_with_texts_that_cannot_be_kept_is_refused_row_by_row(app: TestApp) {
    let token = operator(&app).await;
    let base = app.here(&format!(
        "{}/admin/realms/t1/user-imports",
        app.public_url()
    ));
    let good = json!({
        "username": "name", "email": "name@people.example", "firstName": "f", "lastName": "l",
        "requiredActions": ["UPDATE_PASSWORD"], "groups": ["/staff"], "realmRoles": ["offline_access"],
        "attributes": { "key": ["v"] }, "credentials": [{ "type": "password", "value": "p", "userLabel": "l" }],
        "id": "8d5b8a3e-8f7c-4d9c-a3c3-0f6a3c1d2e4f",
    });
    let mut lines = String::new();
    let mut count = 0;
    for payload in [NUL, long(9_000).as_str()] {
        for row in spoiled(&good, payload) {
            lines.push_str(&format!("{row}\n"));
            count += 1;
        }
    }
    lines.push_str(
        "{\"username\":\"\\ud800\"}\n{\"username\":\"last\",\"email\":\"last@people.example\"}\n",
    );
    let csv = format!(
        "username,email,groups,roles,requiredActions,attribute.a\nx{NUL},a{NUL}@b.example,{NUL},{NUL},{NUL},{NUL}\nlast2,,,,,\n"
    );
    for (kind, body, rows) in [
        ("application/x-ndjson", lines, count + 2),
        ("text/csv", csv, 2),
    ] {
        let post = app.http.post(&base).bearer_auth(&token);
        let (status, text) = send(post.header("content-type", kind).body(body)).await;
        assert_eq!(status, 202, "{text}");
        let id = serde_json::from_str::<Value>(&text).expect("JSON")["id"].clone();
        let url = format!("{base}/{}", id.as_str().expect("an id"));
        let began = std::time::Instant::now();
        let job = loop {
            let (_, text) = send(app.http.get(&url).bearer_auth(&token)).await;
            let job: Value = serde_json::from_str(&text).expect("JSON");
            if job["state"] != "queued" && job["state"] != "running" {
                break job;
            }
            assert!(began.elapsed().as_secs() < 120, "{job}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!(
            (&job["state"], &job["total"]),
            (&json!("done"), &json!(rows)),
            "{job}"
        );
        assert!(job["accepted"].as_i64() >= Some(1), "{job}");
    }
    assert_eq!(
        app.count("SELECT count(*) AS value FROM users WHERE username IN ('last', 'last2')"),
        2
    );
}
