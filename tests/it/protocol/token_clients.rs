//! Who may speak at the token endpoint and its neighbours, and about which tokens.

use super::signed_in;
use crate::support::app::TestApp;
use crate::support::database::on_both;
use crate::support::rp::RelyingParty;
use crate::support::seed::SECRET;

/// The one kind of `client_assertion` that there is.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

on_both!(no_client_has_the_password_grant_that_was_not_given_it);
/// V025: by a right password, a wrong one and nobody's; also once it was taken away, and where consent is asked for.
async fn no_client_has_the_password_grant_that_was_not_given_it(app: TestApp) {
    let bob = app.user("bob").await;
    for rp in [&app.rp, &app.native, &app.foreign, &app.service] {
        for (name, password) in [
            ("bob", bob.password.as_str()),
            ("bob", "wrong"),
            ("nobody", "wrong"),
        ] {
            rp.password_grant(name, password)
                .await
                .assert_error("unauthorized_client");
        }
    }
    let grant = || app.legacy.password_grant(&bob.username, &bob.password);
    assert_eq!(grant().await.status, 200);
    super::change_client(&app, "legacy", |client| {
        client.settings.consent_required = true
    })
    .await;
    let answer = grant().await;
    assert!(answer.status != 200 && answer.body.get("access_token").is_none());
    super::change_client(&app, "legacy", |client| {
        client.settings.consent_required = false;
        client.settings.direct_access_grants_enabled = false;
    })
    .await;
    grant().await.assert_error("unauthorized_client");
}

