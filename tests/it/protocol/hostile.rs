//! Hostile words in every place that takes any: headers, names, passwords.

use futures_util::future::join_all;
use serde_json::json;

use super::change_client;
use crate::support::app::TestApp;
use crate::support::browser::CANARY;
use crate::support::database::on_both;

on_both!(no_name_and_no_parameter_is_anything_but_text_on_a_page);
/// V069, V070: markup and template syntax in the names of realm, client and person, in the terms and in what a scope asks
/// for, in every parameter and in what is typed. The harness holds each page to showing none of it unescaped, and to a policy without inline scripts.
async fn no_name_and_no_parameter_is_anything_but_text_on_a_page(app: TestApp) {
    // What a scope asks for is a text in JSON.
    let text = CANARY.replace('"', "\\\"").replace('\'', "''");
    app.database().execute(&format!(
        "UPDATE client_scopes SET attributes = replace(attributes, '${{emailScopeConsentText}}', '{text}')"
    ));
    app.change_realm(|realm| {
        realm.settings.display_name = Some(CANARY.to_owned());
        let attributes = &mut realm.settings.attributes;
        attributes.insert("termsText".into(), CANARY.into());
    })
    .await;
    change_client(&app, "consenting", |client| {
        client.settings.name = Some(CANARY.to_owned())
    })
    .await;
    let alice = app
        .user("alice")
        .action("UPDATE_PROFILE")
        .action("TERMS_AND_CONDITIONS")
        .force_password_reset()
        .await;
    app.change_user(&alice, |user| {
        user.first_name = Some(CANARY.to_owned());
        user.last_name = Some(CANARY.to_owned());
    })
    .await;
    let mut browser = app.browser();
    let odd = [
        ("login_hint", CANARY),
        ("ui_locales", CANARY),
        ("acr_values", CANARY),
        ("display", CANARY),
    ];
    browser.authorize_with(&app.consenting, &odd).await;
    browser.assert_page("login").assert_text("<svg/onload");
    browser
        .fill_in(&[("username", CANARY), ("password", CANARY)])
        .await
        .assert_page("login")
        .assert_text("<svg/onload");
    browser
        .fill_in(&[("username", "alice"), ("password", &alice.password)])
        .await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let page = browser.page().marker.clone().unwrap_or_default();
        match page.as_str() {
            "update-password" => {
                browser
                    .fill_in(&[("password-new", CANARY), ("password-confirm", "x")])
                    .await;
                browser.set_new_password("a new passphrase").await;
            }
            "update-profile" => {
                browser.assert_text("Complete");
                browser
                    .fill_in(&[("firstName", CANARY), ("lastName", "")])
                    .await;
                if browser
                    .page
                    .as_ref()
                    .is_some_and(|page| page.marker.as_deref() == Some("update-profile"))
                {
                    browser
                        .fill_in(&[("firstName", "Ada"), ("lastName", "Byron")])
                        .await;
                }
            }
            "terms" => {
                browser.assert_text("<svg/onload").press("accept").await;
            }
            "consent" => {
                let asked = browser.page().texts(".grants li").join("\n");
                assert!(asked.contains("<svg/onload"), "{asked}");
                browser.assert_text("<svg/onload").press("accept").await;
            }
            other => panic!("{other}: {browser}"),
        }
        seen.push(page);
        if browser.got_a_code() {
            break;
        }
    }
    assert!(browser.got_a_code(), "{seen:?}");
    browser
        .open_path("/realms/t1/protocol/openid-connect/logout")
        .await;
    browser
        .assert_page("logout")
        .press("confirmLogout")
        .await
        .assert_page("message");
    for parameter in [
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "prompt",
        "nonce",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(CANARY.as_bytes()).collect();
        let path =
            format!("/realms/t1/protocol/openid-connect/auth?client_id=rp&{parameter}={encoded}");
        app.browser().open_path(&path).await;
    }
}

on_both!(no_authorization_header_breaks_a_handler);
/// V129: whatever stands in `Authorization`, the answer is a refusal and the server goes on.
async fn no_authorization_header_breaks_a_handler(app: TestApp) {
    let long = format!("Bearer {}", "a".repeat(20_000));
    let dots = format!("Bearer {}", ".".repeat(5_000));
    let values = [
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic :",
        "Basic Og==",
        "Basic !!!!",
        "Basic /w==",
        "Basic AAAA",
        "Basic YTpiOmM6ZA==",
        "Bearer",
        "Bearer ",
        "Bearer  x",
        "Bearer ..",
        "Bearer a.b.c",
        "Bearer e30.e30.",
        "Bearer e30.bnVsbA.AA",
        "Bearer eyJhbGciOm51bGx9.e30.AA",
        "bearer x",
        "Digest username=\"x\"",
        "DPoP x",
        "Basic YWFhYQ",
        ",",
        ";=",
        "\t",
        long.as_str(),
        dots.as_str(),
    ];
    for path in [
        "/realms/t1/protocol/openid-connect/token",
        "/realms/t1/protocol/openid-connect/userinfo",
        "/realms/t1/protocol/openid-connect/token/introspect",
        "/realms/t1/protocol/openid-connect/revoke",
        "/admin/realms",
        "/admin/realms/t1/users",
        "/admin/serverinfo",
    ] {
        let url = app.here(&format!("{}{path}", app.public_url()));
        for value in values {
            for request in [
                app.http.get(&url),
                app.http
                    .post(&url)
                    .form(&[("grant_type", "client_credentials")]),
            ] {
                let answer = request
                    .header("authorization", value)
                    .send()
                    .await
                    .expect("an answer");
                let status = answer.status();
                assert!(status.is_client_error(), "{path} {value:.40}: {status}");
            }
        }
        let raw =
            reqwest::header::HeaderValue::from_bytes(&[b'B', b'a', 0xff, 0xfe]).expect("a value");
        let answer = app
            .http
            .post(&url)
            .header("authorization", raw)
            .send()
            .await
            .expect("an answer");
        assert!(
            answer.status().is_client_error(),
            "{path}: {}",
            answer.status()
        );
    }
}

