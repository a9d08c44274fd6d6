//! New realms, clients and people, complete with what every one of them has from the start.
//!
//! Used by the admin API, the command line and the demo; the recorded defaults of Keycloak 26.7 are data files.

mod members;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use members::{
    blank_user, create_client, create_user, ensure_service_account, reveal_secret,
    set_password_by_admin, store_secret,
};

use super::issue::{Algorithm, KeyState, create_key};
use crate::client::{self, Client, ClientSettings};
use crate::kernel::seal::Keyring;
use crate::kernel::{ClientScopeId, ClientUuid, Entropy, RealmId, RoleId, Timestamp};
use crate::realm::{self, Realm, RealmSettings, RequiredActionConfig};
use crate::role::{self, Role};
use crate::scope::{self, ClientScope, RealmDefault};
use crate::store::{StoreError, Tx, corrupt, dialect};

/// The name of the realm of administrators.
pub const MASTER: &str = "master";

/// The management roles of a realm (Keycloak's), each on its client `realm-management`, in master on `<realm>-realm`.
pub const MANAGEMENT_ROLES: [&str; 21] = [
    "create-client",
    "impersonation",
    "manage-authorization",
    "manage-clients",
    "manage-events",
    "manage-identity-providers",
    "manage-organizations",
    "manage-realm",
    "manage-users",
    "query-clients",
    "query-groups",
    "query-organizations",
    "query-realms",
    "query-users",
    "view-authorization",
    "view-clients",
    "view-events",
    "view-identity-providers",
    "view-organizations",
    "view-realm",
    "view-users",
];

/// Management roles that contain others.
const MANAGEMENT_COMPOSITES: [(&str, &[&str]); 3] = [
    ("view-users", &["query-groups", "query-users"]),
    ("view-clients", &["query-clients"]),
    ("view-organizations", &["query-organizations"]),
];

const ACCOUNT_ROLES: [&str; 8] = [
    "delete-account",
    "manage-account",
    "manage-account-links",
    "manage-consent",
    "view-applications",
    "view-consent",
    "view-groups",
    "view-profile",
];

/// What provisioning works with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The master key.
    pub keyring: &'a Keyring,
    /// Randomness.
    pub entropy: &'a Entropy,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeedClient {
    client_id: String,
    #[serde(flatten)]
    settings: ClientSettings,
}

fn unreadable(cause: &serde_json::Error) -> StoreError {
    corrupt("defaults", "json", "built in", cause)
}

/// Makes a realm with everything in it. `None` when the name is taken.
///
/// `settings` are laid over a fresh realm's; nothing in them is checked here.
///
/// # Errors
/// The database fails, or a setting has the wrong type.
pub fn create_realm(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (id, name, enabled): (Option<RealmId>, &str, bool),
    settings: Map<String, Value>,
) -> Result<Option<Realm>, StoreError> {
    // Keys take their time: those made here, and those of another node that starts for the first time as well.
    dialect::wait_long(tx)?;
    let now = tx.now()?;
    let mut all = RealmSettings::default_json().map_err(|cause| unreadable(&cause))?;
    for (key, value) in settings {
        if let (Some(Value::Object(known)), Value::Object(new)) = (all.get_mut(&key), &value) {
            known.extend(new.clone());
        } else {
            all.insert(key, value);
        }
    }
    let settings: RealmSettings =
        serde_json::from_value(Value::Object(all)).map_err(|cause| unreadable(&cause))?;
    let realm = Realm {
        id: id.unwrap_or_else(|| RealmId::new(tools.entropy.uuid(now))),
        name: name.to_owned(),
        enabled,
        not_before: Timestamp::from_micros(0),
        version: 1,
        settings,
    };
    if !realm::rows::insert(tx, &realm, now)? {
        return Ok(None);
    }
    for action in RequiredActionConfig::fresh() {
        realm::rows::put_required_action(tx, &realm.id, &action)?;
    }
    let scopes = seed_scopes(tx, tools, &realm.id)?;
    for algorithm in Algorithm::ALL {
        create_key(
            tx,
            &realm.id,
            algorithm,
            KeyState::Active,
            (tools.keyring, tools.entropy),
        )?;
    }
    seed_roles_and_clients(tx, tools, &realm, &scopes)?;
    Ok(Some(realm))
}

fn seed_scopes(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &RealmId,
) -> Result<Vec<ClientScope>, StoreError> {
    let now = tx.now()?;
    let mut scopes = Vec::new();
    for seed in scope::seed().map_err(|cause| unreadable(&cause))? {
        let realm_default = RealmDefault::parse(&seed.realm_default).unwrap_or(RealmDefault::None);
        let mut mappers = seed.protocol_mappers;
        for mapper in &mut mappers {
            mapper.id = tools.entropy.uuid(now);
        }
        let scope = ClientScope {
            id: ClientScopeId::new(tools.entropy.uuid(now)),
            name: seed.name,
            description: seed.description,
            protocol: "openid-connect".to_owned(),
            attributes: seed.attributes,
            realm_default,
            mappers,
        };
        scope::rows::insert(tx, realm, &scope)?;
        scopes.push(scope);
    }
    Ok(scopes)
}

fn new_role(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &RealmId,
    (client, name, description): (Option<&ClientUuid>, &str, &str),
) -> Result<RoleId, StoreError> {
    let now = tx.now()?;
    let role = Role {
        id: RoleId::new(tools.entropy.uuid(now)),
        client: client.cloned(),
        name: name.to_owned(),
        description: Some(format!("${{role_{description}}}")),
        attributes: BTreeMap::new(),
    };
    role::rows::insert(tx, realm, &role)?;
    Ok(role.id)
}

