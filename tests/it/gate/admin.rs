//! The gate and the admin API: administrators are gated as everybody is, and what they do to a flag holds.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{NEW, stock};
use crate::support::app::{TestApp, User};
use crate::support::database::{ADMIN, on_both};
use crate::support::rp::{JsonAnswer, RelyingParty};

/// The command line's client, as scripts use it: public, with the password grant.
fn admin_cli(app: &TestApp, realm: &str) -> RelyingParty {
    let mut client = app.legacy.in_realm(realm);
    client.client_id = "admin-cli".to_owned();
    client.secret = None;
    client
}

/// The operator's access token.
pub async fn operator(app: &TestApp) -> String {
    let answer = admin_cli(app, "master")
        .password_grant(ADMIN.0, ADMIN.1)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("access_token").to_owned()
}

pub async fn call(
    app: &TestApp,
    token: &str,
    (method, path): (Method, &str),
    body: Option<&Value>,
) -> JsonAnswer {
    let url = app.here(&format!("{}/admin/realms{path}", app.public_url()));
    let mut request = app.http.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.expect("an answer");
    JsonAnswer::read(answer).await
}

pub fn of(user: &User, tail: &str) -> String {
    format!("/t1/users/{}{tail}", user.id)
}

on_both!(an_administrator_who_is_gated_manages_nothing);
/// Row 14 of the oracle: 403 by name, with the token from before; also for the first administrator.
async fn an_administrator_who_is_gated_manages_nothing(app: TestApp) {
    let carol = app
        .user("carol")
        .client_role("realm-management", "realm-admin")
        .await;
    let bob = app.user("bob").await;
    let token = admin_cli(&app, "t1")
        .password_grant("carol", &carol.password)
        .await
        .text("access_token")
        .to_owned();
    let users = (Method::GET, "/t1/users");
    assert_eq!(call(&app, &token, users.clone(), None).await.status, 200);
    app.force_password_reset(&carol).await;
    let shut = json!({ "error": "required_action", "required_actions": ["UPDATE_PASSWORD"] });
    let lift = json!({ "requiredActions": [] });
    let own = of(&carol, "");
    let others = of(&bob, "/reset-password");
    let password = json!({ "type": "password", "value": NEW, "temporary": false });
    for (method, path, body) in [
        (Method::GET, "/t1/users", None),
        (Method::GET, "/t1", None),
        (Method::PUT, own.as_str(), Some(&lift)),
        (Method::PUT, others.as_str(), Some(&password)),
        (Method::POST, "/t1/users", Some(&lift)),
    ] {
        let answer = call(&app, &token, (method.clone(), path), body).await;
        assert_eq!(
            (answer.status, &answer.body),
            (403, &shut),
            "{method} {path}"
        );
    }
    assert_eq!(app.waiting(&carol).await, ["UPDATE_PASSWORD"]);
    admin_cli(&app, "t1")
        .password_grant("carol", &carol.password)
        .await
        .assert_error("invalid_grant");
}

on_both!(a_flag_set_over_the_admin_api_shuts_everything_at_once);
/// P1: by `requiredActions`, by `forcePasswordReset` and by a temporary password.
async fn a_flag_set_over_the_admin_api_shuts_everything_at_once(app: TestApp) {
    let token = operator(&app).await;
    for (number, (tail, body)) in [
        ("", json!({ "requiredActions": ["UPDATE_PASSWORD"] })),
        ("", json!({ "requiredActions": ["update_password"] })),
        ("", json!({ "forcePasswordReset": true })),
        (
            "/reset-password",
            json!({ "type": "password", "value": "handed over", "temporary": true }),
        ),
    ]
    .iter()
    .enumerate()
    {
        let alice = app.user(&format!("alice-{number}")).await;
        stock(&app, &alice).await;
        if tail.contains("password") {
            app.ledger.password(&alice.id, "handed over");
        }
        let answer = call(&app, &token, (Method::PUT, &of(&alice, tail)), Some(body)).await;
        assert_eq!(answer.status, 204, "{body}: {}", answer.body);
        assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"], "{body}");
        app.assert_no_tokens_for(&alice).await;
    }
}

on_both!(an_administrator_who_lifts_a_flag_revives_nothing);
/// V178, by the ways of the admin API.
async fn an_administrator_who_lifts_a_flag_revives_nothing(app: TestApp) {
    let token = operator(&app).await;
    for (number, (tail, body)) in [
        ("", json!({ "requiredActions": [] })),
        ("", json!({ "forcePasswordReset": false })),
        (
            "/reset-password",
            json!({ "type": "password", "value": "by the operator", "temporary": false }),
        ),
    ]
    .iter()
    .enumerate()
    {
        let alice = app.user(&format!("alice-{number}")).await;
        stock(&app, &alice).await;
        let stolen = app.ledger.of(&alice).without_password(&alice.password);
        app.force_password_reset(&alice).await;
        let answer = call(&app, &token, (Method::PUT, &of(&alice, tail)), Some(body)).await;
        assert_eq!(answer.status, 204, "{body}: {}", answer.body);
        assert!(app.waiting(&alice).await.is_empty(), "{body}");
        app.assert_nothing_opens(&alice, &stolen).await;
    }
}

