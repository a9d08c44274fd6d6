//! What a request may not make the server do: send a browser elsewhere, or ask another server.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::signed_in;
use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, encode};
use crate::support::database::{ADMIN, Kind, on_both, run};

/// Two hundred and ten ways to write another place.
fn payloads() -> Vec<String> {
    let ways = [
        "https://",
        "http://",
        "//",
        "///",
        "////",
        "/\\",
        "\\\\",
        "\\/",
        "/\t/",
        "\t//",
        "/ /",
        " https://",
        "https:",
        "https:/",
        "https:\\\\",
        "hTTps://",
        "%2f%2f",
        "/%2f/",
        "/%5c",
        "//%0d%0a",
        "https:%2f%2f",
        "/.//",
        "/..//",
        "@",
        "https://rp.example@",
        "https://rp.example.",
        "https://rp.example\\@",
        "https://rp.example%2f@",
        "javascript://",
        "/;@",
    ];
    let places = [
        "evil.example",
        "evil.example/cb",
        "evil.example%2fcb",
        "evil\u{3002}example",
        "rp.example@evil.example",
        "evil.example#https://rp.example/cb",
        "evil.example?https://rp.example/cb",
    ];
    ways.iter()
        .flat_map(|way| places.map(|place| format!("{way}{place}")))
        .collect()
}

/// Parameters that some server has redirected by.
const NAMES: [&str; 16] = [
    "redirect_to",
    "redirect",
    "next",
    "return_to",
    "returnTo",
    "continue",
    "url",
    "rd",
    "goto",
    "RelayState",
    "target",
    "kc_action",
    "referrer_uri",
    "initiating_idp",
    "post_logout_redirect_uri",
    "redirect_uri",
];

/// That an answer leads nowhere, or within the server.
#[track_caller]
fn assert_stays(app: &TestApp, answer: &Answer, about: &str) {
    if let Some(to) = answer.location() {
        assert_eq!(
            to.origin().ascii_serialization(),
            app.public_url(),
            "{about}: {to}"
        );
    }
    assert!(answer.header("refresh").is_empty(), "{about}");
    let body = answer.body.to_ascii_lowercase();
    assert!(!body.contains("http-equiv=\"refresh\""), "{about}");
    // What is shown of it is text: no link, no form and no script leads there.
    for attribute in ["href", "action", "src", "formaction"] {
        for quote in ['"', '\''] {
            for part in body.split(&format!("{attribute}={quote}")).skip(1) {
                let value = part.split(quote).next().unwrap_or_default();
                assert!(
                    !value.contains("//evil") && !value.contains("\\evil"),
                    "{about}: {value}"
                );
            }
        }
    }
}

async fn get(
    app: &TestApp,
    browser: &mut Browser,
    path: &str,
    parameters: &[(&str, &str)],
) -> Answer {
    let mut url = Url::parse(&format!("{}{path}", app.public_url())).expect("a URL");
    url.query_pairs_mut().extend_pairs(parameters);
    browser.send(Method::GET, &url, None).await
}

