//! “This was not me” from an address that was replaced: the account is shut, and the new address gets nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;
use vestibule::link::{Purpose, Sender};

use super::ended::call;
use super::not_me::{
    NOT_ME, STOLEN, assert_closed, link_in_notice, newest, presses, sessions, stolen, way_back,
};
use super::redeem::at_the_gate;
use super::{NEW, mails, send_with, settled};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

const THIEFS: &str = "thief@evil.example";
const THIRD: &str = "the thief's third passphrase";

fn at(user: &User, address: &str) -> User {
    User {
        email: address.to_owned(),
        ..user.clone()
    }
}

/// Whoever is signed in here gives the account another address, and proves it.
async fn moves(app: &TestApp, browser: &mut Browser, user: &User, to: &'static str) {
    let what = (Purpose::UpdateEmail, Sender::Person);
    let already = app.mailbox().await.to(to).len();
    send_with(app, user, what, move |new| {
        new.new_address = Some(to.to_owned());
    })
    .await;
    newest(app, to, already + 1).await;
    let link = mails(app, &at(user, to), 1).await.remove(0).url;
    settled(app, user).await;
    browser.open(link).await.assert_page("link");
    browser
        .press("open")
        .await
        .assert_page("message")
        .assert_text("Your address is confirmed");
}

async fn address(app: &TestApp, user: &User) -> (Option<String>, bool) {
    let id = user.id.clone();
    let found = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await
        .expect("the user");
    (found.email, found.email_verified)
}

async fn put(app: &TestApp, user: &User, body: Value) {
    let path = format!("/users/{}", user.id);
    let (status, said) = call(app, Method::PUT, &path, Some(body)).await;
    assert_eq!(status, 204, "{said}");
}

/// Asks for a new password on the sign-in page.
async fn forgets(app: &TestApp, login: &str) {
    let mut browser = app.browser();
    browser
        .open_path("/realms/t1/login-actions/reset-credentials")
        .await;
    browser
        .fill_in(&[("username", login)])
        .await
        .assert_page("message");
}

/// A thief who has changed the password and then the address; answers the link in the notice to the old one.
async fn robbed(app: &TestApp, alice: &User) -> Url {
    let mut thief = stolen(app, alice, (&alice.password, STOLEN)).await;
    moves(app, &mut thief, alice, THIEFS).await;
    assert_eq!(
        address(app, alice).await,
        (Some(THIEFS.to_owned()), true),
        "the thief has it"
    );
    link_in_notice(app, (&alice.email, NOT_ME), 2).await
}

/// That the person gets in by the newest mailed link.
async fn comes_back(app: &TestApp, user: &User, count: usize) {
    let back = way_back(app, user, count).await;
    let mut owner = at_the_gate(app, &back).await;
    owner.set_new_password(NEW).await.assert_page("message");
    owner
        .authorize(&app.rp)
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
}

on_both!(from_the_former_address_it_puts_that_one_back_and_mails_there_alone);
/// V157: the change was proved and made by whoever was signed in; the old address undoes it within three days.
async fn from_the_former_address_it_puts_that_one_back_and_mails_there_alone(app: TestApp) {
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    let mailbox = app.mailbox().await;
    let alice = app.user("alice").await;
    let link = robbed(&app, &alice).await;
    let of_thief = link_in_notice(&app, (THIEFS, NOT_ME), 2).await;
    let held = app.ledger.of(&alice);
    app.browser()
        .open(link.clone())
        .await
        .assert_page("link")
        .assert_text("your account was given another email address")
        .assert_text("the account has the address a•••@people.example again");
    presses(&app, &link)
        .await
        .assert_text("The account has the address a•••@people.example again");
    // The address is not held to be proved before the mailed link was opened.
    assert_eq!(
        address(&app, &alice).await,
        (Some(alice.email.clone()), false)
    );
    assert_closed(&app, &alice, &held).await;
    assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 1);
    // The thief hears that it is over, and gets nothing else: no link, by no wish, and the one at hand is dead.
    let told = newest(&app, THIEFS, 3).await;
    assert!(told.contains("closed the account"), "{told}");
    assert!(!told.contains("/login-actions/link/"), "{told}");
    presses_nothing(&app, &of_thief).await;
    forgets(&app, THIEFS).await;
    comes_back(&app, &alice, 1).await;
    assert_eq!(
        address(&app, &alice).await,
        (Some(alice.email.clone()), true)
    );
    app.assert_nothing_opens(&alice, &held).await;
    settled(&app, &alice).await;
    assert_eq!(mailbox.to(THIEFS).len(), 3, "nothing went there since");
}

