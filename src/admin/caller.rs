//! Who calls: the bearer token, judged in the same transaction as the work, and what its holder may manage.
//!
//! Invariant: what a caller may do is what the database says of the person now, cut down to what a token of that
//! client and scope could carry, and to what the client is approved for; the token's own claims about roles are never
//! read.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::approval;
use super::error::AdminError;
use super::powers::Powers;
use crate::kernel::{RoleId, UserId};
use crate::oidc::bearer::{self, Fallen};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::engine::Engine;
use crate::oidc::issue::roles_in_token;
use crate::oidc::provision::MASTER;
use crate::oidc::scope::Scope;
use crate::store::{StoreError, Tx};

/// An administrator, or somebody who would like to be one.
pub struct Caller {
    /// Their id.
    pub user: UserId,
    /// The realm they belong to.
    pub home: Arc<RealmConfig>,
    /// The client through which they call.
    pub client_id: String,
    /// What they may manage.
    pub powers: Powers,
}

/// Judges the token.
///
/// # Errors
/// It does not stand, its holder is gated, or the database fails.
pub fn identify(
    tx: &mut Tx<'_>,
    engine: &Engine,
    token: Option<&str>,
) -> Result<Caller, AdminError> {
    let token = token.ok_or(AdminError::Unauthorized)?;
    let name = issuing_realm(token, &engine.public_url).ok_or(AdminError::Unauthorized)?;
    let home = engine
        .catalog
        .current(tx, &name)?
        .ok_or(AdminError::Unauthorized)?;
    let standing = match bearer::judge(tx, &home, token)? {
        Ok(standing) => standing,
        Err(Fallen::Gated(actions)) => return Err(AdminError::Gated(actions)),
        Err(Fallen::Invalid | Fallen::Ended) => return Err(AdminError::Unauthorized),
    };
    let client_id = standing.token.client_id.clone();
    let client = home
        .client(tx, &client_id)?
        .ok_or(AdminError::Unauthorized)?;
    let plan = home.plan(&client, &Scope::stored(&standing.token.scope));
    let carried = roles_in_token(tx, &home, &plan, &standing.facts.user.id)?;
    let mut powers = Powers::of(&home, &carried.ids);
    if standing.facts.user.service_client.is_none() {
        powers = approval::carried(&client, powers);
    }
    Ok(Caller {
        user: standing.facts.user.id,
        powers,
        client_id,
        home,
    })
}

/// The realm of the call's path, as far as the caller may know that it exists.
///
/// A realm that the caller has nothing to do with is answered as one that does not exist (threat V135); that
/// `master` exists is no secret.
///
/// # Errors
/// No such realm, or none of the caller's business.
pub fn target(
    tx: &mut Tx<'_>,
    engine: &Engine,
    caller: &Caller,
    realm: &str,
) -> Result<Arc<RealmConfig>, AdminError> {
    if realm == caller.home.realm.name {
        return Ok(Arc::clone(&caller.home));
    }
    if realm == MASTER {
        return Err(AdminError::Forbidden);
    }
    let found: Result<_, StoreError> = engine.catalog.current(tx, realm);
    found?
        .filter(|_| caller.home.realm.name == MASTER && caller.powers.any_of(realm))
        .ok_or(AdminError::NotFound("Realm not found."))
}

/// The realm that a token says it is of; only says where to look for the key that proves it.
fn issuing_realm(token: &str, public_url: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    let issuer = claims.get("iss")?.as_str()?;
    let name = issuer.strip_prefix(public_url)?.strip_prefix("/realms/")?;
    crate::realm::valid_name(name).then(|| name.to_owned())
}

/// What a user of a realm may manage, by every role mapped to them.
///
/// # Errors
/// The database fails.
pub fn powers_of(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    user: &UserId,
) -> Result<Powers, StoreError> {
    let mapped: Vec<RoleId> = crate::role::rows::of_user(tx, user)?;
    Ok(Powers::closed(config, mapped.iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_where_to_look_for_its_key() {
        let url = "https://id.example";
        let of = |claims: &str| issuing_realm(&token(claims), url);
        assert_eq!(
            of(r#"{"iss":"https://id.example/realms/bar"}"#).as_deref(),
            Some("bar")
        );
        for claims in [
            r#"{"iss":"https://id.example.evil/realms/bar"}"#,
            r#"{"iss":"https://id.example/realms/bar/x"}"#,
            r#"{"iss":"https://id.example/realms/"}"#,
            r#"{"iss":7}"#,
            "{}",
            "garbage",
        ] {
            assert_eq!(of(claims), None, "{claims}");
        }
        assert_eq!(issuing_realm("garbage", url), None);
    }
}
