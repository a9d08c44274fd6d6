//! Our own tokens, read back: signature, issuer, type and times; whether they still stand is the gate's to say.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::kernel::{SessionId, Timestamp, UserId};
use crate::oidc::catalog::RealmConfig;

/// The longest token that is parsed at all, in bytes (reliability H014).
const LONGEST: usize = 16 * 1024;

/// The claims of a token of ours whose signature holds.
#[derive(Debug, Clone)]
pub struct OurToken {
    /// All claims.
    pub claims: Map<String, Value>,
    /// `sub`.
    pub user: UserId,
    /// `sid`.
    pub session: Option<SessionId>,
    /// `azp`: the client it was issued to.
    pub client_id: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `jti`.
    pub jti: String,
}

impl OurToken {
    /// A text claim.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }
}

/// Verifies a token of this realm: one of its keys, its issuer, `typ` as asked, unexpired unless `expired_too`.
///
/// The algorithm is the key's, not the header's; `jku`, `x5u` and `jwk` are never looked at (threats V095 to V098).
pub fn verify_ours(
    config: &RealmConfig,
    token: &str,
    typ: &str,
    now: Timestamp,
    expired_too: bool,
) -> Option<OurToken> {
    if token.len() > LONGEST {
        return None;
    }
    let header = decode_header(token).ok()?;
    let (algorithm, jwk) = config.keys.public_jwk(&header.kid?)?;
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).ok()?;
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let mut validation = Validation::new(algorithm.as_str().parse().ok()?);
    validation.set_issuer(&[&config.issuer]);
    validation.set_required_spec_claims(&["iss", "sub", "exp"]);
    validation.validate_aud = false;
    // The times are compared with the transaction's clock below, and not with the process's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims = decode::<Map<String, Value>>(token, &key, &validation)
        .ok()?
        .claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let seconds = |name: &str| {
        claims
            .get(name)
            .and_then(Value::as_i64)
            .map(Timestamp::from_seconds)
    };
    let ours = OurToken {
        user: UserId::new(text("sub")?),
        session: text("sid").map(SessionId::new),
        client_id: text("azp")?,
        issued_at: seconds("iat")?,
        expires_at: seconds("exp")?,
        jti: text("jti")?,
        claims,
    };
    let right_type = ours.text("typ") == Some(typ);
    let in_time = expired_too || now < ours.expires_at;
    (right_type && in_time).then_some(ours)
}
