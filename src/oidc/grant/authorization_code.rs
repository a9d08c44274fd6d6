//! `authorization_code`: the code is consumed by whoever presents it, and a second presentation ends what the
//! first one got (RFC 6749 section 4.1.2, OAuth 2.1 section 4.1.3).

use super::{Claimed, Request, STALE, in_new_session, passed};
use crate::action::gate::{Provenance, Subject};
use crate::flow::AuthorizationRequest;
use crate::kernel::sha256_base64;
use crate::oidc::code;
use crate::oidc::error::TokenError;
use crate::oidc::issue::{Refresh, refresh};
use crate::oidc::scope::Scope;
use crate::session::{self, SessionKind};
use crate::store::{StoreError, Tx};

const NOT_VALID: TokenError = TokenError::InvalidGrant("Code not valid");

/// For whom this request asks.
///
/// # Errors
/// The database fails.
pub fn claim<'a>(
    tx: &mut Tx<'_>,
    request: &Request<'a>,
) -> Result<Result<Claimed<'a>, TokenError>, StoreError> {
    let Some(presented) = request.form.get("code") else {
        return Ok(Err(TokenError::Missing("code")));
    };
    let Some(found) = code::find(tx, &request.config.realm.id, presented)? else {
        return Ok(Err(NOT_VALID));
    };
    let now = tx.now()?;
    // Consumed whatever comes next: a code that was shown to the wrong client is a stolen one.
    if !code::redeem(tx, &found, now)? {
        // Whoever was first may have committed a moment ago, and moved the tokens to a session of their own.
        if let Some(redeemed) = code::find(tx, &request.config.realm.id, presented)? {
            refresh::end_family(tx, &redeemed.session, &redeemed.client)?;
        }
        metrics::counter!("idp_code_replay_total").increment(1);
        tracing::warn!(client = %request.client.client_id, "an authorization code was used twice; its tokens are ended");
        return Ok(Err(NOT_VALID));
    }
    if found.client != request.client.id {
        return Ok(Err(TokenError::InvalidGrant(
            "Auth error: Found different client_id in clientSession",
        )));
    }
    if passed(found.expires_at, now) {
        return Ok(Err(NOT_VALID));
    }
    if request.form.get("redirect_uri") != Some(found.request.redirect_uri.as_str()) {
        return Ok(Err(TokenError::InvalidGrant("Incorrect redirect_uri")));
    }
    if let Err(refusal) = pkce(&found.request, request.form.get("code_verifier")) {
        return Ok(Err(refusal));
    }
    let issued_at = found.expires_at.plus_seconds(
        -request
            .config
            .realm
            .settings
            .access_code_lifespan
            .clamp(1, 600),
    );
    if issued_at.seconds() < request.client.settings.not_before {
        return Ok(Err(STALE));
    }
    let session_id = found.session.clone();
    let subject = Subject {
        realm: request.config.realm.id.clone(),
        user: found.user,
        provenance: Provenance::Token {
            session: found.session,
            epoch: Some(found.epoch),
            issued_at,
        },
    };
    let scope = Scope::stored(&found.request.scope);
    let subject = if scope.has("offline_access") {
        let auth_time =
            session::rows::by_id(tx, &session_id)?.map_or(now, |session| session.auth_time);
        let subject = in_new_session(tx, request, subject, (auth_time, SessionKind::Offline))?;
        if let Provenance::Session { session, .. } = &subject.provenance {
            code::moved(tx, &found.digest, session)?;
        }
        subject
    } else {
        subject
    };
    Ok(Ok(Claimed {
        subject,
        scope,
        nonce: found.request.nonce,
        grant_id: None,
        refresh: Refresh::New,
    }))
}

/// PKCE (RFC 7636 section 4.6): required if and only if a challenge was sent (standards S007).
fn pkce(authorization: &AuthorizationRequest, verifier: Option<&str>) -> Result<(), TokenError> {
    let (challenge, verifier) = match (&authorization.code_challenge, verifier) {
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            return Err(TokenError::InvalidGrant(
                "PKCE code verifier specified but challenge not present in authorization",
            ));
        }
        (Some(_), None) => {
            return Err(TokenError::InvalidGrant("PKCE code verifier not specified"));
        }
        (Some(challenge), Some(verifier)) => (challenge, verifier),
    };
    let unreserved = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    if !(43..=128).contains(&verifier.len()) || !verifier.chars().all(unreserved) {
        return Err(TokenError::InvalidGrant(
            "PKCE verification failed: Invalid code verifier",
        ));
    }
    let computed = sha256_base64(verifier.as_bytes());
    aws_lc_rs::constant_time::verify_slices_are_equal(computed.as_bytes(), challenge.as_bytes())
        .map_err(|_| TokenError::InvalidGrant("PKCE verification failed: Code mismatch"))
}
