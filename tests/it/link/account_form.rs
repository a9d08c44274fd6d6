//! The form for another address: what it refuses, who may send it, and how often.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use vestibule::link::State;

use super::account_address::{ACCOUNT, PAGE, asks, count, mailed, signed_in};
use super::ended::call;
use super::{settled, states};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::database::on_both;

on_both!(what_was_typed_is_kept_and_what_is_wrong_stands_beside_it);
async fn what_was_typed_is_kept_and_what_is_wrong_stands_beside_it(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    let mut browser = signed_in(&app, &alice).await;
    for (typed, wrong) in [
        ("", "Please specify this field"),
        ("alice", "Invalid email address"),
        ("a@b@new.example", "Invalid email address"),
        ("a\u{200b}@new.example", "Invalid email address"),
        ("ALICE@people.example", "This is your address already"),
    ] {
        asks(&mut browser, typed).await;
        browser.assert_page("change-email");
        assert_eq!(browser.answer.status, 200);
        let form = browser.page().form_with("email").clone();
        let field = form.field("email").expect("the field");
        assert_eq!(field.value, typed);
        let said = field.description.clone().unwrap_or_default();
        assert!(said.contains(wrong), "{typed}: {said}");
        assert_eq!(browser.page().accessibility_faults(), Vec::<String>::new());
    }
    let long = format!("{}@new.example", "a".repeat(250));
    asks(&mut browser, &long).await;
    browser.assert_page("change-email").assert_text("Invalid");
    // Somebody else does not see it, not even in this browser.
    let kept = browser.page().url.clone();
    let mut other = browser.copy();
    other
        .authorize_with(&app.rp, &[("prompt", "login")])
        .await
        .assert_page("login");
    let mut fresh = signed_in(&app, &bob).await;
    fresh.open(kept.clone()).await.assert_page("change-email");
    assert!(!fresh.answer.body.contains("aaaaaaaa"));
    let mut cookies = fresh.cookies();
    cookies.extend(
        browser
            .cookies()
            .into_iter()
            .filter(|(name, _)| name.ends_with("flow")),
    );
    fresh.set_cookies(cookies);
    fresh.open(kept).await.assert_page("change-email");
    assert!(!fresh.answer.body.contains("aaaaaaaa"));
    assert_eq!(count(&app, "links"), 0);
}

on_both!(a_form_of_another_page_or_session_asks_for_nothing);
/// V111: without the session's token, with another session's, from another site; by whoever is signed out; with a token
/// in place of a session.
async fn a_form_of_another_page_or_session_asks_for_nothing(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    let mut browser = signed_in(&app, &alice).await;
    let mut theirs = signed_in(&app, &bob).await;
    browser.open_path(PAGE).await.assert_page("change-email");
    theirs.open_path(PAGE).await.assert_page("change-email");
    let url = browser.page().form_with("email").action.clone();
    let own = browser.page().form_with("email").hidden("flow");
    let own = own.expect("a token").to_owned();
    let other = theirs.page().form_with("email").hidden("flow");
    let other = other.expect("a token").to_owned();
    let email = || ("email".to_owned(), "mallory@evil.example".to_owned());
    for token in ["", "x", other.as_str()] {
        let pairs = [email(), ("flow".to_owned(), token.to_owned())];
        browser.post(&url, &pairs).await.assert_page("error");
        assert_eq!(browser.answer.status, 400);
    }
    let pairs = [email(), ("flow".to_owned(), own)];
    let mut foreign = browser.copy();
    foreign.headers = vec![("origin".into(), "https://evil.example".into())];
    foreign.post(&url, &pairs).await.assert_page("error");
    assert_eq!(foreign.answer.status, 403);
    app.browser().post(&url, &pairs).await.assert_page("login");
    let mut bearer = browser.copy();
    bearer.headers = vec![("authorization".into(), "Bearer x".into())];
    bearer.post(&url, &pairs).await;
    assert_eq!(bearer.answer.status, 401);
    assert_eq!(count(&app, "links"), 0);
    browser.post(&url, &pairs).await.assert_page("message");
    assert_eq!(count(&app, "links"), 1);
}

