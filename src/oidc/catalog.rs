//! The realm's configuration in memory: realm, roles, client scopes, keys, clients, ready to use.
//!
//! SQL holds the truth and a version per realm that every change raises. [`Catalog::current`] compares versions
//! inside the caller's transaction, so a switched-off client is off with the next request on every node;
//! [`Catalog::cached`] answers from memory for documents that may be a second old (JWKS, discovery) and goes on
//! when the database is away. Facts about people are never here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix_web::web::Bytes;
use parking_lot::RwLock;

use super::issue::{KeySet, Plan, Plans, Verified};
use super::scope::Scope;
use crate::client::{self, Client};
use crate::kernel::seal::Keyring;
use crate::kernel::{ClientScopeId, ClientUuid, RoleId, UserId};
use crate::realm::{self, Realm, RequiredActionConfig};
use crate::role::{self, RoleGraph};
use crate::scope::{self, ClientScope};
use crate::store::{Store, StoreError, Tx};
use crate::user;

/// One version of a realm's configuration.
pub struct RealmConfig {
    /// The realm.
    pub realm: Realm,
    /// Its issuer (OpenID Connect Discovery section 3).
    pub issuer: String,
    /// Its roles.
    pub roles: RoleGraph,
    /// Which roles a client or client scope lets into tokens.
    pub scope_mappings: HashMap<String, Vec<RoleId>>,
    /// Its client scopes.
    pub scopes: HashMap<ClientScopeId, ClientScope>,
    /// Its required actions in order.
    pub actions: Vec<RequiredActionConfig>,
    /// Its signing keys.
    pub keys: KeySet,
    /// The JWKS document, rendered.
    pub jwks: Bytes,
    /// The discovery document, rendered.
    pub discovery: Bytes,
    /// What is said at the realm's own address, rendered.
    pub info: Bytes,
    names: HashMap<ClientUuid, String>,
    off: HashSet<ClientUuid>,
    clients: RwLock<HashMap<String, Option<Arc<Client>>>>,
    service_accounts: RwLock<HashMap<ClientUuid, UserId>>,
    plans: Plans,
    /// Signatures of the keys above that were found right.
    pub(super) verified: Verified,
}

impl RealmConfig {
    fn load(
        tx: &mut Tx<'_>,
        name: &str,
        keyring: &Keyring,
        public_url: &str,
    ) -> Result<Option<Self>, StoreError> {
        let Some(realm) = realm::rows::by_name(tx, name)? else {
            return Ok(None);
        };
        let mut scope_mappings: HashMap<String, Vec<RoleId>> = HashMap::new();
        for (owner, role) in role::rows::scope_mappings(tx, &realm.id)? {
            scope_mappings.entry(owner).or_default().push(role);
        }
        let issuer = format!("{public_url}{}", realm.path());
        let scopes: HashMap<ClientScopeId, ClientScope> = scope::rows::all(tx, &realm.id)?
            .into_iter()
            .map(|scope| (scope.id.clone(), scope))
            .collect();
        let (mut names, mut off) = (HashMap::new(), HashSet::new());
        for (id, client_id, enabled) in client::rows::names(tx, &realm.id)? {
            if !enabled {
                off.insert(id.clone());
            }
            names.insert(id, client_id);
        }
        let keys = KeySet::load(tx, &realm.id, keyring)?;
        let mut scope_names: Vec<&str> = scopes.values().map(|scope| scope.name.as_str()).collect();
        scope_names.sort_unstable();
        let discovery = super::discovery::document(&issuer, &scope_names).to_string();
        let info = super::discovery::realm_info(&realm, &issuer, &keys).to_string();
        Ok(Some(Self {
            roles: role::rows::graph(tx, &realm.id)?,
            scope_mappings,
            actions: realm::rows::required_actions(tx, &realm.id)?,
            jwks: keys.jwks().to_string().into(),
            discovery: discovery.into(),
            info: info.into(),
            keys,
            names,
            off,
            clients: RwLock::new(HashMap::new()),
            service_accounts: RwLock::new(HashMap::new()),
            plans: Plans::default(),
            verified: Verified::default(),
            scopes,
            issuer,
            realm,
        }))
    }

    /// The `client_id` of a client of this realm.
    pub fn client_id_of(&self, id: &ClientUuid) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Whether a client of this realm is switched off: no token is for it (threat V082).
    pub fn is_off(&self, id: &ClientUuid) -> bool {
        self.off.contains(id)
    }

    /// The id of the client of that `client_id`.
    pub fn client_named(&self, client_id: &str) -> Option<&ClientUuid> {
        self.names
            .iter()
            .find(|(_, name)| *name == client_id)
            .map(|(id, _)| id)
    }

    /// The client of that `client_id`, enabled or not.
    ///
    /// # Errors
    /// The database fails.
    pub fn client(
        &self,
        tx: &mut Tx<'_>,
        client_id: &str,
    ) -> Result<Option<Arc<Client>>, StoreError> {
        if let Some(known) = self.clients.read().get(client_id) {
            return Ok(known.clone());
        }
        if !self.names.values().any(|name| name == client_id) {
            return Ok(None);
        }
        let loaded = client::rows::by_client_id(tx, &self.realm.id, client_id)?.map(Arc::new);
        self.clients
            .write()
            .insert(client_id.to_owned(), loaded.clone());
        Ok(loaded)
    }

