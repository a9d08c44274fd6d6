//! Codes and refresh tokens: once, for whom they were issued, and with the right PKCE.

use vestibule::scope::Mapper;
use vestibule::{realm, scope};

use super::{ask, change_client, claims, redirected, signed_in};
use crate::support::app::{REALM, TestApp};
use crate::support::database::{on_both, on_postgres};

on_both!(a_code_needs_the_verifier_of_its_challenge);
/// V075.
async fn a_code_needs_the_verifier_of_its_challenge(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, first) = signed_in(&app, &bob, &app.rp).await;
    assert_eq!(
        app.rp
            .redeem(first.code(), &first.asked.verifier)
            .await
            .status,
        200
    );
    let other = app.rp.request(&[]).await.verifier;
    for wrong in [
        None,
        Some(""),
        Some("short"),
        Some(other.as_str()),
        Some("CHALLENGE"),
    ] {
        let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
        let challenge = arrival
            .asked
            .url
            .query_pairs()
            .find(|(name, _)| name == "code_challenge");
        let challenge = challenge.expect("a challenge").1.into_owned();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", arrival.code()),
            ("redirect_uri", &app.rp.redirect_uri),
        ];
        match wrong {
            None => {}
            Some("CHALLENGE") => form.push(("code_verifier", &challenge)),
            Some(verifier) => form.push(("code_verifier", verifier)),
        }
        app.rp.token(&form).await.assert_error("invalid_grant");
        // It was shown to somebody who could not prove to be its owner: it is gone.
        let again = app.rp.redeem(arrival.code(), &arrival.asked.verifier).await;
        again.assert_error("invalid_grant");
    }
}

on_both!(pkce_cannot_be_talked_down);
/// V076: a verifier without a challenge, `plain`, no method, a public client without PKCE.
async fn pkce_cannot_be_talked_down(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, arrival) = signed_in(&app, &bob, &app.rp).await;
    let base = [
        ("client_id", "rp"),
        ("redirect_uri", app.rp.redirect_uri.as_str()),
        ("response_type", "code"),
        ("scope", "openid"),
        ("prompt", "none"),
    ];
    let answer = ask(&mut browser, &app.rp, &base).await;
    let code = redirected(&answer, "code");
    app.rp
        .redeem(&code, &arrival.asked.verifier)
        .await
        .assert_error("invalid_grant");

    let verifier = arrival.asked.verifier.as_str();
    for weak in [
        &[
            ("code_challenge", verifier),
            ("code_challenge_method", "plain"),
        ][..],
        &[("code_challenge", verifier)],
        &[
            ("code_challenge", verifier),
            ("code_challenge_method", "s256"),
        ],
        &[
            ("code_challenge", "too-short"),
            ("code_challenge_method", "S256"),
        ],
        &[("code_challenge_method", "S256")],
    ] {
        let mut parameters = base.to_vec();
        parameters.extend(weak);
        let answer = ask(&mut browser, &app.rp, &parameters).await;
        assert_eq!(redirected(&answer, "error"), "invalid_request", "{weak:?}");
    }
    let public = [
        ("client_id", "pub"),
        ("redirect_uri", app.native.redirect_uri.as_str()),
        ("response_type", "code"),
        ("scope", "openid"),
    ];
    let answer = ask(&mut browser, &app.native, &public).await;
    assert_eq!(redirected(&answer, "error"), "invalid_request");
    let metadata = app
        .http
        .get(format!("{}/.well-known/openid-configuration", app.issuer()));
    let metadata: serde_json::Value = metadata
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        metadata["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
    assert_eq!(
        metadata["authorization_response_iss_parameter_supported"],
        true
    );
}

on_both!(a_code_that_another_client_shows_is_refused_and_dead);
/// V077: confidential and public owners and thieves, with and without the right verifier.
async fn a_code_that_another_client_shows_is_refused_and_dead(app: TestApp) {
    let bob = app.user("bob").await;
    for (owner, thieves) in [
        (&app.rp, [&app.foreign, &app.native]),
        (&app.native, [&app.foreign, &app.rp]),
    ] {
        let (mut browser, _) = signed_in(&app, &bob, owner).await;
        for thief in thieves {
            for with_verifier in [true, false] {
                let arrival = browser.authorize(owner).await.assert_redirect_to(owner);
                let mut form = vec![
                    ("grant_type", "authorization_code"),
                    ("code", arrival.code()),
                    ("redirect_uri", &owner.redirect_uri),
                ];
                if with_verifier {
                    form.push(("code_verifier", &arrival.asked.verifier));
                }
                thief.token(&form).await.assert_error("invalid_grant");
                let late = owner.redeem(arrival.code(), &arrival.asked.verifier).await;
                late.assert_error("invalid_grant");
            }
        }
    }
}

