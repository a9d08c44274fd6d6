//! “This was not me” in a real browser: the notice, the page, what it says afterwards, in both languages, on a phone
//! and at a desk. Pictures under target/screenshots, to be looked at.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::link::ended::call;
use crate::link::not_me::{STOLEN, link_in_notice, stolen};
use crate::support::app::{TestApp, User};
use crate::support::chromium::{Chromium, Options};

async fn picture(browser: &Chromium, name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder for pictures");
    browser
        .screenshot(&folder.join(format!("not-me-{name}.png")))
        .await;
    let too_wide = browser
        .execute("return document.documentElement.scrollWidth - window.innerWidth")
        .await;
    assert!(
        too_wide.as_i64() <= Some(0),
        "{name} is {too_wide} px too wide"
    );
}

/// Every notice that the person has got, as a reader sees it.
async fn notices(app: &TestApp, browser: &Chromium, (user, screen): (&User, &str)) {
    let folder = tempfile::tempdir().expect("a folder");
    let mails = app.mailbox().await.to(&user.email);
    for (number, mail) in mails.iter().rev().enumerate() {
        let file = folder.path().join("mail.html");
        std::fs::write(&file, mail.html.clone().expect("an HTML part")).expect("a file");
        browser.goto(&format!("file://{}", file.display())).await;
        let way_on = "return document.querySelectorAll('a[href*=\"/login-actions/link/\"]').length";
        assert_eq!(browser.execute(way_on).await, json!(1), "{}", mail.subject);
        picture(browser, &format!("{screen}-mail-{number}")).await;
    }
}

#[actix_web::test]
async fn a_notice_leads_with_one_press_to_a_closed_account() {
    for (screen, language, width, dark) in [
        ("phone-en", "en", 360, false),
        ("phone-de", "de", 360, true),
        ("desk-en", "en", 1280, true),
        ("desk-de", "de", 1280, false),
    ] {
        let options = Options {
            scripts: width > 400,
            width,
            height: 800,
            dark,
            language: language.into(),
        };
        let Some(browser) = Chromium::start(options).await else {
            return;
        };
        let app = TestApp::start().await;
        app.change_realm(move |realm| {
            realm.settings.reset_password_allowed = true;
            realm.settings.display_name = Some("Rosewood School".into());
            realm.settings.default_locale = Some(language.into());
        })
        .await;
        app.mailbox().await;
        let alice = app.user("alice").await;
        let set = async |tail: &str, body| {
            let path = format!("/users/{}{tail}", alice.id);
            assert_eq!(call(&app, Method::PUT, &path, Some(body)).await.0, 204);
        };
        for temporary in [true, false] {
            let body = json!({ "type": "password", "value": STOLEN, "temporary": temporary });
            set("/reset-password", body).await;
        }
        stolen(&app, &alice, (STOLEN, "another of the thief")).await;
        let label = match language {
            "de" => "Das war ich nicht:",
            _ => "This was not me:",
        };
        let link = link_in_notice(&app, (&alice.email, label), 3).await;
        set("", json!({ "email": "thief@evil.example" })).await;
        let of_former = link_in_notice(&app, (&alice.email, label), 4).await;
        notices(&app, &browser, (&alice, screen)).await;

        browser.goto(of_former.as_str()).await;
        assert_eq!(browser.page().await.as_deref(), Some("link"));
        picture(&browser, &format!("{screen}-page-former")).await;
        // Put back, so that the other one is of the present address.
        set("", json!({ "email": alice.email.as_str() })).await;
        browser.goto(link.as_str()).await;
        assert_eq!(browser.page().await.as_deref(), Some("link"));
        assert!(!browser.url().await.as_str().contains("/link/"));
        picture(&browser, &format!("{screen}-page")).await;
        browser.press("open").await;
        assert_eq!(browser.page().await.as_deref(), Some("message"));
        picture(&browser, &format!("{screen}-page-closed")).await;
        assert_eq!(app.events(&alice, "ACCOUNT_CLOSED_BY_OWNER"), 1);
        browser.goto(link.as_str()).await;
        assert_eq!(browser.page().await.as_deref(), Some("message"));
        picture(&browser, &format!("{screen}-page-used")).await;
        app.advance(Duration::from_secs(8 * 24 * 3600));
        browser.goto(of_former.as_str()).await;
        picture(&browser, &format!("{screen}-page-expired")).await;
        assert_eq!(browser.csp_violations().await, Vec::<String>::new());
    }
}