    /// The client of that id.
    ///
    /// # Errors
    /// The database fails.
    pub fn client_by_id(
        &self,
        tx: &mut Tx<'_>,
        id: &ClientUuid,
    ) -> Result<Option<Arc<Client>>, StoreError> {
        match self.client_id_of(id) {
            Some(client_id) => self.client(tx, client_id),
            None => Ok(None),
        }
    }

    /// The id of a client's service account. Whether that still is one, and of this client, is the gate's to say.
    ///
    /// # Errors
    /// The database fails.
    pub fn service_account(
        &self,
        tx: &mut Tx<'_>,
        client: &ClientUuid,
    ) -> Result<Option<UserId>, StoreError> {
        if let Some(known) = self.service_accounts.read().get(client) {
            return Ok(Some(known.clone()));
        }
        let found = user::rows::service_account_id(tx, client)?;
        if let Some(id) = &found {
            self.service_accounts
                .write()
                .insert(client.clone(), id.clone());
        }
        Ok(found)
    }

    /// What this configuration says of the tokens of a client for a scope.
    pub fn plan(&self, client: &Client, scope: &Scope) -> Arc<Plan> {
        self.plans.get(self, client, scope)
    }

    /// The action's configuration.
    pub fn action(&self, alias: &str) -> Option<&RequiredActionConfig> {
        self.actions.iter().find(|action| action.alias == alias)
    }
}

/// All realms, loaded when first asked for.
pub struct Catalog {
    keyring: Arc<Keyring>,
    public_url: String,
    realms: RwLock<HashMap<String, Arc<RealmConfig>>>,
}

impl Catalog {
    /// An empty catalog; `public_url` has no slash at its end.
    pub fn new(keyring: Arc<Keyring>, public_url: String) -> Self {
        Self {
            keyring,
            public_url,
            realms: RwLock::new(HashMap::new()),
        }
    }

    /// The realm as it is in this transaction's eyes.
    ///
    /// # Errors
    /// The database fails.
    pub fn current(
        &self,
        tx: &mut Tx<'_>,
        name: &str,
    ) -> Result<Option<Arc<RealmConfig>>, StoreError> {
        let Some((id, version)) = realm::rows::version(tx, name)? else {
            self.realms.write().remove(name);
            return Ok(None);
        };
        let known = self.realms.read().get(name).cloned();
        if let Some(known) =
            known.filter(|known| known.realm.id == id && known.realm.version == version)
        {
            return Ok(Some(known));
        }
        let loaded = RealmConfig::load(tx, name, &self.keyring, &self.public_url)?.map(Arc::new);
        // A write transaction may be rolled back, so what it sees is used by it alone; readers fill the cache.
        if let Some(config) = loaded.as_ref().filter(|_| !tx.writable()) {
            self.realms
                .write()
                .insert(name.to_owned(), Arc::clone(config));
        }
        Ok(loaded)
    }

    /// Whether a configuration is the one of this transaction's realm.
    ///
    /// # Errors
    /// The database fails.
    pub fn is_current(&self, tx: &mut Tx<'_>, config: &RealmConfig) -> Result<bool, StoreError> {
        let known = (config.realm.id.clone(), config.realm.version);
        Ok(realm::rows::version(tx, &config.realm.name)? == Some(known))
    }

    /// Answers by the configuration in memory, which is nearly always the current one, and once more by the current
    /// one where that turns out to be another. `answer` writes nothing; beside its answer it says which version of
    /// the realm it saw in passing, if it saw one. `None` where there is no such realm.
    ///
    /// # Errors
    /// The database fails.
    pub fn answer<R>(
        &self,
        tx: &mut Tx<'_>,
        name: &str,
        mut answer: impl FnMut(&mut Tx<'_>, &RealmConfig) -> Result<(R, Option<i64>), StoreError>,
    ) -> Result<Option<R>, StoreError> {
        if let Some(config) = self.cached(name) {
            let (answered, seen) = answer(tx, &config)?;
            let current = match seen {
                Some(version) => version == config.realm.version,
                None => self.is_current(tx, &config)?,
            };
            if current {
                return Ok(Some(answered));
            }
        }
        match self.current(tx, name)? {
            Some(config) => Ok(Some(answer(tx, &config)?.0)),
            None => Ok(None),
        }
    }

    /// The realm as it was known at most a second ago, without asking the database.
    pub fn cached(&self, name: &str) -> Option<Arc<RealmConfig>> {
        self.realms.read().get(name).cloned()
    }

    /// Drops what has changed or gone, and loads what changed. Called every half second, and after each change
    /// made here.
    ///
    /// # Errors
    /// The database fails.
    pub fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let versions = store.read(realm::rows::versions)?;
        let names: HashSet<&str> = versions.iter().map(|(name, _, _)| name.as_str()).collect();
        self.realms
            .write()
            .retain(|name, _| names.contains(name.as_str()));
        for (name, id, version) in &versions {
            let stale = self
                .realms
                .read()
                .get(name)
                .is_some_and(|known| known.realm.version != *version || known.realm.id != *id);
            if stale {
                store.read(|tx| self.current(tx, name))?;
            }
        }
        Ok(())
    }
}
