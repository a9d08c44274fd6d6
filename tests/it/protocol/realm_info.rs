//! What is said at a realm's own address, where older adapters look for its key.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::signed_in;
use crate::support::app::TestApp;
use crate::support::database::on_both;

async fn info(app: &TestApp, realm: &str) -> (u16, Value) {
    let url = app.here(&format!("{}/realms/{realm}", app.public_url()));
    let answer = app.http.get(url).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

on_both!(a_realm_says_which_key_its_tokens_are_verified_with);
async fn a_realm_says_which_key_its_tokens_are_verified_with(app: TestApp) {
    let (status, mut said) = info(&app, "t1").await;
    assert_eq!(status, 200, "{said}");
    let key = said["public_key"].take();
    let issuer = app.issuer();
    assert_eq!(
        said,
        json!({
            "realm": "t1",
            "public_key": null,
            "token-service": format!("{issuer}/protocol/openid-connect"),
            "account-service": format!("{issuer}/account"),
            "tokens-not-before": 0,
        })
    );
    let key = STANDARD.decode(key.as_str().expect("a key"));
    let key = key.expect("base64");
    let bob = app.user("bob").await;
    let (_, arrival) = signed_in(&app, &bob, &app.rp).await;
    let access = arrival.exchange().await.assert_tokens().access;
    let (signed, signature) = access.rsplit_once('.').expect("a signature");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &signature)
        .expect("the realm's key");

    let unknown = (404, json!({ "error": "Realm does not exist" }));
    assert_eq!(info(&app, "nope").await, unknown);
}
