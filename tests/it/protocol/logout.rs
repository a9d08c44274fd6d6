//! Signing out at an application's wish (OpenID Connect RP-Initiated Logout 1.0).

use std::time::Duration;

use reqwest::Method;
use url::Url;
use vestibule::client::Client;

use super::{change_client, redirected, signed_in};
use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, FORM, encode};
use crate::support::database::on_both;
use crate::support::html::Page;
use crate::support::rp::RelyingParty;

const BYE: &str = "https://rp.example/bye";

/// What is done to a client.
type Change = fn(&mut Client);

async fn log_out(browser: &mut Browser, rp: &RelyingParty, parameters: &[(&str, &str)]) -> Answer {
    let endpoint = format!("{}/protocol/openid-connect/logout", rp.issuer);
    let url = Url::parse_with_params(&endpoint, parameters).expect("a URL");
    browser.send(Method::GET, &url, None).await
}

async fn is_signed_in(browser: &Browser, rp: &RelyingParty) -> bool {
    let mut tab = browser.tab();
    tab.authorize_with(rp, &[("prompt", "none")])
        .await
        .got_a_code()
}

#[track_caller]
fn assert_asks(answer: &Answer) {
    assert_eq!(answer.header("location"), "");
    let page = Page::parse(&answer.url, &answer.body);
    assert_eq!(
        (answer.status, page.marker.as_deref()),
        (200, Some("logout"))
    );
}

on_both!(an_application_with_its_id_token_signs_its_person_out);
/// V068: session, refresh token, access token and cookie end; `state` comes back.
async fn an_application_with_its_id_token_signs_its_person_out(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    // An ID token that is past its time is still a hint.
    app.advance(Duration::from_secs(900));
    let before = browser.cookies();
    let answer = log_out(
        &mut browser,
        &app.rp,
        &[
            ("id_token_hint", &tokens.id),
            ("post_logout_redirect_uri", BYE),
            ("state", "s t+a%te"),
        ],
    )
    .await;
    let to = answer.header("location");
    assert!(
        answer.status == 303 && to.starts_with("https://rp.example/bye?"),
        "{to}"
    );
    assert_eq!(redirected(&answer, "state"), "s t+a%te");
    assert_eq!(browser.cookie("sid"), None, "the cookie is taken back");
    browser.set_cookies(before);
    assert!(
        !is_signed_in(&browser, &app.rp).await,
        "and dead where it was kept"
    );
    app.rp
        .refresh(&tokens.refresh.expect("a refresh token"))
        .await
        .assert_error("invalid_grant");
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 401);
}

on_both!(signing_out_without_a_hint_is_asked_first);
/// V068, V115: and then everything is over.
async fn signing_out_without_a_hint_is_asked_first(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    browser
        .open_path("/realms/t1/protocol/openid-connect/logout")
        .await
        .assert_page("logout")
        .assert_text("bob");
    assert!(is_signed_in(&browser, &app.rp).await, "a GET ends nothing");
    browser.press("confirmLogout").await.assert_page("message");
    assert_eq!(browser.cookie("sid"), None);
    assert!(!is_signed_in(&browser, &app.rp).await);
    app.rp
        .refresh(&tokens.refresh.expect("a refresh token"))
        .await
        .assert_error("invalid_grant");
    assert_eq!(app.events(&bob, "LOGOUT"), 1);
}

on_both!(a_client_id_alone_names_the_target_but_is_no_proof);
/// V068.
async fn a_client_id_alone_names_the_target_but_is_no_proof(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    let parameters = [
        ("client_id", "rp"),
        ("post_logout_redirect_uri", BYE),
        ("state", "x"),
    ];
    assert_asks(&log_out(&mut browser, &app.rp, &parameters).await);
    assert!(is_signed_in(&browser, &app.rp).await);
    let url = format!("{}/protocol/openid-connect/logout", app.issuer());
    browser
        .open(Url::parse_with_params(&url, parameters).expect("a URL"))
        .await
        .press("confirmLogout")
        .await;
    assert_eq!(
        browser.answer.header("location"),
        "https://rp.example/bye?state=x"
    );
    assert!(!is_signed_in(&browser, &app.rp).await);
}

