//! Tokens that somebody else has made, or made larger, at everything that reads one.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use vestibule::oidc::issue::{delete_key, list_keys};
use vestibule::realm;

use super::signed_in;
use crate::support::app::{REALM, TestApp};
use crate::support::database::{Kind, on_both};

/// A token of this header over the payload of another, signed by `sign`.
fn forge(header: &Value, original: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let payload = original.split('.').nth(1).expect("a payload");
    let signed = format!("{}.{payload}", BASE64.encode(header.to_string()));
    let signature = BASE64.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// That no endpoint takes the token for an access token or an ID token.
async fn assert_dead(app: &TestApp, token: &str, about: &str) {
    assert_eq!(
        app.rp.userinfo(token).await.status,
        401,
        "userinfo: {about}"
    );
    let seen = app.rp.introspect(token).await;
    assert_eq!(
        seen.body,
        json!({ "active": false }),
        "introspection: {about}"
    );
    app.rp.refresh(token).await.assert_error("invalid_grant");
    let hint = app
        .http
        .get(app.rp.endpoint("logout"))
        .query(&[("id_token_hint", token)])
        .send()
        .await
        .expect("an answer");
    assert_eq!(hint.status(), 400, "id_token_hint: {about}");
    let admin = app.here(&format!("{}/admin/realms/t1", app.public_url()));
    let admin = app
        .http
        .get(admin)
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(admin.status(), 401, "admin API: {about}");
}

on_both!(a_token_that_was_not_signed_by_its_realm_is_nothing);
/// V095, V097, V098: `none`, HMAC with the public key or with nothing, other algorithms, keys named by the token.
async fn a_token_that_was_not_signed_by_its_realm_is_nothing(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let tokens = arrival.exchange().await.assert_tokens();
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
    let header = tokens.access.split('.').next().expect("a header");
    let header: Value =
        serde_json::from_slice(&BASE64.decode(header).expect("base64url")).expect("JSON");
    let (kid, algorithm) = (header["kid"].clone(), header["alg"].clone());
    let certs = app
        .http
        .get(app.rp.endpoint("certs"))
        .send()
        .await
        .expect("an answer");
    let certs: Value = certs.json().await.expect("JSON");
    let jwk = certs["keys"]
        .as_array()
        .and_then(|keys| keys.iter().find(|key| key["kid"] == kid))
        .expect("the key")
        .clone();
    let modulus = BASE64
        .decode(jwk["n"].as_str().expect("RSA"))
        .expect("base64url");
    let hmac = |secret: Vec<u8>| {
        move |data: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            hmac::sign(&key, data).as_ref().to_vec()
        }
    };
    for original in [&tokens.access, &tokens.id] {
        let signature = BASE64
            .decode(original.rsplit('.').next().expect("a signature"))
            .expect("base64url");
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let forged = forge(&json!({ "alg": none, "kid": kid }), original, |_| {
                Vec::new()
            });
            assert_dead(&app, &forged, none).await;
        }
        for secret in [
            Vec::new(),
            modulus.clone(),
            jwk.to_string().into_bytes(),
            jwk["n"].as_str().unwrap_or_default().as_bytes().to_vec(),
            crate::support::seed::SECRET.as_bytes().to_vec(),
        ] {
            let forged = forge(
                &json!({ "alg": "HS256", "kid": kid }),
                original,
                hmac(secret),
            );
            assert_dead(&app, &forged, "HS256").await;
        }
        for other in ["RS384", "RS512", "PS256", "ES256", "EdDSA"] {
            let forged = forge(&json!({ "alg": other, "kid": kid }), original, |_| {
                signature.clone()
            });
            assert_dead(&app, &forged, other).await;
        }
        for kid in [
            json!("../../etc/passwd"),
            json!("' OR 1=1 --"),
            json!("a\u{0}b"),
            json!(null),
            json!(1),
        ] {
            let forged = forge(&json!({ "alg": algorithm, "kid": kid }), original, |_| {
                signature.clone()
            });
            assert_dead(&app, &forged, "kid").await;
        }
        for name in ["jku", "x5u", "jwk", "x5c"] {
            let mut header = json!({ "alg": "HS256", "kid": kid });
            header[name] = match name {
                "jwk" => json!({ "kty": "oct", "k": BASE64.encode("secret") }),
                "x5c" => json!(["AAAA"]),
                _ => json!(format!("{}/keys", app.public_url())),
            };
            let forged = forge(&header, original, hmac(b"secret".to_vec()));
            assert_dead(&app, &forged, name).await;
        }
        let (signed, _) = original.rsplit_once('.').expect("a signature");
        for altered in [
            format!("{signed}."),
            signed.to_owned(),
            format!("{signed}.AAAA"),
            format!("{original}A"),
        ] {
            assert_dead(&app, &altered, "signature").await;
        }
    }
    assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
}

