//! The mint: the only place that makes tokens.
//!
//! [`issue`] takes the gate's [`Cleared`] by value and nothing else that names a user: subject, session and epoch
//! come out of it. What it writes (the refresh token's row, the client's place in the session) is part of the
//! caller's transaction; the signatures, which need no database and would hold its lock, are made afterwards by
//! [`TokenSet::sign`].
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
mod sign;
mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use claims::{Source, Target};
pub use keys::{
    KeySet, KeyState, KeySummary, RealmKey, create as create_key, delete as delete_key,
    list as list_keys, reseal, set_state as set_key_state,
};
pub use sign::{Algorithm, SigningKey};
pub use verify::{OurToken, verify_ours};

use super::catalog::RealmConfig;
use super::scope::Scope;
use crate::action::gate::Cleared;
use crate::client::Client;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RoleId, sha256_base64};
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
    access: Map<String, Value>,
    id: Option<Map<String, Value>>,
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
    pub fn sign(self) -> Result<TokenAnswer, StoreError> {
        let mut answer = self.answer;
        answer.access_token = self.key.sign(self.access_typ, &self.access)?;
        if let Some(mut id) = self.id {
            id.insert(
                "at_hash".into(),
                json!(sign::at_hash(self.id_key.algorithm(), &answer.access_token)),
            );
            answer.id_token = Some(self.id_key.sign("JWT", &id)?);
        }
        Ok(answer)
    }
}

