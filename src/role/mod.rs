//! Roles of realms and clients, and what a composite role contains.

pub mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::kernel::{ClientUuid, RoleId};

/// A role of a realm, or of one of its clients.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// The client it belongs to; `None` for a role of the realm.
    pub client: Option<ClientUuid>,
    /// Its name, unique within its realm or client.
    pub name: String,
    /// What administrators read.
    pub description: Option<String>,
    /// Free attributes.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// All roles of a realm with their composites.
#[derive(Debug, Clone, Default)]
pub struct RoleGraph {
    roles: HashMap<RoleId, Role>,
    children: HashMap<RoleId, Vec<RoleId>>,
}

impl RoleGraph {
    /// Puts roles and their edges (parent, child) together.
    pub fn new(roles: Vec<Role>, composites: Vec<(RoleId, RoleId)>) -> Self {
        let mut children: HashMap<RoleId, Vec<RoleId>> = HashMap::new();
        for (parent, child) in composites {
            children.entry(parent).or_default().push(child);
        }
        Self {
            roles: roles
                .into_iter()
                .map(|role| (role.id.clone(), role))
                .collect(),
            children,
        }
    }

    /// The role of that id.
    pub fn get(&self, id: &RoleId) -> Option<&Role> {
        self.roles.get(id)
    }

    /// Every role.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// The realm's role, or the client's, of that name.
    pub fn named(&self, client: Option<&ClientUuid>, name: &str) -> Option<&Role> {
        self.roles
            .values()
            .find(|role| role.client.as_ref() == client && role.name == name)
    }

    /// The roles directly inside a composite.
    pub fn children(&self, id: &RoleId) -> impl Iterator<Item = &Role> {
        self.children
            .get(id)
            .into_iter()
            .flatten()
            .filter_map(|child| self.roles.get(child))
    }

    /// Whether the role contains others.
    pub fn is_composite(&self, id: &RoleId) -> bool {
        self.children
            .get(id)
            .is_some_and(|children| !children.is_empty())
    }

    /// These roles and everything inside them, each once; cycles do no harm.
    pub fn closure<'a>(
        &'a self,
        start: impl IntoIterator<Item = &'a RoleId>,
    ) -> BTreeSet<&'a RoleId> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&RoleId> = start
            .into_iter()
            .filter(|id| self.roles.contains_key(*id))
            .collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(
                    self.children
                        .get(id)
                        .into_iter()
                        .flatten()
                        .filter(|child| self.roles.contains_key(*child)),
                );
            }
        }
        seen
    }
}
