//! Remember-me: a cookie of its own that changes at each use, and whose copies end the session.

use std::time::Duration;

use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

/// Signs in with the box ticked.
async fn remembered(app: &TestApp, user: &User) -> Browser {
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    let mut form = browser.page().form_with("password").clone();
    form.fill("rememberMe", "on");
    form.fill("username", &user.username);
    form.fill("password", &user.password);
    browser
        .submit_form(form, None)
        .await
        .assert_redirect_to(&app.rp);
    browser
}

/// The browser as it is when it is started again: what was kept until its end is gone.
fn restarted(browser: &Browser) -> Browser {
    let mut browser = browser.copy();
    let mut kept = browser.cookies();
    kept.retain(|name, _| name.ends_with("_remember"));
    browser.set_cookies(kept);
    browser
}

fn attributes(browser: &Browser, what: &str) -> String {
    let set = browser.answer.headers.get_all("set-cookie");
    set.iter()
        .filter_map(|value| value.to_str().ok())
        .find(|value| {
            value
                .split('=')
                .next()
                .is_some_and(|name| name.ends_with(what))
        })
        .unwrap_or_default()
        .to_owned()
}

on_both!(a_remembered_session_comes_back_by_a_cookie_of_its_own);
/// H007, V093: 30 days where the realm says 0; the session's own cookie ends with the browser, and its return is no
/// proof of anything.
async fn a_remembered_session_comes_back_by_a_cookie_of_its_own(app: TestApp) {
    let alice = app.user("alice").await;
    let browser = remembered(&app, &alice).await;
    assert!(!attributes(&browser, "_sid").contains("Max-Age"));
    assert!(attributes(&browser, "_remember").contains("Max-Age=2592000"));
    let mut forgetful = app.browser();
    forgetful.authorize(&app.rp).await.sign_in(&alice).await;
    assert_eq!(forgetful.cookie("_remember"), None, "nobody asked for it");
    restarted(&forgetful)
        .authorize(&app.rp)
        .await
        .assert_page("login");

    let first = browser.cookie("_remember").expect("a token");
    let typed = app.store().clock().now().seconds();
    app.advance(Duration::from_secs(20 * 24 * 3600));
    let mut back = restarted(&browser);
    let arrival = back.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(tokens.subject, alice.id.as_str());
    let proved = super::claims(&tokens.id)["auth_time"].as_i64();
    assert!(proved <= Some(typed), "coming back is no sign-in");
    let fresh = [("max_age", "3600")];
    let mut asked = back.tab();
    asked
        .authorize_with(&app.rp, &fresh)
        .await
        .assert_page("login");
    let second = back.cookie("_remember").expect("a token");
    assert_ne!(first, second, "a new one after each use");
    assert!(back.cookie("_sid").is_some());
    // While the browser has its session, the token is not used.
    back.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    assert_eq!(back.cookie("_remember"), Some(second));
    // Thirty days after it began it is over, however often it was used.
    app.advance(Duration::from_secs(10 * 24 * 3600));
    restarted(&back)
        .authorize(&app.rp)
        .await
        .assert_page("login");
}

