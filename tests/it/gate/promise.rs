//! The promise itself: while a forced reset waits, no path issues anything; after it, everything older is dead.

use reqwest::Method;
use serde_json::json;

use super::admin::{call, of};
use super::{NEW, at_the_gate, stock};
use crate::support::app::TestApp;
use crate::support::database::{on_both, on_postgres};

on_both!(a_person_who_has_nothing_to_do_signs_in);
/// The oracle sees open doors, so what it finds shut elsewhere was shut.
async fn a_person_who_has_nothing_to_do_signs_in(app: TestApp) {
    let bob = app.user("bob").await;
    stock(&app, &bob).await;
    let obtained = app.obtained(&bob, &app.ledger.of(&bob)).await.join("\n");
    for door in [
        "userinfo 200",
        "introspection: ",
        "refresh at rp",
        "refresh at legacy",
        "a code redeemed",
        "a code by cookie at foreign",
        "a code by password with form_post",
        "a session by password",
        "a code at another client",
        "the password grant",
    ] {
        assert!(obtained.contains(door), "{door} is not in:\n{obtained}");
    }
}

on_both!(a_forced_reset_ends_with_a_new_password_and_only_then_with_tokens);
/// P1.
async fn a_forced_reset_ends_with_a_new_password_and_only_then_with_tokens(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    app.assert_no_tokens_for(&alice).await;
    let tokens = browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    assert_eq!(tokens.subject, alice.id.as_str());
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    assert!(app.waiting(&alice).await.is_empty());
}

on_both!(a_flag_shuts_every_path_before_during_and_after_the_gate);
/// P1, P6, V005, V021, V022: what was had before the flag opens nothing while it waits, nor after it is met.
async fn a_flag_shuts_every_path_before_during_and_after_the_gate(app: TestApp) {
    let alice = app.user("alice").await;
    stock(&app, &alice).await;
    app.force_password_reset(&alice).await;
    app.assert_no_tokens_for(&alice).await;

    let mut browser = at_the_gate(&app, &alice).await;
    let mut elsewhere = at_the_gate(&app, &alice).await;
    app.assert_no_tokens_for(&alice).await;

    let older = app.ledger.of(&alice);
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    app.assert_nothing_opens(&alice, &older.without_password(NEW))
        .await;
    // Whoever stood at the gate in another browser with the old password stands there in vain.
    let hash = app.password_hash(&alice).await;
    elsewhere
        .set_new_password("too late for that")
        .await
        .assert_page("login");
    assert_eq!(app.password_hash(&alice).await, hash);
}

on_both!(a_temporary_password_gates_as_a_flag_does);
/// V028: only a temporary one.
async fn a_temporary_password_gates_as_a_flag_does(app: TestApp) {
    let theo = app.user("theo").temporary_password("hand-me-over-1").await;
    let mut browser = at_the_gate(&app, &theo).await;
    app.assert_no_tokens_for(&theo).await;
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);

    let uma = app.user("uma").await;
    app.set_password(&uma, "a permanent one", false).await;
    app.browser()
        .authorize(&app.rp)
        .await
        .sign_in_with(&uma, "a permanent one")
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(an_access_token_from_before_is_dead_within_the_second_of_completion);
/// V177.
async fn an_access_token_from_before_is_dead_within_the_second_of_completion(app: TestApp) {
    let alice = app.user("alice").await;
    let tokens = app
        .browser()
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    app.force_password_reset(&alice).await;
    at_the_gate(&app, &alice)
        .await
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
    let userinfo = app.rp.userinfo(&tokens.access).await;
    assert_eq!(userinfo.status, 401, "{}", userinfo.body);
    let seen = app.rp.introspect(&tokens.access).await;
    assert_eq!(seen.body, serde_json::json!({ "active": false }));
}

