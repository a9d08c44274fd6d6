//! The walks.

use super::playground::{Playground, Visitor};
use crate::support::chromium::Options;

const NEW: &str = "seven slow boats at dawn";

fn phone() -> Options {
    Options {
        scripts: false,
        width: 390,
        height: 844,
        ..Options::default()
    }
}

#[actix_web::test]
async fn a_temporary_password_leads_through_the_gate_into_the_app() {
    let Some(mut theo) = Visitor::at(
        "theo",
        Options {
            width: 1280,
            height: 900,
            ..Options::default()
        },
    )
    .await
    else {
        return;
    };
    let playground = Playground::start();
    theo.asks_to_sign_in(&playground).await;
    theo.picture("sign-in").await;
    theo.signs_in("theo", "temporary-42").await;
    theo.is_at("update-password").await;
    theo.picture("gate").await;
    theo.sets("short").await;
    theo.is_at("update-password").await;
    theo.picture("gate-refuses").await;
    theo.sets("temporary-42").await;
    theo.is_at("update-password").await;
    theo.sets(NEW).await;
    theo.has_arrived(&playground, "Theo").await;
    theo.picture("arrived").await;

    let Some(other) = Visitor::at("thief", Options::default()).await else {
        return;
    };
    other.asks_to_sign_in(&playground).await;
    other.signs_in("theo", "temporary-42").await;
    other.is_at("login").await;
    other.signs_in("theo", NEW).await;
    other.has_arrived(&playground, "Theo").await;
}

#[actix_web::test]
async fn on_a_phone_without_scripts_with_a_reload_at_every_step() {
    let Some(mut theo) = Visitor::at("phone", phone()).await else {
        return;
    };
    let playground = Playground::start();
    theo.asks_to_sign_in(&playground).await;
    theo.browser.reload().await;
    theo.is_at("login").await;
    theo.picture("sign-in").await;
    theo.signs_in("theo", "wrong words").await;
    theo.is_at("login").await;
    theo.browser.reload().await;
    theo.is_at("login").await;
    theo.picture("wrong-password").await;
    theo.signs_in("theo", "temporary-42").await;
    theo.browser.reload().await;
    theo.is_at("update-password").await;
    theo.picture("gate").await;
    theo.sets("tiny").await;
    theo.browser.reload().await;
    theo.is_at("update-password").await;
    theo.picture("gate-refuses").await;
    theo.sets(NEW).await;
    theo.has_arrived(&playground, "Theo").await;
    theo.browser.reload().await;
    theo.has_arrived(&playground, "Theo").await;
    theo.picture("arrived").await;
}

#[actix_web::test]
async fn two_tabs_and_the_back_button() {
    let Some(mut theo) = Visitor::at(
        "tabs",
        Options {
            dark: true,
            ..Options::default()
        },
    )
    .await
    else {
        return;
    };
    let playground = Playground::start();
    theo.asks_to_sign_in(&playground).await;
    let first = theo.browser.tab().await;
    let second = theo.browser.open_tab().await;
    theo.browser.switch_to(&second).await;
    theo.asks_to_sign_in(&playground).await;
    theo.signs_in("theo", "temporary-42").await;
    theo.is_at("update-password").await;
    // The first tab's flow is its own: the same person meets the same gate there.
    theo.browser.switch_to(&first).await;
    theo.signs_in("theo", "temporary-42").await;
    theo.is_at("update-password").await;
    theo.sets(NEW).await;
    theo.has_arrived(&playground, "Theo").await;
    // The second tab's proof is older than the new password.
    theo.browser.switch_to(&second).await;
    theo.sets("another new password here").await;
    let page = theo.browser.page().await;
    assert!(
        matches!(page.as_deref(), Some("login" | "message" | "error") | None),
        "{page:?}"
    );
    theo.picture("second-tab").await;
    theo.browser.switch_to(&first).await;
    theo.browser.back().await;
    theo.picture("back").await;
    let Some(other) = Visitor::at("check", Options::default()).await else {
        return;
    };
    other.asks_to_sign_in(&playground).await;
    other.signs_in("theo", "another new password here").await;
    other.is_at("login").await;
    other.signs_in("theo", NEW).await;
    other.has_arrived(&playground, "Theo").await;
}

#[actix_web::test]
async fn everybody_else_in_the_playground() {
    let german = Options {
        language: "de".to_owned(),
        ..phone()
    };
    let Some(mut ines) = Visitor::at("others", german).await else {
        return;
    };
    let playground = Playground::start();
    ines.asks_to_sign_in(&playground).await;
    ines.signs_in("ines", "expired-42").await;
    ines.is_at("login").await;
    ines.picture("expired").await;
    ines.signs_in("paul", "anything").await;
    ines.is_at("login").await;
    ines.signs_in("nora", "quiet harbour at noon").await;
    ines.has_arrived(&playground, "Nora").await;
    // Signed out at the provider, after it has asked.
    ines.browser
        .goto(&format!(
            "{}/protocol/openid-connect/logout",
            playground.issuer
        ))
        .await;
    ines.is_at("logout").await;
    ines.picture("sign-out").await;
    ines.browser.press("confirmLogout").await;
    ines.is_at("message").await;
    ines.asks_to_sign_in(&playground).await;
}
