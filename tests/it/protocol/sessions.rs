//! Session cookies: new at every step of privilege, one person's, gone after signing out, never framed.

use super::signed_in;
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(cookies_are_new_after_every_step_of_privilege);
/// V107: before the sign-in, after it, after the new password; the old values are dead.
async fn cookies_are_new_after_every_step_of_privilege(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.assert_page("login");
    let fixed = browser.copy();
    let before = browser.cookie("flow").expect("a flow cookie");
    assert_eq!(browser.cookie("sid"), None);
    browser.sign_in(&alice).await.assert_page("update-password");
    let at_gate = browser.cookie("flow").expect("a flow cookie");
    assert_ne!(before, at_gate);
    assert_eq!(
        browser.cookie("sid"),
        None,
        "no session before the gate is passed"
    );
    // Who planted the first cookie cannot follow.
    let url = browser.page().url.clone();
    let mut attacker = fixed.copy();
    attacker.open(url.clone()).await.assert_page("error");
    let gate = browser.copy();
    browser
        .set_new_password("a new passphrase")
        .await
        .assert_redirect_to(&app.rp);
    assert_ne!(browser.cookie("flow"), Some(at_gate));
    let sid = browser.cookie("sid").expect("a session");
    let mut attacker = gate.copy();
    attacker.open(url).await.assert_page("error");
    attacker
        .authorize_with(&app.rp, &[("prompt", "none")])
        .await
        .assert_error_to(&app.rp, "login_required");

    let old = browser.copy();
    browser
        .authorize_with(&app.rp, &[("prompt", "login")])
        .await
        .sign_in_with(&alice, "a new passphrase")
        .await
        .assert_redirect_to(&app.rp);
    assert_ne!(
        browser.cookie("sid"),
        Some(sid),
        "a new secret for the same session"
    );
    old.copy()
        .authorize_with(&app.rp, &[("prompt", "none")])
        .await
        .assert_error_to(&app.rp, "login_required");
}

on_both!(the_next_person_at_a_shared_browser_is_the_next_person);
/// V108: whichever cookies of the one before are left, or put back.
async fn the_next_person_at_a_shared_browser_is_the_next_person(app: TestApp) {
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    for lost in [&[][..], &["_sid"], &["_flow"], &["_sid", "_flow"]] {
        for put_back in [false, true] {
            for signed_out in [true, false] {
                let (mut browser, _) = signed_in(&app, &alice, &app.rp).await;
                let mut kept = browser.cookies();
                kept.retain(|name, _| !lost.iter().any(|end| name.ends_with(end)));
                if signed_out {
                    browser
                        .open_path("/realms/t1/protocol/openid-connect/logout")
                        .await
                        .press("confirmLogout")
                        .await
                        .assert_page("message");
                }
                if put_back || !signed_out {
                    browser.set_cookies(kept);
                }
                browser
                    .authorize_with(&app.rp, &[("prompt", "login")])
                    .await;
                // With her own live session in it the browser is still hers.
                let still_alices = !signed_out && !lost.contains(&"_sid");
                if still_alices {
                    continue;
                }
                let arrival = browser.sign_in(&bob).await.assert_redirect_to(&app.rp);
                let tokens = arrival.exchange().await.assert_tokens();
                let at = format!("{lost:?} {put_back} {signed_out}");
                assert_eq!(tokens.subject, bob.id.as_str(), "{at}");
                let arrival = browser
                    .authorize(&app.foreign)
                    .await
                    .assert_redirect_to(&app.foreign);
                let tokens = arrival.exchange().await.assert_tokens();
                assert_eq!(tokens.subject, bob.id.as_str(), "{at}");
            }
        }
    }
}

on_both!(after_signing_out_the_cookie_is_gone_and_no_page_was_kept);
/// V115.
async fn after_signing_out_the_cookie_is_gone_and_no_page_was_kept(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    let before = browser.copy();
    browser
        .open_path("/realms/t1/protocol/openid-connect/logout")
        .await
        .press("confirmLogout")
        .await
        .assert_page("message");
    assert_eq!(browser.answer.header("cache-control"), "no-store");
    let taken: Vec<&str> = browser
        .answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    assert!(
        taken
            .iter()
            .any(|cookie| cookie.contains("_sid=;") && cookie.contains("Max-Age=0")),
        "{taken:?}"
    );
    for mut browser in [browser.copy(), before] {
        browser.authorize(&app.rp).await.assert_page("login");
    }
}

on_both!(no_page_can_be_framed_or_kept);
/// V116: every page on the way, and the errors.
async fn no_page_can_be_framed_or_kept(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    let check = |browser: &crate::support::browser::Browser, page: &str| {
        assert_eq!(browser.page().marker.as_deref(), Some(page));
        let policy = browser.answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{page}: {policy}"
        );
        assert_eq!(browser.answer.header("x-frame-options"), "DENY", "{page}");
        assert_eq!(browser.answer.header("cache-control"), "no-store", "{page}");
    };
    check(browser.authorize(&app.consenting).await, "login");
    check(browser.sign_in(&alice).await, "update-password");
    check(
        browser.set_new_password("a new passphrase").await,
        "consent",
    );
    browser
        .press("accept")
        .await
        .assert_redirect_to(&app.consenting);
    let path = "/realms/t1/protocol/openid-connect/logout";
    check(browser.open_path(path).await, "logout");
    check(
        browser
            .open_path("/realms/t1/login-actions/authenticate?tab_id=x")
            .await,
        "error",
    );
    check(
        browser
            .open_path("/realms/nowhere/protocol/openid-connect/auth")
            .await,
        "error",
    );
}
