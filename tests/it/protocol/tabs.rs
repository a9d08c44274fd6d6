//! Tabs of one browser, forms that are sent twice, and where a page is shown: whoever types a password is who goes on.

use std::time::Duration;

use futures_util::future::join;
use reqwest::Method;

use super::signed_in;
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

const NEW: &str = "a new passphrase";

/// A tab in which the sign-in page stands.
async fn waiting_tab(app: &TestApp, browser: &Browser) -> Browser {
    let mut tab = browser.tab();
    tab.authorize(&app.rp).await.assert_page("login");
    tab
}

/// The same page with the cookies as they are now, whatever becomes of the browser's.
fn twin(browser: &Browser) -> Browser {
    let mut twin = browser.copy();
    twin.page.clone_from(&browser.page);
    twin
}

fn failed_tries(app: &TestApp) -> i64 {
    app.count("SELECT count(*) AS value FROM events WHERE kind = 'LOGIN_ERROR'")
}

fn sessions(app: &TestApp, user: &User) -> i64 {
    app.count(&format!(
        "SELECT count(*) AS value FROM sessions WHERE user_id = '{}'",
        user.id
    ))
}

on_both!(who_types_a_password_is_who_goes_on_whoever_signed_in_meanwhile);
/// V108: the page was shown before somebody else signed in beside it.
async fn who_types_a_password_is_who_goes_on_whoever_signed_in_meanwhile(app: TestApp) {
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    let nobody = User {
        username: "nobody".to_owned(),
        ..bob.clone()
    };
    let mut browser = app.browser();
    let mut theirs = waiting_tab(&app, &browser).await;
    let mut copied = theirs.clone();
    let mut untouched = waiting_tab(&app, &browser).await;
    browser.authorize(&app.foreign).await;
    browser.sign_in(&ann).await.assert_redirect_to(&app.foreign);
    let hers = browser.cookie("sid");

    // Wrong, as always: said, counted, and nobody's way in; neither of the page that says it.
    for (number, who) in [(1, &nobody), (2, &ann)] {
        theirs.sign_in_with(who, "rubbish").await;
        theirs
            .assert_page("login")
            .assert_text("Invalid username or password");
        theirs.reload().await.assert_page("login");
        assert!(!theirs.got_a_code());
        assert_eq!(failed_tries(&app), number);
    }
    assert_eq!(browser.cookie("sid"), hers, "her session stands");
    assert_eq!(sessions(&app, &ann), 1);
    // Her own password leads on in her own session.
    let arrival = theirs.sign_in(&ann).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(tokens.subject, ann.id.as_str());
    assert_eq!(sessions(&app, &ann), 1);
    // A page that nobody types into goes on by her session.
    untouched.reload().await.assert_redirect_to(&app.rp);

    // He types his name into a copy of the page with which she has signed in.
    let arrival = copied.sign_in(&bob).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(tokens.subject, bob.id.as_str());
    assert_eq!((sessions(&app, &ann), sessions(&app, &bob)), (0, 1));
    let arrival = browser
        .authorize(&app.foreign)
        .await
        .assert_redirect_to(&app.foreign);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(tokens.subject, bob.id.as_str(), "the browser is his");
}

on_both!(somebody_elses_session_is_no_way_out_of_the_gate);
/// V108: he reaches the gate in a tab of her browser; its end leads to the sign-in page and not to her app.
async fn somebody_elses_session_is_no_way_out_of_the_gate(app: TestApp) {
    let ann = app.user("ann").await;
    let bob = app.user("bob").force_password_reset().await;
    for late in [true, false] {
        let mut browser = app.browser();
        let mut his = waiting_tab(&app, &browser).await;
        browser.authorize(&app.foreign).await;
        browser.sign_in(&ann).await.assert_redirect_to(&app.foreign);
        his.sign_in(&bob).await.assert_page("update-password");
        if late {
            app.advance(Duration::from_secs(301));
            his.set_new_password(NEW).await.assert_page("login");
            assert!(!his.got_a_code());
            assert_eq!(app.token_rows(&bob.id), 0);
            continue;
        }
        // She signs in again beside him: what he proved is over, and what he types is not taken for hers.
        let mut hers = browser.tab();
        hers.authorize_with(&app.rp, &[("prompt", "login")]).await;
        hers.sign_in(&ann).await.assert_redirect_to(&app.rp);
        his.set_new_password(NEW).await.assert_page("login");
        assert!(!his.got_a_code());
        his.sign_in(&bob).await.assert_page("update-password");
        let arrival = his.set_new_password(NEW).await.assert_redirect_to(&app.rp);
        let tokens = arrival.exchange().await.assert_tokens();
        assert_eq!(tokens.subject, bob.id.as_str());
    }
}

/// Sends a form twice with the same cookies, one after the other or at once; the second answer is the browser's.
async fn twice(browser: &mut Browser, at_once: bool, send: impl AsyncFn(&mut Browser)) {
    let mut lost = twin(browser);
    if at_once {
        join(send(&mut lost), send(browser)).await;
    } else {
        send(&mut lost).await;
        send(browser).await;
    }
}

