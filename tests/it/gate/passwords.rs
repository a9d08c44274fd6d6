//! What the gate takes for a new password.

use vestibule::link::{Purpose, Sender};

use super::{NEW, at_the_gate};
use crate::link;
use crate::support::app::TestApp;
use crate::support::browser::Browser;
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

on_both!(case_and_spaces_together_make_no_new_password);
/// V018: at the gate, and by a link to somebody who has a password.
async fn case_and_spaces_together_make_no_new_password(app: TestApp) {
    app.mailbox().await;
    for (number, (old, dressed)) in [
        ("summer days are long", "Summer days are long "),
        ("Summer Days Are Long", "summer days are long  "),
        ("summer days are long", "SUMMER  DAYS ARE LONG"),
        ("quiet harbour at noon", "Quiet harbour at noon "),
    ]
    .into_iter()
    .enumerate()
    {
        let alice = app
            .user(&format!("alice-{number}"))
            .temporary_password(old)
            .await;
        let linked = app.user(&format!("linda-{number}")).password(old).await;
        let asked = (Purpose::ForgottenPassword, Sender::Person);
        link::send(&app, &linked, asked.0, asked.1).await;
        let url = link::mails(&app, &linked, 1).await.remove(0).url;
        link::settled(&app, &linked).await;
        for (user, mut browser) in [
            (&alice, at_the_gate(&app, &alice).await),
            (&linked, link::redeem::at_the_gate(&app, &url).await),
        ] {
            let before = app.password_hash(user).await;
            browser
                .set_new_password(dressed)
                .await
                .assert_page("update-password")
                .assert_text("This is the password you have now.");
            assert_eq!(app.password_hash(user).await, before, "{dressed:?}");
        }
    }
}

on_both!(a_refused_password_gets_its_reasons_and_advice_at_its_field);
/// Advice is a hint and refuses nothing; and what was typed is kept nowhere.
async fn a_refused_password_gets_its_reasons_and_advice_at_its_field(app: TestApp) {
    let typed = "qwertyuiop";
    let (_, url) = link::redeem::invited(&app, "linda").await;
    let alice = app.user("alice").force_password_reset().await;
    for mut browser in [
        at_the_gate(&app, &alice).await,
        link::redeem::at_the_gate(&app, &url).await,
    ] {
        let hints = |browser: &Browser| browser.page().texts(".field > #password-hint");
        assert!(hints(&browser).is_empty(), "nothing was typed yet");
        browser
            .fill_in(&[("password-new", typed), ("password-confirm", typed)])
            .await
            .assert_page("update-password");
        let page = browser.page();
        let errors = page.texts(".field > #password-new-error");
        assert!(errors.concat().contains("minimum length 15"), "{errors:?}");
        assert_eq!(hints(&browser).len(), 1, "{browser}");
        let field = "#password-new[aria-describedby^='password-new-error password-hint']";
        assert_eq!(page.texts(field).len(), 1, "{browser}");
        assert!(!app.dump().contains(typed));
        // Weak and allowed: taken, whatever there would be to advise.
        browser.set_new_password("harbour harbour harbour").await;
        let left = browser.got_a_code() || browser.page().marker.as_deref() == Some("message");
        assert!(left, "{browser}");
    }
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
