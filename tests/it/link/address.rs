//! Links that prove or change an address: nothing without being signed in as their person.

use vestibule::link::{Purpose, Sender, State};

use super::ended::call;
use super::{look, mails, send, send_with, settled};
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::{on_both, soak};
use crate::support::dice::Dice;

async fn stored(app: &TestApp, user: &User) -> vestibule::user::User {
    let id = user.id.clone();
    let found = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await;
    found.expect("the user")
}

on_both!(an_address_is_proved_by_who_signs_in_first);
async fn an_address_is_proved_by_who_signs_in_first(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    let bob = app.user("bob").await;
    let made = send(&app, &alice, Purpose::VerifyEmail, Sender::Administrator).await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut browser = app.browser();
    browser.open(url.clone()).await.assert_page("link");
    browser.press("open").await.assert_page("login");
    assert!(!stored(&app, &alice).await.email_verified);
    assert_eq!(app.token_rows(&alice.id), 0);
    let mut other = app.browser();
    other.open(url).await;
    other.press("open").await.assert_page("login");
    other
        .sign_in(&bob)
        .await
        .assert_page("message")
        .assert_text("It is for another account");
    assert!(!stored(&app, &alice).await.email_verified);
    browser.sign_in(&alice).await.assert_page("message");
    assert!(stored(&app, &alice).await.email_verified);
    assert!(app.waiting(&alice).await.is_empty());
    assert_eq!(look(&app, &made.id).await.1, State::Committed);
}

on_both!(whoever_else_is_signed_in_is_not_asked_to_prove_it);
/// The page says who is signed in, the sign-in behind it is the other person's, and ends the first one's session.
async fn whoever_else_is_signed_in_is_not_asked_to_prove_it(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().await;
    let bob = app.user("bob").await;
    let made = send(&app, &alice, Purpose::VerifyEmail, Sender::Administrator).await;
    let url = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(&app.rp);
    browser
        .open(url)
        .await
        .assert_page("link")
        .assert_text("You are signed in as bob here, and this link is for alice")
        .assert_text("To go on, sign in as alice; bob stays signed in until then.");
    browser.press("open").await.assert_page("login");
    let whose = "SELECT user_id AS value FROM sessions";
    assert_eq!(app.sql(whose), [bob.id.as_str().to_owned()]);
    browser.sign_in(&alice).await.assert_page("message");
    assert!(stored(&app, &alice).await.email_verified);
    assert_eq!(look(&app, &made.id).await.1, State::Committed);
    assert_eq!(app.sql(whose), [alice.id.as_str().to_owned()]);
}

on_both!(the_gate_comes_before_an_address);
/// V187. A password that has to be changed proves too little: the gate comes first, and the link has done nothing by then. An
/// address that waits to be proved does not stand in its own way.
async fn the_gate_comes_before_an_address(app: TestApp) {
    app.mailbox().await;
    for (name, action) in [
        ("alice", "UPDATE_PASSWORD"),
        ("bea", "TERMS_AND_CONDITIONS"),
    ] {
        let user = app.user(name).unverified().action(action).await;
        let made = send(&app, &user, Purpose::VerifyEmail, Sender::Administrator).await;
        let url = mails(&app, &user, 1).await.remove(0).url;
        settled(&app, &user).await;
        let mut browser = app.browser();
        browser.open(url).await.assert_page("link");
        browser.press("open").await.assert_page("login");
        browser.sign_in(&user).await;
        let page = browser.page().marker.clone().unwrap_or_default();
        assert!(
            ["update-password", "terms"].contains(&page.as_str()),
            "{browser}"
        );
        assert!(!stored(&app, &user).await.email_verified, "{action}");
        assert!(look(&app, &made.id).await.1.is_live(), "{action}");
        app.assert_no_tokens_for(&user).await;
    }
}

on_both!(an_address_that_changed_after_the_press_is_not_put_back);
/// V047: by an administrator, between the press and the sign-in, with whatever becomes of the epoch.
async fn an_address_that_changed_after_the_press_is_not_put_back(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().await;
    let bob = app.user("bob").unverified().await;
    let mut browsers = Vec::new();
    for user in [&alice, &bob] {
        send(&app, user, Purpose::VerifyEmail, Sender::Administrator).await;
        let url = mails(&app, user, 1).await.remove(0).url;
        settled(&app, user).await;
        let mut browser = app.browser();
        browser.open(url).await.assert_page("link");
        browser.press("open").await.assert_page("login");
        browsers.push(browser);
    }
    let path = format!("/users/{}", alice.id);
    let body = serde_json::json!({ "email": "alice@new.example" });
    let (status, said) = call(&app, reqwest::Method::PUT, &path, Some(body)).await;
    assert_eq!(status, 204, "{said}");
    app.change_user(&bob, |user| user.email = Some("bob@new.example".into()))
        .await;
    for (user, browser) in [&alice, &bob].into_iter().zip(&mut browsers) {
        browser
            .sign_in(user)
            .await
            .assert_page("message")
            .assert_text("your account has changed since");
        let now = stored(&app, user).await;
        let name = &user.username;
        assert_eq!(now.email, Some(format!("{name}@new.example")));
        assert!(!now.email_verified, "{name}");
    }
}