async fn presses_nothing(app: &TestApp, link: &Url) {
    app.browser()
        .open(link.clone())
        .await
        .assert_page("message")
        .assert_text("It does nothing any more");
}

on_both!(a_thief_who_presses_first_gains_nothing);
/// The address of now closes the account and gets the way back in; the one of before still undoes that.
async fn a_thief_who_presses_first_gains_nothing(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let link = robbed(&app, &alice).await;
    let of_thief = link_in_notice(&app, (THIEFS, NOT_ME), 2).await;
    presses(&app, &of_thief).await;
    let thief = at(&alice, THIEFS);
    let back = way_back(&app, &thief, 2).await;
    at_the_gate(&app, &back)
        .await
        .set_new_password(THIRD)
        .await
        .assert_page("message");
    app.ledger.password(&alice.id, THIRD);
    let held = app.ledger.of(&alice);
    presses(&app, &link).await;
    assert_closed(&app, &alice, &held).await;
    assert_eq!(address(&app, &alice).await.0, Some(alice.email.clone()));
    comes_back(&app, &alice, 1).await;
}

on_both!(of_several_former_addresses_the_earliest_has_the_last_word);
async fn of_several_former_addresses_the_earliest_has_the_last_word(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let link = robbed(&app, &alice).await;
    // Signed in anew, since the first change has ended that.
    let mut thief = app.browser();
    thief
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, STOLEN)
        .await
        .assert_redirect_to(&app.rp);
    moves(&app, &mut thief, &alice, "second@evil.example").await;
    let of_first = link_in_notice(&app, (THIEFS, NOT_ME), 3).await;
    let of_second = link_in_notice(&app, ("second@evil.example", NOT_ME), 2).await;
    presses(&app, &of_first).await;
    assert_eq!(address(&app, &alice).await.0.as_deref(), Some(THIEFS));
    presses_nothing(&app, &of_second).await;
    presses(&app, &link).await;
    assert_eq!(address(&app, &alice).await.0, Some(alice.email.clone()));
    comes_back(&app, &alice, 1).await;
}

/// A browser that shows what the link would do, and then what it did.
async fn leaves_without_an_address(app: &TestApp, user: &User, link: &Url) {
    app.browser()
        .open(link.clone())
        .await
        .assert_page("link")
        .assert_text("We cannot mail you a link by ourselves");
    presses(app, link)
        .await
        .assert_text("Tell the people who run");
    assert_eq!(address(app, user).await, (None, false));
    assert_eq!(sessions(app, user), 0);
    assert_eq!(app.waiting(user).await, ["UPDATE_PASSWORD"]);
    let none = "SELECT count(*) AS value FROM links WHERE purpose = 'closed-account'";
    assert_eq!(app.count(none), 0);
}

