//! Tests of the gate: nobody gets a token before they have done what was required of them.
//!
//! Rows of the threat list are named in the doc comments of their tests.

pub mod admin;
mod approval;
mod audit;
mod crowd;
pub mod faults;
mod matrix;
mod model;
mod notices;
mod pages;
mod passwords;
mod profile;
mod promise;
mod states;
mod sweep;
pub mod verify_email;
mod window;
mod writers;

use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::rp::Tokens;

/// A passphrase that the built-in policy takes.
pub const NEW: &str = "a new passphrase";

/// Signs a person in with everything that can be had: a remembered session, tokens of two clients, a code not yet
/// redeemed, tokens and an offline token by the password grant. The ledger knows all of it.
pub async fn stock(app: &TestApp, user: &User) -> Browser {
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    let mut form = browser.page().form_with("password").clone();
    form.fill("rememberMe", "on");
    browser.submit_form(form, None).await;
    browser
        .sign_in(user)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    browser
        .authorize(&app.native)
        .await
        .assert_redirect_to(&app.native)
        .exchange()
        .await
        .assert_tokens();
    browser
        .authorize(&app.foreign)
        .await
        .assert_redirect_to(&app.foreign);
    for legacy in [app.legacy.clone(), app.legacy.with_scope("offline_access")] {
        let answer = legacy.password_grant(&user.username, &user.password).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let tokens = Tokens {
            access: answer.text("access_token").to_owned(),
            refresh: Some(answer.text("refresh_token").to_owned()),
            id: answer.text("id_token").to_owned(),
            subject: user.id.as_str().to_owned(),
            client_id: legacy.client_id.clone(),
        };
        app.ledger.tokens(&user.id, &legacy, &tokens);
    }
    browser
}

/// A browser in which the person stands before the page for a new password.
pub async fn at_the_gate(app: &TestApp, user: &User) -> Browser {
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(user)
        .await
        .assert_page("update-password");
    browser
}
