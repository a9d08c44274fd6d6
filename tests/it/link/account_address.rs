//! Another address by the account page: asked for by whoever has just signed in, taken by the link alone.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use url::Url;
use vestibule::link::State;

use super::ended::call;
use super::not_me::{NOT_ME, link_in_notice};
use super::redeem::onwards;
use super::{NEW, mails, settled, states};
use crate::protocol::enumeration::told;
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;

const ACCOUNT: &str = "/realms/t1/account/";
const PAGE: &str = "/realms/t1/account/email";

fn at(user: &User, address: &str) -> User {
    User {
        email: address.to_owned(),
        ..user.clone()
    }
}

/// The address as it is stored, and whether it is proved.
async fn address(app: &TestApp, user: &User) -> (Option<String>, bool) {
    let id = user.id.clone();
    let found = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await
        .expect("the user");
    (found.email, found.email_verified)
}

async fn signed_in(app: &TestApp, user: &User) -> Browser {
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(user)
        .await
        .assert_redirect_to(&app.rp);
    browser
}

/// Types an address into the form of the account.
async fn asks(browser: &mut Browser, address: &str) {
    browser.open_path(PAGE).await.assert_page("change-email");
    browser.fill_in(&[("email", address)]).await;
}

/// Asks for an address, and answers the link that was mailed there.
async fn mailed(app: &TestApp, (browser, user): (&mut Browser, &User), address: &str) -> Url {
    asks(browser, address).await;
    browser.assert_page("message").assert_text(address);
    let url = mails(app, &at(user, address), 1).await.remove(0).url;
    settled(app, user).await;
    url
}

fn count(app: &TestApp, table: &str) -> i64 {
    app.count(&format!("SELECT count(*) AS value FROM {table}"))
}

on_both!(a_link_to_the_new_address_changes_it_and_the_old_one_is_told);
/// V157, from the account to the notice; then the old mailbox undoes it.
async fn a_link_to_the_new_address_changes_it_and_the_old_one_is_told(app: TestApp) {
    let mailbox = app.mailbox().await;
    let alice = app.user("alice").await;
    let mut browser = super::super::gate::stock(&app, &alice).await;
    let held = app.ledger.of(&alice);
    browser.open_path(ACCOUNT).await.assert_page("account");
    let form = browser.page().links();
    let form = form.iter().find(|link| link.path() == PAGE);
    browser
        .open(form.expect("a way to change it").clone())
        .await
        .assert_page("change-email")
        .assert_text("alice@people.example");
    assert_eq!(browser.page().accessibility_faults(), Vec::<String>::new());
    browser
        .fill_in(&[("email", " Alice@New.example ")])
        .await
        .assert_page("message")
        .assert_text("Alice@new.example")
        .assert_text("until then your address is still alice@people.example");
    browser
        .open_path(ACCOUNT)
        .await
        .assert_page("account")
        .assert_text("alice@people.example")
        .assert_text("not confirmed yet Alice@new.example");
    let mail = mails(&app, &at(&alice, "Alice@new.example"), 1)
        .await
        .remove(0);
    settled(&app, &alice).await;
    assert!(
        mail.subject.contains("new email address"),
        "{}",
        mail.subject
    );
    let before = (Some(alice.email.clone()), true);
    assert_eq!(address(&app, &alice).await, before);
    assert!(mailbox.to(&alice.email).is_empty(), "nothing has changed");
    browser.open(mail.url).await.assert_page("link");
    browser
        .press("open")
        .await
        .assert_page("message")
        .assert_text("Your address is confirmed");
    let now = (Some("Alice@new.example".to_owned()), true);
    assert_eq!(address(&app, &alice).await, now);
    assert_eq!(app.events(&alice, "LINK_ISSUED"), 3, "it, and the notices'");
    assert_eq!(app.events(&alice, "UPDATE_EMAIL"), 1);
    let held = held.without_password(&alice.password);
    app.assert_nothing_opens(&alice, &held).await;
    browser.open_path(ACCOUNT).await.assert_page("login");
    browser.sign_in(&alice).await;
    browser.open_path(ACCOUNT).await.assert_page("account");
    assert!(!browser.page().text.contains("not confirmed yet"));
    let undo = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let mut owner = app.browser();
    owner.open(undo).await.assert_page("link");
    owner.press("open").await.assert_page("message");
    assert_eq!(address(&app, &alice).await.0, Some(alice.email.clone()));
}