on_both!(a_logout_leads_to_a_registered_uri_or_nowhere);
/// V068, V066: the login's URIs, other clients', similar ones; with the hint, with the client's name, with neither.
async fn a_logout_leads_to_a_registered_uri_or_nowhere(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let hint = arrival.exchange().await.assert_tokens().id;
    for uri in [
        "https://rp.example/cb",
        "https://foreign.example/bye",
        "https://rp.example/bye/",
        "https://rp.example/bye?x",
        "https://rp.example/bye#x",
        "https://RP.example/bye",
        "http://rp.example/bye",
        "https://rp.example:443/bye",
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "https://rp.example@evil.example/bye",
        "https://rp.example\\@evil.example/bye",
        "https://rp.example/bye/../x",
        "https://rp.example/bye%2f..",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        " https://rp.example/bye",
        "+",
        "-",
        "*",
    ] {
        for by in [("id_token_hint", hint.as_str()), ("client_id", "rp")] {
            let parameters = [by, ("post_logout_redirect_uri", uri)];
            let answer = log_out(&mut browser, &app.rp, &parameters).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (400, ""),
                "{uri} {}",
                by.0
            );
        }
    }
    let nobody = [("post_logout_redirect_uri", BYE)];
    let answer = log_out(&mut browser, &app.rp, &nobody).await;
    assert_eq!((answer.status, answer.header("location")), (400, ""));
    assert!(
        is_signed_in(&browser, &app.rp).await,
        "none of it ended anything"
    );
}

on_both!(the_lists_signs_for_logout_uris_mean_what_they_say);
/// V068: `+` for the login's, `##` between several, `-` for none; without a list it is the login's.
async fn the_lists_signs_for_logout_uris_mean_what_they_say(app: TestApp) {
    for (list, uri, accepted) in [
        ("+", "https://rp.example/cb", true),
        ("+", BYE, false),
        (
            "https://rp.example/a##https://rp.example/b",
            "https://rp.example/a",
            true,
        ),
        (
            "https://rp.example/a##https://rp.example/b",
            "https://rp.example/b",
            true,
        ),
        (
            "https://rp.example/a##https://rp.example/b",
            "https://rp.example/a##https://rp.example/b",
            false,
        ),
        ("+##https://rp.example/b", "https://rp.example/cb", true),
        ("-", "https://rp.example/cb", false),
        ("https://rp.example/*", BYE, false),
        ("javascript:alert(1)", "javascript:alert(1)", false),
        // As Keycloak has it: whoever registers none means those of the login.
        ("", "https://rp.example/cb", true),
        ("", BYE, false),
        ("absent", "https://rp.example/cb", true),
        ("absent", BYE, false),
    ] {
        change_client(&app, "rp", move |client| {
            let attributes = &mut client.settings.attributes;
            let name = "post.logout.redirect.uris";
            match list {
                "absent" => attributes.remove(name),
                list => attributes.insert(name.into(), list.into()),
            };
        })
        .await;
        let parameters = [("client_id", "rp"), ("post_logout_redirect_uri", uri)];
        let answer = log_out(&mut app.browser(), &app.rp, &parameters).await;
        let expected = if accepted { (303, uri) } else { (400, "") };
        assert_eq!(
            (answer.status, answer.header("location")),
            expected,
            "{list} {uri}"
        );
    }
}

on_both!(a_client_that_is_off_leads_nowhere);
/// V067: nor does one without a browser's business, or a realm that is off; somebody else may have the domain by now.
/// The person can still sign out.
async fn a_client_that_is_off_leads_nowhere(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let hint = arrival.exchange().await.assert_tokens().id;
    let leads = async |to: &str| {
        for by in [("id_token_hint", hint.as_str()), ("client_id", "rp")] {
            let parameters = [by, ("post_logout_redirect_uri", to)];
            let answer = log_out(&mut app.browser(), &app.rp, &parameters).await;
            let said = (answer.status, answer.header("location"));
            assert_eq!(said, (400, ""), "{}", by.0);
        }
    };
    let changes: [(Change, Change); 3] = [
        (
            |client| client.enabled = false,
            |client| client.enabled = true,
        ),
        (
            |client| client.settings.bearer_only = true,
            |client| client.settings.bearer_only = false,
        ),
        (
            |client| client.settings.protocol = "saml".to_owned(),
            |client| client.settings.protocol = "openid-connect".to_owned(),
        ),
    ];
    for (change, back) in changes {
        change_client(&app, "rp", change).await;
        leads(BYE).await;
        change_client(&app, "rp", back).await;
    }
    app.change_realm(|realm| realm.enabled = false).await;
    leads(BYE).await;
    app.change_realm(|realm| realm.enabled = true).await;
    change_client(&app, "rp", |client| client.enabled = false).await;
    let signed_out = log_out(&mut browser, &app.rp, &[("id_token_hint", &hint)]).await;
    assert_eq!(
        (signed_out.status, signed_out.header("location")),
        (200, "")
    );
    assert_eq!(browser.cookie("sid"), None);
    assert!(!is_signed_in(&browser, &app.foreign).await);
}

