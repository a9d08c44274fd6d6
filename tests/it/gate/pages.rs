//! What a browser can send to the steps: nothing but the right form, filled in, leads a step on.

use reqwest::Method;

use super::verify_email::mailed_code;
use super::{NEW, at_the_gate};
use crate::support::app::{TestApp, User};
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;
use crate::support::html::Form;

/// Every step that a person can stand at, by the name of its page and how they came there.
const STEPS: [(&str, &str); 7] = [
    ("login", ""),
    ("update-password", ""),
    ("terms", ""),
    ("update-profile", ""),
    ("verify-email", ""),
    ("consent", ""),
    ("update-password", "by link"),
];

/// Somebody who stands at a step.
struct Standing {
    browser: Browser,
    user: User,
    page: &'static str,
    /// The fields that would lead it on.
    fields: Vec<(&'static str, String)>,
    before: Facts,
}

/// What no step changes before it is done.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    waiting: Vec<String>,
    rows: i64,
    session: Option<String>,
    hash: Option<String>,
    consents: i64,
}

async fn facts(app: &TestApp, (browser, user): (&Browser, &User)) -> Facts {
    Facts {
        waiting: app.waiting(user).await,
        rows: app.token_rows(&user.id),
        session: browser.cookie("sid"),
        hash: app.password_hash(user).await,
        consents: app.count("SELECT count(*) AS value FROM consents"),
    }
}

/// A browser that stands at a step, and the person.
async fn standing_at(app: &TestApp, (page, way): (&'static str, &str), number: usize) -> Standing {
    let owned = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let owned = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        owned.collect()
    };
    let new = [("password-new", NEW), ("password-confirm", NEW)];
    let (action, rp, mut fields) = match page {
        "login" => (Some("UPDATE_PASSWORD"), &app.rp, Vec::new()),
        "terms" => (
            Some("TERMS_AND_CONDITIONS"),
            &app.rp,
            owned(&[("accept", "")]),
        ),
        "update-profile" => {
            let names = [("firstName", "Ada"), ("lastName", "Byron")];
            (Some("UPDATE_PROFILE"), &app.rp, owned(&names))
        }
        "verify-email" => (Some("VERIFY_EMAIL"), &app.rp, Vec::new()),
        "consent" => (None, &app.consenting, owned(&[("accept", "")])),
        _ => (Some("UPDATE_PASSWORD"), &app.rp, owned(&new)),
    };
    let name = format!("{page}-{number}");
    let (user, mut browser) = if way == "by link" {
        let (user, link) = crate::link::redeem::invited(app, &name).await;
        let browser = crate::link::redeem::at_the_gate(app, &link).await;
        (user, browser)
    } else {
        if page == "verify-email" {
            app.mailbox().await;
        }
        let mut user = app.user(&name);
        if let Some(action) = action {
            user = user.action(action);
        }
        if page == "verify-email" {
            user = user.unverified();
        }
        let user = user.await;
        let mut browser = app.browser();
        browser.authorize(rp).await;
        if page != "login" {
            browser.sign_in(&user).await;
        }
        (user, browser)
    };
    browser.assert_page(page);
    if page == "verify-email" {
        fields.push(("code", mailed_code(app, &user).await));
    }
    let before = facts(app, (&browser, &user)).await;
    Standing {
        browser,
        user,
        page,
        fields,
        before,
    }
}

impl Standing {
    /// The step's form.
    fn form(&self) -> Form {
        let mut forms = self.browser.page().forms.iter();
        let form = forms.find(|form| form.hidden("flow").is_some());
        form.expect("the step's form").clone()
    }

    /// The pairs that would lead the step on.
    fn leading_on(&self) -> Vec<(String, String)> {
        let mut form = self.form();
        if form.field("password").is_some() {
            form.fill("username", &self.user.username)
                .fill("password", &self.user.password);
        }
        let mut pairs = form.pairs(None);
        for (name, value) in &self.fields {
            pairs.retain(|(known, _)| known != name);
            pairs.push(((*name).to_owned(), value.clone()));
        }
        pairs
    }

    /// That whatever was sent has changed nothing: the step stands where it stood.
    async fn assert_unmoved(&mut self, app: &TestApp, sent: &str) {
        let now = facts(app, (&self.browser, &self.user)).await;
        assert_eq!(now, self.before, "{}: {sent}", self.page);
        let url = self.browser.history.last().expect("the step's page");
        let url = url.clone();
        self.browser.open(url).await.assert_page(self.page);
    }
}