on_both!(who_signed_in_long_ago_signs_in_again_and_comes_back);
/// V157: five minutes. What was typed meanwhile is there afterwards, and nothing was done with it.
async fn who_signed_in_long_ago_signs_in_again_and_comes_back(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    app.browser().open_path(PAGE).await.assert_page("login");
    let mut browser = signed_in(&app, &alice).await;
    app.advance(Duration::from_secs(299));
    browser.open_path(PAGE).await.assert_page("change-email");
    app.advance(Duration::from_secs(2));
    browser
        .fill_in(&[("email", "alice@new.example")])
        .await
        .assert_page("login")
        .assert_text("Please re-authenticate");
    let said = browser.page().text.matches("Please re-authenticate");
    assert_eq!(said.count(), 1, "{browser}");
    assert_eq!(count(&app, "links"), 0);
    // The account itself asks for nothing.
    browser
        .tab()
        .open_path(ACCOUNT)
        .await
        .assert_page("account");
    browser.sign_in(&alice).await;
    let back = Url::parse(&onwards(&browser)).expect("an address");
    assert!(!back.as_str().contains("new.example"), "{back}");
    browser.open(back).await.assert_page("change-email");
    let form = browser.page().form_with("email").clone();
    let typed = form.field("email").expect("the field").value.clone();
    assert_eq!(typed, "alice@new.example");
    browser.press("send").await.assert_page("message");
    assert_eq!(states(&app, &alice).await.len(), 1);
    app.advance(Duration::from_secs(301));
    browser.open_path(PAGE).await.assert_page("login");
    browser.sign_in(&alice).await;
    assert_eq!(onwards(&browser), format!("{}/account/email", app.issuer()));
}

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

on_both!(an_address_that_is_taken_is_answered_as_one_that_is_free_and_never_taken_over);
/// V052: status, headers, body, and what was written. Whoever reads that mailbox may know.
async fn an_address_that_is_taken_is_answered_as_one_that_is_free_and_never_taken_over(
    app: TestApp,
) {
    app.mailbox().await;
    let owner = app.user("owner").await;
    let mut seen = Vec::new();
    let mut browsers = Vec::new();
    for (name, wanted) in [
        ("ada", owner.email.as_str()),
        ("eve", "empty@people.example"),
    ] {
        let user = app.user(name).await;
        let mut browser = signed_in(&app, &user).await;
        browser.open_path(PAGE).await.assert_page("change-email");
        let mut form = browser.page().form_with("email").clone();
        form.fill("email", wanted);
        let before = (count(&app, "links"), count(&app, "outbox"));
        let rows = count(&app, "throttles");
        let body = (FORM, encode(&form.pairs(None)));
        let posted = browser.send(Method::POST, &form.action, Some(body)).await;
        let after = (count(&app, "links"), count(&app, "outbox"));
        let written = (after.0 - before.0, after.1 - before.1);
        browser.open(posted.location().expect("a way on")).await;
        browser.assert_page("message");
        let alike = |text: String| text.replace(&user.email, "their own");
        seen.push((
            alike(told(&posted, wanted)),
            alike(told(&browser.answer, wanted)),
            (written, count(&app, "throttles") - rows),
        ));
        browsers.push((user, browser));
    }
    let of_free = seen.pop().expect("two");
    let of_taken = seen.pop().expect("two");
    // The network is counted in one row for both.
    assert_eq!((of_taken.0, of_taken.1), (of_free.0, of_free.1));
    assert_eq!((of_taken.2.0, of_taken.2.1), (of_free.2.0, of_free.2.1 + 1));
    assert_eq!(of_free.2.0, (1, 1));
    let (ada, mut browser) = browsers.remove(0);
    let url = mails(&app, &owner, 1).await.remove(0).url;
    settled(&app, &ada).await;
    let mut owners = signed_in(&app, &owner).await;
    owners
        .open(url.clone())
        .await
        .assert_page("link")
        .assert_text("this link is for ada");
    owners.press("open").await.assert_page("login");
    owners
        .sign_in(&owner)
        .await
        .assert_page("message")
        .assert_text("It is for another account");
    browser.open(url).await.assert_page("link");
    browser
        .press("open")
        .await
        .assert_page("message")
        .assert_text("Another account here has this address, and nothing was changed");
    assert_eq!(address(&app, &ada).await, (Some(ada.email.clone()), true));
    let kept = (Some(owner.email.clone()), true);
    assert_eq!(address(&app, &owner).await, kept);
    assert_eq!(app.events(&ada, "UPDATE_EMAIL"), 0);
}

