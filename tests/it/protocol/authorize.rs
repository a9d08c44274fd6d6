//! What an application can ask for: `prompt`, `max_age`, consent; and who answers.

use std::time::Duration;

use super::{ask, change_client, claims, redirected, signed_in};
use crate::support::app::TestApp;
use crate::support::database::on_both;

on_both!(every_authorization_response_names_its_issuer);
/// V092 (RFC 9207): codes and errors, in each response mode; the harness compares `iss`, and so does this.
async fn every_authorization_response_names_its_issuer(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    assert_eq!(arrival.parameters["iss"], app.issuer());
    for mode in ["query", "fragment", "form_post"] {
        let mode = ("response_mode", mode);
        let arrival = browser
            .authorize_with(&app.rp, &[mode])
            .await
            .assert_redirect_to(&app.rp);
        assert_eq!(arrival.parameters["iss"], app.issuer());
        for (wrong, error) in [
            (("request", "x"), "request_not_supported"),
            (
                ("request_uri", "https://rp.example/r"),
                "request_uri_not_supported",
            ),
            (("prompt", "none login"), "invalid_request"),
        ] {
            let arrival = browser
                .authorize_with(&app.rp, &[mode, wrong])
                .await
                .assert_error_to(&app.rp, error);
            assert_eq!(arrival.parameters["iss"], app.issuer());
        }
    }
    for (response_type, error) in [
        ("token", "unsupported_response_type"),
        ("id_token", "unsupported_response_type"),
        ("code token", "unsupported_response_type"),
        ("", "invalid_request"),
    ] {
        let parameters = [
            ("client_id", "rp"),
            ("redirect_uri", app.rp.redirect_uri.as_str()),
            ("response_type", response_type),
            ("scope", "openid"),
            ("state", "s"),
        ];
        let answer = ask(&mut browser, &app.rp, &parameters).await;
        assert_eq!(redirected(&answer, "error"), error, "{response_type}");
        assert_eq!(redirected(&answer, "iss"), app.issuer());
        assert_eq!(redirected(&answer, "state"), "s");
    }
}

on_both!(prompt_none_answers_without_a_page);
/// OpenID Connect Core 3.1.2.6.
async fn prompt_none_answers_without_a_page(app: TestApp) {
    let none = ("prompt", "none");
    let mut stranger = app.browser();
    stranger
        .authorize_with(&app.rp, &[none])
        .await
        .assert_error_to(&app.rp, "login_required");

    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    for rp in [&app.rp, &app.foreign, &app.native] {
        browser
            .authorize_with(rp, &[none])
            .await
            .assert_redirect_to(rp);
    }
    browser
        .authorize_with(&app.consenting, &[none])
        .await
        .assert_error_to(&app.consenting, "consent_required");
    browser
        .authorize_with(&app.rp, &[none, ("max_age", "0")])
        .await
        .assert_error_to(&app.rp, "login_required");
    app.advance(Duration::from_secs(100));
    browser
        .authorize_with(&app.rp, &[none, ("max_age", "60")])
        .await
        .assert_error_to(&app.rp, "login_required");
    browser
        .authorize_with(&app.rp, &[none, ("max_age", "600")])
        .await
        .assert_redirect_to(&app.rp);
    app.require(&bob, "TERMS_AND_CONDITIONS").await;
    browser
        .authorize_with(&app.rp, &[none])
        .await
        .assert_error_to(&app.rp, "interaction_required");
}

on_both!(prompt_none_goes_with_no_other_prompt);
/// OpenID Connect Core 3.1.2.1.
async fn prompt_none_goes_with_no_other_prompt(app: TestApp) {
    for prompts in [
        "none login",
        "login none",
        "none consent",
        "none select_account",
    ] {
        app.browser()
            .authorize_with(&app.rp, &[("prompt", prompts)])
            .await
            .assert_error_to(&app.rp, "invalid_request");
    }
}

