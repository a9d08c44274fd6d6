//! Who may write a password: every route there is, asked with a new password in every form that a route might take.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::admin::{call, of, operator};
use super::{NEW, at_the_gate};
use crate::support::app::{TestApp, User};
use crate::support::browser::FORM;
use crate::support::database::on_both;
use vestibule::{admin, oidc::routes};

/// What a request carries of who sends it.
#[derive(Default)]
struct Sender {
    cookies: String,
    token: Option<String>,
}

/// Everybody's passwords as they are stored.
fn passwords(app: &TestApp) -> BTreeSet<String> {
    app.sql("SELECT user_id || ' ' || kind || ' ' || secret AS value FROM credentials")
        .into_iter()
        .collect()
}

/// The bodies in which a new password may come, with their content types.
fn bodies(username: &str) -> Vec<(&'static str, String)> {
    let password = json!({ "type": "password", "value": NEW, "temporary": false });
    let mut bodies: Vec<(&'static str, String)> = [
        password.clone(),
        json!({ "credentials": [password] }),
        json!({ "username": username, "enabled": true, "credentials": [password] }),
        json!(["password"]),
    ]
    .iter()
    .map(|body| ("application/json", body.to_string()))
    .collect();
    let fields = [
        "password-new",
        "password-confirm",
        "password",
        "newPassword",
    ];
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields.map(|name| (name, NEW)));
    form.extend_pairs([
        ("username", username),
        ("client_id", "legacy"),
        ("grant_type", "password"),
        ("execution", "UPDATE_PASSWORD"),
        ("confirmation", NEW),
    ]);
    bodies.push((FORM, form.finish()));
    bodies
}

