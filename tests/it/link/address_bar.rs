//! A token leaves the address bar with the first answer, and goes to nobody else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Method;
use url::Url;
use vestibule::link::{Purpose, Sender};

use super::redeem::invited;
use super::{NEW, mails, send_with, settled};
use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, FORM, encode};
use crate::support::chromium::{Chromium, Options};
use crate::support::database::on_both;
use crate::support::html::Page;

fn token_of(link: &Url) -> String {
    let last = link.path_segments().expect("segments").next_back();
    last.expect("a token").to_owned()
}

/// Asks, and follows redirects inside the server; answers every answer on the way.
async fn walk(browser: &mut Browser, first: Answer, within: &str) -> Vec<Answer> {
    let mut answers = vec![first];
    while let Some(to) = answers.last().and_then(Answer::location) {
        assert!(to.as_str().starts_with(within), "{to}");
        answers.push(browser.send(Method::GET, &to, None).await);
    }
    answers
}

fn assert_tells_nobody(answer: &Answer, (token, own): (&str, &str)) {
    let at = format!(
        "{} {}",
        answer.status,
        answer.url.path().replace(token, "…")
    );
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{at}");
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!value.contains(token), "{at}: in the header {name}");
    }
    assert!(!answer.body.contains(token), "{at}: in the body");
    for attribute in [
        "src=\"",
        "href=\"",
        "action=\"",
        "url=",
        "srcset=\"",
        "url(",
    ] {
        for rest in answer.body.split(attribute).skip(1) {
            let end = rest.find(['"', ')', ' ', '>']).unwrap_or(rest.len());
            let address = &rest[..end];
            let elsewhere = address.contains("//") && !address.starts_with(own);
            let onwards = attribute == "url=" || attribute == "href=\"";
            assert!(!elsewhere || onwards, "{at}: {attribute}{address}");
        }
    }
    let policy = answer.header("content-security-policy");
    for part in policy.split(';').map(str::trim) {
        let (directive, sources) = part.split_once(' ').unwrap_or((part, ""));
        if directive == "form-action" || directive.is_empty() {
            continue;
        }
        for source in sources.split_whitespace() {
            let harmless = ["'none'", "'self'", "data:"].contains(&source);
            assert!(
                harmless || source.starts_with("'nonce-"),
                "{at}: the policy lets {directive} reach {source}"
            );
        }
    }
}

on_both!(no_answer_after_the_first_request_holds_the_token);
/// V051: the first answer leads to an address without it; no answer on the whole way has it in a header or body, says
/// a referrer to anybody, or loads anything of another origin; and no script can read its cookie.
async fn no_answer_after_the_first_request_holds_the_token(app: TestApp) {
    let (_, link) = invited(&app, "alice").await;
    let token = token_of(&link);
    let own = app.public_url().to_owned();
    let mut browser = app.browser();
    let first = browser.send(Method::GET, &link, None).await;
    assert_eq!(first.status, 303);
    let to = first.location().expect("a way on");
    assert_eq!(to.path(), "/realms/t1/login-actions/link");
    let cookie = first.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly"), "{cookie}");
    let mut answers = walk(&mut browser, first, &own).await;
    for (control, button) in [("h", Some("open")), ("password-new", None)] {
        let last = answers.last().expect("a page");
        let mut form = Page::parse(&last.url, &last.body)
            .form_with(control)
            .clone();
        if control == "password-new" {
            form.fill("password-new", NEW).fill("password-confirm", NEW);
        }
        let body = Some((FORM, encode(&form.pairs(button))));
        let posted = browser.send(Method::POST, &form.action, body).await;
        answers.extend(walk(&mut browser, posted, &own).await);
    }
    assert!(answers.len() >= 5, "{}", answers.len());
    let last = answers.last().expect("a page");
    assert!(last.body.contains("content=\"message\""), "{}", last.body);
    for answer in &answers {
        assert_tells_nobody(answer, (&token, &own));
    }
}

/// An application that writes down what browsers say to it.
struct App {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let written = Arc::clone(&heads);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 8192];
                let count = stream.read(&mut buffer).unwrap_or(0);
                let head = String::from_utf8_lossy(&buffer[..count]).into_owned();
                written.lock().push(head);
                let page =
                    "<!doctype html><html lang=\"en\"><title>The app</title><p>Welcome to the app";
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { port, heads }
    }
}

/// That a page, its history and what it loaded know nothing of the token.
async fn assert_forgotten(browser: &Chromium, (token, own): (&str, &str)) {
    let url = browser.url().await;
    assert!(!url.as_str().contains(token), "the address bar");
    for (what, script) in [
        ("the referrer", "return document.referrer"),
        ("the cookies of scripts", "return document.cookie"),
    ] {
        let text = browser.execute(script).await;
        assert_eq!(text, "", "{what} at {url}");
    }
    let page = browser
        .execute("return document.documentElement.outerHTML + location.href + window.name")
        .await;
    assert!(!page.as_str().expect("a page").contains(token), "the page");
    let loaded = browser
        .execute("return performance.getEntries().map(entry => entry.name)")
        .await;
    for name in loaded.as_array().expect("a list") {
        let name = name.as_str().unwrap_or_default();
        assert!(!name.contains(token), "{name}");
        assert!(!name.contains("//") || name.starts_with(own), "{name}");
    }
}

/// V051 in a browser: address bar, history, `document.referrer`, what is loaded, and what the application hears.
#[actix_web::test]
async fn a_browser_forgets_the_token_at_once() {
    let Some(browser) = Chromium::start(Options::default()).await else {
        return;
    };
    let app = TestApp::start().await;
    let shop = App::start();
    app.mailbox().await;
    let alice = app.user("alice").without_password().await;
    let redirect_uri = format!("http://127.0.0.1:{}/cb", shop.port);
    let client_id = app.native.client_id.clone();
    let to = redirect_uri.clone();
    let what = (Purpose::PreRegistration, Sender::Administrator);
    send_with(&app, &alice, what, move |new| {
        new.client_id = Some(client_id);
        new.redirect_uri = Some(to);
    })
    .await;
    let link = mails(&app, &alice, 1).await.remove(0).url;
    settled(&app, &alice).await;
    let token = token_of(&link);
    let own = format!("{}/", app.public_url());
    let known = (token.as_str(), own.as_str());

    browser.goto(link.as_str()).await;
    assert_eq!(browser.page().await.as_deref(), Some("link"));
    assert_forgotten(&browser, known).await;
    browser.reload().await;
    assert_forgotten(&browser, known).await;
    browser.press("open").await;
    assert_eq!(browser.page().await.as_deref(), Some("update-password"));
    assert_forgotten(&browser, known).await;
    browser.back().await;
    assert_forgotten(&browser, known).await;
    browser.press("open").await;
    browser.fill("password-new", NEW).await;
    browser.fill("password-confirm", NEW).await;
    browser.press("button[type=submit]").await;
    for _ in 0..100 {
        if browser.url().await.as_str().starts_with(&redirect_uri) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        browser.url().await.as_str().starts_with(&redirect_uri),
        "at {}",
        browser.url().await
    );
    assert_eq!(browser.execute("return document.referrer").await, "");
    let heads = shop.heads.lock().join("\n").to_ascii_lowercase();
    assert!(heads.contains("get /cb"), "{heads}");
    assert!(!heads.contains("get /favicon") || !heads.contains(&token));
    for line in heads.lines().filter(|line| line.starts_with("referer:")) {
        assert!(line.contains(&format!("127.0.0.1:{}", shop.port)), "{line}");
    }
    assert!(!heads.contains(&token.to_ascii_lowercase()), "{heads}");
}