on_both!(a_fresh_sign_in_is_a_password_typed_now);
/// V093: `max_age=0`, `prompt=login` and an old session ask again, no way round leads past, and `auth_time` moves.
async fn a_fresh_sign_in_is_a_password_typed_now(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let mut before = claims(&tokens.id)["auth_time"].as_i64().expect("auth_time");
    for fresh in [("max_age", "0"), ("max_age", "30"), ("prompt", "login")] {
        app.advance(Duration::from_secs(60));
        browser
            .authorize_with(&app.rp, &[fresh])
            .await
            .assert_page("login");
        browser.reload().await.assert_page("login");
        // The flow's own steps lead nowhere else.
        let flow = browser
            .page()
            .url
            .query_pairs()
            .find(|(name, _)| name == "tab_id");
        if let Some((_, flow)) = flow {
            let path =
                format!("/realms/t1/login-actions/required-action?client_id=rp&tab_id={flow}");
            browser.tab().open_path(&path).await.assert_page("login");
        }
        browser
            .sign_in_with(&bob, "a wrong one")
            .await
            .assert_page("login");
        let arrival = browser.sign_in(&bob).await.assert_redirect_to(&app.rp);
        let tokens = arrival.exchange().await.assert_tokens();
        let after = claims(&tokens.id)["auth_time"].as_i64().expect("auth_time");
        assert!(after >= before + 60, "{fresh:?}: {before} then {after}");
        before = after;
    }
    // Neither a visit nor a refresh is a sign-in.
    app.advance(Duration::from_secs(60));
    let arrival = browser
        .authorize_with(&app.rp, &[("max_age", "3600")])
        .await
        .assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(claims(&tokens.id)["auth_time"], before);
    let refreshed = app
        .rp
        .refresh(&tokens.refresh.expect("a refresh token"))
        .await;
    assert_eq!(claims(refreshed.text("id_token"))["auth_time"], before);
}

on_both!(a_link_proves_its_person_when_the_password_is_set);
/// V093: `auth_time` is the moment of the new password, and neither that of the mail nor that of the press.
async fn a_link_proves_its_person_when_the_password_is_set(app: TestApp) {
    let (_, url) = crate::link::redeem::invited(&app, "bob").await;
    let mut browser = crate::link::redeem::at_the_gate(&app, &url).await;
    app.advance(Duration::from_secs(60));
    let set = app.store().clock().now().seconds();
    browser.set_new_password("a passphrase of his own").await;
    let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    let tokens = arrival.exchange().await.assert_tokens();
    let proved = claims(&tokens.id)["auth_time"].as_i64();
    assert!(proved >= Some(set), "{proved:?} before {set}");
}

on_both!(somebody_else_cannot_take_over_a_fresh_sign_in);
/// V093: whoever types another name and its password is that other person, and no session is made fresh by it.
async fn somebody_else_cannot_take_over_a_fresh_sign_in(app: TestApp) {
    let bob = app.user("bob").await;
    let carol = app.user("carol").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    browser
        .authorize_with(&app.rp, &[("prompt", "login")])
        .await
        .assert_page("login")
        .sign_in_with(&bob, &carol.password)
        .await
        .assert_page("login");
    let arrival = browser
        .sign_in_with(&carol, &carol.password)
        .await
        .assert_redirect_to(&app.rp);
    assert_eq!(
        arrival.exchange().await.assert_tokens().subject,
        carol.id.as_str()
    );
    let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    assert_eq!(
        arrival.exchange().await.assert_tokens().subject,
        carol.id.as_str(),
        "bob's session is over here"
    );
}

on_both!(a_consent_is_asked_given_and_remembered);
/// OpenID Connect Core 3.1.2.4.
async fn a_consent_is_asked_given_and_remembered(app: TestApp) {
    let bob = app.user("bob").await;
    let rp = &app.consenting;
    let mut browser = app.browser();
    browser
        .authorize(rp)
        .await
        .sign_in(&bob)
        .await
        .assert_page("consent")
        .assert_text("The client consenting");
    for _ in 0..3 {
        let asked = browser.page().texts(".grants li");
        let expected = ["Your email address", "Your name and profile", "Your roles"];
        assert_eq!(asked, expected, "in the same order each time");
        browser.reload().await.assert_page("consent");
    }
    let arrival = browser.press("accept").await.assert_redirect_to(rp);
    arrival.exchange().await.assert_tokens();
    browser.authorize(rp).await.assert_redirect_to(rp);
    browser
        .authorize_with(rp, &[("prompt", "none")])
        .await
        .assert_redirect_to(rp);
    let mut elsewhere = app.browser();
    elsewhere
        .authorize(rp)
        .await
        .sign_in(&bob)
        .await
        .assert_redirect_to(rp);

    // Asked again where the application wants it asked, and where it asks for more.
    browser
        .authorize_with(rp, &[("prompt", "consent")])
        .await
        .assert_page("consent");
    let more = rp.with_scope("phone");
    browser.authorize(&more).await.assert_page("consent");
    browser
        .authorize_with(&more, &[("prompt", "none")])
        .await
        .assert_error_to(&more, "consent_required");
}

