//! `notBefore`, Keycloak's "everything from before is void": of a client, of a realm, of a service's own account.

use std::time::Duration;

use vestibule::kernel::Timestamp;

use super::{change_client, signed_in};
use crate::support::app::TestApp;
use crate::support::database::on_both;
use crate::support::rp::RelyingParty;

/// Two seconds later: `notBefore` counts whole ones.
fn later(app: &TestApp) -> i64 {
    app.advance(Duration::from_secs(2));
    app.store().clock().now().seconds()
}

async fn assert_void(rp: &RelyingParty, token: &str) {
    assert_eq!(rp.userinfo(token).await.status, 401);
    assert_eq!(rp.introspect(token).await.body["active"], false);
    rp.refresh(token).await.assert_error("invalid_grant");
}

on_both!(nothing_from_before_a_clients_not_before_buys_anything);
/// V082, V099: its access tokens, refresh tokens, offline tokens and codes; what other clients got stands, and the
/// person stays signed in.
async fn nothing_from_before_a_clients_not_before_buys_anything(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let online = arrival.exchange().await.assert_tokens();
    let offline = app.rp.with_scope("offline_access");
    let arrival = browser.authorize(&offline).await;
    let arrival = arrival.assert_redirect_to(&offline);
    let offline = arrival.exchange().await.assert_tokens();
    let code = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let foreign = browser.authorize(&app.foreign).await;
    let foreign = foreign.assert_redirect_to(&app.foreign);
    let foreign = foreign.exchange().await.assert_tokens();

    let now = later(&app);
    change_client(&app, "rp", move |client| client.settings.not_before = now).await;
    for tokens in [&online, &offline] {
        assert_void(&app.rp, &tokens.access).await;
        assert_void(&app.rp, tokens.refresh.as_ref().expect("one")).await;
    }
    let redeemed = app.rp.redeem(code.code(), &code.asked.verifier).await;
    redeemed.assert_error("invalid_grant");

    let refresh = foreign.refresh.expect("a refresh token");
    assert_eq!(app.foreign.userinfo(&foreign.access).await.status, 200);
    assert_eq!(app.foreign.refresh(&refresh).await.status, 200);
    let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    assert_eq!(app.rp.introspect(&refresh).await.body["active"], true);
    assert_eq!(app.rp.refresh(&refresh).await.status, 200);
}

on_both!(nothing_from_before_a_realms_not_before_buys_anything);
/// V099: tokens, codes, a service's own token, and the browser's session, remembered or not, until its person has
/// signed in again.
async fn nothing_from_before_a_realms_not_before_buys_anything(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let code = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let ask = [("grant_type", "client_credentials"), ("scope", "openid")];
    let service = app
        .service
        .token(&ask)
        .await
        .text("access_token")
        .to_owned();
    assert_eq!(app.service.introspect(&service).await.body["active"], true);
    let mut asked = app.browser();
    asked.authorize(&app.consenting).await.sign_in(&bob).await;
    asked.assert_page("consent");

    let now = later(&app);
    app.change_realm(move |realm| realm.not_before = Timestamp::from_seconds(now))
        .await;
    assert_void(&app.rp, &tokens.access).await;
    assert_void(&app.rp, tokens.refresh.as_ref().expect("one")).await;
    assert_void(&app.service, &service).await;
    let redeemed = app.rp.redeem(code.code(), &code.asked.verifier).await;
    redeemed.assert_error("invalid_grant");
    browser
        .tab()
        .authorize_with(&app.rp, &[("prompt", "none")])
        .await
        .assert_error_to(&app.rp, "login_required");
    // A proof that was made before, in a flow that is still on its way.
    asked.press("accept").await.assert_page("login");

    let service = app
        .service
        .token(&ask)
        .await
        .text("access_token")
        .to_owned();
    assert_eq!(app.service.introspect(&service).await.body["active"], true);
    let arrival = browser.authorize(&app.rp).await.assert_page("login");
    let arrival = arrival.sign_in(&bob).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
}

on_both!(a_services_own_not_before_ends_its_tokens);
/// V099.
async fn a_services_own_not_before_ends_its_tokens(app: TestApp) {
    let ask = [("grant_type", "client_credentials"), ("scope", "openid")];
    let service = app
        .service
        .token(&ask)
        .await
        .text("access_token")
        .to_owned();
    assert_eq!(app.service.introspect(&service).await.body["active"], true);
    let now = later(&app);
    app.database().execute(&format!(
        "UPDATE users SET not_before = {now}000000 WHERE service_client IS NOT NULL"
    ));
    assert_void(&app.service, &service).await;
    let service = app
        .service
        .token(&ask)
        .await
        .text("access_token")
        .to_owned();
    assert_eq!(app.service.introspect(&service).await.body["active"], true);
}
