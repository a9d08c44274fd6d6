//! A double click in a real browser: it drops the first answer, with the cookies in it, and shows the second one.

use crate::support::app::{TestApp, User};
use crate::support::chromium::{Chromium, Options};

const NEW: &str = "seven slow boats at dawn";

async fn signs_in(browser: &Chromium, app: &TestApp, user: &User) {
    browser.goto(app.rp.request(&[]).await.url.as_str()).await;
    browser.fill("username", &user.username).await;
    browser.fill("password", &user.password).await;
    browser.press_twice("#login").await;
}

async fn is_in_the_app(browser: &Chromium, app: &TestApp) {
    let url = browser.url().await;
    assert!(url.as_str().starts_with(&app.rp.redirect_uri), "{url}");
    assert!(url.query().unwrap_or_default().contains("code="), "{url}");
}

async fn browser(scripts: bool) -> Option<Chromium> {
    let options = Options {
        scripts,
        ..Options::default()
    };
    Chromium::start(options).await
}

#[actix_web::test]
async fn a_double_click_leads_where_one_click_leads() {
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
        let page = second.page().await;
        let text = second.text().await;
        assert_eq!(page.as_deref(), Some("update-password"), "{text}");
        second.fill("password-new", NEW).await;
        second.fill("password-confirm", NEW).await;
        second.press_twice("button[type=submit]").await;
        is_in_the_app(&second, &app).await;
        assert_eq!(app.events(&alice, "UPDATE_PASSWORD"), 1);
    }
}