on_both!(a_client_revokes_its_own_tokens_and_no_others);
/// V084 (RFC 7009): 200 either way.
async fn a_client_revokes_its_own_tokens_and_no_others(app: TestApp) {
    let bob = app.user("bob").await;
    for owner in [&app.rp, &app.native] {
        let (_, arrival) = signed_in(&app, &bob, owner).await;
        let tokens = arrival.exchange().await.assert_tokens();
        let refresh = tokens.refresh.expect("a refresh token");
        let thieves = [&app.rp, &app.foreign, &app.native];
        let others = |thief: &&&RelyingParty| thief.client_id != owner.client_id;
        for thief in thieves.iter().filter(others) {
            for token in [&tokens.access, &refresh] {
                let answer = thief.post("revoke", &[("token", token)]).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
        }
        assert_eq!(
            owner.userinfo(&tokens.access).await.status,
            200,
            "untouched"
        );

        let answer = owner.post("revoke", &[("token", &tokens.access)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(owner.userinfo(&tokens.access).await.status, 401);
        let renewed = owner.refresh(&refresh).await;
        assert_eq!(
            renewed.status, 200,
            "the access token alone: {}",
            renewed.body
        );

        let answer = owner
            .post("revoke", &[("token", renewed.text("refresh_token"))])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let last = owner.refresh(renewed.text("refresh_token")).await;
        last.assert_error("invalid_grant");
        assert_eq!(
            owner.userinfo(renewed.text("access_token")).await.status,
            401
        );
        assert_eq!(
            owner.post("revoke", &[("token", "nonsense")]).await.status,
            200
        );
    }
}

on_both!(offline_tokens_and_a_services_own_are_revoked_like_others);
/// V084.
async fn offline_tokens_and_a_services_own_are_revoked_like_others(app: TestApp) {
    let bob = app.user("bob").await;
    let rp = app.rp.with_scope("offline_access");
    let (_, arrival) = signed_in(&app, &bob, &rp).await;
    let offline = arrival.exchange().await.assert_tokens();
    let refresh = offline.refresh.expect("an offline token");
    let revoke = async |rp: &RelyingParty, token: &str| {
        let answer = rp.post("revoke", &[("token", token)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    revoke(&app.native, &refresh).await;
    assert_eq!(rp.refresh(&refresh).await.status, 200, "untouched");
    revoke(&rp, &refresh).await;
    rp.refresh(&refresh).await.assert_error("invalid_grant");
    assert_eq!(rp.userinfo(&offline.access).await.status, 401);

    let ask = [("grant_type", "client_credentials")];
    let answer = app.service.token(&ask).await;
    let own = answer.text("access_token");
    let stands = async || app.service.introspect(own).await.body["active"] == true;
    revoke(&app.foreign, own).await;
    assert!(stands().await, "untouched");
    revoke(&app.service, own).await;
    assert!(!stands().await);
}

on_both!(a_confidential_client_proves_itself_by_one_method);
/// V085, V086, V088: at each endpoint that authenticates clients.
async fn a_confidential_client_proves_itself_by_one_method(app: TestApp) {
    let basic = |id: &str, secret: &str| {
        use base64::Engine as _;
        let pair = format!("{id}:{secret}");
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        )
    };
    let right = basic("rp", SECRET);
    let wrong = basic("rp", "wrong");
    let blank = basic("rp", "");
    let other = basic("foreign", SECRET);
    for endpoint in ["token", "token/introspect", "revoke"] {
        let send = async |header: Option<&str>, extra: &[(&str, &str)], query: &str| {
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", "nonsense"),
                ("token", "nonsense"),
            ];
            form.extend(extra);
            let url = format!("{}{query}", app.rp.endpoint(endpoint));
            let mut request = app.http.post(url).form(&form);
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let body: serde_json::Value = answer.json().await.unwrap_or_default();
            (
                status,
                body["error"].as_str().unwrap_or_default().to_owned(),
            )
        };
        let expected = match endpoint {
            "token" => (400, "invalid_grant".to_owned()),
            _ => (200, String::new()),
        };
        let by_form = [("client_id", "rp"), ("client_secret", SECRET)];
        assert_eq!(send(Some(&right), &[], "").await, expected, "{endpoint}");
        assert_eq!(send(None, &by_form, "").await, expected, "{endpoint}");
        let refused = (401, "invalid_client".to_owned());
        for (header, extra, query) in [
            (None, &[][..], ""),
            (None, &[("client_id", "rp")], ""),
            (None, &[("client_id", "rp"), ("client_secret", "")], ""),
            (None, &[("client_id", "rp"), ("client_secret", "wrong")], ""),
            (
                None,
                &[("client_id", "nobody"), ("client_secret", SECRET)],
                "",
            ),
            (
                None,
                &[("client_id", "rp")],
                "?client_secret=the-secret-of-a-test-client-0123456789",
            ),
            (
                None,
                &[],
                "?client_id=rp&client_secret=the-secret-of-a-test-client-0123456789",
            ),
            (Some(wrong.as_str()), &[], ""),
            (Some(blank.as_str()), &[], ""),
            (Some(other.as_str()), &[("client_id", "rp")], ""),
            (Some("Basic !!!"), &by_form[..1], ""),
            (
                None,
                &[
                    ("client_id", "rp"),
                    ("client_secret", SECRET),
                    ("client_assertion", "x"),
                ],
                "",
            ),
            (
                None,
                &[
                    ("client_id", "rp"),
                    ("client_secret", SECRET),
                    ("client_assertion_type", ASSERTION),
                ],
                "",
            ),
            (Some(right.as_str()), &[("client_assertion", "x")], ""),
            (
                Some(right.as_str()),
                &[("client_assertion_type", ASSERTION)],
                "",
            ),
        ] {
            let at = format!("{endpoint} {header:?} {extra:?} {query}");
            assert_eq!(send(header, extra, query).await, refused, "{at}");
        }
        let both = send(Some(&right), &by_form, "").await;
        let refused = (400, "invalid_request".to_owned());
        assert_eq!(both, refused, "{endpoint}: two methods");
    }
}

on_both!(a_secret_proves_nothing_where_another_method_is_prescribed);
/// V086: a client that shall prove itself by a key or a certificate, which this server does not do, gets nothing by its
/// secret; nor does one of another protocol.
async fn a_secret_proves_nothing_where_another_method_is_prescribed(app: TestApp) {
    let ask = async |endpoint| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "nonsense"),
            ("token", "nonsense"),
        ];
        let answer = app.rp.post(endpoint, &form).await;
        (answer.status, answer.text("error").to_owned())
    };
    let login = |client: &'static str| {
        let parameters = [
            ("client_id", client),
            ("redirect_uri", "https://rp.example/cb"),
            ("response_type", "code"),
            ("scope", "openid"),
            ("prompt", "none"),
        ];
        let mut browser = app.browser();
        let rp = &app.rp;
        async move { super::ask(&mut browser, rp, &parameters).await }
    };
    let endpoints = ["token", "token/introspect", "revoke"];
    for method in ["client-jwt", "client-secret-jwt", "client-x509", "nope"] {
        super::change_client(&app, "rp", move |client| {
            client.settings.client_authenticator_type = method.to_owned();
        })
        .await;
        for endpoint in endpoints {
            let refused = (401, "invalid_client".to_owned());
            assert_eq!(ask(endpoint).await, refused, "{method} at {endpoint}");
        }
    }
    super::change_client(&app, "rp", |client| {
        client.settings.client_authenticator_type = "client-secret".to_owned();
    })
    .await;
    for endpoint in endpoints {
        assert_ne!(ask(endpoint).await.0, 401, "{endpoint}");
    }
    assert_eq!(login("rp").await.status, 303);
    super::change_client(&app, "rp", |client| {
        client.settings.protocol = "saml".to_owned();
    })
    .await;
    for endpoint in endpoints {
        let refused = (401, "invalid_client".to_owned());
        assert_eq!(ask(endpoint).await, refused, "SAML at {endpoint}");
    }
    let answer = login("rp").await;
    assert_eq!((answer.status, answer.header("location")), (400, ""));
}

