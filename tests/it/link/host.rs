//! What a request says about where it was sent has no part in any link.

use std::io::Write as _;
use std::net::TcpStream;

use super::forgotten::{PAGE, allow, looked_at};
use super::redeem::invited;
use super::{mails, settled};
use crate::operations::process::{Answer, receive};
use crate::support::app::TestApp;
use crate::support::database::{ADMIN, on_both};

/// Request lines and headers that name another place, and whether that is no HTTP and refused.
const POISON: [(&str, &str, bool); 18] = [
    ("", "Host: evil.example", false),
    ("", "Host: evil.example:8443", false),
    ("", "Host: OWN:1@evil.example", true),
    ("", "Host: OWN@evil.example", true),
    ("", "Host: OWN\r\nHost: evil.example", true),
    ("", "Host: evil.example\r\nHost: OWN", true),
    ("", "Host: evil.example/path", true),
    ("", "Host: evil.example?OWN", true),
    ("", "Host: evil.example#OWN", true),
    ("", "Host: evil.example, OWN", true),
    ("", "Host: OWN\r\nX-Forwarded-Host: evil.example", false),
    (
        "",
        "Host: OWN\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 4443\r\n\
         X-Forwarded-Prefix: /evil",
        false,
    ),
    (
        "",
        "Host: OWN\r\nForwarded: for=1.2.3.4;host=evil.example;proto=https",
        false,
    ),
    (
        "",
        "Host: OWN\r\nX-Original-Host: evil.example\r\nX-Original-URL: http://evil.example/\r\nX-Host: evil.example",
        false,
    ),
    (
        "",
        "Host: OWN\r\nX-Forwarded-Server: evil.example\r\nX-HTTP-Host-Override: evil.example\r\nVia: 1.1 evil.example",
        false,
    ),
    ("http://evil.example", "Host: OWN", false),
    ("http://evil.example", "Host: evil.example", false),
    ("", "X-Nothing: at all", true),
];

/// One request with these headers, as bytes, on a connection of its own.
fn exchange(app: &TestApp, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let own = app.address().trim_start_matches("http://").to_owned();
    let headers = headers.replace("OWN", &own);
    let mut stream = TcpStream::connect(&own).expect("a connection");
    let request = format!(
        "{method} {target} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nOrigin: {}\r\nContent-Length: {}\r\n\r\n{body}",
        app.public_url(),
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("written");
    receive(&mut stream).expect("an answer")
}

fn assert_unmoved(app: &TestApp, answer: &Answer) {
    assert!(
        !answer.head.contains("evil") && !answer.body.contains("evil"),
        "{answer:?}"
    );
    if let Some(to) = answer.header("location") {
        assert!(to.starts_with(&format!("{}/", app.issuer())), "{to}");
    }
    assert!(
        !answer.head.to_ascii_lowercase().contains("domain="),
        "{answer:?}"
    );
}

/// The mail that came of a request, or none where the request was refused.
async fn check_mail(app: &TestApp, user: &crate::support::app::User, (refused, why): (bool, &str)) {
    if refused {
        let query = format!(
            "SELECT count(*) AS value FROM outbox WHERE user_id = '{}'",
            user.id
        );
        assert_eq!(app.count(&query), 0, "{why}");
        return;
    }
    let mail = mails(app, user, 1).await.remove(0);
    settled(app, user).await;
    let link = format!("{}/login-actions/link/", app.issuer());
    assert!(mail.url.as_str().starts_with(&link), "{why}: {}", mail.url);
    for part in [&mail.text, &mail.html, &mail.subject] {
        assert!(!part.contains("evil"), "{why}: {part}");
    }
    for word in mail
        .text
        .split_whitespace()
        .filter(|word| word.contains("://"))
    {
        let own = format!("{}/", app.public_url());
        let word = word.trim_start_matches('<');
        assert!(word.starts_with(&own), "{why}: {word}");
    }
}

on_both!(no_header_and_no_request_line_moves_a_link);
/// V031: a forgotten password and a link that an administrator sends, asked for with every way to name another place.
/// The link in the mail is the public URL's. What is no HTTP (two names, none, or one that is no name) is refused by
/// 400. A name that is merely unknown is answered as the public one: behind a proxy a server is called by names of its
/// own, and nothing that it says depends on them.
async fn no_header_and_no_request_line_moves_a_link(app: TestApp) {
    allow(&app).await;
    let mut admin = app.legacy.in_realm("master");
    admin.client_id = "admin-cli".to_owned();
    admin.secret = None;
    for (number, (prefix, headers, refused)) in POISON.into_iter().enumerate() {
        let why = format!("{prefix} {headers}");
        let user = app.user(&format!("forgetful{number}")).await;
        let form = format!("{headers}\r\nContent-Type: application/x-www-form-urlencoded");
        let body = format!("username={}", user.username);
        let target = format!("{prefix}{PAGE}?client_id=rp");
        let answer = exchange(&app, "POST", &target, &form, &body);
        assert_eq!(answer.status, if refused { 400 } else { 303 }, "{why}");
        assert_unmoved(&app, &answer);
        looked_at(&app).await;
        check_mail(&app, &user, (refused, &why)).await;

        let user = app.user(&format!("invited{number}")).await;
        let granted = admin.password_grant(ADMIN.0, ADMIN.1).await;
        assert_eq!(granted.status, 200, "{why}: {}", granted.body);
        let token = granted.text("access_token").to_owned();
        let call =
            format!("{headers}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json");
        let target = format!(
            "{prefix}/admin/realms/t1/users/{}/execute-actions-email",
            user.id
        );
        let answer = exchange(&app, "PUT", &target, &call, "[\"UPDATE_PASSWORD\"]");
        let expected = if refused { 400 } else { 204 };
        assert_eq!(answer.status, expected, "{why}: {answer:?}");
        check_mail(&app, &user, (refused, &why)).await;
    }
}

on_both!(a_link_opened_under_another_name_leads_to_the_public_url);
/// V031 on the way back: the redirect that takes the token out of the address bar, its cookie, the page and its form.
async fn a_link_opened_under_another_name_leads_to_the_public_url(app: TestApp) {
    let (_, link) = invited(&app, "alice").await;
    for (prefix, headers, refused) in POISON {
        let target = format!("{prefix}{}", link.path());
        let answer = exchange(&app, "GET", &target, headers, "");
        assert_unmoved(&app, &answer);
        if refused {
            assert_eq!(answer.status, 400, "{headers}");
            continue;
        }
        assert_eq!(answer.status, 303, "{headers}");
        let to = answer.header("location").expect("a way on");
        let to = url::Url::parse(to).expect("an address");
        let cookie = answer.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("its value");
        let headers = format!("{headers}\r\nCookie: {cookie}");
        let target = format!("{prefix}{}?{}", to.path(), to.query().unwrap_or_default());
        let page = exchange(&app, "GET", &target, &headers, "");
        assert_eq!(page.status, 200, "{headers}");
        assert!(page.body.contains("alice"), "{}", page.body);
        assert_unmoved(&app, &page);
    }
}
