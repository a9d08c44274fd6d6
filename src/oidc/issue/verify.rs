//! Our own tokens, read back: signature, issuer, type and times; whether they still stand is the gate's to say.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Validation, decode, decode_header};
use parking_lot::RwLock;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::kernel::{SessionId, Timestamp, UserId, sha256};
use crate::oidc::catalog::RealmConfig;

/// The longest token that is parsed at all, in bytes (reliability H014).
const LONGEST: usize = 16 * 1024;

/// How many right signatures are remembered in each of two halves.
const REMEMBERED: usize = 2048;

/// The claims of a token of ours whose signature holds.
#[derive(Debug, Clone)]
pub struct OurToken {
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
    /// `scope`.
    pub scope: String,
    /// The client's grant in the session.
    pub grant_id: Option<String>,
    /// The mark of the user's epoch, in a token without a session.
    pub auth_epoch: Option<String>,
    claims: Vec<u8>,
}

impl OurToken {
    /// All claims.
    pub fn claims(&self) -> Map<String, Value> {
        serde_json::from_slice(&self.claims).unwrap_or_default()
    }
}

/// The claims that we look at. No mapper can write one of them.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: Option<SessionId>,
    azp: String,
    typ: String,
    iat: i64,
    exp: i64,
    jti: String,
    #[serde(default)]
    scope: String,
    grant_id: Option<String>,
    auth_epoch: Option<String>,
}

/// Signatures that were found right, by the digest of the whole token: services show one token again and again, and
/// to verify ES256 takes longer than everything else that such a request needs. Lives as long as one version of the
/// realm's configuration, so no longer than the keys. Holds nothing else of a token: what it says, whether it is over
/// and whether it still stands is asked each time.
#[derive(Default)]
pub struct Verified {
    halves: RwLock<Halves>,
}

#[derive(Default)]
struct Halves {
    younger: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl Verified {
    fn has(&self, digest: &[u8; 32]) -> bool {
        let halves = self.halves.read();
        halves.younger.contains(digest) || halves.older.contains(digest)
    }

    /// Remembers one more; where the younger half is full, the older one is forgotten.
    fn remember(&self, digest: [u8; 32]) {
        let mut halves = self.halves.write();
        if halves.younger.len() >= REMEMBERED {
            halves.older = std::mem::take(&mut halves.younger);
        }
        halves.younger.insert(digest);
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
    let digest = sha256(token.as_bytes());
    if !config.verified.has(&digest) {
        signature(config, token)?;
        config.verified.remember(digest);
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let ours = OurToken {
        user: claims.sub,
        session: claims.sid,
        client_id: claims.azp,
        issued_at: Timestamp::from_seconds(claims.iat),
        expires_at: Timestamp::from_seconds(claims.exp),
        jti: claims.jti,
        scope: claims.scope,
        grant_id: claims.grant_id,
        auth_epoch: claims.auth_epoch,
        claims: payload,
    };
    let right = claims.iss == config.issuer && claims.typ == typ;
    let in_time = expired_too || now < ours.expires_at;
    (right && in_time).then_some(ours)
}

/// Verifies an ID token that comes back as `id_token_hint`: one that is past its time is still a hint (OpenID Connect
/// Core 3.1.2.1, RP-Initiated Logout section 2).
pub fn verify_hint(config: &RealmConfig, token: &str, now: Timestamp) -> Option<OurToken> {
    verify_ours(config, token, "ID", now, true)
}

/// Whether one of the realm's keys has signed a token of this form.
fn signature(config: &RealmConfig, token: &str) -> Option<()> {
    let header = decode_header(token).ok()?;
    let (algorithm, key) = config.keys.verifier(&header.kid?)?;
    let mut validation = Validation::new(algorithm.as_str().parse().ok()?);
    validation.set_issuer(&[&config.issuer]);
    validation.set_required_spec_claims(&["iss", "sub", "exp"]);
    validation.validate_aud = false;
    // The times are compared with the transaction's clock, and not with the process's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    decode::<IgnoredAny>(token, key, &validation).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_the_youngest_stay() {
        let verified = Verified::default();
        let digest = |number: usize| sha256(&number.to_be_bytes());
        let many = REMEMBERED * 5 + 1;
        for number in 0..many {
            assert!(!verified.has(&digest(number)));
            verified.remember(digest(number));
            assert!(verified.has(&digest(number)));
        }
        assert!(verified.has(&digest(many - REMEMBERED)));
        assert!(!verified.has(&digest(0)));
        let halves = verified.halves.read();
        assert!(halves.younger.len() + halves.older.len() <= 2 * REMEMBERED);
    }
}
