//! `refresh_token`: the row decides everything, the token's claims nothing.
//!
//! Where it rotates, the second use of an old token ends the family (standards S013). A gated refresh is refused
//! and consumes nothing: its transaction leaves the token as it was.

use super::{Claimed, Request, STALE};
use crate::action::gate::{Provenance, Subject};
use crate::oidc::consent;
use crate::oidc::error::TokenError;
use crate::oidc::issue::Refresh;
use crate::oidc::issue::refresh::{self, RefreshToken};
use crate::oidc::scope::Scope;
use crate::store::{StoreError, Tx};

const INVALID: TokenError = TokenError::InvalidGrant("Invalid refresh token");

/// A refresh token that may be exchanged, with what has to be spent once the gate has agreed.
pub struct Exchange<'a> {
    /// For whom.
    pub claimed: Claimed<'a>,
    /// The token to spend where it rotates.
    pub spend: Option<RefreshToken>,
}

/// For whom this request asks.
///
/// # Errors
/// The database fails.
pub fn claim<'a>(
    tx: &mut Tx<'_>,
    request: &Request<'a>,
) -> Result<Result<Exchange<'a>, TokenError>, StoreError> {
    let Some(presented) = request.form.get("refresh_token") else {
        return Ok(Err(TokenError::InvalidGrant("No refresh token")));
    };
    let found = refresh::find_hanging(tx, &request.config.realm.id, presented)?;
    let Some((stored, session, grant)) = found else {
        return Ok(Err(INVALID));
    };
    if stored.client_uuid != request.client.id {
        return Ok(Err(TokenError::InvalidGrant(
            "Invalid refresh token. Token client and authorized client don't match",
        )));
    }
    let now = tx.now()?;
    if stored.used_at.is_some() {
        return Ok(Err(replayed(tx, request, &stored)?));
    }
    // A refresh token lives as long as its session, whose idle time every use of it moves.
    if !session.is_live(&request.config.realm, now) {
        return Ok(Err(TokenError::InvalidGrant("Token is not active")));
    }
    if grant.as_ref() != Some(&stored.grant_id) {
        return Ok(Err(TokenError::InvalidGrant(
            "Session doesn't have required client",
        )));
    }
    if stored.issued_at.seconds() < request.client.settings.not_before {
        return Ok(Err(STALE));
    }
    let granted = Scope::stored(&stored.scope);
    let scope = match request.form.get("scope") {
        None => granted,
        Some(requested) => match Scope::parse(request.config, request.client, requested) {
            // A scope never grows (standards S014).
            Ok(narrower) if narrower.within(&granted) => narrower,
            Ok(_) => {
                return Ok(Err(TokenError::Scope(crate::oidc::scope::InvalidScope(
                    requested.to_owned(),
                ))));
            }
            Err(invalid) => return Ok(Err(TokenError::Scope(invalid))),
        },
    };
    let with = (request.config, request.client.as_ref());
    if !consent::still_given(tx, with, &stored.user_id, &scope)? {
        return Ok(Err(TokenError::InvalidGrant(
            "Client no longer has requested consent from user",
        )));
    }
    let rotates = request.client.rotates_refresh_tokens()
        || request.config.realm.settings.revoke_refresh_token;
    let subject = Subject {
        realm: request.config.realm.id.clone(),
        user: stored.user_id.clone(),
        provenance: Provenance::Token {
            session: stored.session_id.clone(),
            epoch: Some(stored.auth_epoch.clone()),
            issued_at: stored.issued_at,
        },
    };
    let refresh = if rotates {
        Refresh::New
    } else {
        Refresh::Keep(presented)
    };
    let claimed = Claimed {
        subject,
        scope,
        nonce: stored.nonce.clone(),
        grant_id: Some(stored.grant_id.clone()),
        refresh,
    };
    Ok(Ok(Exchange {
        claimed,
        spend: rotates.then_some(stored),
    }))
}

/// The second use of a token that was exchanged: somebody else has it, so the family ends.
///
/// # Errors
/// The database fails.
pub fn replayed(
    tx: &mut Tx<'_>,
    request: &Request<'_>,
    stored: &RefreshToken,
) -> Result<TokenError, StoreError> {
    refresh::end_family(tx, &stored.session_id, &stored.client_uuid)?;
    metrics::counter!("idp_refresh_replay_total").increment(1);
    tracing::warn!(client = %request.client.client_id, "a refresh token was used twice; its family is ended");
    Ok(TokenError::InvalidGrant(
        "Maximum allowed refresh token reuse exceeded",
    ))
}