fn seed_roles_and_clients(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    scopes: &[ClientScope],
) -> Result<(), StoreError> {
    let default_role = new_role(
        tx,
        tools,
        &realm.id,
        (None, &default_role_name(&realm.name), "default-roles"),
    )?;
    let offline = new_role(
        tx,
        tools,
        &realm.id,
        (None, "offline_access", "offline-access"),
    )?;
    let uma = new_role(
        tx,
        tools,
        &realm.id,
        (None, "uma_authorization", "uma_authorization"),
    )?;
    for child in [&offline, &uma] {
        role::rows::add_composite(tx, &default_role, child)?;
    }
    if let Some(scope) = scopes.iter().find(|scope| scope.name == "offline_access") {
        role::rows::add_scope_mapping(tx, &realm.id, scope.id.as_str(), &offline)?;
    }
    let seeds: Vec<SeedClient> =
        serde_json::from_str(&include_str!("default-clients.json").replace("{realm}", &realm.name))
            .map_err(|cause| unreadable(&cause))?;
    for seed in seeds {
        // In master the management client is called `master-realm`, like those of the other realms.
        let is_management = seed.client_id == "realm-management";
        if is_management && realm.name == MASTER {
            continue;
        }
        let client = insert_client(tx, tools, realm, scopes, seed)?;
        match client.client_id.as_str() {
            "account" => {
                let mut ids = BTreeMap::new();
                for name in ACCOUNT_ROLES {
                    let id = new_role(tx, tools, &realm.id, (Some(&client.id), name, name))?;
                    ids.insert(name, id);
                }
                for (parent, child) in [
                    ("manage-account", "manage-account-links"),
                    ("manage-consent", "view-consent"),
                ] {
                    if let (Some(parent), Some(child)) = (ids.get(parent), ids.get(child)) {
                        role::rows::add_composite(tx, parent, child)?;
                    }
                }
                for name in ["view-profile", "manage-account"] {
                    if let Some(id) = ids.get(name) {
                        role::rows::add_composite(tx, &default_role, id)?;
                    }
                }
            }
            "broker" => {
                new_role(
                    tx,
                    tools,
                    &realm.id,
                    (Some(&client.id), "read-token", "read-token"),
                )?;
            }
            "realm-management" => {
                let roles = management_roles(tx, tools, &realm.id, &client.id)?;
                let all = new_role(
                    tx,
                    tools,
                    &realm.id,
                    (Some(&client.id), "realm-admin", "realm-admin"),
                )?;
                for role in &roles {
                    role::rows::add_composite(tx, &all, role)?;
                }
            }
            _ => {}
        }
    }
    seed_master_side(tx, tools, realm)
}

/// The realm's client `<realm>-realm` in master, whose roles the master's `admin` has.
fn seed_master_side(tx: &mut Tx<'_>, tools: Tools<'_>, realm: &Realm) -> Result<(), StoreError> {
    let master = if realm.name == MASTER {
        let admin = new_role(tx, tools, &realm.id, (None, "admin", "admin"))?;
        let create = new_role(tx, tools, &realm.id, (None, "create-realm", "create-realm"))?;
        role::rows::add_composite(tx, &admin, &create)?;
        realm.clone()
    } else {
        match realm::rows::by_name(tx, MASTER)? {
            Some(master) => master,
            None => return Ok(()),
        }
    };
    let graph = role::rows::graph(tx, &master.id)?;
    let Some(admin) = graph.named(None, "admin") else {
        return Ok(());
    };
    let settings = ClientSettings {
        name: Some(format!("{} Realm", realm.name)),
        bearer_only: true,
        full_scope_allowed: false,
        attributes: BTreeMap::from([("realm_client".to_owned(), "true".to_owned())]),
        ..ClientSettings::default()
    };
    let seed = SeedClient {
        client_id: management_client(&realm.name),
        settings,
    };
    let client = insert_client(tx, tools, &master, &[], seed)?;
    for role in management_roles(tx, tools, &master.id, &client.id)? {
        role::rows::add_composite(tx, &admin.id, &role)?;
    }
    realm::rows::touch(tx, &master.id)
}

/// The `client_id`, in master, of the client that holds a realm's management roles.
pub fn management_client(realm: &str) -> String {
    format!("{realm}-realm")
}

/// The name of the role that every user of a realm has.
pub fn default_role_name(realm: &str) -> String {
    format!("default-roles-{}", realm.to_lowercase())
}

fn management_roles(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &RealmId,
    client: &ClientUuid,
) -> Result<Vec<RoleId>, StoreError> {
    let mut ids = BTreeMap::new();
    for name in MANAGEMENT_ROLES {
        ids.insert(
            name,
            new_role(tx, tools, realm, (Some(client), name, name))?,
        );
    }
    for (parent, children) in MANAGEMENT_COMPOSITES {
        for child in children {
            if let (Some(parent), Some(child)) = (ids.get(parent), ids.get(child)) {
                role::rows::add_composite(tx, parent, child)?;
            }
        }
    }
    Ok(ids.into_values().collect())
}

fn insert_client(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    scopes: &[ClientScope],
    seed: SeedClient,
) -> Result<Client, StoreError> {
    let now = tx.now()?;
    let of = |kind| {
        scopes
            .iter()
            .filter(move |scope| scope.realm_default == kind)
            .map(|scope| scope.id.clone())
            .collect()
    };
    let client = Client {
        id: ClientUuid::new(tools.entropy.uuid(now)),
        realm_id: realm.id.clone(),
        client_id: seed.client_id,
        enabled: true,
        secret_digest: None,
        settings: seed.settings,
        default_scopes: of(RealmDefault::Default),
        optional_scopes: of(RealmDefault::Optional),
        mappers: Vec::new(),
    };
    client::rows::insert(tx, &client, None, now)?;
    Ok(client)
}