on_both!(an_administrators_token_from_before_manages_nothing_after_completion);
/// V177: 403 by name while the flag waits, and 401 once it is met, within the same second as well.
async fn an_administrators_token_from_before_manages_nothing_after_completion(app: TestApp) {
    let carol = app
        .user("carol")
        .client_role("realm-management", "realm-admin")
        .await;
    let mut admin_cli = app.legacy.clone();
    (admin_cli.client_id, admin_cli.secret) = ("admin-cli".to_owned(), None);
    let granted = admin_cli.password_grant("carol", &carol.password).await;
    let token = granted.text("access_token");
    let users = (Method::GET, "/t1/users");
    let lift = json!({ "requiredActions": [] });
    let own = of(&carol, "");
    assert_eq!(call(&app, token, users.clone(), None).await.status, 200);
    app.force_password_reset(&carol).await;
    assert_eq!(call(&app, token, users.clone(), None).await.status, 403);
    at_the_gate(&app, &carol)
        .await
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
    for (call_of, body) in [(users, None), ((Method::PUT, own.as_str()), Some(&lift))] {
        let answer = call(&app, token, call_of, body).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    let anew = admin_cli.password_grant("carol", NEW).await;
    let users = (Method::GET, "/t1/users");
    let answer = call(&app, anew.text("access_token"), users, None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

on_both!(what_was_stolen_before_a_flag_stays_dead_when_the_flag_is_waived);
/// V178, by every way but completion: waived, and cleared by a permanent password.
async fn what_was_stolen_before_a_flag_stays_dead_when_the_flag_is_waived(app: TestApp) {
    let alice = app.user("alice").await;
    stock(&app, &alice).await;
    let stolen = app.ledger.of(&alice);
    app.force_password_reset(&alice).await;
    app.waive(&alice, "UPDATE_PASSWORD").await;
    app.assert_nothing_opens(&alice, &stolen.without_password(&alice.password))
        .await;
    app.browser()
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&app.rp);

    let bea = app.user("bea").await;
    stock(&app, &bea).await;
    let stolen = app.ledger.of(&bea);
    app.force_password_reset(&bea).await;
    app.set_password(&bea, "set by the operator", false).await;
    assert!(app.waiting(&bea).await.is_empty());
    app.assert_nothing_opens(&bea, &stolen).await;
}

on_both!(a_session_that_meets_a_new_flag_is_asked_for_the_password_first);
/// V180: a cookie, however fresh, and a remembered one, show no page for a new password.
async fn a_session_that_meets_a_new_flag_is_asked_for_the_password_first(app: TestApp) {
    let alice = app.user("alice").await;
    let mut remembered = stock(&app, &alice).await;
    let mut fresh = app.browser();
    fresh
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&app.rp);
    app.advance(std::time::Duration::from_secs(60));
    app.force_password_reset(&alice).await;
    for browser in [&mut remembered, &mut fresh] {
        browser.authorize(&app.foreign).await.assert_page("login");
        browser
            .assert_text("Please re-authenticate to continue")
            .sign_in(&alice)
            .await
            .assert_page("update-password");
    }
}

on_both!(prompt_none_says_that_a_page_is_needed);
/// OpenID Connect Core 3.1.2.6: row 3 of the oracle. State and issuer come with it.
async fn prompt_none_says_that_a_page_is_needed(app: TestApp) {
    for action in [
        "UPDATE_PASSWORD",
        "TERMS_AND_CONDITIONS",
        "UPDATE_PROFILE",
        "VERIFY_EMAIL",
    ] {
        let name = action.to_lowercase().replace('_', "-");
        let user = app.user(&name).await;
        let mut browser = app.browser();
        let tokens = browser
            .authorize(&app.rp)
            .await
            .sign_in(&user)
            .await
            .assert_redirect_to(&app.rp)
            .exchange()
            .await
            .assert_tokens();
        app.require(&user, action).await;
        for rp in [&app.rp, &app.foreign] {
            for hint in ["", tokens.id.as_str()] {
                browser
                    .authorize_with(rp, &[("prompt", "none"), ("id_token_hint", hint)])
                    .await
                    .assert_error_to(rp, "interaction_required");
            }
        }
    }
}

on_postgres!(a_flag_set_on_one_node_shuts_the_other_at_once);
/// V021, V040, row 19 of the oracle: the flag, and the new password that ends it.
async fn a_flag_set_on_one_node_shuts_the_other_at_once(app: TestApp) {
    let other = app.second_node().await.expect("a second node");
    let alice = app.user("alice").await;
    stock(&other, &alice).await;
    app.force_password_reset(&alice).await;
    other.assert_no_tokens_for(&alice).await;
    app.assert_no_tokens_for(&alice).await;
    let older = app.ledger.of(&alice);
    at_the_gate(&app, &alice)
        .await
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
    let older = older.without_password(NEW);
    other.assert_nothing_opens(&alice, &older).await;
    app.assert_nothing_opens(&alice, &older).await;
}