/// The roles that a token of this client may carry for this user.
///
/// # Errors
/// The database fails.
pub fn roles_in_token<'a>(
    tx: &mut Tx<'_>,
    config: &'a RealmConfig,
    client: &Client,
    scope: &Scope,
    user: &User,
) -> Result<BTreeSet<&'a RoleId>, StoreError> {
    let mapped = role::rows::of_user(tx, &user.id)?;
    let has: BTreeSet<&RoleId> = {
        let known: Vec<&'a RoleId> = mapped
            .iter()
            .filter_map(|id| config.roles.get(id))
            .map(|role| &role.id)
            .collect();
        config.roles.closure(known)
    };
    if client.settings.full_scope_allowed {
        return Ok(has);
    }
    let own = config
        .roles
        .iter()
        .filter(|role| role.client.as_ref() == Some(&client.id))
        .map(|role| &role.id);
    let of_client = config
        .scope_mappings
        .get(client.id.as_str())
        .into_iter()
        .flatten();
    let scopes = scope.client_scopes(config, client);
    let of_scopes = scopes
        .iter()
        .filter_map(|scope| config.scope_mappings.get(scope.id.as_str()))
        .flatten();
    let allowed = config.roles.closure(own.chain(of_client).chain(of_scopes));
    Ok(has.intersection(&allowed).copied().collect())
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
    let key = signer(config, client, "access.token.signed.response.alg")?;
    let id_key = signer(config, client, "id.token.signed.response.alg")?;
    let settings = &config.realm.settings;
    let mut lifespan = client
        .access_token_lifespan()
        .unwrap_or(settings.access_token_lifespan)
        .max(1);
    if let Some(session) = session.filter(|session| session.kind == session::SessionKind::Online) {
        // No token outlives the session it belongs to.
        lifespan = lifespan
            .min(session.expires_at(&config.realm).seconds_since(now))
            .max(1);
    }
    let grant_id = match session {
        Some(session) => {
            session::rows::seen(tx, session, now)?;
            Some(session::rows::join(
                tx,
                &session.id,
                &client.id,
                &to.entropy.short_id(),
                now,
            )?)
        }
        None => None,
    };
    let roles = roles_in_token(tx, config, client, to.scope, user)?;
    let scopes = to.scope.client_scopes(config, client);
    let source = Source {
        config,
        client,
        scopes: &scopes,
        user,
        roles: &roles,
        session,
        client_address: to.client_address,
    };
    let granted = to.scope.granted(&scopes);

    let mut access = Map::new();
    access.insert("exp".into(), json!(now.plus_seconds(lifespan).seconds()));
    access.insert("iat".into(), json!(now.seconds()));
    access.insert(
        "jti".into(),
        json!(format!(
            "{}rt{}:{}",
            if session.is_some() { "on" } else { "tr" },
            to.grant,
            to.entropy.random_uuid()
        )),
    );
    access.insert("iss".into(), json!(config.issuer));
    access.insert("aud".into(), Value::Null);
    access.insert("sub".into(), json!(user.id.as_str()));
    access.insert("typ".into(), json!("Bearer"));
    access.insert("azp".into(), json!(client.client_id));
    if let Some(session) = session {
        access.insert("sid".into(), json!(session.id.as_str()));
        access.insert("amr".into(), json!(session.amr));
    }
    let mut mapped = source.claims(Target::Access);
    let audience = mapped
        .remove("aud")
        .unwrap_or_else(|| json!(client.client_id));
    access.append(&mut mapped);
    access.insert("aud".into(), audience);
    access.insert("scope".into(), json!(granted));
    access.insert("client_id".into(), json!(client.client_id));
    // Private claims by which our own endpoints know whether the token still stands.
    match &grant_id {
        Some(grant_id) => access.insert("grant_id".into(), json!(grant_id)),
        None => access.insert("auth_epoch".into(), json!(epoch_mark(user))),
    };

    let id = to.scope.has("openid").then(|| {
        let mut id = Map::new();
        id.insert("exp".into(), json!(now.plus_seconds(lifespan).seconds()));
        id.insert("iat".into(), json!(now.seconds()));
        if let Some(session) = session {
            id.insert("auth_time".into(), json!(session.auth_time.seconds()));
        }
        id.insert("jti".into(), json!(to.entropy.random_uuid()));
        id.insert("iss".into(), json!(config.issuer));
        id.insert("aud".into(), json!(client.client_id));
        id.insert("sub".into(), json!(user.id.as_str()));
        id.insert("typ".into(), json!("ID"));
        id.insert("azp".into(), json!(client.client_id));
        if let Some(nonce) = to.nonce {
            id.insert("nonce".into(), json!(nonce));
        }
        if let Some(session) = session {
            id.insert("sid".into(), json!(session.id.as_str()));
            id.insert("amr".into(), json!(session.amr));
        }
        let mut mapped = source.claims(Target::Id);
        mapped.remove("aud");
        id.append(&mut mapped);
        id
    });

    let refresh = refresh::issue(tx, &cleared, &to, grant_id.as_deref())?;
    let access_typ = if client.flag("access.token.header.type.rfc9068") {
        "at+jwt"
    } else {
        "JWT"
    };
    let not_before = config
        .realm
        .not_before
        .seconds()
        .max(user.not_before.seconds());
    metrics::counter!("idp_tokens_issued_total", "realm" => config.realm.name.clone(), "grant" => to.grant).increment(1);
    Ok(TokenSet {
        key,
        id_key,
        access_typ,
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
            scope: granted,
        },
    })
}

/// The key for an algorithm that the client asks for by an attribute, else the realm's.
fn signer(
    config: &RealmConfig,
    client: &Client,
    attribute: &str,
) -> Result<Arc<SigningKey>, StoreError> {
    let asked = client.attribute(attribute).and_then(Algorithm::parse);
    let default = Algorithm::parse(&config.realm.settings.default_signature_algorithm);
    let algorithm = asked.or(default).unwrap_or(Algorithm::Rs256);
    config.keys.signer(algorithm).cloned().ok_or_else(|| {
        StoreError::Sealed(format!(
            "realm {} has no active {} key",
            config.realm.name,
            algorithm.as_str()
        ))
    })
}

/// What a token without a session carries of the user's epoch: enough to compare, nothing to learn.
pub fn epoch_mark(user: &User) -> String {
    sha256_base64(user.auth_epoch.as_str().as_bytes())
        .chars()
        .take(16)
        .collect()
}
