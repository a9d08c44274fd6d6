//! The app over real HTTP, against an identity provider that is nothing but a discovery
//! document: everything that must hold before a code is ever redeemed.

use std::{collections::HashMap, net::TcpListener};

use actix_web::dev::ServerHandle;
use reqwest::{Response, StatusCode, redirect::Policy};
use serde_json::json;

use super::*;

struct Demo {
    origin: String,
    issuer: String,
    http: reqwest::Client,
    servers: Vec<ServerHandle>,
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    (listener, origin)
}

/// A browser that keeps cookies and lets the test follow redirects itself.
fn browser() -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none());
    builder.cookie_store(true).build().unwrap()
}

fn run(server: Server, servers: &mut Vec<ServerHandle>) {
    servers.push(server.handle());
    actix_web::rt::spawn(server);
}

impl Demo {
    async fn start() -> Self {
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut servers = vec![];
        let (provider, issuer) = listener();
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/certs"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let discovery = HttpServer::new(move || {
            let metadata = metadata.clone();
            App::new()
                .route(
                    "/.well-known/openid-configuration",
                    web::get().to(move || std::future::ready(web::Json(metadata.clone()))),
                )
                .route(
                    "/certs",
                    web::get().to(|| async { web::Json(json!({ "keys": [] })) }),
                )
        });
        run(
            discovery.workers(1).listen(provider).unwrap().run(),
            &mut servers,
        );
        let (app, origin) = listener();
        let mailbox = Mailbox::start(listener().0).unwrap();
        let settings = AppSettings {
            issuer: issuer.clone(),
            client_id: "harbour".to_owned(),
            client_secret: None,
            public_url: origin.clone(),
            mailbox,
        };
        run(serve(app, settings).unwrap(), &mut servers);
        Self {
            origin,
            issuer,
            http: browser(),
            servers,
        }
    }

    async fn get(&self, path: &str) -> Response {
        self.http
            .get(format!("{}{path}", self.origin))
            .send()
            .await
            .unwrap()
    }

    /// The first page as this browser sees it.
    async fn home(&self) -> String {
        self.get("/").await.text().await.unwrap()
    }

    /// The parameters of the authorization request that `path` leads to.
    async fn sign_in(&self, path: &str) -> HashMap<String, String> {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let url = Url::parse(location(&answer)).unwrap();
        assert_eq!(url.path(), "/auth");
        assert_eq!(url.origin().ascii_serialization(), self.issuer);
        url.query_pairs().into_owned().collect()
    }

    async fn stop(self) {
        for server in self.servers {
            server.stop(false).await;
        }
    }
}

fn location(answer: &Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}

#[actix_web::test]
async fn a_sign_in_asks_with_pkce_state_and_nonce() {
    let demo = Demo::start().await;
    let asked = demo.sign_in("/sign-in").await;
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], "harbour");
    assert_eq!(asked["redirect_uri"], format!("{}/callback", demo.origin));
    assert_eq!(asked["scope"], "openid profile email");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["code_challenge"].len(), 43);
    assert!(!asked.contains_key("prompt"));
    let again = demo.sign_in("/sign-in?prompt=login").await;
    assert_eq!(again["prompt"], "login");
    for fresh in ["state", "nonce", "code_challenge"] {
        assert_ne!(asked[fresh], again[fresh], "{fresh}");
    }
    assert_eq!(demo.sign_in("/sign-in?prompt=none").await["prompt"], "none");
    demo.stop().await;
}

#[actix_web::test]
async fn the_identity_provider_may_start_a_sign_in_and_nobody_else() {
    let demo = Demo::start().await;
    let path = format!("/sign-in?iss={}&login_hint=ada", demo.issuer);
    assert_eq!(demo.sign_in(&path).await["login_hint"], "ada");
    let foreign = demo.get("/sign-in?iss=https://elsewhere.example").await;
    assert_eq!(foreign.status(), StatusCode::BAD_REQUEST);
    demo.stop().await;
}

#[actix_web::test]
async fn a_refusal_is_shown_in_words_and_can_be_answered_once() {
    let demo = Demo::start().await;
    let state = demo
        .sign_in("/sign-in?prompt=none")
        .await
        .remove("state")
        .unwrap();
    let path = format!(
        "/callback?state={state}&iss={}&error=interaction_required&error_description=%3Cb%3E",
        demo.issuer
    );
    assert_eq!(location(&demo.get(&path).await), "/");
    let home = demo.home().await;
    assert!(
        home.contains("<code>interaction_required</code> <q>&lt;b&gt;</q>"),
        "{home}"
    );
    assert!(home.contains("such as setting a new password"));
    assert_eq!(
        demo.get(&path).await.status(),
        StatusCode::BAD_REQUEST,
        "used already"
    );
    demo.stop().await;
}

#[actix_web::test]
async fn an_answer_to_another_browser_is_not_taken() {
    let demo = Demo::start().await;
    let state = demo.sign_in("/sign-in").await.remove("state").unwrap();
    let path = format!("{}/callback?code=stolen&state={state}", demo.origin);
    for other in [browser(), browser()] {
        let answer = other.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.text().await.unwrap().contains("no sign-in of yours"));
    }
    for path in [
        "/callback",
        "/callback?code=a",
        "/callback?code=a&state=guessed",
    ] {
        assert_eq!(
            demo.get(path).await.status(),
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    demo.stop().await;
}

#[actix_web::test]
async fn an_answer_that_names_another_issuer_is_not_redeemed() {
    let demo = Demo::start().await;
    let state = demo.sign_in("/sign-in").await.remove("state").unwrap();
    demo.get(&format!(
        "/callback?code=a&state={state}&iss=https://elsewhere.example"
    ))
    .await;
    let home = demo.home().await;
    assert!(home.contains("it names another issuer (iss)"), "{home}");
    demo.stop().await;
}

#[actix_web::test]
async fn pages_carry_a_policy_and_are_not_stored() {
    let demo = Demo::start().await;
    for path in [
        "/",
        "/mailbox",
        "/mailbox/7",
        "/nowhere",
        "/callback?code=a&code=b",
    ] {
        let answer = demo.get(path).await;
        let csp = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            csp.starts_with("default-src 'none'; style-src 'self';"),
            "{path}: {csp}"
        );
        assert!(
            csp.contains(&format!("form-action 'self' {};", demo.issuer)),
            "{path}: {csp}"
        );
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        assert!(
            answer.text().await.unwrap().contains("<main id=\"main\">"),
            "{path}"
        );
    }
    demo.stop().await;
}

#[actix_web::test]
async fn only_its_own_name_and_its_own_forms_are_served() {
    let demo = Demo::start().await;
    let rebound = demo
        .http
        .get(format!("{}/mailbox", demo.origin))
        .header("host", "evil.example");
    let answer = rebound.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&answer), format!("{}/", demo.origin));
    for (name, value, status) in [
        ("host", "evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("origin", "http://evil.example", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", demo.origin.as_str(), StatusCode::SEE_OTHER),
    ] {
        let form = demo
            .http
            .post(format!("{}/sign-out", demo.origin))
            .header(name, value);
        assert_eq!(
            form.send().await.unwrap().status(),
            status,
            "{name}: {value}"
        );
    }
    demo.stop().await;
}

#[actix_web::test]
async fn the_cookie_is_kept_from_scripts_and_foreign_sites() {
    let demo = Demo::start().await;
    assert!(
        !demo.get("/").await.headers().contains_key("set-cookie"),
        "nothing to remember yet"
    );
    let answer = demo.get("/sign-in").await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("harbour_visit="), "{cookie}");
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/"),
        "{cookie}"
    );
    demo.stop().await;
}