on_both!(a_hint_by_post_is_a_hint);
/// V068: the same by a form, from a page of the application.
async fn a_hint_by_post_is_a_hint(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let hint = arrival.exchange().await.assert_tokens().id;
    let url = format!("{}/protocol/openid-connect/logout", app.issuer());
    let url = Url::parse(&url).expect("a URL");
    let mut post = async |to: &str| {
        let pairs = [
            ("id_token_hint".to_owned(), hint.clone()),
            ("post_logout_redirect_uri".to_owned(), to.to_owned()),
        ];
        let body = Some((FORM, encode(&pairs)));
        let answer = browser.send(Method::POST, &url, body).await;
        (answer.status, answer.header("location").to_owned())
    };
    assert_eq!(post("https://rp.example/cb").await, (400, String::new()));
    assert_eq!(post(BYE).await, (303, BYE.to_owned()));
    assert!(!is_signed_in(&browser, &app.rp).await);
}

on_both!(a_hint_that_is_not_of_this_session_ends_nothing_unasked);
/// V068: another person's, another realm's, another client's, an altered one, an access token.
async fn a_hint_that_is_not_of_this_session_ends_nothing_unasked(app: TestApp) {
    app.make_realm("t2").await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let carol = app.user_of("t2", "carol").await;
    let (mut browser, own) = signed_in(&app, &alice, &app.rp).await;
    let own = own.exchange().await.assert_tokens();
    let (_, other) = signed_in(&app, &bob, &app.rp).await;
    let other = other.exchange().await.assert_tokens().id;
    let (_, foreign) = signed_in(&app, &carol, &app.rp.in_realm("t2")).await;
    let foreign = foreign.exchange().await.assert_tokens().id;

    assert_asks(&log_out(&mut browser, &app.rp, &[("id_token_hint", &other)]).await);
    let (signed, _) = own.id.rsplit_once('.').expect("a signature");
    let (_, signature) = other.rsplit_once('.').expect("a signature");
    let altered = format!("{signed}.{signature}");
    for hint in [
        foreign.as_str(),
        &altered,
        &format!("{signed}."),
        &own.access,
        "x.y.z",
        "x",
    ] {
        let parameters = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE)];
        let answer = log_out(&mut browser, &app.rp, &parameters).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, ""),
            "{hint}"
        );
    }
    let parameters = [("id_token_hint", own.id.as_str()), ("client_id", "foreign")];
    assert_eq!(
        log_out(&mut browser, &app.rp, &parameters).await.status,
        400
    );
    assert!(is_signed_in(&browser, &app.rp).await);
    assert_eq!(app.rp.userinfo(&own.access).await.status, 200);
}

on_both!(only_a_form_confirms_a_logout);
/// A page of another origin can post plain text without asking; our own page posts a form.
async fn only_a_form_confirms_a_logout(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    browser
        .open_path("/realms/t1/protocol/openid-connect/logout")
        .await
        .assert_page("logout");
    let form = browser.page().form_with("flow").clone();
    let token = &form.fields.iter().find(|field| field.name == "flow");
    let body = format!("flow={}&confirmLogout=", token.expect("a token").value);
    let cookies: Vec<String> = browser
        .cookies()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for content_type in ["text/plain", "application/json", ""] {
        let status = app
            .http
            .post(app.here(form.action.as_str()))
            .header("cookie", cookies.join("; "))
            .header("origin", app.public_url())
            .header("content-type", content_type)
            .body(body.clone())
            .send()
            .await
            .expect("an answer")
            .status();
        assert_eq!(status, 200, "asks again");
        assert!(is_signed_in(&browser, &app.rp).await, "{content_type:?}");
    }
    let posted = Some(("application/x-www-form-urlencoded", body));
    browser.send(Method::POST, &form.action, posted).await;
    assert!(!is_signed_in(&browser, &app.rp).await);
}