on_both!(there_is_no_session_iframe);
/// V114: nothing answers messages of other origins.
async fn there_is_no_session_iframe(app: TestApp) {
    let found = app.http.get(app.rp.endpoint("x").replace(
        "protocol/openid-connect/x",
        ".well-known/openid-configuration",
    ));
    let found: serde_json::Value = found
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(found["issuer"], json!(app.issuer()));
    assert!(found.get("check_session_iframe").is_none(), "{found}");
    let frame = app
        .http
        .get(app.rp.endpoint("login-status-iframe.html"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(frame.status(), 404);
}

on_both!(the_last_letter_of_the_longest_password_counts);
/// V126: no hash cuts a password off, at 72 bytes, at a NUL or anywhere else.
async fn the_last_letter_of_the_longest_password_counts(app: TestApp) {
    for (number, length) in [64, 71, 72, 73, 128, 255, 256, 512, 1023, 1024]
        .into_iter()
        .enumerate()
    {
        let right = format!("{}r", "p".repeat(length - 1));
        let wrong = format!("{}w", "p".repeat(length - 1));
        let user = app.user(&format!("long-{number}")).password(&right).await;
        for refused in [wrong.as_str(), &right[..length - 1], &format!("{right}x")] {
            let answer = app.legacy.password_grant(&user.username, refused).await;
            assert_eq!(answer.text("error"), "invalid_grant", "{length}");
        }
        let answer = app.legacy.password_grant(&user.username, &right).await;
        assert_eq!(answer.status, 200, "{length}: {}", answer.body);
        app.advance(std::time::Duration::from_secs(61));
    }
}

on_both!(what_comes_after_a_nul_is_part_of_the_password);
/// V126: no hash ends at it, ours or one that somebody brought along.
async fn what_comes_after_a_nul_is_part_of_the_password(app: TestApp) {
    let right = "a passphrase\0and its end";
    let user = app.user("nul").password(right).await;
    for refused in [
        "a passphrase",
        "a passphrase\0",
        "a passphrase\0and its enD",
        "a passphrase and its end",
    ] {
        let answer = app.legacy.password_grant("nul", refused).await;
        assert_eq!(answer.text("error"), "invalid_grant", "{refused:?}");
    }
    let answer = app.legacy.password_grant("nul", &user.password).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let page = |password: &'static str| {
        let (mut browser, rp, user) = (app.browser(), app.rp.clone(), user.clone());
        async move {
            browser.authorize(&rp).await;
            browser.sign_in_with(&user, password).await.got_a_code()
        }
    };
    assert!(!page("a passphrase\0and its enD").await);
    assert!(page(right).await);
}

on_both!(fifty_browsers_that_sign_in_at_once_are_let_in);
/// V123: by the page, from one network. Too busy is no refusal, and the same press a moment later is answered.
async fn fifty_browsers_that_sign_in_at_once_are_let_in(app: TestApp) {
    let bob = app.user("bob").await;
    let mut browsers = Vec::new();
    for _ in 0..50 {
        let mut browser = app.browser();
        browser.authorize(&app.rp).await.assert_page("login");
        browsers.push(browser);
    }
    let all = browsers.iter_mut().map(async |browser| {
        let form = browser.page().form_with("password").clone();
        for _ in 0..50 {
            let mut form = form.clone();
            form.fill("username", &bob.username);
            form.fill("password", &bob.password);
            browser.submit_form(form, Some("login")).await;
            if browser.answer.status != 503 {
                break;
            }
        }
        browser.got_a_code()
    });
    let inside = join_all(all).await;
    assert!(inside.iter().all(|inside| *inside), "{inside:?}");
    assert_eq!(app.events(&bob, "LOGIN_ERROR"), 0);
}

on_both!(fifty_right_sign_ins_at_once_are_fifty_right_sign_ins);
/// V123: tries in flight are no wrong ones, and neither is a gate that stops one.
async fn fifty_right_sign_ins_at_once_are_fifty_right_sign_ins(app: TestApp) {
    let bob = app.user("bob").await;
    let all =
        join_all((0..50).map(|_| app.legacy.password_grant(&bob.username, &bob.password))).await;
    for answer in &all {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    app.force_password_reset(&bob).await;
    for _ in 0..10 {
        let answer = app
            .legacy
            .password_grant(&bob.username, &bob.password)
            .await;
        answer.assert_error("invalid_grant");
    }
    app.waive(&bob, "UPDATE_PASSWORD").await;
    let answer = app
        .legacy
        .password_grant(&bob.username, &bob.password)
        .await;
    assert_eq!(answer.status, 200, "the door is open: {}", answer.body);
}

on_both!(an_office_that_signs_in_at_once_is_let_in);
/// V123: a hundred people behind one address who sign in in the same second are more than the wrong tries that an
/// address has in a minute, and none of them is one.
async fn an_office_that_signs_in_at_once_is_let_in(app: TestApp) {
    let mut people = Vec::new();
    for number in 0..100 {
        people.push(app.user(&format!("colleague-{number}")).await);
    }
    let all = people.iter().map(async |person| {
        for _ in 0..100 {
            let grant = app
                .legacy
                .password_grant(&person.username, &person.password);
            let answer = grant.await;
            // Too busy is no refusal, and says so.
            if answer.status != 503 {
                return answer;
            }
        }
        panic!("busy all the while")
    });
    for answer in join_all(all).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}
