//! Client scopes and their protocol mappers: which claims a token carries.

mod defaults;
pub mod rows;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use defaults::{SeedScope, seed};

use crate::kernel::ClientScopeId;

/// A client scope: a name that a request can ask for, and mappers.
#[derive(Debug, Clone)]
pub struct ClientScope {
    /// Its id.
    pub id: ClientScopeId,
    /// The word in `scope`.
    pub name: String,
    /// What administrators read.
    pub description: Option<String>,
    /// `openid-connect` (scopes of other protocols are kept and do nothing).
    pub protocol: String,
    /// Keycloak's attributes, e.g. `include.in.token.scope`.
    pub attributes: BTreeMap<String, String>,
    /// Whether new clients get it, and how.
    pub realm_default: RealmDefault,
    /// Its mappers.
    pub mappers: Vec<Mapper>,
}

/// How a realm hands a scope to new clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RealmDefault {
    /// Not at all.
    None,
    /// As a default scope.
    Default,
    /// As an optional scope.
    Optional,
}

impl RealmDefault {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Default => "default",
            Self::Optional => "optional",
        }
    }

    /// The stored word, read.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Default, Self::Optional]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl ClientScope {
    /// Whether the word appears in the token's `scope`.
    pub fn in_token_scope(&self) -> bool {
        self.attributes
            .get("include.in.token.scope")
            .is_none_or(|text| text != "false")
    }

    /// Whether people are asked about it on the consent page.
    pub fn on_consent_screen(&self) -> bool {
        self.attributes
            .get("display.on.consent.screen")
            .is_none_or(|text| text != "false")
    }
}

/// A protocol mapper: a kind and its configuration, evaluated by `oidc::issue`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapper {
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// What administrators read.
    pub name: String,
    /// `openid-connect`.
    pub protocol: String,
    /// Keycloak's provider id, e.g. `oidc-usermodel-attribute-mapper`.
    pub protocol_mapper: String,
    /// Its configuration, all strings.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

impl Mapper {
    /// A setting that is `true` only when it says `"true"`.
    pub fn flag(&self, name: &str) -> bool {
        self.config.get(name).is_some_and(|text| text == "true")
    }

    /// A setting's text, absent when empty.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }
}
