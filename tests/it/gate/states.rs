//! The person, the client or the realm changes while somebody stands at the gate; and ways to walk past it.

use serde_json::json;

use super::{NEW, at_the_gate, stock};
use crate::support::app::{REALM, TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

/// The ways in which an authorization response travels.
const MODES: [&str; 3] = ["query", "fragment", "form_post"];

/// A change that comes while the person stands at the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    DisableUser,
    DeleteUser,
    LockUser,
    DisableClient,
    DeleteClient,
    DisableRealm,
}

async fn apply(app: &TestApp, user: &User, change: Change) {
    let client = |delete: bool| {
        app.tx(move |tx| {
            let realm = vestibule::realm::rows::by_name(tx, REALM)?.expect("realm t1");
            let mut client =
                vestibule::client::rows::by_client_id(tx, &realm.id, "rp")?.expect("the client");
            if delete {
                vestibule::client::rows::delete(tx, &client.id)?;
            } else {
                client.enabled = false;
                vestibule::client::rows::update(tx, &client)?;
            }
            vestibule::realm::rows::touch(tx, &realm.id)
        })
    };
    match change {
        Change::DisableUser => app.disable(user).await,
        Change::DeleteUser => app.delete(user).await,
        Change::LockUser => app.lock(user).await,
        Change::DisableClient => client(false).await,
        Change::DeleteClient => client(true).await,
        Change::DisableRealm => app.change_realm(|realm| realm.enabled = false).await,
    }
}

/// V004: the submit after the change gets an error page; no code, no session, and the password stays.
async fn nothing_comes_after(app: &TestApp, change: Change) {
    for mode in MODES {
        let user = app
            .user(&format!("alice-{mode}"))
            .force_password_reset()
            .await;
        let before = app.password_hash(&user).await;
        let mut browser = app.browser();
        browser
            .authorize_with(&app.rp, &[("response_mode", mode)])
            .await
            .sign_in(&user)
            .await
            .assert_page("update-password");
        apply(app, &user, change).await;
        browser.set_new_password(NEW).await;
        assert!(!browser.got_a_code(), "{change:?} {mode}: {browser}");
        assert!(browser.cookie("sid").is_none(), "{change:?} {mode}");
        let shown = browser.page().marker.clone().unwrap_or_default();
        assert!(
            ["error", "login"].contains(&shown.as_str()),
            "{change:?} {mode}: {browser}"
        );
        assert_eq!(app.token_rows(&user.id), 0, "{change:?} {mode}");
        if change == Change::DeleteUser {
            assert_eq!(app.password_hash(&user).await, None);
        } else {
            assert_eq!(app.password_hash(&user).await, before, "{change:?} {mode}");
        }
        browser.reload().await;
        assert!(!browser.got_a_code(), "{change:?} {mode}, reloaded");
        if matches!(
            change,
            Change::DisableClient | Change::DeleteClient | Change::DisableRealm
        ) {
            return;
        }
        app.assert_no_tokens_for(&user).await;
    }
}

on_both!(a_person_disabled_at_the_gate_gets_nothing);
/// V004, Keycloak issue 48487.
async fn a_person_disabled_at_the_gate_gets_nothing(app: TestApp) {
    nothing_comes_after(&app, Change::DisableUser).await;
}

on_both!(a_person_deleted_at_the_gate_gets_nothing);
/// V004.
async fn a_person_deleted_at_the_gate_gets_nothing(app: TestApp) {
    nothing_comes_after(&app, Change::DeleteUser).await;
}

on_both!(a_person_locked_at_the_gate_gets_nothing);
/// V004.
async fn a_person_locked_at_the_gate_gets_nothing(app: TestApp) {
    nothing_comes_after(&app, Change::LockUser).await;
}

on_both!(a_client_disabled_at_the_gate_gets_nothing);
/// V004.
async fn a_client_disabled_at_the_gate_gets_nothing(app: TestApp) {
    nothing_comes_after(&app, Change::DisableClient).await;
}

on_both!(a_client_deleted_at_the_gate_gets_nothing);
/// V004.
async fn a_client_deleted_at_the_gate_gets_nothing(app: TestApp) {
    nothing_comes_after(&app, Change::DeleteClient).await;
}

on_both!(a_realm_disabled_at_the_gate_gives_nothing);
/// V004.
async fn a_realm_disabled_at_the_gate_gives_nothing(app: TestApp) {
    nothing_comes_after(&app, Change::DisableRealm).await;
}