on_both!(a_newer_wish_ends_the_link_of_an_older_one);
/// V047: one address waits at a time, and the page says which.
async fn a_newer_wish_ends_the_link_of_an_older_one(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let mut browser = signed_in(&app, &alice).await;
    let older = mailed(&app, (&mut browser, &alice), "older@new.example").await;
    let newer = mailed(&app, (&mut browser, &alice), "newer@new.example").await;
    assert_eq!(states(&app, &alice).await, [State::Superseded, State::Sent]);
    browser
        .open_path(ACCOUNT)
        .await
        .assert_text("newer@new.example");
    assert!(!browser.page().text.contains("older@new.example"));
    browser
        .open(older)
        .await
        .assert_page("message")
        .assert_text("A newer mail took its place");
    // The same address once more is the same link, which stays.
    app.advance(Duration::from_secs(61));
    asks(&mut browser, "newer@new.example").await;
    browser.assert_page("message");
    assert_eq!(
        mails(&app, &at(&alice, "newer@new.example"), 2).await[0].url,
        newer
    );
    settled(&app, &alice).await;
    browser.open(newer).await.assert_page("link");
    browser.press("open").await.assert_page("message");
    let now = (Some("newer@new.example".to_owned()), true);
    assert_eq!(address(&app, &alice).await, now);
}

on_both!(an_address_asked_for_ends_nothing_else_and_ends_with_what_is_newer);
/// Links that set a password live beside it; a new password ends it as it ends everything older.
async fn an_address_asked_for_ends_nothing_else_and_ends_with_what_is_newer(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let path = format!("/users/{}/execute-actions-email", alice.id);
    let actions = Some(json!(["UPDATE_PASSWORD"]));
    assert_eq!(call(&app, Method::PUT, &path, actions).await.0, 204);
    let password = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut browser = signed_in(&app, &alice).await;
    let url = mailed(&app, (&mut browser, &alice), "alice@new.example").await;
    assert_eq!(states(&app, &alice).await, [State::Sent, State::Sent]);
    let mut phone = app.browser();
    phone.open(password).await.assert_page("link");
    phone.press("open").await.assert_page("update-password");
    phone.set_new_password(NEW).await.assert_page("message");
    browser
        .open(url)
        .await
        .assert_page("message")
        .assert_text("your account has changed since");
    phone.open_path(ACCOUNT).await.assert_page("account");
    assert!(!phone.page().text.contains("alice@new.example"));
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

on_both!(where_somebody_else_is_signed_in_the_links_person_signs_in_first);
async fn where_somebody_else_is_signed_in_the_links_person_signs_in_first(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let bob = app.user("bob").await;
    let mut browser = signed_in(&app, &alice).await;
    let url = mailed(&app, (&mut browser, &alice), "alice@new.example").await;
    let mut shared = signed_in(&app, &bob).await;
    shared
        .open(url)
        .await
        .assert_page("link")
        .assert_text("You are signed in as bob here, and this link is for alice");
    shared.press("open").await.assert_page("login");
    assert_eq!(address(&app, &alice).await.0, Some(alice.email.clone()));
    // Bob is as signed in as he was until alice is.
    shared.tab().open_path(ACCOUNT).await.assert_text("bob");
    shared.sign_in(&alice).await;
    assert_eq!(onwards(&shared), format!("{}/account/", app.issuer()));
    let now = (Some("alice@new.example".to_owned()), true);
    assert_eq!(address(&app, &alice).await, now);
    assert_eq!(address(&app, &bob).await, (Some(bob.email.clone()), true));
    shared
        .open_path(ACCOUNT)
        .await
        .assert_page("account")
        .assert_text("alice@new.example");
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

on_both!(a_name_that_is_the_address_goes_with_it);
/// `registrationEmailAsUsername`: who is called by their address is called by the new one. Another name stays.
async fn a_name_that_is_the_address_goes_with_it(app: TestApp) {
    app.mailbox().await;
    app.change_realm(|realm| realm.settings.registration_email_as_username = true)
        .await;
    for (name, becomes) in [("alice", "alice@new.example"), ("bob", "bob")] {
        let user = app.user(name).await;
        if name == "alice" {
            app.change_user(&user, |user| user.username = "alice@people.example".into())
                .await;
        }
        let named = User {
            username: match name {
                "alice" => user.email.clone(),
                _ => user.username.clone(),
            },
            ..user.clone()
        };
        let mut browser = signed_in(&app, &named).await;
        let wanted = format!("{name}@new.example");
        let url = mailed(&app, (&mut browser, &user), &wanted).await;
        browser.open(url).await.assert_page("link");
        browser
            .press("open")
            .await
            .assert_text("Your address is confirmed");
        let id = user.id.clone();
        let now = app
            .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
            .await
            .expect("the user");
        assert_eq!(
            (now.username, now.email),
            (becomes.to_owned(), Some(wanted))
        );
    }
}
