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

pub(super) const ACCOUNT: &str = "/realms/t1/account/";
pub(super) const PAGE: &str = "/realms/t1/account/email";

pub(super) fn at(user: &User, address: &str) -> User {
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

pub(super) async fn signed_in(app: &TestApp, user: &User) -> Browser {
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
pub(super) async fn asks(browser: &mut Browser, address: &str) {
    browser.open_path(PAGE).await.assert_page("change-email");
    browser.fill_in(&[("email", address)]).await;
}

/// Asks for an address, and answers the link that was mailed there.
pub(super) async fn mailed(
    app: &TestApp,
    (browser, user): (&mut Browser, &User),
    address: &str,
) -> Url {
    asks(browser, address).await;
    browser.assert_page("message").assert_text(address);
    let url = mails(app, &at(user, address), 1).await.remove(0).url;
    settled(app, user).await;
    url
}

pub(super) fn count(app: &TestApp, table: &str) -> i64 {
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