on_both!(a_submit_of_somebody_disabled_is_in_the_audit_trail);
/// V004: "event logged".
async fn a_submit_of_somebody_disabled_is_in_the_audit_trail(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    app.disable(&alice).await;
    browser.set_new_password(NEW).await.assert_page("error");
    let errors = format!(
        "SELECT count(*) AS value FROM events WHERE user_id = '{}' AND kind LIKE '%ERROR'",
        alice.id
    );
    assert_eq!(app.count(&errors), 1);
}

on_both!(a_gated_person_cannot_take_the_flag_away);
/// V007: no self-service call, in any spelling, with any credential, changes what waits.
async fn a_gated_person_cannot_take_the_flag_away(app: TestApp) {
    let alice = app.user("alice").role("offline_access").await;
    let browser = stock(&app, &alice).await;
    app.force_password_reset(&alice).await;
    let held = app.ledger.of(&alice);
    let bodies = [
        json!({ "requiredActions": [] }),
        json!({ "required_actions": [], "forcePasswordReset": false }),
        json!({ "force_reset": false, "requirePasswordChange": null }),
        json!({ "user": { "requiredActions": [] }, "attributes": { "requiredActions": [] } }),
    ];
    let id = &alice.id;
    let mut paths: Vec<String> = [
        "",
        "/",
        "/credentials",
        "/credentials/password",
        "/sessions",
        "/linked-accounts",
    ]
    .iter()
    .map(|path| format!("/realms/t1/account{path}"))
    .collect();
    for tail in [
        "",
        "/reset-password",
        "/logout",
        "/gate",
        "/execute-actions-email",
    ] {
        paths.push(format!("/admin/realms/t1/users/{id}{tail}"));
    }
    paths.push("/admin/realms/t1/users/required-actions".to_owned());
    paths.push("/realms/t1/protocol/openid-connect/userinfo".to_owned());
    let cookies: Vec<String> = browser
        .cookies()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for path in &paths {
        for method in ["POST", "PUT", "PATCH"] {
            for body in &bodies {
                let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
                let url = app.here(&format!("{}{path}", app.public_url()));
                let answer = app
                    .http
                    .request(method.clone(), url)
                    .header("cookie", cookies.join("; "))
                    .bearer_auth(held.access.last().expect("an access token"))
                    .json(body)
                    .send()
                    .await
                    .expect("an answer");
                assert!(
                    answer.status().is_client_error(),
                    "{method} {path}: {}",
                    answer.status()
                );
            }
        }
    }
    assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"]);
    app.assert_no_tokens_for(&alice).await;
}

/// Where a browser of a gated person may end: at a page that opens nothing.
fn assert_shut(browser: &Browser, place: &str) {
    assert!(!browser.got_a_code(), "{place}: {browser}");
    let opens_nothing = match &browser.page {
        Some(page) => matches!(
            page.marker.as_deref(),
            Some("login" | "update-password" | "error" | "message")
        ),
        None => browser.answer.status >= 400 || browser.answer.location().is_some(),
    };
    assert!(opens_nothing, "{place}: {browser}");
}

on_both!(whoever_leaves_the_gate_page_for_another_place_stays_gated);
/// V008: other pages, other clients and `prompt=none` after the gate was reached.
async fn whoever_leaves_the_gate_page_for_another_place_stays_gated(app: TestApp) {
    let alice = app.user("alice").await;
    let mut browser = stock(&app, &alice).await;
    app.force_password_reset(&alice).await;
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("update-password");
    for place in [
        "/realms/t1/account/",
        "/admin/t1/console/",
        "/admin/master/console/",
        "/realms/t1/login-actions/required-action?client_id=rp",
        "/realms/t1/login-actions/required-action?execution=OAUTH_GRANT&client_id=rp",
        "/realms/t1/login-actions/authenticate?client_id=rp",
    ] {
        browser.open_path(place).await;
        assert_shut(&browser, place);
    }
    for rp in [&app.rp, &app.foreign, &app.native] {
        browser
            .authorize_with(rp, &[("prompt", "none")])
            .await
            .assert_error_to(rp, "interaction_required");
        browser.authorize(rp).await.assert_page("login");
    }
    app.assert_no_tokens_for(&alice).await;
}

on_both!(the_back_button_leads_to_the_gate_again);
/// Row 2 of the oracle.
async fn the_back_button_leads_to_the_gate_again(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    browser.back().await;
    assert_shut(&browser, "back");
    for url in browser.history.clone() {
        browser.open(url.clone()).await;
        assert_shut(&browser, url.as_str());
    }
    app.assert_no_tokens_for(&alice).await;
}
