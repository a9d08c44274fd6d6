//! Whom and what an application asks for: `id_token_hint` and `kc_action`.

use std::time::Duration;

use super::{claims, signed_in};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::database::on_both;

const NONE: (&str, &str) = ("prompt", "none");

/// What the sign-in page suggests as user name.
#[track_caller]
fn suggested(browser: &mut Browser) -> String {
    let form = browser.assert_page("login").page().form_with("password");
    let field = form.field("username").expect("a field for the name");
    field.value.clone()
}

on_both!(a_hint_of_the_person_who_is_signed_in_is_answered);
/// OpenID Connect Core 3.1.2.1: also where the ID token is past its time.
async fn a_hint_of_the_person_who_is_signed_in_is_answered(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let hint = arrival.exchange().await.assert_tokens().id;
    app.advance(Duration::from_secs(900));
    for parameters in [
        &[("id_token_hint", hint.as_str())][..],
        &[("id_token_hint", hint.as_str()), NONE],
    ] {
        browser
            .authorize_with(&app.rp, parameters)
            .await
            .assert_redirect_to(&app.rp);
    }
}

on_both!(nobody_but_the_person_of_the_hint_is_answered);
/// OpenID Connect Core 3.1.2.2: neither by the session that is there nor by a sign-in.
async fn nobody_but_the_person_of_the_hint_is_answered(app: TestApp) {
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let of_bob = arrival.exchange().await.assert_tokens().id;
    let hint = ("id_token_hint", of_bob.as_str());

    let mut stranger = app.browser();
    stranger.authorize_with(&app.rp, &[hint, NONE]).await;
    stranger.assert_error_to(&app.rp, "login_required");

    let (mut browser, _) = signed_in(&app, &alice, &app.rp).await;
    browser.authorize_with(&app.rp, &[hint, NONE]).await;
    browser.assert_error_to(&app.rp, "login_required");

    let named = [hint, ("login_hint", "carol")];
    browser.authorize_with(&app.rp, &named).await;
    assert_eq!(suggested(&mut browser), "carol");
    browser.authorize_with(&app.rp, &[hint]).await;
    assert_eq!(suggested(&mut browser), "bob");
    browser.reload().await;
    assert_eq!(suggested(&mut browser), "bob");
    browser
        .sign_in(&alice)
        .await
        .assert_error_to(&app.rp, "login_required");
    let own = browser.authorize_with(&app.rp, &[NONE]).await;
    let own = own.assert_redirect_to(&app.rp).exchange().await;
    let own = own.assert_tokens();
    assert_eq!(own.subject, alice.id.as_str(), "her session goes on");

    browser.authorize_with(&app.rp, &[hint]).await;
    let arrival = browser.sign_in(&bob).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(claims(&tokens.access)["sub"], bob.id.as_str());
    assert_eq!(
        app.rp.userinfo(&own.access).await.status,
        401,
        "the browser is his now"
    );
}

on_both!(who_passes_the_gate_is_still_not_the_person_of_the_hint);
/// And nobody who has to set a password gets past it by a hint.
async fn who_passes_the_gate_is_still_not_the_person_of_the_hint(app: TestApp) {
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let of_bob = arrival.exchange().await.assert_tokens().id;
    let hint = ("id_token_hint", of_bob.as_str());
    app.force_password_reset(&alice).await;
    app.force_password_reset(&bob).await;
    browser.authorize_with(&app.rp, &[hint, NONE]).await;
    browser.assert_error_to(&app.rp, "interaction_required");

    let mut browser = app.browser();
    browser.authorize_with(&app.rp, &[hint]).await;
    browser.sign_in(&alice).await.assert_page("update-password");
    browser
        .set_new_password("a password that nobody had before")
        .await
        .assert_error_to(&app.rp, "login_required");
    assert_eq!(app.token_rows(&alice.id), 0);

    browser.authorize_with(&app.rp, &[hint]).await;
    browser.sign_in(&bob).await.assert_page("update-password");
    browser
        .set_new_password("another password that nobody had before")
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(a_hint_that_is_no_id_token_of_the_realm_says_nothing);
/// V095, V099: garbage, another realm's, an altered one, an access token.
async fn a_hint_that_is_no_id_token_of_the_realm_says_nothing(app: TestApp) {
    app.make_realm("t2").await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let carol = app.user_of("t2", "carol").await;
    let (_, of_bob) = signed_in(&app, &bob, &app.rp).await;
    let of_bob = of_bob.exchange().await.assert_tokens();
    let (_, of_carol) = signed_in(&app, &carol, &app.rp.in_realm("t2")).await;
    let of_carol = of_carol.exchange().await.assert_tokens();
    let (signed, _) = of_bob.id.rsplit_once('.').expect("a signature");
    let (_, signature) = of_carol.id.rsplit_once('.').expect("a signature");
    let (mut browser, _) = signed_in(&app, &alice, &app.rp).await;
    for hint in [
        "x",
        "x.y.z",
        &format!("{signed}.{signature}"),
        &format!("{signed}."),
        &of_carol.id,
        &of_bob.access,
    ] {
        browser
            .authorize_with(&app.rp, &[("id_token_hint", hint), NONE])
            .await
            .assert_redirect_to(&app.rp);
    }
}

on_both!(an_action_that_an_application_asks_for_is_answered_as_an_unknown_one);
/// Nothing is done, and the application hears so beside its code; what waits on the person waits all the same.
async fn an_action_that_an_application_asks_for_is_answered_as_an_unknown_one(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    assert!(!arrival.parameters.contains_key("kc_action_status"));
    for action in ["UPDATE_PASSWORD", "TERMS_AND_CONDITIONS", "NOPE"] {
        let asked = [("kc_action", action)];
        let arrival = browser.authorize_with(&app.rp, &asked).await;
        let arrival = arrival.assert_redirect_to(&app.rp);
        assert_eq!(arrival.parameters["kc_action_status"], "error");
        arrival.exchange().await.assert_tokens();

        let mut other = app.browser();
        other.authorize_with(&app.rp, &asked).await;
        let arrival = other.sign_in(&bob).await.assert_redirect_to(&app.rp);
        assert_eq!(arrival.parameters["kc_action_status"], "error");
    }
    app.force_password_reset(&bob).await;
    let asked = [("kc_action", "NOPE"), NONE];
    browser.authorize_with(&app.rp, &asked).await;
    browser.assert_error_to(&app.rp, "interaction_required");
}