on_both!(what_an_administrator_changed_no_mailbox_undoes);
/// An old mailbox closes the account and gets nothing: neither it nor the new one is believed until an operator looks.
async fn what_an_administrator_changed_no_mailbox_undoes(app: TestApp) {
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    app.mailbox().await;
    let alice = app.user("alice").await;
    put(&app, &alice, json!({ "email": "alice@new.example" })).await;
    let link = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let of_new = link_in_notice(&app, ("alice@new.example", NOT_ME), 1).await;
    leaves_without_an_address(&app, &alice, &link).await;
    presses_nothing(&app, &of_new).await;
    for login in ["alice", "alice@new.example", &alice.email] {
        forgets(&app, login).await;
    }
    let told = newest(&app, "alice@new.example", 2).await;
    assert!(told.contains("closed the account"), "{told}");
    settled(&app, &alice).await;
    // The operator gives it one, and mails the way back in.
    put(&app, &alice, json!({ "email": "alice@new.example" })).await;
    let path = format!("/users/{}/execute-actions-email", alice.id);
    let actions = Some(json!(["UPDATE_PASSWORD"]));
    assert_eq!(call(&app, Method::PUT, &path, actions).await.0, 204);
    comes_back(&app, &at(&alice, "alice@new.example"), 1).await;
}

on_both!(an_address_that_was_never_proved_and_one_of_long_ago_get_nothing_back);
async fn an_address_that_was_never_proved_and_one_of_long_ago_get_nothing_back(app: TestApp) {
    app.mailbox().await;
    let bob = app.user("bob").unverified().await;
    let link = robbed(&app, &bob).await;
    leaves_without_an_address(&app, &bob, &link).await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let early = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let mut thief = app.browser();
    thief
        .authorize(&app.rp)
        .await
        .sign_in_with(&alice, STOLEN)
        .await
        .assert_redirect_to(&app.rp);
    moves(&app, &mut thief, &alice, "other@evil.example").await;
    // Three days are over, and the link of the first notice lives.
    app.advance(Duration::from_secs(73 * 3600));
    leaves_without_an_address(&app, &alice, &early).await;
}

on_both!(an_address_that_is_somebody_elses_by_now_is_not_put_back);
async fn an_address_that_is_somebody_elses_by_now_is_not_put_back(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let link = robbed(&app, &alice).await;
    let other = app.user("other").await;
    let taken = alice.email.clone();
    app.change_user(&other, move |user| user.email = Some(taken))
        .await;
    presses(&app, &link)
        .await
        .assert_text("Tell the people who run");
    assert_eq!(address(&app, &alice).await, (None, false));
    assert_eq!(address(&app, &other).await.0, Some(alice.email.clone()));
}

on_both!(a_mailbox_that_an_administrator_has_given_up_has_no_say);
/// `compromised` beside a new address: the old mailbox hears of it and can do nothing, by what it got before neither.
async fn a_mailbox_that_an_administrator_has_given_up_has_no_say(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    stolen(&app, &alice, (&alice.password, STOLEN)).await;
    let early = link_in_notice(&app, (&alice.email, NOT_ME), 1).await;
    let rescue = json!({
        "email": "alice@safe.example", "forcePasswordReset": true, "compromised": true,
    });
    put(&app, &alice, rescue).await;
    presses_nothing(&app, &early).await;
    for mail in 2..=3 {
        let text = newest(&app, &alice.email, mail).await;
        assert!(!text.contains("/login-actions/link/"), "{text}");
    }
    let path = format!("/users/{}/execute-actions-email", alice.id);
    let actions = Some(json!(["UPDATE_PASSWORD"]));
    assert_eq!(call(&app, Method::PUT, &path, actions).await.0, 204);
    comes_back(&app, &at(&alice, "alice@safe.example"), 1).await;
    // That the password was changed is told to both; only the new address can say that it was a thief.
    let text = newest(&app, &alice.email, 4).await;
    assert!(text.contains("was changed on"), "{text}");
    assert!(!text.contains("/login-actions/link/"), "{text}");
    let mut found = newest(&app, "alice@safe.example", 4).await;
    for _ in 0..100 {
        if found.contains("This was not me") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = newest(&app, "alice@safe.example", 4).await;
    }
    assert!(found.contains("This was not me"), "{found}");
}
