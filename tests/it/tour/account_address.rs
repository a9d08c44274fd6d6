//! Another address in a real browser: the account, the form, the mail, the press, in both languages, on a phone and at
//! a desk. Pictures under target/screenshots, to be looked at.

use std::path::PathBuf;
use std::time::Duration;

use crate::link::{mails, settled};
use crate::support::app::{TestApp, User};
use crate::support::chromium::{Chromium, Options};

async fn picture(browser: &Chromium, name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder for pictures");
    browser
        .screenshot(&folder.join(format!("address-{name}.png")))
        .await;
    let too_wide = browser
        .execute("return document.documentElement.scrollWidth - window.innerWidth")
        .await;
    assert!(
        too_wide.as_i64() <= Some(0),
        "{name} is {too_wide} px too wide"
    );
}

async fn is_at(browser: &Chromium, page: &str) {
    for _ in 0..40 {
        if browser.page().await.as_deref() == Some(page) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not at {page}: {}", browser.text().await);
}

async fn signs_in(browser: &Chromium, user: &User) {
    is_at(browser, "login").await;
    let asked = "return document.querySelectorAll('#username').length";
    if browser.execute(asked).await.as_i64() == Some(1) {
        browser.fill("username", &user.username).await;
    }
    browser.fill("password", &user.password).await;
    browser.press("login").await;
}

#[actix_web::test]
async fn an_address_is_changed_from_the_account_on() {
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
            realm.settings.display_name = Some("Rosewood School".into());
            realm.settings.default_locale = Some(language.into());
        })
        .await;
        let mailbox = app.mailbox().await;
        let alice = app.user("alice").await;
        let account = format!("{}/account/", app.issuer());
        browser.goto(&account).await;
        signs_in(&browser, &alice).await;
        is_at(&browser, "account").await;
        picture(&browser, &format!("{screen}-1-account")).await;
        app.advance(Duration::from_secs(400));
        browser.press("a[href$=\"/account/email\"]").await;
        is_at(&browser, "login").await;
        picture(&browser, &format!("{screen}-2-again")).await;
        signs_in(&browser, &alice).await;
        is_at(&browser, "change-email").await;
        assert_eq!(browser.focused().await, "email");
        picture(&browser, &format!("{screen}-3-form")).await;
        browser.fill("email", &alice.email).await;
        browser.press("send").await;
        is_at(&browser, "change-email").await;
        picture(&browser, &format!("{screen}-4-refused")).await;
        let new = "alice.of.the.long.corridor@new.example";
        browser.fill("email", new).await;
        browser.press("send").await;
        is_at(&browser, "message").await;
        picture(&browser, &format!("{screen}-5-sent")).await;
        browser.goto(&account).await;
        picture(&browser, &format!("{screen}-6-waiting")).await;
        let to = User {
            email: new.to_owned(),
            ..alice.clone()
        };
        let mail = mails(&app, &to, 1).await.remove(0);
        settled(&app, &alice).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mail.html");
        std::fs::write(&file, &mail.html).expect("a file");
        browser.goto(&format!("file://{}", file.display())).await;
        picture(&browser, &format!("{screen}-7-mail")).await;
        browser.goto(mail.url.as_str()).await;
        is_at(&browser, "link").await;
        picture(&browser, &format!("{screen}-8-link")).await;
        browser.press("open").await;
        is_at(&browser, "message").await;
        picture(&browser, &format!("{screen}-9-confirmed")).await;
        mailbox.expect(&alice.email).await;
        browser.goto(&account).await;
        signs_in(&browser, &alice).await;
        is_at(&browser, "account").await;
        assert!(browser.text().await.contains(new));
        assert_eq!(browser.csp_violations().await, Vec::<String>::new());
    }
}