on_both!(a_token_is_introspected_by_whom_it_concerns);
/// RFC 7662 section 4.
async fn a_token_is_introspected_by_whom_it_concerns(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    for token in [&tokens.access, &refresh] {
        assert_eq!(app.rp.introspect(token).await.body["active"], true);
        let foreign = app.foreign.introspect(token).await;
        assert_eq!(foreign.body, serde_json::json!({ "active": false }));
    }
    let public = app.native.introspect(&tokens.access).await;
    assert_eq!(
        (public.status, public.text("error")),
        (401, "invalid_client")
    );
    // An ID token is no access token.
    assert_eq!(app.rp.introspect(&tokens.id).await.body["active"], false);
    assert_eq!(app.rp.userinfo(&tokens.id).await.status, 401);
    app.rp
        .refresh(&tokens.access)
        .await
        .assert_error("invalid_grant");
}

on_both!(wrong_secrets_in_a_header_are_counted_for_the_client_that_they_name);
/// H013, at every endpoint where clients authenticate: one client's failures do not shut out another.
async fn wrong_secrets_in_a_header_are_counted_for_the_client_that_they_name(app: TestApp) {
    for endpoint in ["token/introspect", "revoke", "token"] {
        let url = format!("{}/protocol/openid-connect/{endpoint}", app.issuer());
        let try_as = async |client: &str| {
            app.http
                .post(app.here(&url))
                .basic_auth(client, Some("wrong"))
                .form(&[("token", "x"), ("grant_type", "client_credentials")])
                .send()
                .await
                .expect("an answer")
                .status()
                .as_u16()
        };
        let client = format!("{}-{}", app.rp.client_id, endpoint.replace('/', "-"));
        let mut last = 0;
        for _ in 0..62 {
            last = try_as(&client).await;
        }
        assert_eq!(last, 429, "{endpoint}");
        assert_eq!(try_as(&app.foreign.client_id).await, 401, "{endpoint}");
    }
}

on_both!(a_services_first_token_of_a_node_is_recorded_like_the_others);
/// A node that has just started does not know yet that the realm records its tokens, and another node may switch that
/// on or off: the first token is given all the same, and recorded where it has to be.
async fn a_services_first_token_of_a_node_is_recorded_like_the_others(app: TestApp) {
    let ask = [("grant_type", "client_credentials")];
    let recorded = || app.count("SELECT count(*) AS value FROM events WHERE kind = 'CLIENT_LOGIN'");
    for expected in 1..3 {
        let answer = app.service.token(&ask).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(recorded(), expected);
    }
    for (records, expected) in [(false, 2), (true, 3)] {
        // Through the store, as another node does it: this one has not heard of it.
        app.change_realm(move |realm| realm.settings.events_enabled = records)
            .await;
        let answer = app.service.token(&ask).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(recorded(), expected);
    }
}
