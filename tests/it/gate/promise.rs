//! The promise itself: while a forced reset waits, no path issues anything; after it, everything older is dead.

use crate::support::app::TestApp;
use crate::support::database::{on_both, on_postgres};

on_both!(a_person_who_has_nothing_to_do_signs_in);
async fn a_person_who_has_nothing_to_do_signs_in(app: TestApp) {
    let bob = app.user("bob").await;
    let mut browser = app.browser();
    let tokens = browser
        .authorize(&app.rp)
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    assert_eq!(tokens.subject, bob.id.as_str());
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    let held = app.ledger.of(&bob);
    let obtained = app.obtained(&bob, &held).await;
    assert!(
        obtained.len() > 20,
        "the oracle sees open doors: {obtained:?}"
    );
}

on_both!(a_forced_reset_ends_with_a_new_password_and_only_then_with_tokens);
/// P1.
async fn a_forced_reset_ends_with_a_new_password_and_only_then_with_tokens(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("update-password");
    app.assert_no_tokens_for(&alice).await;
    browser
        .set_new_password("a new passphrase")
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
}

on_postgres!(a_flag_set_on_one_node_shuts_the_other_at_once);
/// V021, row 19 of the oracle.
async fn a_flag_set_on_one_node_shuts_the_other_at_once(app: TestApp) {
    let other = app.second_node().await.expect("a second node");
    let alice = app.user("alice").await;
    let mut browser = other.browser();
    browser
        .authorize(&other.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&other.rp)
        .exchange()
        .await
        .assert_tokens();
    browser
        .authorize(&other.foreign)
        .await
        .assert_redirect_to(&other.foreign);
    app.force_password_reset(&alice).await;
    other.assert_no_tokens_for(&alice).await;
    app.assert_no_tokens_for(&alice).await;
}
