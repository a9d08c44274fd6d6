//! The code that stands in the mail beside the link.

use std::time::Duration;

use vestibule::link::{Purpose, Sender, State};

use super::{NEW, mails, send, settled, states};
use crate::protocol::enumeration::told;
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;

const PAGE: &str = "/realms/t1/login-actions/link";

async fn invited(app: &TestApp) -> (User, String) {
    app.mailbox().await;
    let alice = app.user("alice").without_password().await;
    send(app, &alice, Purpose::PreRegistration, Sender::Administrator).await;
    let code = mails(app, &alice, 1).await.remove(0).code;
    settled(app, &alice).await;
    (alice, code)
}

async fn type_in<'a>(browser: &'a mut Browser, address: &str, code: &str) -> &'a mut Browser {
    browser.open_path(PAGE).await.assert_page("link-code");
    browser
        .fill_in(&[("username", address), ("code", code)])
        .await
}

on_both!(the_typed_code_leads_to_the_same_button);
async fn the_typed_code_leads_to_the_same_button(app: TestApp) {
    let (alice, code) = invited(&app).await;
    let mut browser = app.browser();
    let typed = code.to_lowercase().replace('-', " ");
    type_in(&mut browser, " ALICE@people.example", &typed)
        .await
        .assert_page("link")
        .assert_text("alice");
    browser.press("open").await.assert_page("update-password");
    browser.set_new_password(NEW).await.assert_page("message");
    assert_eq!(states(&app, &alice).await, [State::Committed]);
    type_in(&mut app.browser(), &alice.email, &code)
        .await
        .assert_page("link-code");
}

on_both!(five_wrong_codes_end_the_code_and_not_the_link);
/// V052, V182 in short: unknown addresses are answered alike, and every link lives on.
async fn five_wrong_codes_end_the_code_and_not_the_link(app: TestApp) {
    let (alice, code) = invited(&app).await;
    let mut seen = Vec::new();
    for (number, address) in ["nobody@people.example", "alice@people.example"]
        .into_iter()
        .flat_map(|address| [address; 5])
        .enumerate()
    {
        let mut browser = app.browser();
        browser.open_path(PAGE).await.assert_page("link-code");
        let mut form = browser.page().form_with("code").clone();
        form.fill("username", address)
            .fill("code", &format!("00000-0000{number}"));
        let posted = (FORM, encode(&form.pairs(None)));
        let answer = browser
            .send(reqwest::Method::POST, &form.action, Some(posted))
            .await;
        browser.open(answer.location().expect("a way on")).await;
        browser.assert_page("link-code");
        seen.push((told(&answer, address), told(&browser.answer, address)));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "one answer for all: {seen:#?}");
    type_in(&mut app.browser(), &alice.email, &code)
        .await
        .assert_page("link-code");
    assert_eq!(states(&app, &alice).await, [State::Sent]);
    let url = mails(&app, &alice, 1).await.remove(0).url;
    app.browser().open(url).await.assert_page("link");
}

on_both!(guesses_from_one_place_run_out);
async fn guesses_from_one_place_run_out(app: TestApp) {
    let (alice, code) = invited(&app).await;
    for number in 0..30 {
        type_in(
            &mut app.browser(),
            "nobody@people.example",
            &format!("{number:010}"),
        )
        .await
        .assert_page("link-code");
    }
    type_in(&mut app.browser(), &alice.email, &code)
        .await
        .assert_page("link-code");
    app.advance(Duration::from_secs(61));
    type_in(&mut app.browser(), &alice.email, &code)
        .await
        .assert_page("link");
}
