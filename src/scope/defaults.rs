//! The client scopes of a fresh realm, as Keycloak 26.7 has them (openid-connect only).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Mapper;

/// A scope to seed, with its mappers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedScope {
    /// The word in `scope`.
    pub name: String,
    /// What administrators read.
    #[serde(default)]
    pub description: Option<String>,
    /// `none`, `default` or `optional` for new clients.
    pub realm_default: String,
    /// Keycloak's attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Its mappers.
    #[serde(default)]
    pub protocol_mappers: Vec<Mapper>,
}

/// The scopes of a fresh realm.
///
/// # Errors
/// Never in a binary whose tests have passed: the text is compiled in.
pub fn seed() -> Result<Vec<SeedScope>, serde_json::Error> {
    serde_json::from_str(include_str!("defaults.json"))
}
