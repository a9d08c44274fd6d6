//! From the mail into the app, on a phone, with two presses.

use super::playground::{Playground, Visitor};
use crate::support::chromium::Options;

pub const NEW: &str = "seven slow boats at dawn";

/// Who has no password yet.
const PERSON: &str = "paul";
const NAME: &str = "Paul";

/// A phone of somebody who reads that language.
pub fn phone(language: &str) -> Options {
    Options {
        width: 390,
        height: 844,
        language: language.into(),
        ..Options::default()
    }
}

/// The address of the link in the newest mail, by the way a person takes: the mailbox, its first mail, the link.
pub async fn link_in_the_mailbox(visitor: &mut Visitor, app: &str) -> String {
    for _ in 0..40 {
        visitor.browser.goto(&format!("{app}/mailbox")).await;
        let first = visitor
            .browser
            .execute("return document.querySelector('a[href*=\"/mailbox/\"]')?.href ?? ''")
            .await;
        if let Some(first) = first.as_str().filter(|first| !first.is_empty()) {
            visitor.browser.goto(&format!("{first}/html")).await;
            visitor.picture("mail").await;
            visitor.browser.goto(first).await;
            let link = visitor
                .browser
                .execute("return document.querySelector('a[href*=\"/login-actions/link/\"]')?.href ?? ''")
                .await;
            if let Some(link) = link.as_str().filter(|link| !link.is_empty()) {
                return link.to_owned();
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("no mail with a link");
}

/// Asks for a link on the sign-in page.
async fn asks_for_a_link(visitor: &mut Visitor, playground: &Playground, name: &str) {
    visitor.asks_to_sign_in(playground).await;
    visitor.picture("sign-in").await;
    visitor.browser.press("a[href*=reset-credentials]").await;
    visitor.is_at("forgot-password").await;
    visitor.picture("forgot").await;
    visitor.browser.fill("username", name).await;
    visitor.browser.press("send").await;
    visitor.is_at("message").await;
    visitor.picture("sent").await;
}

/// The presses that lead from the link into the app: the button, and saving the password.
pub async fn two_presses(visitor: &mut Visitor, app: &str, (link, name): (&str, &str)) {
    let before = visitor.presses();
    visitor.browser.goto(link).await;
    visitor.is_at("link").await;
    assert!(!visitor.browser.url().await.as_str().contains("/link/"));
    visitor.picture("link").await;
    visitor.press("open").await;
    visitor.is_at("update-password").await;
    visitor.picture("password").await;
    visitor.sets(NEW).await;
    arrives(visitor, app, name).await;
    assert_eq!(visitor.presses() - before, 2);
}

/// Waits until the pages have led into the app.
pub async fn arrives(visitor: &mut Visitor, app: &str, name: &str) {
    for _ in 0..40 {
        if visitor.browser.url().await.as_str().starts_with(app) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    visitor.has_arrived_at(app, name).await;
    visitor.picture("arrived").await;
}

#[actix_web::test]
async fn mail_link_password_app_on_a_phone() {
    let Some(mut visitor) = Visitor::at("link-phone", phone("en")).await else {
        return;
    };
    let playground = Playground::start();
    asks_for_a_link(&mut visitor, &playground, PERSON).await;
    let link = link_in_the_mailbox(&mut visitor, &playground.app).await;
    // A scanner with scripts on was there before.
    let Some(scanner) = Visitor::at("scanner", Options::default()).await else {
        return;
    };
    for _ in 0..3 {
        scanner.browser.goto(&link).await;
        scanner.is_at("link").await;
    }
    two_presses(&mut visitor, &playground.app, (&link, NAME)).await;
    // The link is used, wherever it is opened.
    scanner.browser.goto(&link).await;
    scanner.is_at("message").await;
}

#[actix_web::test]
async fn the_same_in_german_in_another_browser_by_the_typed_code() {
    let Some(mut visitor) = Visitor::at("link-german", phone("de")).await else {
        return;
    };
    let playground = Playground::start();
    asks_for_a_link(&mut visitor, &playground, PERSON).await;
    link_in_the_mailbox(&mut visitor, &playground.app).await;
    let text = visitor.browser.text().await;
    let code = text
        .split_whitespace()
        .find(|word| word.len() == 11 && word.as_bytes()[5] == b'-')
        .expect("a code");
    let Some(mut other) = Visitor::at("link-desktop", Options::default()).await else {
        return;
    };
    let page = format!("{}/login-actions/link", playground.issuer);
    other.browser.goto(&page).await;
    other.is_at("link-code").await;
    other.picture("code").await;
    other
        .browser
        .fill("username", &format!("{PERSON}@demo.example"))
        .await;
    other.browser.fill("code", "00000-00000").await;
    other.browser.press("confirm").await;
    other.picture("code-wrong").await;
    other
        .browser
        .fill("username", &format!("{PERSON}@demo.example"))
        .await;
    other.browser.fill("code", code).await;
    other.browser.press("confirm").await;
    other.is_at("link").await;
    other.picture("link").await;
    other.browser.press("open").await;
    other.sets(NEW).await;
    arrives(&mut other, &playground.app, NAME).await;
    let account = format!("{}/account/", playground.issuer);
    other.browser.goto(&account).await;
    other.is_at("account").await;
    other.picture("account").await;
}