on_both!(a_payload_that_was_changed_is_nothing);
/// V095, V096: the signature covers every claim.
async fn a_payload_that_was_changed_is_nothing(app: TestApp) {
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let access = arrival.exchange().await.assert_tokens().access;
    let parts: Vec<&str> = access.split('.').collect();
    for (name, value) in [
        ("sub", json!(alice.id.as_str())),
        ("exp", json!(9_999_999_999_i64)),
        ("exp", json!("9999999999")),
        ("exp", json!(null)),
        ("azp", json!("admin-cli")),
        ("typ", json!("ID")),
        ("realm_access", json!({ "roles": ["admin"] })),
    ] {
        let mut claims = super::claims(&access);
        claims[name] = value.clone();
        let payload = BASE64.encode(claims.to_string());
        let forged = format!("{}.{payload}.{}", parts[0], parts[2]);
        assert_dead(&app, &forged, &format!("{name}: {value}")).await;
    }
}

on_both!(a_token_is_of_one_kind);
/// V095: an ID token is no access token and the reverse; neither is a refresh token or a code.
async fn a_token_is_of_one_kind(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let code = arrival.code().to_owned();
    let tokens = arrival.exchange().await.assert_tokens();
    let refresh = tokens.refresh.expect("a refresh token");
    for token in [&tokens.id, &refresh, &code] {
        assert_eq!(app.rp.userinfo(token).await.status, 401);
    }
    for token in [&tokens.access, &tokens.id, &code] {
        app.rp.refresh(token).await.assert_error("invalid_grant");
    }
    for token in [&tokens.access, &tokens.id, &refresh] {
        app.rp
            .redeem(token, "x")
            .await
            .assert_error("invalid_grant");
    }
    assert_eq!(
        app.rp.userinfo(&tokens.access).await.status,
        200,
        "none of it ended the grant"
    );
}

on_both!(a_token_is_read_up_to_sixteen_kibibytes);
/// V105: nothing that large is parsed, and the server goes on.
async fn a_token_is_read_up_to_sixteen_kibibytes(app: TestApp) {
    for token in [
        "a".repeat(17 * 1024),
        ".".repeat(17 * 1024),
        format!(
            "{}.e30.x",
            BASE64.encode(json!({ "alg": "RS256", "kid": "k".repeat(12 * 1024) }).to_string())
        ),
        format!(
            "{}.a.b.c.d",
            BASE64.encode(
                r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"zip":"DEF"}"#
            )
        ),
    ] {
        let admin = app.here(&format!("{}/admin/realms/t1", app.public_url()));
        for url in [app.rp.endpoint("userinfo"), admin] {
            let header = app.http.get(&url).bearer_auth(&token);
            let by_header = header.send().await.expect("an answer").status().as_u16();
            assert!((400..500).contains(&by_header), "{url}: {by_header}");
        }
        for (endpoint, name) in [
            ("logout", "id_token_hint"),
            ("userinfo", "access_token"),
            ("token/introspect", "token"),
            ("revoke", "token"),
            ("token", "refresh_token"),
        ] {
            let answer = app
                .rp
                .post(endpoint, &[("grant_type", "refresh_token"), (name, &token)])
                .await;
            let dead = answer.status < 500 && answer.body["active"] != true;
            assert!(
                dead && answer.body.get("access_token").is_none(),
                "{endpoint}"
            );
            if token.len() > 16 * 1024 {
                assert_eq!(answer.status, 413, "{endpoint}: {}", answer.body);
            }
        }
    }
    // A token that is long and right is read, up to the last byte of it.
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let access = arrival.exchange().await.assert_tokens().access;
    let header = access.split('.').next().expect("a header");
    let mut claims = super::claims(&access);
    claims["padding"] = json!("x".repeat(21 * 512));
    let long = sign_as_the_realm(&app, header, &claims.to_string());
    assert!(
        (15 * 1024..16 * 1024).contains(&long.len()),
        "{}",
        long.len()
    );
    assert_eq!(app.rp.introspect(&long).await.body["active"], true);
    let (signed, signature) = long.split_at(long.len() - 4);
    let last = if signature == "AAAA" { "BBBB" } else { "AAAA" };
    let altered = app.rp.introspect(&format!("{signed}{last}")).await;
    assert_eq!(altered.body, json!({ "active": false }));
}

