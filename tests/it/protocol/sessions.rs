//! Session cookies: new at every step of privilege, one person's, gone after signing out, never framed.

use reqwest::Method;

use super::signed_in;
use crate::gate::admin::{call, of, operator};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;
use crate::support::rp::RelyingParty;

const LOGOUT: &str = "/realms/t1/protocol/openid-connect/logout";

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
                        .open_path(LOGOUT)
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

/// Somebody signs in in one tab and leaves it before the terms; answers that tab.
async fn parked_at_terms(browser: &Browser, rp: &RelyingParty, user: &User) -> Browser {
    let mut tab = browser.tab();
    tab.authorize_with(rp, &[("prompt", "login")]).await;
    tab.sign_in(user).await.assert_page("terms");
    tab
}

on_both!(signing_out_ends_what_was_proved_in_the_other_tabs);
/// V108: a tab that was left before the terms leads nobody in once its person has signed out at that browser, by its
/// cookies or by an application's hint alone, once an administrator has ended the sessions, or once somebody else has
/// signed in there.
async fn signing_out_ends_what_was_proved_in_the_other_tabs(app: TestApp) {
    let bob = app.user("bob").await;
    let operator = operator(&app).await;
    for way in ["page", "hint", "logout", "session", "bob", "nobody"] {
        let alice = app
            .user(&format!("alice-{way}"))
            .action("TERMS_AND_CONDITIONS")
            .await;
        let browser = app.browser();
        let mut first = parked_at_terms(&browser, &app.rp, &alice).await;
        let left = first.page().url.clone();
        let mut second = parked_at_terms(&browser, &app.rp, &alice).await;
        let arrival = second.press("accept").await.assert_redirect_to(&app.rp);
        let tokens = arrival.exchange().await.assert_tokens();
        match way {
            "page" => {
                second.open_path(LOGOUT).await.press("confirmLogout").await;
                second.assert_page("message");
            }
            "hint" => {
                let path = format!("{LOGOUT}?id_token_hint={}", tokens.id);
                app.browser().open_path(&path).await.assert_page("message");
            }
            "logout" => {
                let path = of(&alice, "/logout");
                let answer = call(&app, &operator, (Method::POST, &path), None).await;
                assert_eq!(answer.status, 204, "{}", answer.body);
            }
            "session" => {
                let query = format!(
                    "SELECT id AS value FROM sessions WHERE user_id = '{}'",
                    alice.id
                );
                let path = format!("/t1/sessions/{}", app.sql(&query)[0]);
                let answer = call(&app, &operator, (Method::DELETE, &path), None).await;
                assert_eq!(answer.status, 204, "{}", answer.body);
            }
            "bob" => {
                // The browser has lost her session, and he finds the sign-in page.
                let mut cookies = second.cookies();
                cookies.retain(|name, _| !name.ends_with("_sid"));
                second.set_cookies(cookies);
                second.authorize(&app.rp).await.assert_page("login");
                second.sign_in(&bob).await.assert_redirect_to(&app.rp);
            }
            _ => {}
        }
        let mine = second.cookie("sid");
        first.open(left).await;
        match way {
            // She is still here: her own tab goes on.
            "nobody" => {
                first.assert_redirect_to(&app.rp);
            }
            // It asked for a password, and asks whose session the browser has for theirs.
            "bob" => {
                first.assert_page("login").assert_text("bob");
                assert_eq!(first.cookie("sid"), mine, "his session stands");
                let arrival = first.sign_in(&bob).await.assert_redirect_to(&app.rp);
                let tokens = arrival.exchange().await.assert_tokens();
                assert_eq!(tokens.subject, bob.id.as_str());
            }
            _ => {
                first.assert_page("login");
                assert!(!first.got_a_code(), "{way}");
                // The tab is not lost: it goes on with the password.
                first.sign_in(&alice).await.assert_redirect_to(&app.rp);
            }
        }
    }
}

on_both!(who_signs_out_without_a_session_leaves_no_tab_open);
/// V108: nobody had a session, and the page says that they have signed out: then they have.
async fn who_signs_out_without_a_session_leaves_no_tab_open(app: TestApp) {
    let alice = app.user("alice").action("TERMS_AND_CONDITIONS").await;
    let browser = app.browser();
    let mut first = parked_at_terms(&browser, &app.rp, &alice).await;
    let mut second = browser.tab();
    second.open_path(LOGOUT).await.press("confirmLogout").await;
    second.assert_page("message");
    first.reload().await.assert_page("login");
    assert_eq!(app.waiting(&alice).await, ["TERMS_AND_CONDITIONS"]);
}

on_both!(after_signing_out_the_cookie_is_gone_and_no_page_was_kept);
/// V115.
async fn after_signing_out_the_cookie_is_gone_and_no_page_was_kept(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    let before = browser.copy();
    browser
        .open_path(LOGOUT)
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