on_both!(a_code_needs_the_redirect_uri_that_it_was_sent_to);
/// RFC 6749 section 4.1.3.
async fn a_code_needs_the_redirect_uri_that_it_was_sent_to(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, _) = signed_in(&app, &bob, &app.rp).await;
    for uri in [
        None,
        Some(""),
        Some("https://rp.example/cb/"),
        Some("https://evil.example/cb"),
    ] {
        let arrival = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", arrival.code()),
            ("code_verifier", &arrival.asked.verifier),
        ];
        if let Some(uri) = uri {
            form.push(("redirect_uri", uri));
        }
        app.rp.token(&form).await.assert_error("invalid_grant");
    }
}

on_both!(a_code_lives_for_a_minute);
/// RFC 6749 section 4.1.2.
async fn a_code_lives_for_a_minute(app: TestApp) {
    let bob = app.user("bob").await;
    let (mut browser, early) = signed_in(&app, &bob, &app.rp).await;
    app.advance(std::time::Duration::from_secs(50));
    assert_eq!(
        app.rp
            .redeem(early.code(), &early.asked.verifier)
            .await
            .status,
        200
    );
    let late = browser.authorize(&app.rp).await.assert_redirect_to(&app.rp);
    app.advance(std::time::Duration::from_secs(61));
    app.rp
        .redeem(late.code(), &late.asked.verifier)
        .await
        .assert_error("invalid_grant");
}

on_both!(a_chain_of_refresh_tokens_ends_at_the_first_replay);
/// V079.
async fn a_chain_of_refresh_tokens_ends_at_the_first_replay(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.native).await;
    let mut chain = vec![
        arrival
            .exchange()
            .await
            .assert_tokens()
            .refresh
            .expect("a refresh token"),
    ];
    for _ in 0..3 {
        let next = app.native.refresh(chain.last().expect("one")).await;
        assert_eq!(next.status, 200, "{}", next.body);
        assert!(
            !chain.contains(&next.text("refresh_token").to_owned()),
            "it rotates"
        );
        chain.push(next.text("refresh_token").to_owned());
    }
    app.native
        .refresh(&chain[1])
        .await
        .assert_error("invalid_grant");
    for token in &chain {
        app.native
            .refresh(token)
            .await
            .assert_error("invalid_grant");
    }
}

on_postgres!(a_spent_refresh_token_stays_spent_for_a_server_that_starts_later);
/// V081: a server that starts on the same database knows what was spent before.
async fn a_spent_refresh_token_stays_spent_for_a_server_that_starts_later(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.native).await;
    let old = arrival
        .exchange()
        .await
        .assert_tokens()
        .refresh
        .expect("a refresh token");
    let new = app.native.refresh(&old).await;
    assert_eq!(new.status, 200, "{}", new.body);
    let later = app.second_node().await.expect("a second node");
    later
        .native
        .refresh(&old)
        .await
        .assert_error("invalid_grant");
    later
        .native
        .refresh(new.text("refresh_token"))
        .await
        .assert_error("invalid_grant");
}

on_both!(a_refresh_follows_what_became_of_the_client);
/// V082: a scope that was taken away, then the client switched off.
async fn a_refresh_follows_what_became_of_the_client(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    let before = app.rp.refresh(&refresh).await;
    assert_eq!(claims(before.text("access_token"))["email"], bob.email);
    let email = app
        .tx(|tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
            let scopes = scope::rows::all(tx, &realm.id)?;
            let email = scopes.into_iter().find(|scope| scope.name == "email");
            Ok(email.expect("a scope").id)
        })
        .await;
    change_client(&app, "rp", move |client| {
        client.default_scopes.retain(|id| *id != email);
    })
    .await;
    let after = app.rp.refresh(&refresh).await;
    assert_eq!(after.status, 200, "{}", after.body);
    let claims = claims(after.text("access_token"));
    assert_eq!(claims["sub"], bob.id.as_str());
    assert!(claims.get("email").is_none(), "{claims}");
    change_client(&app, "rp", |client| client.enabled = false).await;
    let refused = app.rp.refresh(&refresh).await;
    assert_eq!(
        (refused.status, refused.text("error")),
        (401, "invalid_client")
    );
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 401);
}

