//! `UPDATE_PROFILE` of a person without an address: one is asked for, proved, and gives nobody else's away.

use std::time::Duration;

use super::verify_email::mailed_code;
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::{on_both, soak};

/// A person without an address before the profile's page.
async fn nameless(app: &TestApp, username: &str) -> (User, Browser) {
    let user = app.user(username).action("UPDATE_PROFILE").await;
    app.change_user(&user, |user| user.email = None).await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&user)
        .await
        .assert_page("update-profile");
    (user, browser)
}

async fn type_in(browser: &mut Browser, address: &str) {
    let fields = [
        ("firstName", "Ada"),
        ("lastName", "Byron"),
        ("email", address),
    ];
    browser.fill_in(&fields).await;
}

/// The person's address, if it is proved.
async fn proved(app: &TestApp, user: &User) -> Option<String> {
    let id = user.id.clone();
    let stored = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await
        .expect("the user");
    stored.email.filter(|_| stored.email_verified)
}

/// What a page says, without what is new at each visit.
fn said(browser: &Browser, address: &str) -> String {
    let token = browser.page().form_with("code");
    let mut body = browser.answer.body.clone();
    for field in token.fields.iter().filter(|field| field.name == "flow") {
        body = body.replace(field.value.as_str(), "");
    }
    let tab = token.action.query().unwrap_or_default().to_owned();
    body.replace(&tab.replace('&', "&amp;"), "")
        .replace(address, "")
}

on_both!(an_address_that_is_taken_is_answered_as_one_that_is_free);
/// P7, V052: also for who has signed in; only the mailbox's reader learns that it serves another account.
async fn an_address_that_is_taken_is_answered_as_one_that_is_free(app: TestApp) {
    app.mailbox().await;
    let owner = app.user("owner").await;
    let (ada, mut at_taken) = nameless(&app, "ada").await;
    let (eve, mut at_free) = nameless(&app, "eve").await;
    type_in(&mut at_taken, &owner.email).await;
    type_in(&mut at_free, "free@people.example").await;
    at_taken.assert_page("verify-email");
    at_free.assert_page("verify-email");
    assert_eq!(
        said(&at_taken, &owner.email),
        said(&at_free, "free@people.example")
    );
    assert_eq!(app.waiting(&ada).await, ["UPDATE_PROFILE"]);
    app.assert_no_tokens_for(&eve).await;

    let code = mailed_code(&app, &owner).await;
    at_taken.fill_in(&[("code", &code)]).await;
    at_taken
        .assert_page("update-profile")
        .assert_text("Email already exists");
    let freed = User {
        email: "free@people.example".to_owned(),
        ..eve.clone()
    };
    let code = mailed_code(&app, &freed).await;
    at_free
        .fill_in(&[("code", &code)])
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    assert_eq!(
        proved(&app, &eve).await.as_deref(),
        Some("free@people.example")
    );
    assert_eq!(proved(&app, &ada).await, None);
}

on_both!(a_mistyped_address_can_be_typed_again);
async fn a_mistyped_address_can_be_typed_again(app: TestApp) {
    app.mailbox().await;
    let (ada, mut browser) = nameless(&app, "ada").await;
    type_in(&mut browser, "aad@people.example").await;
    browser.assert_page("verify-email");
    // A mail that waits yet is called back with the address.
    let mistyped = User {
        email: "aad@people.example".to_owned(),
        ..ada.clone()
    };
    let old = mailed_code(&app, &mistyped).await;
    browser.fill_in(&[("code", "00000-00000")]).await;
    browser.assert_page("verify-email").assert_text("not right");
    browser.press("other").await.assert_page("update-profile");
    type_in(&mut browser, &ada.email).await;
    // What was mailed to the other address proves nothing here.
    browser.fill_in(&[("code", &old)]).await;
    browser.assert_page("verify-email");
    let code = mailed_code(&app, &ada).await;
    browser
        .fill_in(&[("code", &code)])
        .await
        .assert_redirect_to(&app.rp);
    assert_eq!(proved(&app, &ada).await, Some(ada.email));
}

on_both!(five_wrong_codes_end_the_one_that_was_mailed_to_a_typed_address);
/// V121: here as at every page that takes a code.
async fn five_wrong_codes_end_the_one_that_was_mailed_to_a_typed_address(app: TestApp) {
    app.mailbox().await;
    let (ada, mut browser) = nameless(&app, "ada").await;
    type_in(&mut browser, &ada.email).await;
    let code = mailed_code(&app, &ada).await;
    for number in 0..5 {
        let wrong = format!("00000-0000{number}");
        browser.fill_in(&[("code", &wrong)]).await;
        browser.assert_page("verify-email");
    }
    browser.fill_in(&[("code", &code)]).await;
    browser.assert_page("verify-email");
    assert_eq!(proved(&app, &ada).await, None);
    assert_eq!(app.waiting(&ada).await, ["UPDATE_PROFILE"]);
    assert_eq!(app.token_rows(&ada.id), 0);
}

