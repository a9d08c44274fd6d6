//! Where an application's callback leads on to, in a real browser: Chromium holds the `form-action` of the page whose
//! form was posted against every hop, also those behind the application's own callback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vestibule::{client, realm};

use crate::support::app::{REALM, TestApp};
use crate::support::chromium::{Chromium, Options};

/// A server that gives everybody this answer, and counts them; none where this machine has no such address.
fn server(address: &str, answer: String) -> Option<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind((address, 0)).ok()?;
    let port = listener.local_addr().expect("its address").port();
    let visits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&visits);
    std::thread::spawn(move || {
        for visitor in listener.incoming() {
            let Ok(mut visitor) = visitor else { return };
            let mut asked = [0; 16 * 1024];
            let read = visitor.read(&mut asked).unwrap_or(0);
            if String::from_utf8_lossy(&asked[..read]).contains("/cb") {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            let _ = visitor.write_all(answer.as_bytes());
        }
    });
    Some((port, visits))
}

/// V073: sign-in, gate and consent, each by a form, to a callback on this machine that leads on to another host; by
/// query and by a form that posts itself.
#[actix_web::test]
async fn a_callback_may_lead_on_to_another_host() {
    let Some(browser) = Chromium::start(Options::default()).await else {
        return;
    };
    let app = TestApp::start().await;
    let body = "<!doctype html><title>landed</title><p>landed";
    let landing = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let (landing, _) = server("127.0.0.1", landing).expect("a landing place");
    let landing = format!("http://localhost:{landing}/landed");
    for (host, bind) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let on = format!(
            "HTTP/1.1 302 Found\r\nlocation: {landing}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let Some((port, visits)) = server(bind, on) else {
            continue;
        };
        let registered = format!("http://{host}/cb");
        app.tx(move |tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
            let mut native = client::rows::by_client_id(tx, &realm.id, "pub")?.expect("the client");
            native.settings.consent_required = true;
            native.settings.redirect_uris = vec![registered];
            client::rows::update(tx, &native)?;
            realm::rows::touch(tx, &realm.id)
        })
        .await;
        let mut native = app.native.clone();
        native.redirect_uri = format!("http://{host}:{port}/cb");
        for mode in ["query", "form_post"] {
            let name = format!("alice-{bind}-{mode}").replace(':', "");
            let alice = app.user(&name).force_password_reset().await;
            let asked = native
                .request(&[("response_mode", mode), ("prompt", "login")])
                .await;
            browser.goto(asked.url.as_str()).await;
            browser.fill("username", &alice.username).await;
            browser.fill("password", &alice.password).await;
            browser.press("login").await;
            browser
                .fill("password-new", "seven slow boats at dawn")
                .await;
            browser
                .fill("password-confirm", "seven slow boats at dawn")
                .await;
            browser.press("button[type=submit]").await;
            assert_eq!(browser.page().await.as_deref(), Some("consent"));
            let before = visits.load(Ordering::SeqCst);
            browser.press("accept").await;
            for _ in 0..100 {
                if browser.url().await.as_str() == landing {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(browser.url().await.as_str(), landing, "{host} {mode}");
            assert_eq!(visits.load(Ordering::SeqCst), before + 1, "{host} {mode}");
            let logout = format!("{}/protocol/openid-connect/logout", app.issuer());
            browser.goto(&logout).await;
            browser.press("confirmLogout").await;
        }
    }
}
