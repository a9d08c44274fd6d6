//! Redirect URIs: byte for byte, and one freedom, the port of a loopback address.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use url::Url;

use super::{ask, change_client, redirected};
use crate::support::app::TestApp;
use crate::support::database::on_both;
use crate::support::html::Page;

/// A row of the table: what is registered, what is asked for, whether it is accepted.
fn table() -> Vec<(String, String, bool)> {
    let control = |text: &str| {
        text.chars()
            .map(|c| match c {
                '\u{2400}' => '\0',
                '\u{2409}' => '\t',
                '\u{240a}' => '\n',
                '\u{240d}' => '\r',
                other => other,
            })
            .collect::<String>()
    };
    include_str!("redirects.tsv")
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [registered, requested, accepted] = cells.as_slice() else {
                panic!("three cells: {line}");
            };
            assert!(["yes", "no"].contains(accepted), "{line}");
            (control(registered), control(requested), *accepted == "yes")
        })
        .collect()
}

/// Response modes that this server does not have: of others' extensions, misspelled, two at once.
const UNKNOWN_MODES: [&str; 7] = [
    "form_post.jwt",
    "jwt",
    "query.jwt",
    "fragment.jwt",
    "web_message",
    "x",
    "query fragment",
];

async fn register(app: &TestApp, uri: &str) {
    let uris = match uri {
        "-" => Vec::new(),
        uri => vec![uri.to_owned()],
    };
    change_client(app, "rp", move |client| {
        client.settings.redirect_uris = uris;
    })
    .await;
}

on_both!(a_redirect_uri_is_accepted_only_where_it_is_the_registered_one);
/// V059, V060, V061, V062, V063, V067, V071: the table, for each response mode, known and unknown.
async fn a_redirect_uri_is_accepted_only_where_it_is_the_registered_one(app: TestApp) {
    let rows = table();
    assert!(rows.len() >= 400, "{} rows", rows.len());
    let mut browser = app.browser();
    let mut now_registered = String::new();
    for (row, (registered, requested, accepted)) in rows.into_iter().enumerate() {
        if registered != now_registered {
            register(&app, &registered).await;
            now_registered.clone_from(&registered);
        }
        let unknown = UNKNOWN_MODES[row % UNKNOWN_MODES.len()];
        for mode in ["query", "fragment", "form_post", unknown] {
            let at = format!("{requested:?} where {registered:?} is registered, {mode}");
            let answer = ask(
                &mut browser,
                &app.rp,
                &[
                    ("client_id", "rp"),
                    ("redirect_uri", &requested),
                    ("response_type", "code"),
                    ("response_mode", mode),
                    ("scope", "openid"),
                    ("prompt", "none"),
                ],
            )
            .await;
            let location = answer.header("location");
            if !accepted {
                assert_eq!((answer.status, location), (400, ""), "{at}");
                let page = Page::parse(&answer.url, &answer.body);
                assert_eq!(page.marker.as_deref(), Some("error"), "{at}");
                assert!(page.forms.is_empty(), "{at}");
                continue;
            }
            let joint = match mode {
                "fragment" => '#',
                _ if requested.contains('?') => '&',
                _ => '?',
            };
            let error = if mode == unknown {
                "invalid_request"
            } else {
                "login_required"
            };
            if mode == "form_post" {
                let page = Page::parse(&answer.url, &answer.body);
                let form = page.only_form();
                assert_eq!(answer.status, 200, "{at}");
                assert_eq!(form.action, requested.parse().expect("a URL"), "{at}");
                assert_eq!(form.hidden("error"), Some(error), "{at}");
            } else {
                // A header holds ASCII.
                let sent = match requested.is_ascii() {
                    true => requested.clone(),
                    false => requested.parse::<Url>().expect("a URL").into(),
                };
                let start = format!("{sent}{joint}error={error}&");
                assert_eq!(answer.status, 303, "{at}");
                assert!(location.starts_with(&start), "{at}: {location}");
            }
        }
    }
}

on_both!(a_post_to_the_authorization_endpoint_checks_the_redirect_uri_too);
/// V059.
async fn a_post_to_the_authorization_endpoint_checks_the_redirect_uri_too(app: TestApp) {
    for (uri, status) in [
        ("https://rp.example/cb", 303),
        ("https://rp.example/cb/", 400),
        ("https://foreign.example/cb", 400),
    ] {
        let answer = app
            .http
            .post(app.rp.endpoint("auth"))
            .form(&[
                ("client_id", "rp"),
                ("redirect_uri", uri),
                ("response_type", "code"),
                ("scope", "openid"),
                ("prompt", "none"),
            ])
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{uri}");
    }
}