/// In milliseconds, as `dueAt` is said.
async fn in_an_hour(app: &TestApp) -> i64 {
    let now = app.tx(|tx| tx.now()).await;
    now.plus_seconds(3600).millis()
}

on_both!(only_a_temporary_password_flags);
/// V028, by every way of the API that sets one: a permanent password leaves nothing to be done.
async fn only_a_temporary_password_flags(app: TestApp) {
    let token = operator(&app).await;
    let credentials = |temporary: bool| json!([{ "type": "password", "value": "by the operator", "temporary": temporary }]);
    for temporary in [false, true] {
        let expected: &[&str] = if temporary { &["UPDATE_PASSWORD"] } else { &[] };
        let username = format!("made-{temporary}");
        let body = json!({
            "username": username, "enabled": true, "credentials": credentials(temporary),
        });
        let made = call(&app, &token, (Method::POST, "/t1/users"), Some(&body)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let id = app.sql(&format!(
            "SELECT id AS value FROM users WHERE username = '{username}'"
        ));
        let made = User {
            id: vestibule::kernel::UserId::new(id[0].clone()),
            realm: "t1".to_owned(),
            email: String::new(),
            password: "by the operator".to_owned(),
            username,
        };
        let there = app.user(&format!("there-{temporary}")).await;
        let body = json!({ "credentials": credentials(temporary) });
        let put = (Method::PUT, of(&there, ""));
        let answer = call(&app, &token, (put.0, &put.1), Some(&body)).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        let reset = app.user(&format!("reset-{temporary}")).await;
        let body =
            json!({ "type": "password", "value": "by the operator", "temporary": temporary });
        let put = (Method::PUT, of(&reset, "/reset-password"));
        let answer = call(&app, &token, (put.0, &put.1), Some(&body)).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        for user in [&made, &there, &reset] {
            let name = &user.username;
            assert_eq!(app.waiting(user).await, expected, "{name}");
            let granted = app.legacy.password_grant(name, "by the operator").await;
            let wanted = if temporary { 400 } else { 200 };
            assert_eq!(granted.status, wanted, "{name}: {}", granted.body);
        }
    }
}

on_both!(a_script_that_read_before_the_flag_cannot_undo_it);
/// V179: the copy from before, put back, is a conflict, whether the SDK knows `notBefore` or leaves it out, and whether
/// the flag shuts at once or later: then before it is due and after.
async fn a_script_that_read_before_the_flag_cannot_undo_it(app: TestApp) {
    let token = operator(&app).await;
    let due = in_an_hour(&app).await;
    let flags = [
        json!({ "requiredActions": ["UPDATE_PASSWORD"] }),
        json!({ "requiredActions": ["UPDATE_PASSWORD"], "dueAt": due }),
    ];
    let mut copies = Vec::new();
    for (number, flag) in flags.iter().enumerate() {
        let alice = app.user(&format!("alice-{number}")).await;
        let path = of(&alice, "");
        let read = call(&app, &token, (Method::GET, &path), None).await;
        assert_eq!(read.status, 200, "{}", read.body);
        let flagged = call(&app, &token, (Method::PUT, &path), Some(flag)).await;
        assert_eq!(flagged.status, 204, "{}", flagged.body);
        let mut without = read.body.clone();
        let fields = without.as_object_mut().expect("an object");
        fields.remove("notBefore").expect("it was shown");
        copies.push((alice, [read.body, without]));
    }
    for passed in [0, 2 * 3600] {
        app.advance(Duration::from_secs(passed));
        let token = operator(&app).await;
        for (alice, copies) in &copies {
            for copy in copies {
                let path = of(alice, "");
                let answer = call(&app, &token, (Method::PUT, &path), Some(copy)).await;
                assert_eq!(answer.status, 409, "{passed}: {copy}");
                assert_eq!(app.waiting(alice).await, ["UPDATE_PASSWORD"]);
            }
        }
    }
    // Who says no more than what they mean is meant, and so is a copy of now; other fields go through in any case.
    let token = operator(&app).await;
    let lift = json!({ "requiredActions": [] });
    for ((alice, copies), said) in copies.iter().zip([Some(lift), None]) {
        let path = of(alice, "");
        let mut named = copies[1].clone();
        named["firstName"] = json!("Alicia");
        named["requiredActions"] = json!(["UPDATE_PASSWORD"]);
        named["forcePasswordReset"] = json!(true);
        let answer = call(&app, &token, (Method::PUT, &path), Some(&named)).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        let mut read = call(&app, &token, (Method::GET, &path), None).await.body;
        read["requiredActions"] = json!([]);
        let body = said.unwrap_or(read);
        let answer = call(&app, &token, (Method::PUT, &path), Some(&body)).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert!(app.waiting(alice).await.is_empty());
    }
}

on_both!(a_copy_put_back_leaves_the_tokens_of_a_flag_that_is_due_later);
/// V179: what a copy carries as `notBefore` may be the time of a flag, which is not meant for tokens.
async fn a_copy_put_back_leaves_the_tokens_of_a_flag_that_is_due_later(app: TestApp) {
    let alice = app.user("alice").await;
    let tokens = app.legacy.password_grant("alice", &alice.password).await;
    let access = tokens.text("access_token").to_owned();
    app.advance(Duration::from_secs(5));
    let token = operator(&app).await;
    let due = in_an_hour(&app).await;
    let path = of(&alice, "");
    let flag = json!({ "forcePasswordReset": true, "dueAt": due });
    let answer = call(&app, &token, (Method::PUT, &path), Some(&flag)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let read = call(&app, &token, (Method::GET, &path), None).await;
    assert!(read.body["notBefore"].as_i64() > Some(0), "{}", read.body);
    let answer = call(&app, &token, (Method::PUT, &path), Some(&read.body)).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let told = app.legacy.introspect(&access).await;
    assert_eq!(told.body["active"], true, "{}", told.body);
}

on_both!(within_one_second_the_copy_from_before_the_flag_is_a_conflict_as_well);
/// V179: `notBefore` has whole seconds; a copy read between two flags of one second is told from one read after both.
async fn within_one_second_the_copy_from_before_the_flag_is_a_conflict_as_well(app: TestApp) {
    let token = operator(&app).await;
    let alice = app.user("alice").await;
    let path = of(&alice, "");
    for round in 0..4 {
        app.force_password_reset(&alice).await;
        app.waive(&alice, "UPDATE_PASSWORD").await;
        let read = call(&app, &token, (Method::GET, &path), None).await;
        app.force_password_reset(&alice).await;
        let answer = call(&app, &token, (Method::PUT, &path), Some(&read.body)).await;
        assert_eq!(answer.status, 409, "{round}: {}", answer.body);
        // Who has seen the flag may take it.
        let mut seen = call(&app, &token, (Method::GET, &path), None).await;
        seen.body["requiredActions"] = json!([]);
        let answer = call(&app, &token, (Method::PUT, &path), Some(&seen.body)).await;
        assert_eq!(answer.status, 204, "{round}: {}", answer.body);
    }
    // What follows in the same second works at once.
    let tokens = app.legacy.password_grant("alice", &alice.password).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let status = app
        .http
        .get(app.here(&format!(
            "{}/protocol/openid-connect/userinfo",
            app.issuer()
        )))
        .bearer_auth(tokens.text("access_token"))
        .send()
        .await
        .expect("an answer")
        .status();
    assert!(status == 200 || status == 403, "{status}");
}

on_both!(an_action_that_nobody_can_carry_out_is_refused_by_name);
/// A dropped action is an open gate.
async fn an_action_that_nobody_can_carry_out_is_refused_by_name(app: TestApp) {
    let token = operator(&app).await;
    let alice = app.user("alice").await;
    let body = json!({ "requiredActions": ["UPDATE_PASSWORD", "READ_MINDS"] });
    let answer = call(&app, &token, (Method::PUT, &of(&alice, "")), Some(&body)).await;
    assert_eq!(answer.status, 400);
    let text = answer.body.to_string();
    assert!(
        text.contains("READ_MINDS") && text.contains("UPDATE_PASSWORD"),
        "{text}"
    );
    assert!(app.waiting(&alice).await.is_empty(), "all or nothing");
}

on_both!(what_the_gate_says_of_a_person_is_what_it_does);
/// `GET users/{id}/gate` is answered by the gate itself.
async fn what_the_gate_says_of_a_person_is_what_it_does(app: TestApp) {
    let token = operator(&app).await;
    let alice = app.user("alice").force_password_reset().await;
    let path = of(&alice, "/gate");
    let gated = call(&app, &token, (Method::GET, &path), None).await;
    assert_eq!(gated.status, 200, "{}", gated.body);
    assert!(gated.body.to_string().contains("UPDATE_PASSWORD"));
    app.assert_no_tokens_for(&alice).await;
    app.waive(&alice, "UPDATE_PASSWORD").await;
    let free = call(&app, &token, (Method::GET, &path), None).await;
    assert!(
        !free.body.to_string().contains("UPDATE_PASSWORD"),
        "{}",
        free.body
    );
}
