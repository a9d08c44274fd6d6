//! A double click in a real browser: it drops the first answer, with the cookies in it, and shows the second one.

use std::time::Duration;

use crate::support::app::{TestApp, User};
use crate::support::chromium::{Chromium, Options};
use crate::support::database::soak;

const NEW: &str = "seven slow boats at dawn";

async fn signs_in(browser: &Chromium, app: &TestApp, user: &User) {
    browser.goto(app.rp.request(&[]).await.url.as_str()).await;
    browser.fill("username", &user.username).await;
    browser.fill("password", &user.password).await;
    browser.press_twice("#login").await;
}

/// Waits for the address bar of a browser that is on its way: a click by hand waits for no page.
async fn is_in_the_app(browser: &Chromium, app: &TestApp) {
    let mut url = browser.url().await;
    for _ in 0..100 {
        if url.as_str().starts_with(&app.rp.redirect_uri) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        url = browser.url().await;
    }
    assert!(url.as_str().starts_with(&app.rp.redirect_uri), "{url}");
    assert!(url.query().unwrap_or_default().contains("code="), "{url}");
}

async fn is_at_the_gate(browser: &Chromium) {
    let mut page = browser.page().await;
    for _ in 0..100 {
        if page.as_deref() == Some("update-password") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        page = browser.page().await;
    }
    let text = browser.text().await;
    assert_eq!(page.as_deref(), Some("update-password"), "{text}");
}

async fn browser(scripts: bool) -> Option<Chromium> {
    let options = Options {
        scripts,
        ..Options::default()
    };
    Chromium::start(options).await
}

/// With `VESTIBULE_SOAK=1` alone: on a busy machine the second click may come after the page has gone.
#[actix_web::test]
async fn a_double_click_leads_where_one_click_leads() {
    if !soak() {
        return;
    }
    for scripts in [true, false] {
        let Some(first) = browser(scripts).await else {
            return;
        };
        let app = TestApp::start().await;
        let bob = app.user("bob").await;
        signs_in(&first, &app, &bob).await;
        is_in_the_app(&first, &app).await;

        // The address of the application is nobody's, so a browser that stands there cannot be told to forget us.
        let second = browser(scripts).await.expect("another browser");
        let alice = app.user("alice").force_password_reset().await;
        signs_in(&second, &app, &alice).await;
        is_at_the_gate(&second).await;
        second.fill("password-new", NEW).await;
        second.fill("password-confirm", NEW).await;
        second.press_twice("button[type=submit]").await;
        is_in_the_app(&second, &app).await;
        assert_eq!(app.events(&alice, "UPDATE_PASSWORD"), 1);
    }
}