on_both!(a_new_address_is_taken_by_who_is_signed_in_and_ends_what_is_older);
/// V047: the address that is confirmed is the one that the link was mailed to.
async fn a_new_address_is_taken_by_who_is_signed_in_and_ends_what_is_older(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").await;
    let mut browser = super::super::gate::stock(&app, &alice).await;
    let held = app.ledger.of(&alice);
    let made = send_with(
        &app,
        &alice,
        (Purpose::UpdateEmail, Sender::Person),
        |new| {
            new.new_address = Some("alice@new.example".into());
        },
    )
    .await;
    let at_new = User {
        email: "alice@new.example".into(),
        ..alice.clone()
    };
    let url = mails(&app, &at_new, 1).await.remove(0).url;
    settled(&app, &alice).await;
    browser
        .open(url)
        .await
        .assert_page("link")
        .assert_text("alice@new.example");
    browser
        .press("open")
        .await
        .assert_page("message")
        .assert_text("Your address is confirmed");
    let now = stored(&app, &alice).await;
    assert_eq!(now.email.as_deref(), Some("alice@new.example"));
    assert_eq!(look(&app, &made.id).await.1, State::Committed);
    let right = held.without_password(&alice.password);
    app.assert_nothing_opens(&alice, &right).await;
    let notice = app.mailbox().await.expect("alice@people.example").await;
    assert!(
        notice.subject.contains("address was changed"),
        "{}",
        notice.subject
    );
}

/// Opens and presses a link for an address; whether that confirmed it.
async fn confirms(mut browser: Browser, url: url::Url) -> bool {
    browser.open(url).await;
    let page = browser.page().marker.clone();
    if page.as_deref() != Some("link") {
        return false;
    }
    browser.press("open").await;
    browser.page().text.contains("Your address is confirmed")
}

on_both!(of_two_new_addresses_the_one_that_was_mailed_to_is_confirmed);
/// V047: two changes at once, their links opened in either order or at the same moment. The address that is stored is
/// the one of the link that said so, and nobody's unproved one. Six rounds, 2,000 with `VESTIBULE_SOAK=1`.
async fn of_two_new_addresses_the_one_that_was_mailed_to_is_confirmed(app: TestApp) {
    app.mailbox().await;
    let mut dice = Dice::new(47);
    for round in 0..if soak() { 2000 } else { 6 } {
        let alice = app.user(&format!("alice{round}")).await;
        let mut browser = app.browser();
        browser
            .authorize(&app.rp)
            .await
            .sign_in(&alice)
            .await
            .assert_redirect_to(&app.rp);
        let mut links = Vec::new();
        for name in ["first", "second"] {
            let address = format!("{name}{round}@new.example");
            let wanted = address.clone();
            let what = (Purpose::UpdateEmail, Sender::Person);
            send_with(&app, &alice, what, |new| new.new_address = Some(wanted)).await;
            let at = User {
                email: address.clone(),
                ..alice.clone()
            };
            let url = mails(&app, &at, 1).await.remove(0).url;
            links.push((address, url));
        }
        settled(&app, &alice).await;
        if dice.up_to(2) == 0 {
            links.swap(0, 1);
        }
        let [(one, of_one), (two, of_two)] = links.try_into().expect("two");
        let (said_one, said_two) = match dice.up_to(3) {
            0 => {
                let first = confirms(browser.tab(), of_one).await;
                (first, confirms(browser.tab(), of_two).await)
            }
            _ => tokio::join!(
                confirms(browser.copy(), of_one),
                confirms(browser.copy(), of_two)
            ),
        };
        let now = stored(&app, &alice).await;
        let expected = match (said_one, said_two) {
            (true, false) => one,
            (false, true) => two,
            both => panic!("round {round}: {both:?}, and {:?}", now.email),
        };
        assert_eq!(now.email, Some(expected), "round {round}");
        assert!(now.email_verified);
    }
}
