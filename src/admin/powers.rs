//! Powers: management roles that somebody effectively holds, whatever client of whichever realm keeps them.
//!
//! The one vocabulary in which a caller and the target of a call are compared, so that nobody hands out, takes over
//! or edits what they do not hold themselves (threats V136, V137).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Client;
use crate::kernel::RoleId;
use crate::oidc::catalog::RealmConfig;
use crate::oidc::provision::{MASTER, management_client};
use crate::role::Role;

/// The client of a realm that keeps its management roles.
pub const REALM_MANAGEMENT: &str = "realm-management";
/// The role that contains all others of [`REALM_MANAGEMENT`].
const REALM_ADMIN: &str = "realm-admin";
/// Stands for no realm: the powers of a whole server.
const SERVER: &str = "";
/// Contains every power.
const ADMIN: &str = "admin";
/// Lets its holder make realms.
const CREATE_REALM: &str = "create-realm";

/// What somebody may manage: pairs of a realm's name and a management role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Powers(BTreeSet<(String, String)>);

impl Powers {
    /// What these roles of a realm, already closed over composites, amount to.
    pub fn of<'a>(config: &RealmConfig, roles: impl IntoIterator<Item = &'a RoleId>) -> Self {
        let roles = roles.into_iter().filter_map(|id| config.roles.get(id));
        Self(roles.filter_map(|role| power(config, role)).collect())
    }

    /// What these roles amount to with everything inside them.
    pub fn closed<'a>(
        config: &'a RealmConfig,
        roles: impl IntoIterator<Item = &'a RoleId>,
    ) -> Self {
        Self::of(config, config.roles.closure(roles))
    }

    /// Whether the role of that realm is among them.
    pub fn has(&self, realm: &str, role: &str) -> bool {
        self.0.contains(&(realm.to_owned(), role.to_owned()))
    }

    /// Whether realms can be made.
    pub fn creates_realms(&self) -> bool {
        self.has(SERVER, CREATE_REALM)
    }

    /// Whether their holder masters every realm there is and will be.
    pub fn masters_all(&self) -> bool {
        self.has(SERVER, ADMIN)
    }

    /// Whether there is any power over that realm.
    pub fn any_of(&self, realm: &str) -> bool {
        self.0.iter().any(|(of, _)| of == realm)
    }

    /// Those that are here and there.
    pub fn both(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// As text, to be stored.
    pub fn text(&self) -> String {
        let pairs = self.0.iter().map(|(realm, role)| json!([realm, role]));
        Value::Array(pairs.collect()).to_string()
    }

    /// That text, read; what is none stands for no power.
    pub fn read(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// Those over that realm.
    pub fn over(&self, realm: &str) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(of, _)| of == realm)
                .cloned()
                .collect(),
        )
    }

    /// Whether there is no power at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every power here is in `other` too.
    pub fn within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

fn power(config: &RealmConfig, role: &Role) -> Option<(String, String)> {
    let realm = match &role.client {
        None if config.realm.name == MASTER && matches!(&*role.name, ADMIN | CREATE_REALM) => {
            SERVER
        }
        None => return None,
        Some(client) => managed_realm(config, config.client_id_of(client)?)?,
    };
    // `realm-admin` is nothing but what it contains, and that is counted by itself.
    (role.name != REALM_ADMIN).then(|| (realm.to_owned(), role.name.clone()))
}

/// The realm whose management roles a client of this realm keeps.
pub fn managed_realm<'a>(config: &'a RealmConfig, client_id: &'a str) -> Option<&'a str> {
    if config.realm.name == MASTER {
        client_id
            .strip_suffix("-realm")
            .filter(|name| management_client(name) == client_id)
    } else {
        (client_id == REALM_MANAGEMENT).then_some(config.realm.name.as_str())
    }
}

/// Whether a client keeps management roles, so that nobody renames, deletes or replaces it.
pub fn keeps_powers(config: &RealmConfig, client: &Client) -> bool {
    managed_realm(config, &client.client_id).is_some()
}

/// Whether a role is itself a power, so that nobody renames or deletes it.
pub fn is_power(config: &RealmConfig, role: &Role) -> bool {
    role.name == REALM_ADMIN && role.client.is_some() || power(config, role).is_some()
}