on_both!(a_form_that_is_sent_twice_leads_where_it_leads_once);
/// A double click: the browser shows the second answer, and knows nothing of the cookies in the first one.
async fn a_form_that_is_sent_twice_leads_where_it_leads_once(app: TestApp) {
    for at_once in [false, true] {
        let bob = app.user(&format!("bob-{at_once}")).await;
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.assert_page("login");
        twice(&mut browser, at_once, async |browser: &mut Browser| {
            browser.sign_in(&bob).await;
        })
        .await;
        let arrival = browser.assert_redirect_to(&app.rp);
        let tokens = arrival.exchange().await.assert_tokens();
        assert_eq!(tokens.subject, bob.id.as_str());

        let name = format!("alice-{at_once}");
        let alice = app.user(&name).force_password_reset().await;
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.assert_page("login");
        twice(&mut browser, at_once, async |browser: &mut Browser| {
            browser.sign_in(&alice).await;
        })
        .await;
        browser.assert_page("update-password");
        twice(&mut browser, at_once, async |browser: &mut Browser| {
            browser.set_new_password(NEW).await;
        })
        .await;
        let arrival = browser.assert_redirect_to(&app.rp);
        let tokens = arrival.exchange().await.assert_tokens();
        assert_eq!(tokens.subject, alice.id.as_str());
        assert_eq!(app.events(&alice, "UPDATE_PASSWORD"), 1, "set once");
    }
}

on_both!(the_cookie_from_before_gives_nothing_without_the_password);
/// V107: somebody has planted the cookie and seen the page; the form that comes once more is a sign-in like any other.
async fn the_cookie_from_before_gives_nothing_without_the_password(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.assert_page("login");
    let at_login = twin(&browser);
    browser.sign_in(&alice).await.assert_page("update-password");
    let at_gate = twin(&browser);
    let url = browser.page().url.clone();
    let mut thief = twin(&at_login);
    thief.sign_in_with(&alice, "rubbish").await;
    thief.assert_page("login");
    thief.open(url.clone()).await.assert_page("error");
    assert_eq!(app.token_rows(&alice.id), 0);
    browser.set_new_password(NEW).await;
    browser.assert_redirect_to(&app.rp);
    let (hash, rows) = (app.password_hash(&alice).await, app.token_rows(&alice.id));
    for before in [&at_login, &at_gate] {
        let mut thief = twin(before);
        if before.page().marker.as_deref() == Some("login") {
            thief.sign_in_with(&alice, "rubbish").await;
        } else {
            thief.set_new_password("a thief's passphrase").await;
        }
        assert!(!thief.got_a_code());
        assert_eq!(thief.cookie("sid"), None);
        thief.open(url.clone()).await.assert_page("error");
        thief
            .authorize_with(&app.rp, &[("prompt", "none")])
            .await
            .assert_error_to(&app.rp, "login_required");
    }
    assert_eq!(app.password_hash(&alice).await, hash);
    assert_eq!(app.token_rows(&alice.id), rows);
    // Once it was judged, and it is no longer.
    let mut again = twin(&at_gate);
    again.set_new_password(NEW).await.assert_page("error");
    assert_eq!(again.answer.status, 400);
}

on_both!(a_form_that_comes_much_later_is_told_so);
/// Half a minute after the first one a form is no double click, and the page that says so leads to the application.
async fn a_form_that_comes_much_later_is_told_so(app: TestApp) {
    let bob = app.user("bob").await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.assert_page("login");
    let mut late = twin(&browser);
    browser.sign_in(&bob).await.assert_redirect_to(&app.rp);
    app.advance(Duration::from_secs(31));
    late.sign_in(&bob).await.assert_page("error");
    assert!(!late.got_a_code());
    assert_eq!(sessions(&app, &bob), 1);
}

on_both!(an_error_page_says_the_requests_number);
/// The number is the one of the header, by which the log is searched.
async fn an_error_page_says_the_requests_number(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    for path in [
        "/realms/nowhere/protocol/openid-connect/auth",
        "/realms/t1/protocol/openid-connect/auth?client_id=nobody",
        "/realms/t1/login-actions/required-action?client_id=nobody",
        "/realms/nowhere/protocol/openid-connect/logout",
        "/realms/nowhere/account/",
        "/realms/nowhere/login-actions/link",
        "/realms/nowhere/login-actions/reset-credentials",
    ] {
        browser.open_path(path).await.assert_page("error");
        let number = browser.answer.header("x-request-id").to_owned();
        assert!(!number.is_empty());
        browser.assert_text(&number);
    }
}

on_both!(a_sign_in_that_no_application_asked_for_has_a_place_of_its_own);
/// `continue_uri` and the account page: a script that walks through tells pages by their paths.
async fn a_sign_in_that_no_application_asked_for_has_a_place_of_its_own(app: TestApp) {
    let required = format!(
        "/realms/t1/login-actions/required-action?client_id={}",
        app.rp.client_id
    );
    for path in [required.as_str(), "/realms/t1/account/"] {
        let mut browser = app.browser();
        let url = format!("{}{path}", app.public_url())
            .parse()
            .expect("a URL");
        let answer = browser.send(Method::GET, &url, None).await;
        assert_eq!(answer.status, 303, "{path}");
        let to = answer.location().expect("a place");
        assert_eq!(to.path(), "/realms/t1/login-actions/authenticate");
        assert!(to.query().unwrap_or_default().contains("tab_id="), "{to}");
        browser.open(to).await.assert_page("login");
    }
}