on_both!(an_error_without_a_right_redirect_uri_stays_on_a_page);
/// V067, V062: unknown client, missing, repeated and foreign redirect URI, with and without `prompt=none`.
async fn an_error_without_a_right_redirect_uri_stays_on_a_page(app: TestApp) {
    let own = ("redirect_uri", "https://rp.example/cb");
    let evil = ("redirect_uri", "https://evil.example/cb");
    let mut browser = app.browser();
    for prompt in ["none", "login", "consent", "nonsense"] {
        for wrong in [
            &[("client_id", "nobody"), own][..],
            &[own],
            &[("client_id", "rp")],
            &[("client_id", "rp"), evil],
            &[("client_id", "rp"), own, evil],
            &[("client_id", "rp"), evil, own],
            &[("client_id", "rp"), own, own],
            &[("client_id", "rp"), ("client_id", "foreign"), own],
            &[("client_id", "foreign"), own],
            &[("client_id", "rp"), ("redirect_uri", "")],
        ] {
            let mut parameters = wrong.to_vec();
            parameters.extend([
                ("response_type", "code"),
                ("scope", "openid"),
                ("prompt", prompt),
            ]);
            let answer = ask(&mut browser, &app.rp, &parameters).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (400, ""),
                "{parameters:?}"
            );
            assert!(!answer.body.contains("evil.example"), "{parameters:?}");
        }
    }
}

on_both!(nothing_but_the_registered_uri_decides_where_a_sign_in_ends);
/// V066: parameters, form fields and headers that other servers redirected by.
async fn nothing_but_the_registered_uri_decides_where_a_sign_in_ends(app: TestApp) {
    let bob = app.user("bob").await;
    let names = [
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
        "redirect_uri",
    ];
    for evil in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ] {
        let mut browser = app.browser();
        for header in [
            "referer",
            "x-forwarded-host",
            "x-original-url",
            "x-rewrite-url",
        ] {
            if !evil.contains('\t') {
                browser.headers.push((header.into(), evil.into()));
            }
        }
        browser.authorize(&app.rp).await.assert_page("login");
        let mut form = browser.page().form_with("password").clone();
        form.fill("username", &bob.username);
        form.fill("password", &bob.password);
        for name in names {
            form.action.query_pairs_mut().append_pair(name, evil);
        }
        let mut pairs = form.pairs(Some("login"));
        pairs.extend(names.map(|name| (name.to_owned(), evil.to_owned())));
        browser
            .post(&form.action, &pairs)
            .await
            .assert_redirect_to(&app.rp);
    }
}

on_both!(a_path_that_is_not_a_route_byte_for_byte_reaches_no_handler);
/// V065.
async fn a_path_that_is_not_a_route_byte_for_byte_reaches_no_handler(app: TestApp) {
    let status = |path: &str| {
        let host = app.address().trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the server");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let line = answer.lines().next().unwrap_or_default().to_owned();
        assert!(
            !answer.to_ascii_lowercase().contains("\r\nlocation:"),
            "{path}: {answer}"
        );
        line.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status("/realms/t1/protocol/openid-connect/certs"), "200");
    for path in [
        "/realms/t1/protocol/openid-connect/certs/",
        "/realms/t1/protocol/openid-connect/certs;v=1",
        "/realms/t1/protocol/openid-connect//certs",
        "/realms/t1/protocol/./openid-connect/certs",
        "/realms/t1/protocol/../protocol/openid-connect/certs",
        "/realms/t1/protocol/x/../openid-connect/certs",
        "/realms/t1/protocol%2fopenid-connect/certs",
        "/realms/t1%2fprotocol/openid-connect/certs",
        "/realms%2ft1/protocol/openid-connect/certs",
        "/realms;x/t1/protocol/openid-connect/certs",
        "/realms/t1;x/protocol/openid-connect/certs",
        "/realms;x/t1/../t1/protocol/openid-connect/certs",
        "/realms/master/../t1/protocol/openid-connect/certs",
        "/realms/master/..;/t1/protocol/openid-connect/certs",
        "/realms/master/%2e%2e/t1/protocol/openid-connect/certs",
        "//realms/t1/protocol/openid-connect/certs",
        "/./realms/t1/protocol/openid-connect/certs",
        "/REALMS/t1/protocol/openid-connect/certs",
        "/realms//protocol/openid-connect/certs",
        "/realms/t1/protocol/openid-connect/auth/",
        "/realms/t1/protocol/openid-connect/auth;v=1?client_id=rp",
        "/realms/t1/..%2ft1/protocol/openid-connect/certs",
        "/realms/%74%31/protocol/openid-connect/certs",
        "/%72ealms/t1/protocol/openid-connect/certs",
        "/admin;x/realms",
        "//admin/realms",
    ] {
        assert_eq!(status(path), "404", "{path}");
    }
}

on_both!(the_policy_of_a_page_lets_its_form_lead_to_the_application);
/// V073: browsers hold `form-action` against the whole chain of redirects, and its grammar has no IPv6 addresses.
async fn the_policy_of_a_page_lets_its_form_lead_to_the_application(app: TestApp) {
    for (uri, source) in [
        ("https://rp.example/cb", "https:"),
        ("https://rp.example:8443/cb", "https:"),
        ("com.example.app:/cb", "com.example.app:"),
        ("myapp://cb", "myapp:"),
        ("http://127.0.0.1:49152/cb", "http:"),
        ("http://[::1]:49152/cb", "http:"),
    ] {
        register(&app, uri).await;
        let mut browser = app.browser();
        let mut rp = app.rp.clone();
        rp.redirect_uri = uri.to_owned();
        browser.authorize(&rp).await.assert_page("login");
        let wanted = format!("form-action 'self' {source};");
        let policy = browser.answer.header("content-security-policy");
        assert!(policy.contains(&wanted), "{uri}: {policy}");
    }
}

