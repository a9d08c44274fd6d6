//! The protocol from outside: redirects, codes, tokens, cookies, prompts, logout, and apps in other languages.

use reqwest::Method;
use url::Url;
use vestibule::client::{Client, rows};
use vestibule::realm;

use crate::support::answer::Answer;
use crate::support::app::{REALM, TestApp, User};
use crate::support::arrival::Arrival;
use crate::support::browser::Browser;
use crate::support::rp::RelyingParty;

mod authorize;
mod codes;
mod cors;
mod cross_realm;
mod csrf;
pub mod enumeration;
mod forged_tokens;
mod hints;
mod hostile;
mod injection;
mod lockout;
mod logout;
mod logout_by_token;
mod names;
mod not_before;
mod outside;
mod peers;
mod realm_info;
mod redirects;
mod registration;
mod remember;
mod replay;
pub mod rotation;
mod sessions;
mod tabs;
mod token_clients;
mod unstorable;

/// Somebody signs in at an application with a browser that is new here.
async fn signed_in(app: &TestApp, user: &User, rp: &RelyingParty) -> (Browser, Arrival) {
    let mut browser = app.browser();
    let arrival = browser
        .authorize(rp)
        .await
        .sign_in(user)
        .await
        .assert_redirect_to(rp);
    (browser, arrival)
}

/// Changes a client of realm `t1`.
pub async fn change_client(
    app: &TestApp,
    client_id: &str,
    change: impl FnOnce(&mut Client) + Send + 'static,
) {
    let client_id = client_id.to_owned();
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
        let mut client = rows::by_client_id(tx, &realm.id, &client_id)?.expect("the client");
        change(&mut client);
        rows::update(tx, &client)?;
        rows::set_scopes(tx, &client)?;
        realm::rows::touch(tx, &realm.id)
    })
    .await;
}

/// One request to the authorization endpoint, of these parameters and no others.
async fn ask(browser: &mut Browser, rp: &RelyingParty, parameters: &[(&str, &str)]) -> Answer {
    let endpoint = format!("{}/protocol/openid-connect/auth", rp.issuer);
    let url = Url::parse_with_params(&endpoint, parameters).expect("a URL");
    browser.send(Method::GET, &url, None).await
}

/// A parameter of the redirect that an answer is; empty where there is none.
fn redirected(answer: &Answer, name: &str) -> String {
    let to = answer
        .location()
        .unwrap_or_else(|| panic!("{} is no redirect: {}", answer.status, answer.body));
    let found = to.query_pairs().find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// A claim set, unverified: the harness's relying party has verified it where that matters.
fn claims(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("a payload");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
