//! The provider's metadata (OpenID Connect Discovery section 3, RFC 8414): only what this server really does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::issue::{Algorithm, KeySet};
use crate::realm::Realm;

/// The metadata document of a realm.
pub fn document(issuer: &str, scopes: &[&str]) -> Value {
    let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
    let algorithms: Vec<&str> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.as_str())
        .collect();
    let mut words = vec!["openid"];
    words.extend(scopes);
    let client_authentication = json!(["client_secret_basic", "client_secret_post", "none"]);
    json!({
        "issuer": issuer,
        "authorization_endpoint": endpoint("auth"),
        "token_endpoint": endpoint("token"),
        "introspection_endpoint": endpoint("token/introspect"),
        "userinfo_endpoint": endpoint("userinfo"),
        "end_session_endpoint": endpoint("logout"),
        "jwks_uri": endpoint("certs"),
        "revocation_endpoint": endpoint("revoke"),
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "acr_values_supported": ["1"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "subject_types_supported": ["public"],
        "prompt_values_supported": ["none", "login", "consent"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": client_authentication,
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": client_authentication,
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "name", "given_name", "family_name", "preferred_username",
            "email", "email_verified", "acr", "amr", "azp", "nonce", "sid",
        ],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": false,
        "scopes_supported": words,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// What Keycloak says of a realm at its own address: older adapters verify with the RS256 key that it names.
pub fn realm_info(realm: &Realm, issuer: &str, keys: &KeySet) -> Value {
    let key = keys
        .signer(Algorithm::Rs256)
        .and_then(|key| key.rsa_public_der());
    json!({
        "realm": realm.name,
        "public_key": key.map(|der| STANDARD.encode(der.as_ref())),
        "token-service": format!("{issuer}/protocol/openid-connect"),
        "account-service": format!("{issuer}/account"),
        "tokens-not-before": realm.not_before.seconds(),
    })
}
