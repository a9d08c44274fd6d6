//! `VERIFY_EMAIL` at the gate: a mailed code, typed, and nothing else leads on.

use std::time::Duration;

use super::stock;
use crate::support::app::{TestApp, User};
use crate::support::browser::Browser;
use crate::support::database::on_both;

async fn at_the_page(app: &TestApp, user: &User) -> Browser {
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(user)
        .await
        .assert_page("verify-email");
    browser
}

/// The code in the newest mail to the person.
pub async fn mailed_code(app: &TestApp, user: &User) -> String {
    let mail = app.mailbox().await.expect(&user.email).await;
    let text = mail.text.as_deref().expect("a text part");
    let code = text.split_whitespace().find(|word| {
        word.split_once('-').is_some_and(|(front, back)| {
            [front, back].iter().all(|half| {
                half.len() == 5
                    && half
                        .chars()
                        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            })
        })
    });
    code.expect("a code in the mail").to_owned()
}

on_both!(the_mailed_code_proves_the_address_and_leads_on);
async fn the_mailed_code_proves_the_address_and_leads_on(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    let mut browser = at_the_page(&app, &alice).await;
    let code = mailed_code(&app, &alice).await;
    app.assert_no_tokens_for(&alice).await;
    browser
        .fill_in(&[("code", &code.to_lowercase())])
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    assert!(app.waiting(&alice).await.is_empty());
    let id = alice.id.clone();
    let stored = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await
        .expect("the user");
    assert!(stored.email_verified);
}

on_both!(wrong_codes_lead_nowhere_and_five_of_them_end_the_right_one);
/// V119, V121 at this page.
async fn wrong_codes_lead_nowhere_and_five_of_them_end_the_right_one(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    let mut browser = at_the_page(&app, &alice).await;
    let code = mailed_code(&app, &alice).await;
    for wrong in [
        "",
        "00000-00000",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "00000-00001",
    ] {
        browser
            .fill_in(&[("code", wrong)])
            .await
            .assert_page("verify-email");
    }
    browser
        .fill_in(&[("code", &code)])
        .await
        .assert_page("verify-email");
    assert_eq!(app.waiting(&alice).await, ["VERIFY_EMAIL"]);
    assert_eq!(app.token_rows(&alice.id), 0);
}

on_both!(a_code_mailed_to_an_older_address_proves_nothing);
/// V047: the code proves the address that it was mailed to.
async fn a_code_mailed_to_an_older_address_proves_nothing(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    let mut browser = at_the_page(&app, &alice).await;
    let code = mailed_code(&app, &alice).await;
    app.change_user(&alice, |user| {
        user.email = Some("elsewhere@people.example".to_owned());
    })
    .await;
    browser
        .fill_in(&[("code", &code)])
        .await
        .assert_page("verify-email");
    assert_eq!(app.waiting(&alice).await, ["VERIFY_EMAIL"]);
}

on_both!(a_code_of_ten_minutes_ago_is_dead);
/// V048: by the clock of the statement, without any clean-up.
async fn a_code_of_ten_minutes_ago_is_dead(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    let mut browser = at_the_page(&app, &alice).await;
    let code = mailed_code(&app, &alice).await;
    app.advance(Duration::from_secs(601));
    browser
        .fill_in(&[("code", &code)])
        .await
        .assert_page("verify-email");
    assert_eq!(app.waiting(&alice).await, ["VERIFY_EMAIL"]);
}

on_both!(a_realm_that_wants_proved_addresses_gates_everybody_without_one);
/// V023, the state "unverified": no row waits, the realm's rule does.
async fn a_realm_that_wants_proved_addresses_gates_everybody_without_one(app: TestApp) {
    app.mailbox().await;
    let alice = app.user("alice").unverified().await;
    let bob = app.user("bob").await;
    stock(&app, &alice).await;
    app.change_realm(|realm| realm.settings.verify_email = true)
        .await;
    app.assert_no_tokens_for(&alice).await;
    stock(&app, &bob).await;
    let mut browser = at_the_page(&app, &alice).await;
    let code = mailed_code(&app, &alice).await;
    browser
        .fill_in(&[("code", &code)])
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(who_has_no_address_is_asked_for_one_and_proves_it);
/// P7 and V052: an address that is somebody's is answered as one that is free.
async fn who_has_no_address_is_asked_for_one_and_proves_it(app: TestApp) {
    app.mailbox().await;
    let owner = app.user("owner").await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    app.change_user(&alice, |user| user.email = None).await;
    let mut browser = at_the_page(&app, &alice).await;
    let asked = browser.page().form_with("email");
    assert!(asked.field("code").is_none(), "no mail is on its way");
    assert_eq!(app.count("SELECT count(*) AS value FROM outbox"), 0);
    for wrong in ["", "alice@", "nobody"] {
        browser.fill_in(&[("email", wrong)]).await;
        browser.assert_page("verify-email");
        assert_eq!(browser.page().texts("#email-error").len(), 1, "{wrong:?}");
    }
    browser.fill_in(&[("email", &owner.email)]).await;
    browser.assert_page("verify-email");
    assert!(browser.page().text.contains(&owner.email));
    browser.press("other").await.assert_page("verify-email");
    browser.fill_in(&[("email", "ada@people.example")]).await;
    let ada = User {
        email: "ada@people.example".to_owned(),
        ..alice.clone()
    };
    let code = mailed_code(&app, &ada).await;
    browser.fill_in(&[("code", "00000-00000")]).await;
    browser
        .assert_page("verify-email")
        .assert_text("This code is not right");
    assert_eq!(app.waiting(&alice).await, ["VERIFY_EMAIL"]);
    assert_eq!(app.token_rows(&alice.id), 0);
    browser
        .fill_in(&[("code", &code)])
        .await
        .assert_redirect_to(&app.rp)
        .exchange()
        .await
        .assert_tokens();
    assert!(app.waiting(&alice).await.is_empty());
    assert_eq!(app.events(&alice, "VERIFY_EMAIL"), 1);
    let id = alice.id.clone();
    let stored = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await
        .expect("the user");
    assert_eq!(stored.email.as_deref(), Some("ada@people.example"));
    assert!(stored.email_verified);
}

on_both!(where_no_mail_can_be_sent_the_page_says_so_and_whom_to_ask);
async fn where_no_mail_can_be_sent_the_page_says_so_and_whom_to_ask(app: TestApp) {
    let without = app.user("without").action("VERIFY_EMAIL").await;
    app.change_user(&without, |user| user.email = None).await;
    let alice = app.user("alice").unverified().action("VERIFY_EMAIL").await;
    let mails = || app.count("SELECT count(*) AS value FROM outbox");
    for user in [&alice, &without] {
        let before = mails();
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.sign_in(user).await;
        browser
            .assert_page("message")
            .assert_text("no mail can be sent from here")
            .assert_text("Ask the people who run");
        assert!(!browser.page().text.contains("We have mailed"));
        assert!(browser.page().forms.is_empty());
        assert_eq!(mails(), before, "nothing was queued that cannot leave");
        assert_eq!(app.waiting(user).await, ["VERIFY_EMAIL"]);
        app.assert_no_tokens_for(user).await;
        // Once there is a mail server, the same page leads on.
        let page = browser.page().url.clone();
        let mailbox = app.mailbox().await;
        browser.open(page).await.assert_page("verify-email");
        if user.username == "alice" {
            mailbox.expect(&alice.email).await;
        }
        app.change_realm(|realm| realm.settings.smtp_server.clear())
            .await;
        browser.reload().await.assert_page("message");
    }
}