on_both!(a_consent_that_is_refused_gives_nothing);
/// OpenID Connect Core 3.1.2.6; the refusal is not remembered as a consent.
async fn a_consent_that_is_refused_gives_nothing(app: TestApp) {
    let bob = app.user("bob").await;
    let rp = &app.consenting;
    let mut browser = app.browser();
    browser
        .authorize(rp)
        .await
        .sign_in(&bob)
        .await
        .assert_page("consent");
    let page = browser.page().clone();
    let refused = browser
        .press("cancel")
        .await
        .assert_error_to(rp, "access_denied");
    assert!(!refused.parameters.contains_key("code"));
    assert_eq!(app.count("SELECT count(*) AS value FROM codes"), 0);
    assert_eq!(app.count("SELECT count(*) AS value FROM consents"), 0);
    // The same page in another tab is too late.
    let form = page.form_with("accept").clone();
    browser.submit_form(form, Some("accept")).await;
    assert!(!browser.got_a_code(), "{browser}");
    browser.authorize(rp).await.assert_page("consent");
}

on_both!(a_native_app_is_asked_about_each_time);
/// V090 (RFC 8252 section 8.6): anybody can listen where it listens; a browser app on `localhost` is asked about once.
async fn a_native_app_is_asked_about_each_time(app: TestApp) {
    let bob = app.user("bob").await;
    for (uri, each_time) in [
        ("http://127.0.0.1:49152/cb", true),
        ("http://[::1]:49152/cb", true),
        ("com.example.app:/cb", true),
        ("http://localhost:3000/cb", false),
    ] {
        let registered = uri.replace(":49152", "");
        change_client(&app, "pub", move |client| {
            client.settings.consent_required = true;
            client.settings.redirect_uris = vec![registered];
        })
        .await;
        let mut native = app.native.clone();
        native.redirect_uri = uri.to_owned();
        app.database().execute("DELETE FROM consents");
        let mut browser = app.browser();
        browser.authorize(&native).await.sign_in(&bob).await;
        for _ in 0..2 {
            browser.assert_page("consent").press("accept").await;
            browser.assert_redirect_to(&native);
            browser.authorize_with(&native, &[("prompt", "none")]).await;
            if !each_time {
                browser.assert_redirect_to(&native);
                break;
            }
            browser.assert_error_to(&native, "consent_required");
            browser.authorize(&native).await;
        }
    }
}

on_both!(an_address_that_was_taken_back_meanwhile_gets_nothing);
/// V062, V067: neither a code nor an error goes to a redirect URI that the client has lost since the flow began.
async fn an_address_that_was_taken_back_meanwhile_gets_nothing(app: TestApp) {
    let bob = app.user("bob").await;
    let mut at_login = app.browser();
    at_login.authorize(&app.rp).await.assert_page("login");
    let mut at_consent = app.browser();
    at_consent
        .authorize(&app.consenting)
        .await
        .sign_in(&bob)
        .await;
    at_consent.assert_page("consent");
    let mut declining = app.browser();
    declining
        .authorize(&app.consenting)
        .await
        .sign_in(&bob)
        .await;
    declining.assert_page("consent");
    for client in ["rp", "consenting"] {
        change_client(&app, client, |client| {
            client.settings.redirect_uris = vec!["https://new.example/cb".into()];
        })
        .await;
    }
    let codes = "SELECT count(*) AS value FROM codes";
    at_login.sign_in(&bob).await.assert_page("error");
    at_consent.press("accept").await.assert_page("error");
    declining.press("cancel").await.assert_page("error");
    assert_eq!(app.count(codes), 0);
}

on_both!(a_realm_and_a_client_that_are_off_start_nothing);
/// V067: a page, never a redirect.
async fn a_realm_and_a_client_that_are_off_start_nothing(app: TestApp) {
    let parameters = [
        ("client_id", "rp"),
        ("redirect_uri", app.rp.redirect_uri.as_str()),
        ("response_type", "code"),
        ("scope", "openid"),
        ("prompt", "none"),
    ];
    let mut browser = app.browser();
    assert_eq!(ask(&mut browser, &app.rp, &parameters).await.status, 303);
    change_client(&app, "rp", |client| client.enabled = false).await;
    let answer = ask(&mut browser, &app.rp, &parameters).await;
    assert_eq!((answer.status, answer.header("location")), (400, ""));
    change_client(&app, "rp", |client| client.enabled = true).await;
    app.change_realm(|realm| realm.enabled = false).await;
    let answer = ask(&mut browser, &app.rp, &parameters).await;
    assert_eq!((answer.status, answer.header("location")), (400, ""));
    let nowhere = app.rp.in_realm("nowhere");
    let answer = ask(&mut browser, &nowhere, &parameters).await;
    assert_eq!((answer.status, answer.header("location")), (404, ""));
}