on_both!(no_token_is_for_a_client_that_was_switched_off);
/// V082: neither by its roles nor by a mapper that names it.
async fn no_token_is_for_a_client_that_was_switched_off(app: TestApp) {
    let bob = app.user("bob").client_role("account", "view-profile").await;
    let config = [
        ("included.client.audience", "foreign"),
        ("access.token.claim", "true"),
    ];
    let mapper = Mapper {
        id: "named-audience".to_owned(),
        name: "named audience".to_owned(),
        protocol: "openid-connect".to_owned(),
        protocol_mapper: "oidc-audience-mapper".to_owned(),
        config: config
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
    };
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
        let rp = vestibule::client::rows::by_client_id(tx, &realm.id, "rp")?.expect("a client");
        scope::rows::insert_client_mapper(tx, &realm.id, &rp.id, &mapper)?;
        realm::rows::touch(tx, &realm.id)
    })
    .await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    let said = async || {
        let answer = app.rp.refresh(&refresh).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let claims = claims(answer.text("access_token"));
        (claims["aud"].clone(), claims["resource_access"].to_string())
    };
    let (audience, roles) = said().await;
    assert_eq!(audience, serde_json::json!(["account", "foreign"]));
    assert!(roles.contains("view-profile"), "{roles}");
    for (client, left) in [("account", "foreign"), ("foreign", "rp")] {
        change_client(&app, client, |client| client.enabled = false).await;
        let (audience, roles) = said().await;
        assert_eq!(audience, left, "without {client}");
        assert!(!roles.contains("view-profile"), "{roles}");
    }
}

on_both!(a_refresh_follows_what_became_of_the_persons_roles_and_consent);
/// V082: a role that was taken away is in no token from the next refresh on; consent that was taken back ends the
/// refresh, and giving it again is a new sign-in's business.
async fn a_refresh_follows_what_became_of_the_persons_roles_and_consent(app: TestApp) {
    let role = app
        .tx(|tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
            let graph = vestibule::role::rows::graph(tx, &realm.id)?;
            Ok(graph
                .named(None, "offline_access")
                .expect("a role")
                .id
                .clone())
        })
        .await;
    let bob = app.user("bob").role("offline_access").await;
    let mut browser = app.browser();
    let arrival = browser
        .authorize(&app.consenting)
        .await
        .sign_in(&bob)
        .await
        .assert_page("consent")
        .press("accept")
        .await
        .assert_redirect_to(&app.consenting);
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    let roles = |token: &str| claims(token)["realm_access"]["roles"].to_string();
    let before = app.consenting.refresh(&refresh).await;
    assert!(roles(before.text("access_token")).contains("offline_access"));

    let id = bob.id.clone();
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("the realm");
        let graph = vestibule::role::rows::graph(tx, &realm.id)?;
        let all = graph
            .named(None, "default-roles-t1")
            .expect("the default roles");
        vestibule::role::rows::unassign(tx, &id, &role)?;
        vestibule::role::rows::unassign(tx, &id, &all.id)
    })
    .await;
    let after = app.consenting.refresh(&refresh).await;
    assert_eq!(after.status, 200, "{}", after.body);
    assert!(!roles(after.text("access_token")).contains("offline_access"));

    let taken_back = format!("DELETE FROM consents WHERE user_id = '{}'", bob.id);
    app.database().execute(&taken_back);
    app.consenting
        .refresh(&refresh)
        .await
        .assert_error("invalid_grant");
    browser
        .authorize(&app.consenting)
        .await
        .assert_page("consent");
}

on_both!(a_refresh_never_widens_the_scope);
/// RFC 6749 section 6.
async fn a_refresh_never_widens_the_scope(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let refresh = arrival
        .exchange()
        .await
        .assert_tokens()
        .refresh
        .expect("a refresh token");
    let with = async |scope| {
        app.rp
            .token(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", &refresh),
                ("scope", scope),
            ])
            .await
    };
    for wider in ["openid offline_access", "openid phone", "openid nonsense"] {
        with(wider).await.assert_error("invalid_scope");
    }
    assert_eq!(with("openid").await.status, 200);
}
