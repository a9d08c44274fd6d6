//! Apps in other languages, on libraries that we have not written, sign in here.

use serde_json::Value;

use crate::support::app::{TestApp, User};
use crate::support::database::on_both;
use crate::support::peers::{Peer, PeerClient, PeerTokens};
use crate::support::services;

fn programs() -> Vec<String> {
    [services::node_peer(), services::python_peer()]
        .into_iter()
        .flatten()
        .collect()
}

fn assert_holds(tokens: &PeerTokens, user: &User) {
    assert_eq!(tokens.userinfo["sub"], user.id.as_str(), "{tokens:?}");
    assert_eq!(tokens.userinfo["email"], user.email.as_str(), "{tokens:?}");
    assert_eq!(tokens.claims["sub"], user.id.as_str(), "{tokens:?}");
    assert!(tokens.token["access_token"].is_string(), "{tokens:?}");
}

/// Starts the app, lets the person sign in by `new_password` if a page for one is expected, and uses everything.
async fn sign_in_at(
    app: &TestApp,
    program: &str,
    rp: &crate::support::rp::RelyingParty,
    user: &User,
    new_password: Option<&str>,
) {
    let client = PeerClient {
        issuer: rp.issuer.clone(),
        client_id: rp.client_id.clone(),
        client_secret: rp.secret.clone(),
        redirect_uri: rp.redirect_uri.clone(),
        scope: "openid profile email".to_owned(),
    };
    let (mut peer, url) = Peer::start(program, &client)
        .await
        .expect("an app that starts");
    let mut browser = app.browser();
    browser
        .open(url)
        .await
        .assert_page("login")
        .sign_in(user)
        .await;
    if let Some(password) = new_password {
        browser.assert_page("update-password");
        app.assert_no_tokens_for(user).await;
        browser.set_new_password(password).await;
    }
    let callback = browser.answer.location().expect("a redirect to the app");
    assert!(
        callback.as_str().starts_with(&rp.redirect_uri),
        "{callback}"
    );
    let tokens = peer
        .exchange(&callback)
        .await
        .expect("tokens that the library accepts");
    assert_holds(&tokens, user);
    let refreshed = peer
        .refresh()
        .await
        .expect("a refresh that the library accepts");
    assert_eq!(refreshed.userinfo["sub"], user.id.as_str());
    assert_ne!(refreshed.token["access_token"], Value::Null);
    assert_ne!(
        refreshed.token["access_token"],
        tokens.token["access_token"]
    );
}

on_both!(apps_in_node_and_python_sign_a_person_in);
async fn apps_in_node_and_python_sign_a_person_in(app: TestApp) {
    let bob = app.user("bob").await;
    for program in programs() {
        for rp in [&app.rp, &app.native] {
            sign_in_at(&app, &program, rp, &bob, None).await;
        }
    }
}

on_both!(apps_in_node_and_python_meet_the_gate_as_one_more_page);
/// P1: the app knows nothing of it.
async fn apps_in_node_and_python_meet_the_gate_as_one_more_page(app: TestApp) {
    for (turn, program) in programs().iter().enumerate() {
        let name = format!("alice{turn}");
        let alice = app
            .user(&name)
            .temporary_password("for the first time")
            .await;
        sign_in_at(&app, program, &app.rp, &alice, Some("a new passphrase")).await;
    }
}
