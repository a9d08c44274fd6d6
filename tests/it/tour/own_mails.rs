//! A mail in a realm's own words as a person sees it: the guide's example, in pictures under target/screenshots.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use crate::mail::own_words::blocks;
use crate::support::app::TestApp;
use crate::support::chromium::{Chromium, Options};
use crate::support::database::ADMIN;

/// A call of the operator that is not refused, its path below `/admin/realms/t1`.
async fn call(app: &TestApp, method: Method, path: &str, body: Value) {
    let mut cli = app.legacy.in_realm("master");
    cli.client_id = "admin-cli".to_owned();
    cli.secret = None;
    let granted = cli.password_grant(ADMIN.0, ADMIN.1).await;
    let url = app.here(&format!("{}/admin/realms/t1{path}", app.public_url()));
    let request = app.http.request(method, url).json(&body);
    let answer = request.bearer_auth(granted.text("access_token")).send();
    let answer = answer.await.expect("an answer");
    let status = answer.status().as_u16();
    assert!(status < 300, "{status} {:?}", answer.text().await);
}

/// The guide's example as it arrives.
async fn sent(app: &TestApp) -> String {
    let mailbox = app.mailbox().await;
    app.change_realm(|realm| realm.settings.display_name = Some("Rosewood School".into()))
        .await;
    let template = json!({
        "subject": "Your reader's card", "text": blocks("text")[0], "html": blocks("html")[0],
    });
    call(
        app,
        Method::PUT,
        "/mail-templates/pre-registration",
        template,
    )
    .await;
    let alice = app.user("alice").without_password().await;
    app.change_user(&alice, |user| user.first_name = Some("Alice".to_owned()))
        .await;
    let path = format!("/users/{}/pre-registration", alice.id);
    let message = "School starts on <Monday>.\n\nSee you there,\nIris";
    let body = json!({ "client_id": "rp", "message": message });
    call(app, Method::POST, &path, body).await;
    let mail = mailbox.expect(&alice.email).await;
    assert_eq!(mail.subject, "Your reader's card");
    mail.html.clone().expect("an HTML part")
}

#[actix_web::test]
async fn a_realms_own_mail_fits_a_phone_and_a_desk() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
    std::fs::create_dir_all(&folder).expect("a folder for pictures");
    let kept = tempfile::tempdir().expect("a folder");
    let app = TestApp::start().await;
    let mut html = None;
    for (width, dark) in [(360, true), (800, false)] {
        let options = Options {
            scripts: false,
            width,
            height: 640,
            dark,
            ..Options::default()
        };
        let Some(browser) = Chromium::start(options).await else {
            return;
        };
        if html.is_none() {
            html = Some(sent(&app).await);
        }
        let file = kept.path().join("mail.html");
        std::fs::write(&file, html.as_deref().unwrap_or_default()).expect("a file");
        browser.goto(&format!("file://{}", file.display())).await;
        let seen = browser.text().await;
        for part in [
            "ROSEWOOD SCHOOL",
            "Hello Alice, your",
            "School starts on <Monday>.",
            "Set a password",
        ] {
            assert!(seen.contains(part), "{part}: {seen}");
        }
        let too_wide = browser
            .execute("return document.documentElement.scrollWidth - window.innerWidth")
            .await;
        assert!(too_wide.as_i64() <= Some(0), "{too_wide} px too wide");
        let fetched = browser
            .execute("return performance.getEntriesByType('resource').length")
            .await;
        assert_eq!(fetched, 0, "it fetches something");
        browser
            .screenshot(&folder.join(format!("own-mail-{width}.png")))
            .await;
    }
}