/// Signs any payload with the realm's own key, as no product code would.
fn sign_as_the_realm(app: &TestApp, header: &str, payload: &str) -> String {
    let parsed: Value =
        serde_json::from_slice(&BASE64.decode(header).expect("base64url")).expect("JSON");
    let kid = parsed["kid"].as_str().expect("a kid");
    let realm = &app.sql("SELECT id AS value FROM realms WHERE name = 't1'")[0];
    let hex = match app.kind() {
        Kind::Sqlite => "hex(private_sealed)",
        Kind::Postgres => "encode(private_sealed, 'hex')",
    };
    let query = format!("SELECT {hex} AS value FROM realm_keys WHERE id = '{kid}'");
    let sealed: Vec<u8> = app.sql(&query)[0]
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hex");
            u8::from_str_radix(pair, 16).expect("hex")
        })
        .collect();
    let place = format!("realm_keys/private_sealed/{kid}/{realm}");
    let pkcs8 = app.engine().keyring.open(&sealed, &place).expect("the key");
    let key = RsaKeyPair::from_pkcs8(&pkcs8).expect("an RSA key");
    let signed = format!("{header}.{}", BASE64.encode(payload));
    let mut signature = vec![0; key.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .expect("a signature");
    format!("{signed}.{}", BASE64.encode(signature))
}

on_both!(a_claim_of_another_type_is_not_a_claim_that_is_absent);
/// V096: rightly signed, and refused all the same.
async fn a_claim_of_another_type_is_not_a_claim_that_is_absent(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let access = arrival.exchange().await.assert_tokens().access;
    let header = access.split('.').next().expect("a header");
    let claims = super::claims(&access);
    let control = sign_as_the_realm(&app, header, &claims.to_string());
    assert_eq!(
        app.rp.userinfo(&control).await.status,
        200,
        "the forger can sign"
    );
    let numbers = [
        r#""9999999999""#,
        "9999999999.5",
        "true",
        "[9999999999]",
        "{}",
        "null",
        "1e400",
        "1e10",
        "-1",
        "0",
        "",
    ];
    let texts = ["1", "true", "[\"x\"]", "{}", "null", "\"\"", ""];
    let with = |name: &str, value: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().expect("claims").remove(name);
        let rest = changed.to_string();
        match value {
            "" => rest,
            value => format!("{{\"{name}\":{value},{}", &rest[1..]),
        }
    };
    let cases = numbers
        .iter()
        .map(|value| ("exp", *value))
        .chain(numbers[..7].iter().map(|value| ("iat", *value)))
        .chain([("iat", "")])
        .chain(
            ["iss", "sub", "azp", "typ", "sid"]
                .into_iter()
                .flat_map(|name| texts.iter().map(move |value| (name, *value))),
        );
    for (name, value) in cases {
        let forged = sign_as_the_realm(&app, header, &with(name, value));
        let at = format!("{name}: {value:?}");
        assert_dead(&app, &forged, &at).await;
    }
    // Nor is it a hint as an ID token: its time may be over, and has to be a time.
    let mut hint = claims.clone();
    hint["typ"] = json!("ID");
    let log_out = async |claims: &str| {
        let hint = sign_as_the_realm(&app, header, claims);
        let asked = app.http.get(app.rp.endpoint("logout"));
        let sent = asked.query(&[("id_token_hint", hint)]).send().await;
        sent.expect("an answer").status().as_u16()
    };
    for (name, value) in [
        ("exp", "\"9999999999\""),
        ("exp", "true"),
        ("exp", "null"),
        ("exp", "1e400"),
        ("iat", "\"1\""),
        ("iss", "1"),
        ("sub", "null"),
        ("azp", "[\"rp\"]"),
        ("typ", "\"Bearer\""),
    ] {
        let mut changed = hint.clone();
        changed.as_object_mut().expect("claims").remove(name);
        let forged = format!("{{\"{name}\":{value},{}", &changed.to_string()[1..]);
        assert_eq!(log_out(&forged).await, 400, "{name}: {value}");
    }
    assert_eq!(app.rp.userinfo(&access).await.status, 200);
    assert_eq!(log_out(&hint.to_string()).await, 200, "the forger can sign");
    assert_eq!(app.rp.userinfo(&access).await.status, 401);
}

on_both!(what_was_verified_before_ends_with_its_key_and_lends_its_name_to_nothing);
/// V095, V097: signatures that were right are remembered by the whole token, and no longer than the realm's keys stay.
async fn what_was_verified_before_ends_with_its_key_and_lends_its_name_to_nothing(app: TestApp) {
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let access = arrival.exchange().await.assert_tokens().access;
    for _ in 0..3 {
        assert_eq!(app.rp.userinfo(&access).await.status, 200);
    }
    let (signed, signature) = access.rsplit_once('.').expect("a signature");
    let (first, rest) = signature.split_at(1);
    let other = if first == "A" { "B" } else { "A" };
    assert_dead(&app, &format!("{signed}.{other}{rest}"), "one letter").await;
    assert_dead(&app, &format!("{signed}."), "no signature").await;
    assert_dead(&app, &format!("{access}."), "a fourth part").await;
    assert_eq!(app.rp.userinfo(&access).await.status, 200, "still good");

    app.tx(|tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
        for key in list_keys(tx, Some(&realm.id))? {
            delete_key(tx, &realm.id, &key.kid)?;
        }
        Ok(())
    })
    .await;
    assert_dead(&app, &access, "its key is gone").await;
}