on_both!(a_malformed_submit_leads_no_step_on);
/// V015: empty, of another type, as JSON, without the form's token, with doubled fields, by another method.
async fn a_malformed_submit_leads_no_step_on(app: TestApp) {
    for (number, step) in STEPS.into_iter().enumerate() {
        let mut at = standing_at(&app, step, number).await;
        let url = at.form().action;
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
            let good = at.leading_on();
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
            let answer = at
                .browser
                .send(Method::POST, &url, Some((content_type, body)))
                .await;
            assert!(
                answer.status == 303 || (400..500).contains(&answer.status),
                "{step:?}: {name}: {}",
                answer.status
            );
            at.assert_unmoved(&app, name).await;
        }
        for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let body = encode(&at.leading_on());
            let named = Method::from_bytes(method.as_bytes()).expect("a method");
            at.browser.send(named, &url, Some((FORM, body))).await;
            at.assert_unmoved(&app, method).await;
        }
        // The same form, as it should be, leads on.
        let good = at.leading_on();
        let browser = at.browser.post(&url, &good).await;
        let shown = browser.page.as_ref().and_then(|page| page.marker.clone());
        assert_ne!(shown.as_deref(), Some(at.page), "{browser}");
    }
}

on_both!(a_submit_of_another_site_leads_no_step_on);
/// V111, at the gate: judged by `Origin` and `Sec-Fetch-Site`.
async fn a_submit_of_another_site_leads_no_step_on(app: TestApp) {
    for (number, step) in STEPS.into_iter().enumerate() {
        let mut at = standing_at(&app, step, number).await;
        let url = at.form().action;
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let body = encode(&at.leading_on());
            at.browser.headers = vec![(name.to_owned(), value.to_owned())];
            let posted = Some((FORM, body));
            let answer = at.browser.send(Method::POST, &url, posted).await;
            at.browser.headers.clear();
            assert_eq!(answer.status, 403, "{step:?}, {name}: {value}");
            at.assert_unmoved(&app, value).await;
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

/// What a browser could claim about the request and about what was done.
const CLAIMS: [(&str, &str); 24] = [
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
    ("accepted", "true"),
    ("terms_and_conditions", "1"),
    ("email_verified", "true"),
    ("emailVerified", "true"),
    ("consented", "true"),
];

impl Standing {
    /// Posts pairs with every claim there is, in the form and in the query.
    async fn claim(&mut self, mut pairs: Vec<(String, String)>) {
        let mut url = self.form().action;
        for (name, value) in CLAIMS {
            pairs.push((name.to_owned(), value.to_owned()));
            if name != "client_id" {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.browser.post(&url, &pairs).await;
    }
}

on_both!(what_comes_back_through_the_browser_is_not_believed);
/// V013, V014: the request is the parked one, and a step is done when the database says so. At every step, first with
/// something that does not do it and then with what does.
async fn what_comes_back_through_the_browser_is_not_believed(app: TestApp) {
    for (number, step) in STEPS.into_iter().enumerate() {
        let mut at = standing_at(&app, step, number).await;
        app.ledger.password(&at.user.id, &at.user.password);
        let wrong: (&[&str], &str) = match step.0 {
            "login" => (&["password"], "wrong"),
            "update-password" => (&["password-new", "password-confirm"], "short"),
            "update-profile" => (&["lastName"], ""),
            "verify-email" => (&["code"], "00000-00000"),
            // To say no is an answer, too: these two end with it.
            _ => (&["accept"], ""),
        };
        let mut pairs = at.leading_on();
        pairs.retain(|(name, _)| name != "accept");
        for (name, value) in &mut pairs {
            if wrong.0.contains(&name.as_str()) {
                wrong.1.clone_into(value);
            }
        }
        at.claim(pairs).await;
        assert!(!at.browser.got_a_code(), "{step:?}: {}", at.browser);
        let now = facts(&app, (&at.browser, &at.user)).await;
        assert_eq!(now, at.before, "{step:?}");
        if ["terms", "consent"].contains(&step.0) {
            at = standing_at(&app, step, number + 100).await;
        }
        at.browser.assert_page(step.0);
        let good = at.leading_on();
        at.claim(good).await;
        let rp = match step {
            ("login", _) => {
                at.browser.assert_page("update-password");
                assert_eq!(app.token_rows(&at.user.id), 0);
                continue;
            }
            (_, "by link") => {
                at.browser.assert_page("message");
                at.browser.authorize(&app.rp).await;
                &app.rp
            }
            ("consent", _) => &app.consenting,
            _ => &app.rp,
        };
        let arrival = at.browser.assert_redirect_to(rp);
        let mut names: Vec<&str> = arrival.parameters.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["code", "iss", "session_state", "state"], "{step:?}");
        let tokens = arrival.exchange().await.assert_tokens();
        assert_eq!(tokens.subject, at.user.id.as_str(), "{step:?}");
        let offline = "SELECT count(*) AS value FROM sessions WHERE kind = 'offline'";
        assert_eq!(
            app.count(offline),
            0,
            "{step:?}: nobody asked for offline access"
        );
    }
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
    let mut form = browser.page().form_with("firstName").clone();
    form.fill("firstName", "Ada").fill("lastName", "Byron");
    let (url, mut pairs) = (form.action.clone(), form.pairs(None));
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
