//! The steps behind the sign-in in a real browser, at the width of a phone and of a desk, by day and by night; and the
//! end of the window, which needs a clock that moves.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::app::{TestApp, User};
use crate::support::chromium::{Chromium, Options};

const NEW: &str = "seven slow boats at dawn";

/// A phone and a desk, by day and by night; the phone without scripts.
fn screens() -> [(&'static str, Options); 4] {
    let screen = |width, height, dark| Options {
        scripts: width > 400,
        width,
        height,
        dark,
        ..Options::default()
    };
    [
        ("phone-light", screen(360, 740, false)),
        ("phone-dark", screen(360, 740, true)),
        ("desk-light", screen(1280, 900, false)),
        ("desk-dark", screen(1280, 900, true)),
    ]
}

/// Keeps a picture under target/screenshots, to be looked at, and holds the page to its width.
async fn picture(browser: &Chromium, name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder for pictures");
    browser
        .screenshot(&folder.join(format!("{name}.png")))
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
    let found = browser.page().await;
    assert_eq!(found.as_deref(), Some(page), "{}", browser.text().await);
}

async fn signs_in(browser: &Chromium, user: &User, password: &str) {
    browser.fill("username", &user.username).await;
    browser.fill("password", password).await;
    browser.press("login").await;
}

async fn sets(browser: &Chromium, password: &str) {
    browser.fill("password-new", password).await;
    browser.fill("password-confirm", password).await;
    browser.press("button[type=submit]").await;
}

/// V019: one second past the five minutes nothing is set; the old password leads to the gate again, with a new window,
/// and to no token.
#[actix_web::test]
async fn one_second_after_the_window_the_old_password_stands_and_leads_to_the_gate_again() {
    for (name, options) in screens() {
        let Some(browser) = Chromium::start(options).await else {
            return;
        };
        let app = TestApp::start().await;
        let alice = app.user("alice").force_password_reset().await;
        let before = app.password_hash(&alice).await;
        browser.goto(app.rp.request(&[]).await.url.as_str()).await;
        signs_in(&browser, &alice, &alice.password).await;
        is_at(&browser, "update-password").await;
        picture(&browser, &format!("window-{name}-1-open")).await;
        app.advance(Duration::from_secs(301));
        sets(&browser, NEW).await;
        is_at(&browser, "login").await;
        picture(&browser, &format!("window-{name}-2-over")).await;
        assert_eq!(app.password_hash(&alice).await, before);
        assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"]);
        assert_eq!(app.token_rows(&alice.id), 0);

        // What was too late is not a password, and the old one is good for the gate alone.
        signs_in(&browser, &alice, NEW).await;
        is_at(&browser, "login").await;
        signs_in(&browser, &alice, &alice.password).await;
        is_at(&browser, "update-password").await;
        assert_eq!(app.token_rows(&alice.id), 0);
        app.advance(Duration::from_secs(240));
        sets(&browser, NEW).await;
        assert!(
            browser
                .url()
                .await
                .as_str()
                .starts_with(&app.rp.redirect_uri)
        );
        assert_ne!(app.password_hash(&alice).await, before);
    }
}

/// The code in the newest mail to a person.
async fn mailed_code(app: &TestApp, user: &User) -> String {
    let mail = app.mailbox().await.expect(&user.email).await;
    let text = mail.text.clone().expect("a text part");
    let found = text.split_whitespace().find(|word| {
        let (front, back) = word.split_once('-').unwrap_or_default();
        let half = |half: &str| {
            half.len() == 5
                && half
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        half(front) && half(back)
    });
    found.expect("a code in the mail").to_owned()
}

/// Walks through every step that is not a password, with a mistake at each that takes one.
async fn every_step(app: &TestApp, browser: &Chromium, user: &User, name: &str) {
    browser
        .goto(app.consenting.request(&[]).await.url.as_str())
        .await;
    signs_in(browser, user, &user.password).await;
    let mut seen = Vec::new();
    while let Some(page) = browser.page().await {
        let again = seen.iter().filter(|known| **known == page).count();
        picture(browser, &format!("step-{page}-{again}-{name}")).await;
        assert_eq!(
            browser.csp_violations().await,
            Vec::<String>::new(),
            "{page}"
        );
        match (page.as_str(), again) {
            ("verify-email", 0) => {
                browser.fill("code", "AAAAA-22222").await;
                browser.press("confirm").await;
            }
            ("verify-email", 1) => {
                let code = mailed_code(app, user).await;
                browser.fill("code", &code).await;
                browser.press("confirm").await;
            }
            ("update-profile", 0) => {
                browser.fill("firstName", "   ").await;
                browser.fill("lastName", "Byron").await;
                browser.press("save").await;
            }
            ("update-profile", 1) => {
                browser.fill("firstName", "Ada").await;
                browser.fill("lastName", "Byron").await;
                browser.press("save").await;
            }
            ("terms" | "consent", 0) => browser.press("accept").await,
            other => panic!("{other:?}: {}", browser.text().await),
        }
        seen.push(page);
    }
    assert!(
        browser
            .url()
            .await
            .as_str()
            .starts_with(&app.consenting.redirect_uri)
    );
    for page in ["verify-email", "update-profile", "terms", "consent"] {
        assert!(seen.iter().any(|known| known == page), "{page}: {seen:?}");
    }
    browser
        .goto(&format!(
            "{}/realms/t1/protocol/openid-connect/logout",
            app.public_url()
        ))
        .await;
    is_at(browser, "logout").await;
    picture(browser, &format!("step-logout-{name}")).await;
    browser.press("confirmLogout").await;
    is_at(browser, "message").await;
    picture(browser, &format!("step-message-{name}")).await;
    browser
        .goto(&format!(
            "{}/realms/t1/protocol/openid-connect/auth?client_id=nobody",
            app.public_url()
        ))
        .await;
    is_at(browser, "error").await;
    picture(browser, &format!("step-error-{name}")).await;
}

#[actix_web::test]
async fn every_step_fits_a_phone_and_a_desk_by_day_and_by_night() {
    for (name, mut options) in screens() {
        let german = name.ends_with("dark");
        if german {
            options.language = "de".to_owned();
        }
        let Some(browser) = Chromium::start(options).await else {
            return;
        };
        let app = TestApp::start().await;
        app.mailbox().await;
        app.change_realm(|realm| {
            realm.settings.internationalization_enabled = true;
            realm.settings.supported_locales = Some(vec!["en".into(), "de".into()]);
        })
        .await;
        let alice = app
            .user("alice")
            .unverified()
            .action("VERIFY_EMAIL")
            .action("UPDATE_PROFILE")
            .action("TERMS_AND_CONDITIONS")
            .await;
        every_step(&app, &browser, &alice, name).await;
    }
}

/// The reasons of a refusal are in sight where the page opens: the browser scrolls to the field that has the focus.
#[actix_web::test]
async fn why_a_password_was_refused_is_in_sight_when_the_page_opens() {
    for (width, height) in [(390, 800), (900, 1000)] {
        for language in ["en", "de"] {
            let options = Options {
                width,
                height,
                language: language.to_owned(),
                ..Options::default()
            };
            let Some(browser) = Chromium::start(options).await else {
                return;
            };
            let app = TestApp::start().await;
            app.change_realm(|realm| {
                realm.settings.internationalization_enabled = true;
                realm.settings.supported_locales = Some(vec!["en".into(), "de".into()]);
            })
            .await;
            let alice = app.user("alice").force_password_reset().await;
            browser.goto(app.rp.request(&[]).await.url.as_str()).await;
            signs_in(&browser, &alice, &alice.password).await;
            for (typed, name) in [("short", "short"), ("alice", "name")] {
                sets(&browser, typed).await;
                is_at(&browser, "update-password").await;
                assert_eq!(browser.focused().await, "password-new");
                picture(&browser, &format!("refused-{name}-{language}-{width}")).await;
                for id in ["password-new", "password-new-error", "password-hint"] {
                    let hidden = browser
                        .execute(&format!(
                            "const box = document.getElementById('{id}').getBoundingClientRect(); \
                             return Math.max(-box.top, box.bottom - window.innerHeight, 0)"
                        ))
                        .await;
                    assert_eq!(hidden.as_f64(), Some(0.0), "{id}, {language}, {width}");
                }
            }
        }
    }
}
