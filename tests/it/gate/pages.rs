//! What a browser can send to the steps: nothing but the right form, filled in, leads a step on.

use reqwest::Method;

use super::{NEW, at_the_gate};
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;

/// Every step that a person can stand at, with the fields that would lead it on.
const STEPS: [(&str, &[(&str, &str)]); 4] = [
    ("login", &[]),
    (
        "update-password",
        &[("password-new", NEW), ("password-confirm", NEW)],
    ),
    ("terms", &[("accept", "")]),
    (
        "update-profile",
        &[("firstName", "Ada"), ("lastName", "Byron")],
    ),
];

/// A browser that stands at a step, and the person.
async fn standing_at(app: &TestApp, step: &str, number: usize) -> (Browser, User) {
    let action = match step {
        "terms" => "TERMS_AND_CONDITIONS",
        "update-profile" => "UPDATE_PROFILE",
        _ => "UPDATE_PASSWORD",
    };
    let user = app.user(&format!("{step}-{number}")).action(action).await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    if step != "login" {
        browser.sign_in(&user).await;
    }
    browser.assert_page(step);
    (browser, user)
}

/// The pairs that would lead the step on.
fn leading_on(browser: &Browser, user: &User, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let page = browser.page();
    let mut form = page
        .forms
        .iter()
        .find(|form| form.hidden("flow").is_some())
        .expect("the step's form")
        .clone();
    if form.field("password").is_some() {
        form.fill("username", &user.username)
            .fill("password", &user.password);
    }
    let mut pairs = form.pairs(None);
    for (name, value) in fields {
        pairs.retain(|(known, _)| known != name);
        pairs.push(((*name).to_owned(), (*value).to_owned()));
    }
    pairs
}

/// That whatever was sent has changed nothing: the step stands where it stood.
async fn assert_unmoved(
    app: &TestApp,
    (browser, user): (&mut Browser, &User),
    step: &str,
    sent: &str,
) {
    assert_eq!(app.waiting(user).await.len(), 1, "{step}: {sent}");
    assert_eq!(app.token_rows(&user.id), 0, "{step}: {sent}");
    assert!(browser.cookie("sid").is_none(), "{step}: {sent}");
    let url = browser.history.last().expect("the step's page").clone();
    browser.open(url).await.assert_page(step);
}

on_both!(a_malformed_submit_leads_no_step_on);
/// V015: empty, of another type, as JSON, without the form's token, with doubled fields, by another method.
async fn a_malformed_submit_leads_no_step_on(app: TestApp) {
    for (number, (step, fields)) in STEPS.iter().enumerate() {
        let (mut browser, user) = standing_at(&app, step, number).await;
        let before = app.password_hash(&user).await;
        let url = browser
            .page()
            .forms
            .iter()
            .find(|form| form.hidden("flow").is_some())
            .expect("the step's form")
            .action
            .clone();
        let names = [
            "an empty body",
            "the form as text/plain",
            "the form without a type",
            "the form as multipart/form-data",
            "the same as JSON",
            "no token",
            "an empty token",
            "a token cut short",
            "every field twice",
            "the token twice",
        ];
        for name in names {
            let good = leading_on(&browser, &user, fields);
            let token = good
                .iter()
                .find(|(name, _)| name == "flow")
                .expect("the token")
                .1
                .clone();
            let with_token = |value: Option<&str>| {
                let mut pairs = good.clone();
                pairs.retain(|(name, _)| name != "flow");
                pairs.extend(value.map(|value| ("flow".to_owned(), value.to_owned())));
                encode(&pairs)
            };
            let object: serde_json::Map<_, _> = good
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect();
            let (content_type, body) = match name {
                "an empty body" => (FORM, String::new()),
                "the form as text/plain" => ("text/plain", encode(&good)),
                "the form without a type" => ("", encode(&good)),
                "the form as multipart/form-data" => {
                    ("multipart/form-data; boundary=x", encode(&good))
                }
                "the same as JSON" => (
                    "application/json",
                    serde_json::Value::Object(object).to_string(),
                ),
                "no token" => (FORM, with_token(None)),
                "an empty token" => (FORM, with_token(Some(""))),
                "a token cut short" => (FORM, with_token(Some(&token[..token.len() - 1]))),
                "every field twice" => (FORM, format!("{0}&{0}", encode(&good))),
                _ => (FORM, format!("{}&flow={token}", encode(&good))),
            };
            let answer = browser
                .send(Method::POST, &url, Some((content_type, body)))
                .await;
            assert!(
                answer.status == 303 || (400..500).contains(&answer.status),
                "{step}: {name}: {}",
                answer.status
            );
            assert_unmoved(&app, (&mut browser, &user), step, name).await;
        }
        for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let body = encode(&leading_on(&browser, &user, fields));
            let named = Method::from_bytes(method.as_bytes()).expect("a method");
            browser.send(named, &url, Some((FORM, body))).await;
            assert_unmoved(&app, (&mut browser, &user), step, method).await;
        }
        assert_eq!(app.password_hash(&user).await, before, "{step}");
        // The same form, as it should be, leads on.
        let good = leading_on(&browser, &user, fields);
        browser.post(&url, &good).await;
        let shown = browser.page.as_ref().and_then(|page| page.marker.clone());
        assert_ne!(shown.as_deref(), Some(*step), "{browser}");
    }
}