on_both!(mails_to_new_addresses_are_few_and_say_when_there_may_be_more);
/// V053: one mailbox gets one mail a minute whoever types it, one person asks five times an hour, one network twenty
/// times. A refusal ends nothing.
async fn mails_to_new_addresses_are_few_and_say_when_there_may_be_more(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let mut of_alice = signed_in(&app, &alice).await;
    let url = mailed(&app, (&mut of_alice, &alice), "one@new.example").await;
    let bob = app.user("bob").await;
    let mut of_bob = signed_in(&app, &bob).await;
    for (browser, address) in [
        (&mut of_alice, "one@new.example"),
        (&mut of_bob, "ONE@new.example"),
    ] {
        asks(browser, address).await;
        browser
            .assert_page("change-email")
            .assert_text("Wait a minute, then try again");
        let form = browser.page().form_with("email").clone();
        assert_eq!(form.field("email").expect("it").value, address);
    }
    assert_eq!(count(&app, "links"), 1);
    of_alice.open(url.clone()).await.assert_page("link");
    // Alice has asked twice by now, and has three left.
    for number in 0..3 {
        asks(&mut of_alice, &format!("other{number}@new.example")).await;
        of_alice.assert_page("message");
    }
    asks(&mut of_alice, "other9@new.example").await;
    of_alice
        .assert_page("change-email")
        .assert_text("Wait 60 minutes, then try again");
    settled(&app, &alice).await;
    let live = |states: Vec<State>| states.iter().filter(|state| state.is_live()).count();
    assert_eq!(live(states(&app, &alice).await), 1);
    // Six came from here so far but for the last, which was alice's own sixth: five of alice, one of bob.
    let mut asked = 6;
    for name in ["cleo", "dora", "emma", "fay"] {
        let user = app.user(name).await;
        let mut browser = signed_in(&app, &user).await;
        for number in 0..5 {
            asks(&mut browser, &format!("{name}{number}@new.example")).await;
            asked += 1;
            if asked <= 20 {
                browser.assert_page("message");
            } else {
                browser.assert_page("change-email").assert_text("Wait 60");
            }
        }
    }
    assert_eq!(asked, 26);
    app.advance(Duration::from_secs(3700));
    let mut of_bob = signed_in(&app, &bob).await;
    asks(&mut of_bob, "bob@new.example").await;
    of_bob.assert_page("message");
}

on_both!(whoever_has_something_outstanding_asks_for_no_address);
/// Each action, set before and after the form was opened; and who was locked or switched off.
async fn whoever_has_something_outstanding_asks_for_no_address(app: TestApp) {
    app.mailbox().await;
    for (name, action, page) in [
        ("ada", "UPDATE_PASSWORD", "login"),
        ("bea", "TERMS_AND_CONDITIONS", "terms"),
        ("cleo", "VERIFY_EMAIL", "verify-email"),
        ("dora", "UPDATE_PROFILE", "update-profile"),
    ] {
        let user = app.user(name).await;
        let mut browser = signed_in(&app, &user).await;
        browser.open_path(PAGE).await.assert_page("change-email");
        app.require(&user, action).await;
        browser
            .fill_in(&[("email", "thief@evil.example")])
            .await
            .assert_page(page);
        browser.open_path(PAGE).await.assert_page(page);
    }
    let eve = app.user("eve").await;
    let mut browser = signed_in(&app, &eve).await;
    browser.open_path(PAGE).await.assert_page("change-email");
    app.disable(&eve).await;
    browser
        .fill_in(&[("email", "thief@evil.example")])
        .await
        .assert_page("login");
    assert_eq!(count(&app, "links"), 0);
}

on_both!(people_change_their_address_where_the_realm_lets_them);
/// A realm without a mail server, and a person without the role `manage-account` of the client `account`.
async fn people_change_their_address_where_the_realm_lets_them(app: TestApp) {
    let alice = app.user("alice").await;
    let mut browser = signed_in(&app, &alice).await;
    let shut = async |browser: &mut Browser| {
        browser.open_path(ACCOUNT).await.assert_page("account");
        let links = browser.page().links();
        assert!(!links.iter().any(|link| link.path() == PAGE));
        browser
            .open_path(PAGE)
            .await
            .assert_page("message")
            .assert_text("Your administrator can change this address");
    };
    shut(&mut browser).await;
    app.mailbox().await;
    browser.open_path(PAGE).await.assert_page("change-email");
    let form = browser.page().form_with("email").clone();
    let (status, roles) = call(&app, Method::GET, "/clients?clientId=account", None).await;
    assert_eq!(status, 200, "{roles}");
    let client = roles[0]["id"].as_str().expect("an id").to_owned();
    let role = call(
        &app,
        Method::GET,
        &format!("/clients/{client}/roles/manage-account"),
        None,
    )
    .await
    .1;
    let path = "/roles/default-roles-t1/composites";
    let (status, said) = call(&app, Method::DELETE, path, Some(json!([role]))).await;
    assert_eq!(status, 204, "{said}");
    shut(&mut browser).await;
    let mut form = form;
    form.fill("email", "alice@new.example");
    browser.submit_form(form, None).await.assert_page("message");
    assert_eq!(count(&app, "links"), 0);
}
