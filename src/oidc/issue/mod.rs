//! The mint: the only place that makes tokens.
//!
//! [`issue`] takes the gate's [`Cleared`] by value and nothing else that names a user: subject, session and epoch
//! come out of it. What it writes (the refresh token's row, the client's place in the session) is part of the
//! caller's transaction; the signatures, which need no database and would hold its lock, are made afterwards by
//! [`TokenSet::signed`].
//!
//! Minting for a subject that was not cleared does not compile:
//!
//! ```compile_fail,E0308
//! use vestibule::action::gate::Subject;
//! use vestibule::oidc::issue::{issue, Grantee};
//! use vestibule::store::Tx;
//! fn shortcut<'tx>(tx: &mut Tx<'tx>, who: Subject, to: Grantee<'_>) {
//!     let _ = issue(tx, who, to);
//! }
//! ```
//!
//! With the gate's proof it does:
//!
//! ```
//! use vestibule::action::gate::Cleared;
//! use vestibule::oidc::issue::{issue, Grantee};
//! use vestibule::store::Tx;
//! fn minted<'tx>(tx: &mut Tx<'tx>, cleared: Cleared<'tx>, to: Grantee<'_>) {
//!     let _ = issue(tx, cleared, to);
//! }
//! ```

pub mod claims;
mod keys;
mod mapper;
mod plan;
mod sign;
mod verify;

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

pub use claims::{Claim, Claims};
pub use keys::{
    KeySet, KeyState, KeySummary, RealmKey, create as create_key, delete as delete_key,
    list as list_keys, reseal, set_state as set_key_state,
};
pub use mapper::Target;
pub use plan::{About, Carried, Plan, Plans};
pub use sign::{Algorithm, SigningKey};
pub use verify::{OurToken, Verified, verify_hint, verify_ours};

use super::catalog::RealmConfig;
use super::scope::Scope;
use crate::action::gate::Cleared;
use crate::client::Client;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, UserId, sha256_base64};
use crate::role;
use crate::session;
use crate::store::{StoreError, Tx};
use crate::user::User;

pub mod refresh;

/// Who gets the tokens, and which. Has no field for the user: that is the gate's word.
pub struct Grantee<'a> {
    /// The realm's configuration.
    pub config: &'a RealmConfig,
    /// The client.
    pub client: &'a Client,
    /// Keycloak's two letters for the grant in `jti`: `ac`, `rt`, `ro`, `cc`.
    pub grant: &'static str,
    /// What was asked for.
    pub scope: &'a Scope,
    /// The `nonce` of the authorization request.
    pub nonce: Option<&'a str>,
    /// The client's grant in the session where tokens are renewed. It is gone on with and never made anew: who ends it
    /// at the same moment has ended what is issued here, too.
    pub grant_id: Option<&'a str>,
    /// The address of the client, for a service account's claims.
    pub client_address: Option<&'a str>,
    /// What becomes of the refresh token.
    pub refresh: Refresh<'a>,
    /// The master key, for the refresh token's signature.
    pub keyring: &'a Keyring,
    /// Randomness.
    pub entropy: &'a Entropy,
}

/// What becomes of the refresh token.
#[derive(Clone, Copy)]
pub enum Refresh<'a> {
    /// None is issued: a service needs none.
    None,
    /// A new one.
    New,
    /// The client goes on with the one it has.
    Keep(&'a str),
}

/// Tokens that are decided and not yet signed. Made by [`issue`] alone.
pub struct TokenSet {
    key: Arc<SigningKey>,
    id_key: Arc<SigningKey>,
    access_typ: &'static str,
    /// The claims, written.
    access: Vec<u8>,
    id: Option<Vec<u8>>,
    answer: TokenAnswer,
}

/// The token endpoint's answer (RFC 6749 section 5.1, OpenID Connect Core 3.1.3.3), in Keycloak's order.
#[derive(Debug, Serialize)]
pub struct TokenAnswer {
    access_token: String,
    expires_in: i64,
    refresh_expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(rename = "not-before-policy")]
    not_before_policy: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_state: Option<String>,
    scope: String,
}

impl TokenSet {
    /// Signs. Called after the transaction that decided has been committed.
    ///
    /// # Errors
    /// A signature cannot be made.
    pub fn signed(self) -> Result<TokenAnswer, StoreError> {
        let mut answer = self.answer;
        answer.access_token = self.key.sign(self.access_typ, &self.access)?;
        if let Some(id) = self.id {
            let at_hash = sign::at_hash(self.id_key.algorithm(), &answer.access_token);
            answer.id_token = Some(self.id_key.sign("JWT", &with_at_hash(id, &at_hash))?);
        }
        Ok(answer)
    }
}

