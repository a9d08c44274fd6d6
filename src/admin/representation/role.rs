//! `RoleRepresentation`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::admin::json::Shape;
use crate::oidc::catalog::RealmConfig;
use crate::role::Role;

/// Its fields.
pub const SHAPE: Shape = Shape {
    name: "RoleRepresentation",
    texts: &["id", "name", "description", "containerId"],
    flags: &["composite", "clientRole", "scopeParamRequired"],
    numbers: &[],
    lists: &[],
    other: &["composites", "attributes"],
};

/// A role as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleRepresentation<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    composite: bool,
    client_role: bool,
    container_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<String, Vec<String>>>,
}

impl<'a> RoleRepresentation<'a> {
    /// Shows a role; with its attributes unless brief.
    pub fn of(config: &'a RealmConfig, role: &'a Role, brief: bool) -> Self {
        Self {
            id: role.id.as_str(),
            name: &role.name,
            description: role.description.as_deref(),
            composite: config.roles.is_composite(&role.id),
            client_role: role.client.is_some(),
            container_id: role
                .client
                .as_ref()
                .map_or(config.realm.id.as_str(), |client| client.as_str()),
            attributes: (!brief).then_some(&role.attributes),
        }
    }
}