async fn no_way_out(app: TestApp) {
    let bob = app.user("bob").await;
    let (stranger, (mut signed_in, arrival)) =
        (app.browser(), signed_in(&app, &bob, &app.rp).await);
    let hint = arrival.exchange().await.assert_tokens().id;
    let mut at_login = app.browser();
    at_login.authorize(&app.rp).await.assert_page("login");
    let step = at_login.page().url.clone();
    app.change_realm(|realm| {
        realm.settings.access_code_lifespan_user_action = 3600;
        realm.settings.reset_password_allowed = true;
    })
    .await;
    let alice = app.user("alice").force_password_reset().await;
    let mut at_gate = app.browser();
    at_gate.authorize(&app.rp).await.sign_in(&alice).await;
    at_gate.assert_page("update-password");
    let mut at_logout = signed_in.copy();
    let logout = "/realms/t1/protocol/openid-connect/logout";
    at_logout.open_path(logout).await.assert_page("logout");
    for evil in payloads() {
        let all: Vec<(&str, &str)> = NAMES.map(|name| (name, evil.as_str())).into();
        if reqwest::header::HeaderValue::from_str(&evil).is_ok() {
            let headers = [
                "referer",
                "x-forwarded-host",
                "x-original-url",
                "x-rewrite-url",
                "forwarded",
            ];
            at_login.headers = headers.map(|name| (name.to_owned(), evil.clone())).into();
        }
        for browser in [&mut stranger.clone(), &mut at_login, &mut signed_in] {
            // Asked for outright: an error page, and no way to the place.
            let mut asked = vec![
                ("client_id", "rp"),
                ("response_type", "code"),
                ("scope", "openid"),
                ("state", evil.as_str()),
            ];
            asked.push(("redirect_uri", &evil));
            let answer = get(
                &app,
                browser,
                "/realms/t1/protocol/openid-connect/auth",
                &asked,
            )
            .await;
            assert_eq!(answer.status, 400, "{evil}");
            assert_stays(&app, &answer, &evil);
            for path in [
                "/realms/t1/account/",
                "/realms/t1/login-actions/authenticate",
                "/realms/t1/login-actions/required-action",
                "/realms/t1/login-actions/reset-credentials",
                "/realms/t1/login-actions/link",
                "/realms/t1/protocol/openid-connect/logout",
            ] {
                let answer = get(&app, browser, path, &all).await;
                assert_stays(&app, &answer, &format!("{path} {evil}"));
            }
        }
        // Beside a hint that is good, and with a client that has other ones.
        for with in [("id_token_hint", hint.as_str()), ("client_id", "rp")] {
            let asked = [with, ("post_logout_redirect_uri", evil.as_str())];
            let path = "/realms/t1/protocol/openid-connect/logout";
            let answer = get(&app, &mut signed_in, path, &asked).await;
            assert_eq!(answer.status, 400, "{evil}");
            assert_stays(&app, &answer, &evil);
        }
        // In the step's address and in its form, with a wrong password.
        let mut form = at_login.page().form_with("password").clone();
        form.action = step.clone();
        form.action.query_pairs_mut().extend_pairs(&all);
        form.fill("username", "nobody").fill("password", "wrong");
        let mut pairs = form.pairs(Some("login"));
        pairs.extend(
            all.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let kind = crate::support::browser::FORM;
        let answer = at_login
            .send(Method::POST, &form.action, Some((kind, encode(&pairs))))
            .await;
        assert_stays(&app, &answer, &evil);
        // In the form of the gate, and of the logout's own page.
        for (at, field, button) in [
            (&mut at_gate, "password-new", None),
            (&mut at_logout, "flow", Some("confirmLogout")),
        ] {
            let mut form = at.page().form_with(field).clone();
            form.action.query_pairs_mut().extend_pairs(&all);
            let mut pairs = form.pairs(button);
            let named = all
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            pairs.extend(named);
            let body = Some((kind, encode(&pairs)));
            let answer = at.send(Method::POST, &form.action, body).await;
            assert_stays(&app, &answer, &evil);
        }
        app.advance(std::time::Duration::from_secs(1));
    }
}

/// V066: 210 ways to write another place, in each parameter, header and form field that could decide a `Location`, on
/// every page, for a stranger, in the middle of a sign-in and in a session.
#[test]
fn two_hundred_ways_to_write_another_place_lead_nowhere() {
    run(Kind::Sqlite, no_way_out);
}

async fn no_link_out(app: TestApp) {
    app.mailbox().await;
    let carol = app.user("carol").without_password().await;
    let mut cli = app.legacy.in_realm("master");
    (cli.client_id, cli.secret) = ("admin-cli".to_owned(), None);
    let token = cli.password_grant(ADMIN.0, ADMIN.1).await;
    let token = token.text("access_token").to_owned();
    let user = format!("{}/admin/realms/t1/users/{}", app.public_url(), carol.id);
    let send = async |request: reqwest::RequestBuilder| {
        let answer = request.bearer_auth(&token).send().await;
        answer.expect("an answer").status().as_u16()
    };
    let asked = async |uri: &str| {
        let by_mail = app.here(&format!("{user}/execute-actions-email"));
        let query = [("client_id", "rp"), ("redirect_uri", uri)];
        let by_mail = app.http.put(by_mail).query(&query);
        let invited = app.here(&format!("{user}/pre-registration"));
        let body = json!({ "client_id": "rp", "redirect_uri": uri });
        (
            send(by_mail.json(&json!(["UPDATE_PASSWORD"]))).await,
            send(app.http.post(invited).json(&body)).await,
        )
    };
    for evil in payloads() {
        assert_eq!(asked(&evil).await, (400, 400), "{evil}");
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM links"), 0);
    assert_eq!(asked("https://rp.example/cb").await, (204, 204));
}

/// V066: nor does a link that an administrator sends.
#[test]
fn two_hundred_ways_to_write_another_place_are_in_no_link() {
    run(Kind::Sqlite, no_link_out);
}

/// A server that counts who comes.
fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let visits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&visits);
    std::thread::spawn(move || {
        for visit in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(visit);
        }
    });
    (address, visits)
}