on_both!(mails_to_typed_addresses_are_counted);
/// V053: nobody floods a stranger's mailbox from this page.
async fn mails_to_typed_addresses_are_counted(app: TestApp) {
    let mailbox = app.mailbox().await;
    let (_, mut browser) = nameless(&app, "ada").await;
    for _ in 0..8 {
        type_in(&mut browser, "stranger@people.example").await;
        if browser.page().marker.as_deref() == Some("verify-email") {
            browser.press("other").await;
        }
        app.advance(Duration::from_secs(61));
        // The clock may have ended the flow's page; the count is the person's.
        browser.assert_page("update-profile");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(mailbox.to("stranger@people.example").len() <= 5);
    browser.assert_text("A mail was sent a moment ago");
}

on_both!(a_typed_address_gets_one_mail_a_minute_whoever_types_it);
/// V053: "another address" and the same one again, and another account, mail nobody sooner.
async fn a_typed_address_gets_one_mail_a_minute_whoever_types_it(app: TestApp) {
    let mailbox = app.mailbox().await;
    let (_, mut ada) = nameless(&app, "ada").await;
    let (_, mut eve) = nameless(&app, "eve").await;
    let stranger = "stranger@people.example";
    type_in(&mut ada, stranger).await;
    ada.assert_page("verify-email");
    mailbox.expect(stranger).await;
    for _ in 0..2 {
        if ada.page().marker.as_deref() == Some("verify-email") {
            ada.press("other").await.assert_page("update-profile");
        }
        type_in(&mut ada, stranger).await;
        ada.assert_page("update-profile")
            .assert_text("A mail was sent a moment ago");
    }
    type_in(&mut eve, "STRANGER@people.example").await;
    eve.assert_page("update-profile")
        .assert_text("A mail was sent a moment ago");
    assert_eq!(app.count("SELECT count(*) AS value FROM outbox"), 1);
    // Who has mistyped need not wait for the right one, and a minute later the address can be typed again.
    type_in(&mut ada, "ada@people.example").await;
    ada.assert_page("verify-email");
    app.advance(Duration::from_secs(61));
    type_in(&mut eve, stranger).await;
    eve.assert_page("verify-email");
    for _ in 0..100 {
        if mailbox.to(stranger).len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} mails", mailbox.to(stranger).len());
}

on_both!(of_two_typed_addresses_the_one_whose_code_was_typed_is_confirmed);
/// V047: two tabs type addresses at the same moment and then whatever codes came. What is stored as proved is the
/// address to which the code that did it was mailed. Four rounds, 200 with `VESTIBULE_SOAK=1`.
async fn of_two_typed_addresses_the_one_whose_code_was_typed_is_confirmed(app: TestApp) {
    app.mailbox().await;
    for round in 0..if soak() { 200 } else { 4 } {
        let (ada, mut one) = nameless(&app, &format!("ada{round}")).await;
        let mut two = one.tab();
        two.page.clone_from(&one.page);
        let addresses = ["one", "two"].map(|name| format!("{name}{round}@people.example"));
        tokio::join!(
            type_in(&mut one, &addresses[0]),
            type_in(&mut two, &addresses[1])
        );
        // One mail in a minute: the other tab's form was late. It asks for its own address after all.
        one.reload().await.assert_page("verify-email");
        let first = addresses
            .iter()
            .position(|address| one.page().text.contains(address.as_str()))
            .expect("the address that was first");
        let at = |place: usize| User {
            email: addresses[place].clone(),
            ..ada.clone()
        };
        let old = mailed_code(&app, &at(first)).await;
        one.press("other").await.assert_page("update-profile");
        type_in(&mut one, &addresses[1 - first]).await;
        one.assert_page("verify-email");
        let new = mailed_code(&app, &at(1 - first)).await;
        let step = one.page().url.clone();
        let mut late = one.tab();
        late.page.clone_from(&one.page);
        tokio::join!(
            async {
                late.fill_in(&[("code", &old)]).await;
            },
            async {
                one.fill_in(&[("code", &new)]).await;
            },
        );
        // Whichever tab went on first is where the way leads out; the old code was no reason for it.
        if !late.got_a_code() && !one.got_a_code() {
            one.open(step).await;
            if !one.got_a_code() {
                assert_eq!(proved(&app, &ada).await, None, "round {round}");
                one.fill_in(&[("code", &new)]).await;
            }
            one.assert_redirect_to(&app.rp);
        }
        let expected = addresses[1 - first].clone();
        assert_eq!(proved(&app, &ada).await, Some(expected), "round {round}");
    }
}

on_both!(a_realm_without_a_mail_server_asks_for_no_address);
async fn a_realm_without_a_mail_server_asks_for_no_address(app: TestApp) {
    let (ada, mut browser) = nameless(&app, "ada").await;
    assert!(!browser.answer.body.contains("name=\"email\""));
    browser
        .fill_in(&[("firstName", "Ada"), ("lastName", "Byron")])
        .await
        .assert_redirect_to(&app.rp);
    assert!(app.waiting(&ada).await.is_empty());
    assert_eq!(proved(&app, &ada).await, None);
}
