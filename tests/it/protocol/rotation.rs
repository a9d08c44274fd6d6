//! A realm's keys change while applications verify with the JWKS that they have.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;
use vestibule::oidc::issue::{Algorithm, KeyState, create_key, list_keys, set_key_state};
use vestibule::realm;

use super::claims;
use crate::support::app::{REALM, TestApp, User};
use crate::support::database::on_both;

/// Seconds that `vestibule keys rotate` wants between publishing and signing; a test of the commands compares.
pub const PUBLISHED_FIRST: u64 = 360;

/// How often somebody looks at the clock in this test.
const STEP: u64 = 20;

/// An application that keeps a JWKS as long as it may.
struct Application {
    keys: BTreeMap<String, (Vec<u8>, Vec<u8>)>,
    age: u64,
    allowed: u64,
}

impl Application {
    async fn new(app: &TestApp) -> Self {
        let answer = app.http.get(app.rp.endpoint("certs")).send().await;
        let answer = answer.expect("an answer");
        let control = answer.headers()["cache-control"].to_str().expect("ASCII");
        let allowed = control
            .split(", ")
            .find_map(|part| part.strip_prefix("max-age="))
            .expect("a max-age")
            .parse()
            .expect("seconds");
        let jwks: Value = answer.json().await.expect("JSON");
        let part = |key: &Value, name: &str| {
            let text = key[name].as_str().expect("an RSA key");
            BASE64.decode(text).expect("base64url")
        };
        let keys = jwks["keys"].as_array().expect("keys").iter();
        let keys = keys.filter(|key| key["kty"] == "RSA").map(|key| {
            let kid = key["kid"].as_str().expect("a kid").to_owned();
            (kid, (part(key, "n"), part(key, "e")))
        });
        Self {
            keys: keys.collect(),
            age: 0,
            allowed,
        }
    }

    /// Time goes on; what was kept for as long as the server allowed is fetched anew.
    async fn later(&mut self, app: &TestApp, seconds: u64) {
        self.age += seconds;
        if self.age >= self.allowed {
            *self = Self::new(app).await;
        }
    }

    fn verifies(&self, token: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let Some((n, e)) = self.keys.get(&kid(token)) else {
            return false;
        };
        let signature = BASE64.decode(signature).expect("base64url");
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
            .is_ok()
    }
}

fn kid(token: &str) -> String {
    let header = token.split('.').next().expect("a header");
    let header = BASE64.decode(header).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

async fn publish(app: &TestApp) -> String {
    let engine = app.engine();
    let (keyring, entropy) = (std::sync::Arc::clone(&engine.keyring), engine.entropy);
    let kid = app
        .tx(move |tx| {
            let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
            let with = (&*keyring, &entropy);
            create_key(tx, &realm.id, Algorithm::Rs256, KeyState::Next, with)
        })
        .await;
    // A node looks for newer versions of a realm twice a second.
    for _ in 0..200 {
        if Application::new(app).await.keys.contains_key(&kid) {
            return kid;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never published");
}

async fn activate(app: &TestApp, kid: &str) {
    let kid = kid.to_owned();
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, REALM)?.expect("realm t1");
        for key in list_keys(tx, Some(&realm.id))? {
            if key.state == KeyState::Active.as_str() && key.algorithm == "RS256" {
                set_key_state(tx, &realm.id, &key.kid, KeyState::Passive)?;
            }
        }
        set_key_state(tx, &realm.id, &kid, KeyState::Active)
    })
    .await;
}

async fn token(app: &TestApp, user: &User) -> String {
    let answer = app
        .legacy
        .password_grant(&user.username, &user.password)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("access_token").to_owned()
}

on_both!(every_token_verifies_with_a_kept_jwks_while_keys_are_rotated);
/// V104: sixteen applications with a JWKS of every age; each verifies each token that lives, and none fails.
async fn every_token_verifies_with_a_kept_jwks_while_keys_are_rotated(app: TestApp) {
    let alice = app.user("alice").await;
    let old = kid(&token(&app, &alice).await);
    let mut applications = Vec::new();
    for number in 0..16 {
        let mut one = Application::new(&app).await;
        one.age = number * STEP;
        assert!(one.allowed < PUBLISHED_FIRST, "max-age={}", one.allowed);
        applications.push(one);
    }
    let new = publish(&app).await;
    let (mut tokens, mut verified, mut seconds) = (Vec::new(), 0, 0);
    let mut signers = Vec::new();
    while seconds <= PUBLISHED_FIRST + 2 * 300 {
        if seconds == PUBLISHED_FIRST {
            activate(&app, &new).await;
        }
        let fresh = token(&app, &alice).await;
        signers.push(kid(&fresh));
        tokens.push((claims(&fresh)["exp"].as_i64().expect("exp"), fresh));
        let now = app.tx(|tx| tx.now()).await.micros() / 1_000_000;
        tokens.retain(|(expires, _)| *expires > now);
        for one in &applications {
            for (_, token) in &tokens {
                assert!(
                    one.verifies(token),
                    "{seconds} s after publishing, a JWKS of {} s",
                    one.age
                );
                verified += 1;
            }
        }
        app.advance(Duration::from_secs(STEP));
        seconds += STEP;
        for one in &mut applications {
            one.later(&app, STEP).await;
        }
    }
    let before = usize::try_from(PUBLISHED_FIRST / STEP).expect("a few");
    assert!(signers[..before].iter().all(|kid| *kid == old), "too early");
    assert!(signers[before..].iter().all(|kid| *kid == new), "too late");
    assert!(verified > 1000, "{verified} verifications");

    // What would happen to who does not wait.
    let hasty = publish(&app).await;
    activate(&app, &hasty).await;
    let fresh = token(&app, &alice).await;
    assert_eq!(kid(&fresh), hasty);
    assert!(applications.iter().any(|one| !one.verifies(&fresh)));
}