/// An unsigned copy of a token whose header names a place.
fn naming(token: &str, name: &str, value: Value) -> String {
    let mut parts = token.split('.');
    let header = BASE64
        .decode(parts.next().expect("a header"))
        .expect("base64url");
    let mut header: Value = serde_json::from_slice(&header).expect("JSON");
    header[name] = value;
    let rest: Vec<&str> = parts.collect();
    format!("{}.{}", BASE64.encode(header.to_string()), rest.join("."))
}

on_both!(no_request_makes_the_server_ask_another_one);
/// V098, V100: keys, request objects and pictures named by a token or by a parameter are never fetched, and a `kid` is
/// looked up and nothing else.
async fn no_request_makes_the_server_ask_another_one(app: TestApp) {
    let (address, visits) = trap();
    let url = format!("http://{address}/keys");
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let long = "k".repeat(20_000);
    let mut forged = Vec::new();
    for original in [&tokens.access, &tokens.id] {
        for name in ["jku", "x5u", "jwks_uri", "iss"] {
            forged.push(naming(original, name, json!(url)));
        }
        for kid in [
            url.as_str(),
            "../../../etc/passwd",
            "' OR 1=1 --",
            "a\u{0}b",
            long.as_str(),
        ] {
            forged.push(naming(original, "kid", json!(kid)));
        }
        forged.push(naming(
            original,
            "jwk",
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "x5u": url }),
        ));
    }
    for token in &forged {
        assert!(matches!(
            app.rp.userinfo(token).await.status,
            400 | 401 | 431
        ));
        let seen = app.rp.introspect(token).await;
        assert_ne!(seen.body.get("active"), Some(&json!(true)));
        let refreshed = app.rp.refresh(token).await;
        assert!(matches!(refreshed.status, 400 | 413), "{}", refreshed.body);
        let assertion = [
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", token.as_str()),
            ("grant_type", "client_credentials"),
        ];
        let answer = app.rp.token(&assertion).await;
        assert!(answer.body.get("access_token").is_none(), "{}", answer.body);
        if token.len() < 6000 {
            for parameter in ["id_token_hint", "request"] {
                let path = "/realms/t1/protocol/openid-connect/auth";
                let asked = [
                    ("client_id", "rp"),
                    ("response_type", "code"),
                    ("scope", "openid"),
                    ("redirect_uri", app.rp.redirect_uri.as_str()),
                    ("prompt", "none"),
                    (parameter, token.as_str()),
                ];
                get(&app, &mut app.browser(), path, &asked).await;
            }
            let asked = [("id_token_hint", token.as_str())];
            get(
                &app,
                &mut browser,
                "/realms/t1/protocol/openid-connect/logout",
                &asked,
            )
            .await;
        }
    }
    for name in [
        "request_uri",
        "jwks_uri",
        "sector_identifier_uri",
        "logo_uri",
        "policy_uri",
        "tos_uri",
        "client_uri",
        "backchannel_logout_uri",
        "issuer",
        "picture",
        "webfinger",
        "resource",
    ] {
        for path in [
            "/realms/t1/protocol/openid-connect/auth",
            "/realms/t1/protocol/openid-connect/logout",
        ] {
            let asked = [
                ("client_id", "rp"),
                ("response_type", "code"),
                ("scope", "openid"),
                ("redirect_uri", app.rp.redirect_uri.as_str()),
                (name, url.as_str()),
            ];
            get(&app, &mut app.browser(), path, &asked).await;
        }
        app.rp
            .token(&[("grant_type", "client_credentials"), (name, &url)])
            .await;
        app.rp.post("revoke", &[("token", "x"), (name, &url)]).await;
    }
    // The trap works: it counts this one visit, and counted no other.
    assert_eq!(visits.load(Ordering::SeqCst), 0, "the server has asked");
    drop(std::net::TcpStream::connect(&address).expect("the trap"));
    for _ in 0..600 {
        if visits.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the trap is broken");
}