on_both!(a_copied_remembering_cookie_ends_the_session_at_its_second_use);
/// V110: whoever comes second, the thief or the person. The tokens of that session end with it, and so does what was
/// proved in a tab that is still open.
async fn a_copied_remembering_cookie_ends_the_session_at_its_second_use(app: TestApp) {
    let alice = app.user("alice").await;
    let browser = remembered(&app, &alice).await;
    let elsewhere = remembered(&app, &alice).await;
    let mut parked = browser.copy();
    app.require(&alice, "TERMS_AND_CONDITIONS").await;
    parked
        .authorize_with(&app.rp, &[("prompt", "login")])
        .await
        .sign_in(&alice)
        .await
        .assert_page("terms");
    app.waive(&alice, "TERMS_AND_CONDITIONS").await;
    let mut thief = restarted(&browser);
    let arrival = thief.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.clone().expect("a refresh token");
    let refreshed = app.rp.refresh(&refresh).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let refresh = refreshed.text("refresh_token").to_owned();
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    // Another tab of the same moment is no thief, and gets nothing.
    let mut tab = restarted(&browser);
    tab.authorize(&app.rp).await.assert_page("login");
    thief.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    app.advance(Duration::from_secs(31));
    restarted(&browser)
        .authorize(&app.rp)
        .await
        .assert_page("login");
    assert_eq!(app.events(&alice, "REMEMBER_ME_ERROR"), 1);
    app.rp.refresh(&refresh).await.assert_error("invalid_grant");
    for access in [&tokens.access, refreshed.text("access_token")] {
        assert_eq!(app.rp.userinfo(access).await.status, 401);
    }
    parked.reload().await.assert_page("login");
    thief.authorize(&app.rp).await.assert_page("login");
    restarted(&thief)
        .authorize(&app.rp)
        .await
        .assert_page("login");
    // The other device is another family.
    restarted(&elsewhere)
        .authorize(&app.rp)
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(a_remembering_cookie_ends_with_its_session);
/// V110, V115: by a new password, by signing out with or without the session's cookie, and where the realm stops
/// remembering; proving oneself again replaces it.
async fn a_remembering_cookie_ends_with_its_session(app: TestApp) {
    let alice = app.user("alice").await;
    let logout = "/realms/t1/protocol/openid-connect/logout";

    let mut browser = remembered(&app, &alice).await;
    let before = restarted(&browser);
    browser
        .authorize_with(&app.rp, &[("prompt", "login")])
        .await
        .sign_in(&alice)
        .await
        .assert_redirect_to(&app.rp);
    before.copy().authorize(&app.rp).await.assert_page("login");
    let kept = restarted(&browser);
    browser
        .open_path(logout)
        .await
        .press("confirmLogout")
        .await
        .assert_page("message");
    assert_eq!(browser.cookie("_remember"), None);
    kept.copy().authorize(&app.rp).await.assert_page("login");

    let mut browser = restarted(&remembered(&app, &alice).await);
    let kept = browser.copy();
    browser
        .open_path(logout)
        .await
        .assert_page("logout")
        .press("confirmLogout")
        .await
        .assert_page("message");
    kept.copy().authorize(&app.rp).await.assert_page("login");

    let browser = remembered(&app, &alice).await;
    app.set_password(&alice, "another passphrase of hers", false)
        .await;
    restarted(&browser)
        .authorize(&app.rp)
        .await
        .assert_page("login");

    let alice = User {
        password: "another passphrase of hers".to_owned(),
        ..alice
    };
    let browser = remembered(&app, &alice).await;
    app.change_realm(|realm| realm.settings.remember_me = false)
        .await;
    restarted(&browser)
        .authorize(&app.rp)
        .await
        .assert_page("login");
}

on_both!(what_is_brought_back_stands_before_the_gate);
async fn what_is_brought_back_stands_before_the_gate(app: TestApp) {
    let alice = app.user("alice").await;
    let browser = remembered(&app, &alice).await;
    app.force_password_reset(&alice).await;
    restarted(&browser)
        .authorize_with(&app.rp, &[("prompt", "none")])
        .await
        .assert_error_to(&app.rp, "interaction_required");
    app.assert_no_tokens_for(&alice).await;
}

on_both!(a_browser_that_is_remembered_alone_is_asked_for_the_password_before_a_new_one);
/// V180: where nothing but the remembering cookie is left, a flag means signing in first, then the new password.
async fn a_browser_that_is_remembered_alone_is_asked_for_the_password_before_a_new_one(
    app: TestApp,
) {
    let alice = app.user("alice").await;
    let browser = remembered(&app, &alice).await;
    app.advance(Duration::from_secs(60));
    app.force_password_reset(&alice).await;
    let mut back = restarted(&browser);
    assert_eq!(back.cookies().len(), 1, "{:?}", back.cookies().keys());
    back.authorize(&app.rp).await.assert_page("login");
    assert!(!back.got_a_code());
    back.sign_in(&alice).await.assert_page("update-password");
    back.set_new_password("a new passphrase")
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    // The cookie of before is worth nothing now.
    restarted(&browser)
        .authorize(&app.rp)
        .await
        .assert_page("login");
}

on_both!(a_remembered_session_obeys_at_the_next_request);
/// V029: a flag, the realm that stops remembering, and shorter lifetimes, in a browser that still has its session.
async fn a_remembered_session_obeys_at_the_next_request(app: TestApp) {
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    let silent = [("prompt", "none")];

    let mut flagged = remembered(&app, &alice).await;
    let mut other = remembered(&app, &bob).await;
    app.force_password_reset(&alice).await;
    flagged
        .authorize_with(&app.rp, &silent)
        .await
        .assert_error_to(&app.rp, "interaction_required");
    flagged.authorize(&app.rp).await.assert_page("login");
    other.authorize(&app.rp).await.assert_redirect_to(&app.rp);

    // Twelve hours are more than a session has that nobody remembers.
    app.advance(Duration::from_secs(12 * 3600));
    let mut kept = other.copy();
    let arrival = other
        .authorize_with(&app.rp, &silent)
        .await
        .assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    app.change_realm(|realm| realm.settings.sso_session_max_lifespan_remember_me = 3600)
        .await;
    for browser in [&mut other, &mut kept] {
        browser
            .authorize_with(&app.rp, &silent)
            .await
            .assert_error_to(&app.rp, "login_required");
    }
    restarted(&kept)
        .authorize(&app.rp)
        .await
        .assert_page("login");
    app.rp.refresh(&refresh).await.assert_error("invalid_grant");

    // Two quiet hours are nothing to a session that is remembered, until the realm says that one hour is enough.
    app.change_realm(|realm| realm.settings.sso_session_max_lifespan_remember_me = 0)
        .await;
    let mut quiet = remembered(&app, &bob).await;
    let arrival = quiet.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let refresh = arrival.exchange().await.assert_tokens().refresh;
    let refresh = refresh.expect("a refresh token");
    let mut witness = remembered(&app, &bob).await;
    app.advance(Duration::from_secs(2 * 3600));
    witness
        .authorize_with(&app.rp, &silent)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    app.change_realm(|realm| realm.settings.sso_session_idle_timeout_remember_me = 3600)
        .await;
    restarted(&quiet)
        .authorize(&app.rp)
        .await
        .assert_page("login");
    quiet
        .authorize_with(&app.rp, &silent)
        .await
        .assert_error_to(&app.rp, "login_required");
    app.rp.refresh(&refresh).await.assert_error("invalid_grant");
    witness
        .authorize_with(&app.rp, &silent)
        .await
        .assert_redirect_to(&app.rp);

    let mut browser = remembered(&app, &bob).await;
    let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    app.change_realm(|realm| realm.settings.remember_me = false)
        .await;
    browser
        .authorize_with(&app.rp, &silent)
        .await
        .assert_error_to(&app.rp, "login_required");
    app.rp.refresh(&refresh).await.assert_error("invalid_grant");
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 401);
}
