//! What the configuration alone says about the tokens of one client for one scope: which mappers feed them, who signs,
//! how long they last. Evaluated once for each version of a realm's configuration and kept with it.
//!
//! Invariant: nothing here is of a person. What roles make is kept by the ids of the roles, not by who has them; who
//! has them is asked in SQL for each token.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Map, Value};

use super::claims::Claims;
use super::mapper::{Prepared, RoleMapper, Target, is_for_nobody};
use super::sign::{Algorithm, SigningKey};
use crate::client::Client;
use crate::kernel::{ClientUuid, RoleId};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::scope::Scope;
use crate::session::Session;
use crate::store::StoreError;
use crate::user::User;

/// How many scopes are kept for a client, and how many sets of roles for a plan. Where there are more, remembering
/// starts anew: a client chooses what it asks for.
const KEPT: usize = 32;

/// The plans of a client, by the words of the scope.
type OfClient = HashMap<Vec<String>, Arc<Plan>>;

/// The plans of a realm, made when first asked for.
#[derive(Default)]
pub struct Plans {
    known: RwLock<HashMap<ClientUuid, OfClient>>,
}

impl Plans {
    pub(in crate::oidc) fn get(
        &self,
        config: &RealmConfig,
        client: &Client,
        scope: &Scope,
    ) -> Arc<Plan> {
        let known =
            |plans: &HashMap<_, OfClient>| plans.get(&client.id)?.get(scope.words()).cloned();
        if let Some(plan) = known(&self.known.read()) {
            return plan;
        }
        let plan = Arc::new(Plan::new(config, client, scope));
        let mut clients = self.known.write();
        let scopes = clients.entry(client.id.clone()).or_default();
        if scopes.len() >= KEPT {
            scopes.clear();
        }
        scopes.insert(scope.words().to_vec(), Arc::clone(&plan));
        plan
    }
}

/// What is known of the tokens of one client for one scope before anybody is looked at.
pub struct Plan {
    /// The `scope` of the answer.
    pub(super) granted: String,
    /// How long access tokens last, in seconds, unless their session ends before.
    pub(super) lifespan: i64,
    /// The `typ` in the header of access tokens.
    pub(super) access_typ: &'static str,
    key: Result<Arc<SigningKey>, Algorithm>,
    id_key: Result<Arc<SigningKey>, Algorithm>,
    client_id: String,
    mappers: Vec<Prepared>,
    role_mappers: Vec<RoleMapper>,
    /// The roles that the tokens may carry; `None` for all.
    allowed: Option<BTreeSet<RoleId>>,
    carried: RwLock<HashMap<Vec<RoleId>, Arc<Carried>>>,
}

/// The roles that a token carries, and what they make in it.
#[derive(Debug)]
pub struct Carried {
    /// The roles, with everything inside composites.
    pub ids: BTreeSet<RoleId>,
    /// The claims of each mapper of roles.
    pub(super) claims: Vec<Map<String, Value>>,
    /// The clients that other roles than the client's own are of; none of those that are switched off.
    pub(super) audiences: Vec<String>,
}

/// Of whom the claims are.
pub struct About<'a> {
    /// The user.
    pub user: &'a User,
    /// The session, if there is one.
    pub session: Option<&'a Session>,
    /// The address of the client, for a service account's tokens.
    pub client_address: Option<&'a str>,
    /// The roles that the token may carry.
    pub carried: &'a Carried,
}

impl Plan {
    fn new(config: &RealmConfig, client: &Client, scope: &Scope) -> Self {
        let scopes = scope.client_scopes(config, client);
        let settings = &config.realm.settings;
        let mut role_mappers = Vec::new();
        let mappers = scopes
            .iter()
            .flat_map(|scope| &scope.mappers)
            .chain(&client.mappers)
            .filter(|mapper| !is_for_nobody(mapper, config))
            .filter_map(|mapper| Prepared::new(mapper, client, &mut role_mappers))
            .collect();
        let allowed = (!client.settings.full_scope_allowed).then(|| {
            let own = config
                .roles
                .iter()
                .filter(|role| role.client.as_ref() == Some(&client.id))
                .map(|role| &role.id);
            let owners = scopes.iter().map(|scope| scope.id.as_str());
            let mapped = std::iter::once(client.id.as_str())
                .chain(owners)
                .filter_map(|owner| config.scope_mappings.get(owner))
                .flatten();
            let closed = config.roles.closure(own.chain(mapped));
            closed.into_iter().cloned().collect()
        });
        Self {
            granted: scope.granted(&scopes),
            lifespan: client
                .access_token_lifespan()
                .unwrap_or(settings.access_token_lifespan)
                .max(1),
            access_typ: if client.flag("access.token.header.type.rfc9068") {
                "at+jwt"
            } else {
                "JWT"
            },
            key: signer(config, client, "access.token.signed.response.alg"),
            id_key: signer(config, client, "id.token.signed.response.alg"),
            client_id: client.client_id.clone(),
            mappers,
            role_mappers,
            allowed,
            carried: RwLock::default(),
        }
    }

    /// The key that signs access tokens.
    ///
    /// # Errors
    /// The realm has no key for the client's algorithm.
    pub(super) fn key(&self, config: &RealmConfig) -> Result<Arc<SigningKey>, StoreError> {
        self.key.clone().map_err(|none| keyless(config, none))
    }

    /// The key that signs ID tokens.
    ///
    /// # Errors
    /// The realm has no key for the client's algorithm.
    pub(super) fn id_key(&self, config: &RealmConfig) -> Result<Arc<SigningKey>, StoreError> {
        self.id_key.clone().map_err(|none| keyless(config, none))
    }

    /// What the token of a user carries to whom these roles are mapped directly.
    pub(super) fn carried(&self, config: &RealmConfig, mapped: Vec<RoleId>) -> Arc<Carried> {
        if let Some(carried) = self.carried.read().get(&mapped) {
            return Arc::clone(carried);
        }
        let has = config.roles.closure(&mapped);
        let ids = has
            .into_iter()
            .filter(|id| {
                self.allowed
                    .as_ref()
                    .is_none_or(|allowed| allowed.contains(id))
            })
            .cloned()
            .collect();
        let carried = Arc::new(Carried::new(
            config,
            &self.client_id,
            ids,
            &self.role_mappers,
        ));
        let mut known = self.carried.write();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(mapped, Arc::clone(&carried));
        carried
    }

    /// The claims of the mappers, and the audiences that they imply.
    pub fn claims<'a>(&'a self, target: Target, about: &About<'a>) -> Claims<'a> {
        let mut claims = Claims::new();
        for mapper in &self.mappers {
            mapper.apply(target, about, &self.client_id, &mut claims);
        }
        claims
    }
}

/// The key for an algorithm that the client asks for by an attribute, else the realm's; the algorithm where there is
/// none.
fn signer(
    config: &RealmConfig,
    client: &Client,
    attribute: &str,
) -> Result<Arc<SigningKey>, Algorithm> {
    let asked = client.attribute(attribute).and_then(Algorithm::parse);
    let default = Algorithm::parse(&config.realm.settings.default_signature_algorithm);
    let algorithm = asked.or(default).unwrap_or(Algorithm::Rs256);
    config.keys.signer(algorithm).cloned().ok_or(algorithm)
}

fn keyless(config: &RealmConfig, algorithm: Algorithm) -> StoreError {
    StoreError::Sealed(format!(
        "realm {} has no active {} key",
        config.realm.name,
        algorithm.as_str()
    ))
}
