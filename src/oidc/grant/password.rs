//! `password`: off unless a client allows it, kept for scripts and SDKs that sign in as they always did.
//!
//! The same count, the same hasher and the same gate as the sign-in page.

use super::{Claimed, Request, in_new_session};
use crate::action::gate::{Provenance, Subject};
use crate::login::password::{Proved, Refusal};
use crate::oidc::error::TokenError;
use crate::oidc::issue::Refresh;
use crate::oidc::scope::Scope;
use crate::session::SessionKind;
use crate::store::{StoreError, Tx};

/// What a refused proof is at the token endpoint: told apart only to who knows the password.
pub fn refusal(refusal: Refusal) -> TokenError {
    match refusal {
        Refusal::Wrong => TokenError::InvalidUserCredentials,
        Refusal::Disabled => TokenError::AccountDisabled,
        Refusal::TemporaryExpired | Refusal::MailboxOnly => {
            TokenError::InvalidGrant("Account is not fully set up")
        }
    }
}

/// For whom this request asks, in a session that begins here, once the gate has agreed to one.
///
/// # Errors
/// The database fails.
pub fn claim<'a>(
    tx: &mut Tx<'_>,
    request: &Request<'a>,
    proved: &Proved,
) -> Result<Result<Claimed<'a>, TokenError>, StoreError> {
    let requested = request.form.get("scope").unwrap_or_default();
    let scope = match Scope::parse(request.config, request.client, requested) {
        Ok(scope) => scope,
        Err(invalid) => return Ok(Err(TokenError::Scope(invalid))),
    };
    let realm = &request.config.realm;
    let by_password = Subject {
        realm: realm.id.clone(),
        user: proved.user.id.clone(),
        provenance: Provenance::Password {
            epoch: proved.epoch.clone(),
        },
    };
    let kind = if scope.has("offline_access") {
        SessionKind::Offline
    } else {
        SessionKind::Online
    };
    let subject = in_new_session(tx, request, by_password, (proved.at, kind))?;
    Ok(Ok(Claimed {
        subject,
        scope,
        nonce: None,
        grant_id: None,
        refresh: Refresh::New,
    }))
}