on_both!(cookies_hold_nothing_of_the_request);
/// V074: those of a flow, a session, a remembered one, a known browser and an opened link.
async fn cookies_hold_nothing_of_the_request(app: TestApp) {
    let bob = app.user("bob").await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.assert_page("login");
    let mut form = browser.page().form_with("password").clone();
    form.fill("rememberMe", "on");
    form.fill("username", &bob.username);
    form.fill("password", &bob.password);
    browser.submit_form(form, None).await;
    let arrival = browser.assert_redirect_to(&app.rp);
    let (_, link) = crate::link::redeem::invited(&app, "carol").await;
    browser.open(link.clone()).await.assert_page("link");
    let token = link.path_segments().and_then(Iterator::last).expect("one");
    let cookies = browser.cookies();
    let mut kinds = Vec::new();
    for (name, value) in &cookies {
        // A device mark is random bytes, the time, and a keyed digest; a link's holds its token, sealed.
        let (kind, least, most) = match name.split('_').skip(1).collect::<Vec<_>>().as_slice() {
            ["flow"] => ("flow", 43, 43),
            ["sid"] => ("sid", 43, 43),
            ["remember"] => ("remember", 43, 43),
            ["device"] => ("device", 64, 64),
            ["link", ..] => ("link", 43, 512),
            _ => panic!("{name}"),
        };
        kinds.push(kind);
        let random = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        assert!(
            (least..=most).contains(&value.len()) && value.chars().all(random),
            "{name}={value}"
        );
        for said in [
            arrival.asked.state.as_str(),
            &arrival.asked.nonce,
            &arrival.asked.verifier,
            token,
            "rp.example",
        ] {
            assert!(!value.contains(said), "{name} holds {said}");
            let decoded = BASE64.decode(value).unwrap_or_default();
            let said = said.as_bytes();
            assert!(!decoded.windows(said.len()).any(|part| part == said));
        }
        assert!(
            !app.sql("SELECT cookie_digest AS value FROM sessions")
                .contains(value)
        );
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["device", "flow", "link", "remember", "sid"]);
}

on_both!(a_state_is_echoed_byte_for_byte);
/// OpenID Connect Core 3.1.2.5, in each response mode.
async fn a_state_is_echoed_byte_for_byte(app: TestApp) {
    let long = "x".repeat(2048);
    for state in [
        " a b ",
        "a+b",
        "a%2Bb%20c",
        "ä€𝄞",
        "\"'><svg/onload=canary()>${7*7}{{7*7}}",
        "a&b=c#d?e",
        "line\r\nbreak",
        "0",
        "\t",
        &long,
    ] {
        for mode in ["query", "fragment", "form_post"] {
            let answer = ask(
                &mut app.browser(),
                &app.rp,
                &[
                    ("client_id", "rp"),
                    ("redirect_uri", &app.rp.redirect_uri),
                    ("response_type", "code"),
                    ("response_mode", mode),
                    ("scope", "openid"),
                    ("prompt", "none"),
                    ("state", state),
                ],
            )
            .await;
            let seen = match mode {
                "query" => redirected(&answer, "state"),
                "fragment" => {
                    let to = answer.location().expect("a redirect");
                    let fragment = to.fragment().unwrap_or_default();
                    url::form_urlencoded::parse(fragment.as_bytes())
                        .find(|(name, _)| name == "state")
                        .map(|(_, value)| value.into_owned())
                        .unwrap_or_default()
                }
                _ => Page::parse(&answer.url, &answer.body)
                    .only_form()
                    .hidden("state")
                    .unwrap_or_default()
                    .to_owned(),
            };
            // In a form a browser writes every line break as CR LF.
            let plain = |text: &str| match mode {
                "form_post" => text.replace("\r\n", "\n"),
                _ => text.to_owned(),
            };
            assert_eq!(plain(&seen), plain(state), "{mode}");
        }
    }
}

on_both!(the_page_of_form_post_posts_itself_and_nothing_else);
/// OAuth 2.0 Form Post Response Mode.
async fn the_page_of_form_post_posts_itself_and_nothing_else(app: TestApp) {
    let bob = app.user("bob").await;
    let mut browser = app.browser();
    let arrival = browser
        .authorize_with(&app.rp, &[("response_mode", "form_post")])
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(&app.rp);
    let policy = browser.answer.header("content-security-policy").to_owned();
    let nonce = policy
        .split("script-src 'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .expect("a nonce")
        .to_owned();
    assert!(
        browser
            .answer
            .body
            .contains(&format!("<script nonce=\"{nonce}\">"))
    );
    assert!(policy.contains("form-action https:;"), "{policy}");
    assert_eq!(browser.page().forms.len(), 1);
    arrival.exchange().await.assert_tokens();
}
