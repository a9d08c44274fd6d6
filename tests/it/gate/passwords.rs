//! What the gate takes for a new password.

use super::{NEW, at_the_gate};
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(the_old_password_in_another_dress_is_no_new_one);
/// V018: the same, in other case, with other spaces, in another Unicode form.
async fn the_old_password_in_another_dress_is_no_new_one(app: TestApp) {
    let old = "Qu\u{e9}bec winter lantern";
    let alice = app.user("alice").temporary_password(old).await;
    let before = app.password_hash(&alice).await;
    let mut browser = at_the_gate(&app, &alice).await;
    for dressed in [
        old.to_owned(),
        old.to_uppercase(),
        old.to_lowercase(),
        format!(" {old}"),
        format!("{old} "),
        old.replace(' ', "  "),
        old.replace('\u{e9}', "e\u{301}"),
    ] {
        browser
            .set_new_password(&dressed)
            .await
            .assert_page("update-password");
        assert_eq!(app.password_hash(&alice).await, before, "{dressed:?}");
    }
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(a_password_of_the_last_three_is_refused_where_the_realm_looks_back);
/// V018.
async fn a_password_of_the_last_three_is_refused_where_the_realm_looks_back(app: TestApp) {
    app.change_realm(|realm| {
        realm.settings.password_policy = Some("passwordHistory(3)".to_owned());
    })
    .await;
    let alice = app.user("alice").password("first of a series").await;
    app.set_password(&alice, "second of a series", false).await;
    app.set_password(&alice, "third of a series", true).await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, "third of a series")
        .await
        .assert_page("update-password");
    for used in [
        "first of a series",
        "second of a series",
        "third of a series",
    ] {
        browser
            .set_new_password(used)
            .await
            .assert_page("update-password");
    }
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(a_weak_or_mistyped_password_changes_nothing_and_keeps_the_page);
async fn a_weak_or_mistyped_password_changes_nothing_and_keeps_the_page(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let before = app.password_hash(&alice).await;
    let mut browser = at_the_gate(&app, &alice).await;
    for (new, confirm) in [
        ("", ""),
        ("short", "short"),
        ("passwordpassword", "passwordpassword"),
        ("alice alice alice", "alice alice alice"),
        (NEW, "a different passphrase"),
        (NEW, ""),
    ] {
        browser
            .fill_in(&[("password-new", new), ("password-confirm", confirm)])
            .await
            .assert_page("update-password");
        assert_eq!(app.password_hash(&alice).await, before, "{new:?}");
        for field in &browser.page().form_with("password-new").fields {
            assert!(
                !field.name.starts_with("password") || field.value.is_empty(),
                "a typed password is never shown again"
            );
        }
    }
    app.assert_no_tokens_for(&alice).await;
}
