//! `client_credentials`: a client acts as its own service account (RFC 6749 section 4.4).
//!
//! Runs in a read transaction, so that machines that ask for tokens do not queue behind people who sign in.

use super::{Claimed, Request};
use crate::action::gate::{Provenance, Subject};
use crate::oidc::error::TokenError;
use crate::oidc::issue::Refresh;
use crate::oidc::scope::Scope;
use crate::store::{StoreError, Tx};

/// For whom this request asks.
///
/// # Errors
/// The database fails.
pub fn claim<'a>(
    tx: &mut Tx<'_>,
    request: &Request<'a>,
) -> Result<Result<Claimed<'a>, TokenError>, StoreError> {
    let requested = request.form.get("scope").unwrap_or_default();
    let scope = match Scope::parse(request.config, request.client, requested) {
        Ok(scope) => scope,
        Err(invalid) => return Ok(Err(TokenError::Scope(invalid))),
    };
    let Some(account) = request.config.service_account(tx, &request.client.id)? else {
        return Ok(Err(TokenError::NoServiceAccount(
            "Client not enabled to retrieve service account",
        )));
    };
    let subject = Subject {
        realm: request.config.realm.id.clone(),
        user: account,
        provenance: Provenance::Service,
    };
    Ok(Ok(Claimed {
        subject,
        scope,
        nonce: None,
        grant_id: None,
        refresh: Refresh::None,
    }))
}