on_both!(a_submit_of_another_site_leads_no_step_on);
/// V111, at the gate: judged by `Origin` and `Sec-Fetch-Site`.
async fn a_submit_of_another_site_leads_no_step_on(app: TestApp) {
    for (number, (step, fields)) in STEPS.iter().enumerate() {
        let (mut browser, user) = standing_at(&app, step, number).await;
        let url = browser.page().form_with("flow").action.clone();
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let body = encode(&leading_on(&browser, &user, fields));
            browser.headers = vec![(name.to_owned(), value.to_owned())];
            let answer = browser.send(Method::POST, &url, Some((FORM, body))).await;
            browser.headers.clear();
            assert!(
                answer.status == 403,
                "{step}, {name}: {value}: {}",
                answer.status
            );
            assert_unmoved(&app, (&mut browser, &user), step, value).await;
        }
    }
}

on_both!(garbage_in_headers_skips_no_step);
/// V016: what cannot be parsed makes the step the same or refuses it, and never opens it.
async fn garbage_in_headers_skips_no_step(app: TestApp) {
    let garbage = [
        ("x-forwarded-for", "a"),
        ("x-forwarded-for", "::::, 256.256.256.256, [::1"),
        ("forwarded", "for=\"_;;;proto=,=by"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "javascript"),
        ("accept-language", ";q=x,,*;q=2,zz-ZZZZZZZZZZZZ"),
        ("accept-language", "\u{80}\u{81}"),
        ("user-agent", "<svg/onload=canary()>"),
        ("traceparent", "00-zz-zz-99"),
        ("authorization", "Basic !!!"),
        ("if-none-match", "*"),
        ("range", "bytes=0-0"),
        ("accept", "image/*"),
    ];
    for (number, (name, value)) in garbage.iter().enumerate() {
        let alice = app
            .user(&format!("alice-{number}"))
            .force_password_reset()
            .await;
        let mut browser = app.browser();
        browser.headers = vec![((*name).to_owned(), (*value).to_owned())];
        browser
            .authorize(&app.rp)
            .await
            .sign_in(&alice)
            .await
            .assert_page("update-password");
        browser
            .set_new_password("short")
            .await
            .assert_page("update-password");
        assert_eq!(app.token_rows(&alice.id), 0, "{name}: {value}");
    }
}

on_both!(garbage_among_cookies_skips_no_step);
/// V016.
async fn garbage_among_cookies_skips_no_step(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = at_the_gate(&app, &alice).await;
    let page = browser.page().clone();
    let good = browser.cookies();
    let (name, value) = good.iter().next().expect("the flow cookie");
    for cookie in [
        String::new(),
        ";;;===".to_owned(),
        format!("{name}="),
        format!("{name}={}", "x".repeat(4000)),
        format!("{name}={}x", value),
        format!("{name}=%00%ff"),
        format!("{}=x; {name}=y", name.replace("flow", "sid")),
    ] {
        browser.headers = vec![("cookie".to_owned(), cookie.clone())];
        browser.page = Some(page.clone());
        browser.set_new_password(NEW).await;
        assert!(!browser.got_a_code(), "{cookie}");
        let shown = browser.page().marker.clone();
        assert_eq!(shown.as_deref(), Some("error"), "{cookie}: {browser}");
        assert_eq!(app.waiting(&alice).await, ["UPDATE_PASSWORD"], "{cookie}");
    }
    browser.headers.clear();
    browser.set_cookies(good);
    browser
        .open(page.url.clone())
        .await
        .assert_page("update-password");
}