/// Written claims with one more, which is known only after the access token is signed.
fn with_at_hash(mut claims: Vec<u8>, at_hash: &str) -> Vec<u8> {
    claims.pop();
    claims.extend_from_slice(format!(r#","at_hash":"{at_hash}"}}"#).as_bytes());
    claims
}

impl TokenAnswer {
    /// The answer as JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, StoreError> {
        let tokens = [
            Some(&self.access_token),
            self.refresh_token.as_ref(),
            self.id_token.as_ref(),
        ];
        let room: usize = tokens.into_iter().flatten().map(String::len).sum();
        let mut out = Vec::with_capacity(room + 384);
        serde_json::to_writer(&mut out, self)
            .map_err(|_| StoreError::Sealed("an answer cannot be written".to_owned()))?;
        Ok(out)
    }
}

/// The roles that a token of this plan carries for this user, and what they make in it.
///
/// # Errors
/// The database fails.
pub fn roles_in_token(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    plan: &Plan,
    user: &UserId,
) -> Result<Arc<Carried>, StoreError> {
    Ok(plan.carried(config, role::rows::of_user(tx, user)?))
}

/// Issues tokens for whom the gate has cleared.
///
/// # Errors
/// The database fails, or the realm has no key for the client's algorithm.
pub fn issue<'tx>(
    tx: &mut Tx<'tx>,
    cleared: Cleared<'tx>,
    to: Grantee<'_>,
) -> Result<TokenSet, StoreError> {
    let (config, client) = (to.config, to.client);
    let now = cleared.now();
    let user = cleared.user();
    let session = cleared.session();
    let plan = config.plan(client, to.scope);
    let (key, id_key) = (plan.key(config)?, plan.id_key(config)?);
    let mut lifespan = plan.lifespan;
    if let Some(session) = session.filter(|session| session.kind == session::SessionKind::Online) {
        // No token outlives the session it belongs to.
        lifespan = lifespan
            .min(session.expires_at(&config.realm).seconds_since(now))
            .max(1);
    }
    let grant_id = match session {
        Some(session) => {
            session::rows::seen(tx, session, now)?;
            Some(match to.grant_id {
                Some(known) => known.to_owned(),
                None => {
                    session::rows::join(tx, &session.id, &client.id, &to.entropy.short_id(), now)?
                }
            })
        }
        None => None,
    };
    let carried = roles_in_token(tx, config, &plan, &user.id)?;
    let about = About {
        user,
        session,
        client_address: to.client_address,
        carried: &carried,
    };
    let client_id = client.client_id.as_str();
    let (issued_at, expires_at) = (now.seconds(), now.plus_seconds(lifespan).seconds());

    let mut mapped = plan.claims(Target::Access, &about);
    let mut access = Claims::new();
    access.set("exp", expires_at);
    access.set("iat", issued_at);
    access.set(
        "jti",
        format!(
            "{}rt{}:{}",
            if session.is_some() { "on" } else { "tr" },
            to.grant,
            to.entropy.random_uuid()
        ),
    );
    access.set("iss", config.issuer.as_str());
    let audience = mapped.take("aud");
    access.set("aud", audience.unwrap_or_else(|| Claim::from(client_id)));
    access.set("sub", user.id.as_str());
    access.set("typ", "Bearer");
    access.set("azp", client_id);
    if let Some(session) = session {
        access.set("sid", session.id.as_str());
        access.set("amr", json!(session.amr));
    }
    access.append(mapped);
    access.set("scope", plan.granted.as_str());
    access.set("client_id", client_id);
    // Private claims by which our own endpoints know whether the token still stands.
    match &grant_id {
        Some(grant_id) => access.set("grant_id", grant_id.as_str()),
        None => access.set("auth_epoch", epoch_mark(user)),
    }
    let access = access.to_json()?;

    let id = to.scope.has("openid").then(|| {
        let mut id = Claims::new();
        id.set("exp", expires_at);
        id.set("iat", issued_at);
        if let Some(session) = session {
            id.set("auth_time", session.auth_time.seconds());
        }
        id.set("jti", to.entropy.random_uuid());
        id.set("iss", config.issuer.as_str());
        id.set("aud", client_id);
        id.set("sub", user.id.as_str());
        id.set("typ", "ID");
        id.set("azp", client_id);
        if let Some(nonce) = to.nonce {
            id.set("nonce", nonce);
        }
        if let Some(session) = session {
            id.set("sid", session.id.as_str());
            id.set("amr", json!(session.amr));
        }
        let mut mapped = plan.claims(Target::Id, &about);
        mapped.take("aud");
        id.append(mapped);
        id.to_json()
    });
    let id = id.transpose()?;

    let refresh = refresh::issue(tx, &cleared, &to, grant_id.as_deref())?;
    let not_before = config
        .realm
        .not_before
        .seconds()
        .max(user.not_before.seconds());
    metrics::counter!("idp_tokens_issued_total", "realm" => config.realm.name.clone(), "grant" => to.grant).increment(1);
    Ok(TokenSet {
        key,
        id_key,
        access_typ: plan.access_typ,
        access,
        id,
        answer: TokenAnswer {
            access_token: String::new(),
            expires_in: lifespan,
            refresh_expires_in: refresh.as_ref().map_or(0, |refresh| refresh.expires_in),
            refresh_token: refresh.map(|refresh| refresh.token),
            token_type: "Bearer",
            id_token: None,
            not_before_policy: not_before,
            session_state: session.map(|session| session.id.as_str().to_owned()),
            scope: plan.granted.clone(),
        },
    })
}

/// What a token without a session carries of the user's epoch: enough to compare, nothing to learn.
pub fn epoch_mark(user: &User) -> String {
    let mut mark = sha256_base64(user.auth_epoch.as_str().as_bytes());
    mark.truncate(16);
    mark
}
