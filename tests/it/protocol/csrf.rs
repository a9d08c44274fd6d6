//! Forms that were not posted by a page of ours, in this browser, at this step.

use reqwest::Method;

use super::signed_in;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;
use crate::support::html::Form;

/// `Sec-Fetch-Site` and `Origin` of requests that no page of ours sends.
const FOREIGN: [(Option<&str>, Option<&str>); 10] = [
    (None, None),
    (None, Some("null")),
    (None, Some("https://evil.example")),
    (None, Some("PREFIX.evil.example")),
    (Some("cross-site"), None),
    (Some("cross-site"), Some("null")),
    (Some("cross-site"), Some("OWN")),
    (Some("same-site"), Some("OWN")),
    (Some("none"), None),
    (Some("same-origin"), Some("https://evil.example")),
];

/// Posts a form, by its first button where none is named, with this browser's cookies and only these headers; the
/// status of the answer.
async fn post(
    app: &TestApp,
    browser: &Browser,
    (form, button): (&Form, Option<&str>),
    (site, origin): (Option<&str>, Option<&str>),
) -> u16 {
    let cookies: Vec<String> = browser
        .cookies()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut request = app
        .http
        .request(Method::POST, app.here(form.action.as_str()))
        .header("content-type", FORM)
        .header("cookie", cookies.join("; "))
        .body(encode(&form.pairs(button)));
    if let Some(site) = site {
        request = request.header("sec-fetch-site", site);
    }
    if let Some(origin) = origin {
        let origin = origin.replace("OWN", app.public_url());
        request = request.header("origin", origin.replace("PREFIX", app.public_url()));
    }
    let answer = request.send().await.expect("an answer");
    answer.status().as_u16()
}