on_both!(what_comes_back_through_the_browser_is_not_believed);
/// V013, V014: the request is the parked one, and a step is done when the database says so.
async fn what_comes_back_through_the_browser_is_not_believed(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    let tampered = [
        ("response_type", "token id_token"),
        ("response_mode", "fragment"),
        ("redirect_uri", "https://evil.example/cb"),
        ("scope", "openid offline_access"),
        ("client_id", "foreign"),
        ("nonce", "theirs"),
        ("state", "theirs"),
        ("code_challenge", "theirs"),
        ("acr", "9"),
        ("prompt", "none"),
        ("realm", "master"),
        ("execution", "OAUTH_GRANT"),
        ("postLogin", "true"),
        ("skip", "true"),
        ("requiredActions", ""),
        ("password_changed", "1"),
        ("user_id", "somebody-else"),
        ("sub", "somebody-else"),
        ("logout-sessions", "off"),
    ];
    let tamper = |browser: &Browser, fields: &[(&str, &str)]| {
        let mut pairs = leading_on(browser, &alice, fields);
        for (name, value) in tampered {
            pairs.push((name.to_owned(), value.to_owned()));
        }
        let mut url = browser.page().forms[0].action.clone();
        let mut query = url.query_pairs_mut();
        for (name, value) in tampered.iter().filter(|(name, _)| *name != "client_id") {
            query.append_pair(name, value);
        }
        drop(query);
        (url, pairs)
    };
    let (url, pairs) = tamper(&browser, &[]);
    app.ledger.password(&alice.id, &alice.password);
    browser
        .post(&url, &pairs)
        .await
        .assert_page("update-password");
    let (url, pairs) = tamper(
        &browser,
        &[("password-new", "short"), ("password-confirm", "short")],
    );
    browser
        .post(&url, &pairs)
        .await
        .assert_page("update-password");
    assert_eq!(app.token_rows(&alice.id), 0);
    let (url, pairs) = tamper(
        &browser,
        &[("password-new", NEW), ("password-confirm", NEW)],
    );
    let arrival = browser.post(&url, &pairs).await.assert_redirect_to(&app.rp);
    let mut names: Vec<&str> = arrival.parameters.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "iss", "session_state", "state"]);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(tokens.subject, alice.id.as_str());
}

on_both!(the_profile_page_never_changes_an_address_that_is_set);
/// V187.
async fn the_profile_page_never_changes_an_address_that_is_set(app: TestApp) {
    let alice = app.user("alice").action("UPDATE_PROFILE").await;
    let mut browser = app.browser();
    browser
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("update-profile");
    let url = browser.page().form_with("firstName").action.clone();
    let mut pairs = leading_on(
        &browser,
        &alice,
        &[("firstName", "Ada"), ("lastName", "Byron")],
    );
    pairs.retain(|(name, _)| name != "email");
    pairs.push(("email".to_owned(), "thief@evil.example".to_owned()));
    pairs.push(("username".to_owned(), "thief".to_owned()));
    pairs.push(("emailVerified".to_owned(), "true".to_owned()));
    browser.post(&url, &pairs).await.assert_redirect_to(&app.rp);
    let id = alice.id.clone();
    let stored = app
        .tx(move |tx| vestibule::user::rows::by_id(tx, &id))
        .await
        .expect("the user");
    assert_eq!(stored.email.as_deref(), Some(alice.email.as_str()));
    assert_eq!(stored.username, "alice");
    assert_eq!(stored.first_name.as_deref(), Some("Ada"));
}

on_both!(the_cookies_change_at_every_step_of_privilege);
/// V107: a value from before opens nothing.
async fn the_cookies_change_at_every_step_of_privilege(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await;
    let before_login = browser.copy();
    browser.sign_in(&alice).await.assert_page("update-password");
    let gate = browser.page().url.clone();
    let at_gate = browser.copy();
    browser
        .set_new_password(NEW)
        .await
        .assert_redirect_to(&app.rp);
    let values: Vec<_> = [&before_login, &at_gate, &browser]
        .iter()
        .map(|browser| browser.cookie("flow").expect("a flow cookie"))
        .collect();
    assert_ne!(values[0], values[1], "at the sign-in");
    assert_ne!(values[1], values[2], "at the gate");
    assert!(at_gate.cookie("sid").is_none());
    let session = browser.cookie("sid").expect("a session");
    for mut older in [before_login, at_gate] {
        older.open(gate.clone()).await.assert_page("error");
        older.authorize(&app.foreign).await.assert_page("login");
    }
    // Signing in again gives the session another secret, and the one from before is dead.
    let mut stolen = browser.copy();
    browser
        .authorize_with(&app.rp, &[("prompt", "login")])
        .await
        .sign_in_with(&alice, NEW)
        .await
        .assert_redirect_to(&app.rp);
    assert_ne!(browser.cookie("sid"), Some(session));
    stolen.authorize(&app.foreign).await.assert_page("login");
}
