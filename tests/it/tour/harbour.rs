//! Harbour, the example app, beside a test's own server: a real app whose identity provider has a clock that can be
//! moved.

use std::net::TcpListener;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use reqwest::Method;
use serde_json::json;
use vestibule::demo::app::{AppSettings, serve};

use crate::link::ended::call;
use crate::support::app::TestApp;

/// Its `client_id`.
pub const CLIENT: &str = "harbour";

/// The running app; it stops when this is dropped.
pub struct Harbour {
    /// Where it is, without a slash at its end.
    pub url: String,
    stop: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Harbour {
    /// Registers the app in realm `t1` as an administrator does, and starts it. It shows the realm's mailbox, too.
    pub async fn of(app: &TestApp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let url = format!("http://localhost:{port}");
        let client = json!({
            "clientId": CLIENT, "name": "Harbour", "publicClient": true, "rootUrl": url, "baseUrl": "/",
            "redirectUris": [format!("{url}/callback")],
            "attributes": {
                "pkce.code.challenge.method": "S256",
                "initiate.login.uri": format!("{url}/sign-in"),
            },
        });
        let (status, said) = call(app, Method::POST, "/clients", Some(client)).await;
        assert_eq!(status, 201, "{said}");
        let settings = AppSettings {
            issuer: app.issuer(),
            client_id: CLIENT.to_owned(),
            client_secret: None,
            public_url: url.clone(),
            mailbox: app.mailbox().await.shown(),
        };
        let (hand_over, handed_over) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = serve(listener, settings).expect("the app starts");
                let _ = hand_over.send(server.handle());
                let _ = server.await;
            });
        });
        Self {
            url,
            stop: handed_over.recv().expect("the app started"),
            thread: Some(thread),
        }
    }
}

impl Drop for Harbour {
    fn drop(&mut self) {
        // The order is given at once; nobody waits for its answer.
        drop(self.stop.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