on_both!(no_step_takes_a_form_from_another_site);
/// V111: signing in, setting a password, consenting.
async fn no_step_takes_a_form_from_another_site(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let hash = app.password_hash(&alice).await;
    let mut browser = app.browser();
    browser
        .authorize(&app.consenting)
        .await
        .assert_page("login");
    let mut sign_in = browser.page().form_with("password").clone();
    sign_in
        .fill("username", &alice.username)
        .fill("password", &alice.password);
    for headers in FOREIGN {
        let status = post(&app, &browser, (&sign_in, Some("login")), headers).await;
        assert_eq!(status, 403, "sign-in {headers:?}");
    }
    browser.sign_in(&alice).await.assert_page("update-password");
    let mut change = browser.page().form_with("password-new").clone();
    change
        .fill("password-new", "a new passphrase")
        .fill("password-confirm", "a new passphrase");
    for headers in FOREIGN {
        let status = post(&app, &browser, (&change, None), headers).await;
        assert_eq!(status, 403, "password {headers:?}");
    }
    assert_eq!(app.password_hash(&alice).await, hash);
    browser
        .set_new_password("a new passphrase")
        .await
        .assert_page("consent");
    let consent = browser.page().form_with("accept").clone();
    for headers in FOREIGN {
        for button in ["accept", "cancel"] {
            let status = post(&app, &browser, (&consent, Some(button)), headers).await;
            assert_eq!(status, 403, "consent {headers:?}");
        }
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM consents"), 0);
    browser
        .press("accept")
        .await
        .assert_redirect_to(&app.consenting);
}

on_both!(the_confirmation_of_a_logout_comes_from_our_own_page);
/// V111: headers of other sites, no token, another session's token.
async fn the_confirmation_of_a_logout_comes_from_our_own_page(app: TestApp) {
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let (mut browser, arrival) = signed_in(&app, &alice, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let (mut other, _) = signed_in(&app, &bob, &app.rp).await;
    let path = "/realms/t1/protocol/openid-connect/logout";
    browser.open_path(path).await.assert_page("logout");
    other.open_path(path).await.assert_page("logout");
    let own = browser.page().form_with("confirmLogout").clone();
    for headers in FOREIGN {
        post(&app, &browser, (&own, Some("confirmLogout")), headers).await;
        assert_eq!(
            app.rp.userinfo(&tokens.access).await.status,
            200,
            "{headers:?}"
        );
    }
    let theirs = other.page().form_with("confirmLogout").clone();
    let mut empty = theirs.clone();
    for field in &mut empty.fields {
        field.value.clear();
    }
    for form in [&theirs, &empty] {
        post(
            &app,
            &browser,
            (form, Some("confirmLogout")),
            (None, Some("OWN")),
        )
        .await;
        assert_eq!(
            app.rp.userinfo(&tokens.access).await.status,
            200,
            "{form:?}"
        );
    }
    browser.press("confirmLogout").await.assert_page("message");
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 401);
}

on_both!(a_forms_token_is_of_its_browser_and_its_step);
/// V111, V003: another browser's token, another realm's, an altered one, an old one, none.
async fn a_forms_token_is_of_its_browser_and_its_step(app: TestApp) {
    let alice = app.user("alice").force_password_reset().await;
    let bob = app.user("bob").await;
    let own = (None, Some("OWN"));
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.assert_page("login");
    let mut attacker = app.browser();
    attacker.authorize(&app.rp).await.assert_page("login");
    let mut theirs = attacker.page().form_with("password").clone();
    theirs
        .fill("username", &bob.username)
        .fill("password", &bob.password);
    let status = post(&app, &browser, (&theirs, Some("login")), own).await;
    assert_eq!(status, 400, "a flow of another browser");
    let status = post(&app, &app.browser(), (&theirs, Some("login")), own).await;
    assert_eq!(status, 400, "no cookie at all");

    let page = browser.page().form_with("password").clone();
    for change in [
        |_: &str| String::new(),
        |token: &str| format!("{token}x"),
        |token: &str| token.split('.').next().unwrap_or_default().to_owned(),
    ] {
        let mut form = page.clone();
        form.fill("username", &bob.username)
            .fill("password", &bob.password);
        for field in form.fields.iter_mut().filter(|field| field.name == "flow") {
            field.value = change(&field.value);
        }
        post(&app, &browser, (&form, Some("login")), own).await;
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM sessions"), 0);
    assert_eq!(app.events(&bob, "LOGIN"), 0);

    browser.sign_in(&alice).await.assert_page("update-password");
    let mut stale = browser.page().form_with("password-new").clone();
    stale
        .fill("password-new", "a new passphrase")
        .fill("password-confirm", "a new passphrase");
    for field in stale.fields.iter_mut().filter(|field| field.name == "flow") {
        field.value = page.hidden("flow").unwrap_or_default().to_owned();
    }
    let hash = app.password_hash(&alice).await;
    post(&app, &browser, (&stale, None), own).await;
    assert_eq!(
        app.password_hash(&alice).await,
        hash,
        "the token of the step before"
    );
}

on_both!(a_flow_stays_with_the_browser_that_began_it);
/// V003: an attacker's flow, opened by its addresses in the browsers of somebody signed in, of somebody at the gate and
/// of somebody new, is nobody's but the attacker's, who sees nothing of theirs.
async fn a_flow_stays_with_the_browser_that_began_it(app: TestApp) {
    let (alice, bob) = (
        app.user("alice").force_password_reset().await,
        app.user("bob").await,
    );
    let mut attacker = app.browser();
    attacker.authorize(&app.rp).await.assert_page("login");
    let step = attacker.page().form_with("password").action.clone();
    let query = step.query().expect("a query").to_owned();
    assert!(query.contains("tab_id="), "{query}");
    // Shown at its own address from here on, and not at the one that would begin a flow of whoever opens it.
    attacker.open(step.clone()).await.assert_page("login");
    let flow = "SELECT browser_digest || ' ' || step || ' ' || coalesce(user_id, '') AS value FROM flows ORDER BY id";
    let (mut at_home, _) = signed_in(&app, &bob, &app.rp).await;
    let mut at_gate = app.browser();
    at_gate
        .authorize(&app.rp)
        .await
        .sign_in(&alice)
        .await
        .assert_page("update-password");
    let gate = at_gate.page.clone();
    let before = app.sql(flow);
    for victim in [&mut at_home, &mut at_gate, &mut app.browser()] {
        for path in ["authenticate", "required-action"] {
            for label in ["", "&execution=UPDATE_PASSWORD", "&execution=OAUTH_GRANT"] {
                let url = format!("{}/login-actions/{path}?{query}{label}", app.issuer());
                victim.open(url.parse().expect("a URL")).await;
                victim.assert_page("error");
                assert_eq!(victim.answer.status, 400, "{url}");
            }
        }
    }
    assert_eq!(app.sql(flow), before);
    attacker.reload().await.assert_page("login");
    let text = &attacker.page().text;
    assert!(!text.contains("alice") && !text.contains("bob"), "{text}");
    assert!(attacker.cookie("sid").is_none());
    // Nobody has lost anything by it.
    at_home
        .authorize(&app.foreign)
        .await
        .assert_redirect_to(&app.foreign);
    at_gate.page = gate;
    at_gate
        .set_new_password("a new passphrase")
        .await
        .assert_redirect_to(&app.rp);
}

on_both!(every_step_of_a_browser_refuses_other_sites);
/// V111: each route below `login-actions` and the account that takes a form, those of links and forgotten passwords among them, and
/// each header that no page of ours sends. The routes come from the table that mounts them.
async fn every_step_of_a_browser_refuses_other_sites(app: TestApp) {
    app.change_realm(|realm| realm.settings.reset_password_allowed = true)
        .await;
    let bob = app.user("bob").await;
    let (browser, _) = signed_in(&app, &bob, &app.rp).await;
    let mut steps = 0;
    for entry in vestibule::oidc::routes::table() {
        let is_step = ["/login-actions/", "/account/"]
            .iter()
            .any(|part| entry.path.contains(part));
        if entry.method.as_str() != "POST" || !is_step {
            continue;
        }
        steps += 1;
        let path = entry.path.replace("{realm}", "t1");
        let url = format!("{}{path}", app.public_url());
        let form = Form {
            id: None,
            method: "post".to_owned(),
            action: url.parse().expect("a URL"),
            fields: Vec::new(),
            submits: Vec::new(),
        };
        for headers in FOREIGN {
            let status = post(&app, &browser, (&form, None), headers).await;
            assert_eq!(status, 403, "{path} {headers:?}");
        }
    }
    assert!(steps >= 5, "{steps} steps");
    assert_eq!(app.count("SELECT count(*) AS value FROM outbox"), 0);
}