async fn send(
    app: &TestApp,
    (method, path): (&Method, &str),
    from: &Sender,
    (kind, body): &(&'static str, String),
) {
    let url = app.here(&format!("{}{path}", app.public_url()));
    let mut request = app
        .http
        .request(method.clone(), url)
        .header("Origin", app.public_url());
    if !from.cookies.is_empty() {
        request = request.header("Cookie", &from.cookies);
    }
    if let Some(token) = &from.token {
        request = request.bearer_auth(token);
    }
    request = match (*method == Method::GET, *kind == FORM) {
        (true, true) => request.query(
            &url::form_urlencoded::parse(body.as_bytes())
                .into_owned()
                .collect::<Vec<_>>(),
        ),
        (true, false) => request,
        (false, _) => request.header("Content-Type", *kind).body(body.clone()),
    };
    let status = request.send().await.expect("an answer").status().as_u16();
    assert!(status < 500, "{method} {path}: {status} for {body}");
}

/// Every route, the one that ends the realm last.
fn every_route() -> Vec<(Method, String)> {
    let parsed = |method: &str| method.parse().expect("a method");
    let mut all: Vec<(Method, String)> = routes::table()
        .iter()
        .map(|entry| (parsed(entry.method.as_str()), entry.path.to_owned()))
        .collect();
    all.extend(admin::table().iter().map(|entry| {
        let path = format!("/admin/realms{}", entry.path);
        (parsed(entry.method.as_str()), path)
    }));
    all.sort_by_key(|(method, path)| *method == Method::DELETE && path == "/admin/realms/{realm}");
    all
}

/// A pattern with the person and their password in its holes.
fn filled(app: &TestApp, pattern: &str, user: &User) -> String {
    let credential = app.sql(&format!(
        "SELECT id AS value FROM credentials WHERE user_id = '{}'",
        user.id
    ));
    let credential = credential.first().map_or("none", String::as_str);
    let path = pattern
        .replace("{realm}", "t1")
        .replace("{user}", user.id.as_str())
        .replace("{credential}", credential)
        .replace("{alias}", "UPDATE_PASSWORD");
    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(_) => "UPDATE_PASSWORD",
        None => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn header_of(browser: &crate::support::browser::Browser) -> String {
    let cookies = browser.cookies();
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

on_both!(nobody_writes_a_password_by_any_route_without_the_step_that_is_for_it);
/// V010: nobody, somebody signed in, and whoever stands at the gate, by password or by link, but does not send its form.
async fn nobody_writes_a_password_by_any_route_without_the_step_that_is_for_it(app: TestApp) {
    app.mailbox().await;
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    let alice = app.user("alice").await;
    let gated = app.user("gated").force_password_reset().await;
    let mut browser = app.browser();
    let tokens = browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    let mut gate = at_the_gate(&app, &gated).await;
    let (invited, link) = crate::link::redeem::invited(&app, "invited").await;
    let mut by_link = crate::link::redeem::at_the_gate(&app, &link).await;
    let senders = [
        (Sender::default(), &alice),
        (
            Sender {
                cookies: header_of(&browser),
                token: Some(tokens.access),
            },
            &alice,
        ),
        (
            Sender {
                cookies: header_of(&gate),
                token: None,
            },
            &gated,
        ),
        (
            Sender {
                cookies: header_of(&by_link),
                token: None,
            },
            &invited,
        ),
    ];
    let before = passwords(&app);
    for (sender, user) in &senders {
        for (method, pattern) in every_route() {
            let path = filled(&app, &pattern, user);
            for body in &bodies(&user.username) {
                send(&app, (&method, &path), sender, body).await;
            }
            assert_eq!(passwords(&app), before, "{method} {pattern}");
        }
    }
    // The form itself is what does it.
    gate.reload().await.assert_page("update-password");
    gate.set_new_password(NEW).await.assert_redirect_to(&app.rp);
    let after = passwords(&app);
    let changed: Vec<_> = after.difference(&before).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].starts_with(gated.id.as_str()), "{changed:?}");
    by_link.reload().await.assert_page("update-password");
    by_link.set_new_password(NEW).await.assert_page("message");
    assert!(app.password_hash(&invited).await.is_some());
}

on_both!(an_administrator_writes_passwords_by_three_routes_and_no_other);
/// V010: with all powers there are. The import, which is a file, has its tests in `import`.
async fn an_administrator_writes_passwords_by_three_routes_and_no_other(app: TestApp) {
    app.mailbox().await;
    let (mut set, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for (number, (method, pattern)) in every_route().into_iter().enumerate() {
        if pattern.ends_with("/user-imports") {
            continue;
        }
        let victim = app.user(&format!("victim{number}")).await;
        let sender = Sender {
            cookies: String::new(),
            token: Some(operator(&app).await),
        };
        for body in &bodies(&format!("new{number}")) {
            let before = passwords(&app);
            let path = filled(&app, &pattern, &victim);
            send(&app, (&method, &path), &sender, body).await;
            let after = passwords(&app);
            let route = format!("{method} {}", pattern.replace("/admin/realms", ""));
            if after.difference(&before).next().is_some() {
                set.insert(route);
            } else if after != before {
                taken.insert(route);
            }
        }
    }
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
    let may_set: BTreeSet<String> = names(&[
        "POST /{realm}/users",
        "PUT /{realm}/users/{user}",
        "PUT /{realm}/users/{user}/reset-password",
    ]);
    let may_take: BTreeSet<String> = names(&[
        "DELETE /{realm}",
        "DELETE /{realm}/users/{user}",
        "DELETE /{realm}/users/{user}/credentials/{credential}",
    ]);
    assert_eq!(set, may_set, "set a password");
    assert_eq!(taken, may_take, "took a password away");
}

on_both!(to_disable_the_type_password_takes_no_password);
/// As Keycloak was recorded: 204 for every name, and the person's credential is there as before.
async fn to_disable_the_type_password_takes_no_password(app: TestApp) {
    let alice = app.user("alice").await;
    let token = operator(&app).await;
    let before = passwords(&app);
    let path = of(&alice, "/disable-credential-types");
    for body in [json!(["password"]), json!(["nope"]), json!([])] {
        let answer = call(&app, &token, (Method::PUT, &path), Some(&body)).await;
        assert_eq!(answer.status, 204, "{body}: {}", answer.body);
    }
    for body in [json!({}), json!("password"), json!([{}])] {
        let answer = call(&app, &token, (Method::PUT, &path), Some(&body)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
    assert_eq!(passwords(&app), before);
    let answer = app.legacy.password_grant("alice", &alice.password).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
