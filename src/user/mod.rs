//! A person (or a client's service account): the facts tokens and pages are made of.

pub mod audience;
pub mod bulk;
pub mod claims;
pub mod credential;
pub mod former;
pub mod name;
pub mod not_before;
pub mod rows;
pub mod search;
pub mod waiting;
pub mod with_realm;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::kernel::{ClientUuid, RealmId, Timestamp, UserId, text_newtype};

text_newtype!(
    /// The user's `auth_epoch`: random, compared for equality. Everything issued carries the epoch it was born in,
    /// and one UPDATE of this column ends it all; a restored backup brings no old one back.
    AuthEpoch
);

/// A user of a realm.
#[derive(Debug, Clone)]
pub struct User {
    /// The id, the `sub` of tokens.
    pub id: UserId,
    /// The realm.
    pub realm_id: RealmId,
    /// The user name as shown.
    pub username: String,
    /// The mail address as stored; mail goes to these very bytes.
    pub email: Option<String>,
    /// Whether the address was proved.
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Whether the person may sign in at all.
    pub enabled: bool,
    /// The epoch of everything valid now.
    pub auth_epoch: AuthEpoch,
    /// Tokens issued before this time are refused; Keycloak's `notBefore`.
    pub not_before: Timestamp,
    /// Locked by the realm's `bruteForceProtected` rules until then.
    pub locked_until: Option<Timestamp>,
    /// The client whose service account this is. Such users have no password, no actions, and are not listed.
    pub service_client: Option<ClientUuid>,
    /// Free attributes.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Keycloak's fields that nothing here reads yet.
    pub extra: Map<String, Value>,
    /// When the user was made.
    pub created_at: Timestamp,
}

impl User {
    /// The first value of an attribute or of a property of the same name, as mappers read them.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "username" => Some(&self.username),
            "email" => self.email.as_deref(),
            "firstName" => self.first_name.as_deref(),
            "lastName" => self.last_name.as_deref(),
            _ => self
                .attributes
                .get(name)
                .and_then(|values| values.first())
                .map(String::as_str),
        }
    }

    /// Given and family name, joined.
    pub fn full_name(&self) -> Option<String> {
        let names: Vec<&str> = [&self.first_name, &self.last_name]
            .into_iter()
            .filter_map(|name| name.as_deref())
            .filter(|name| !name.is_empty())
            .collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// The language the person asked for (attribute `locale`).
    pub fn locale(&self) -> Option<&str> {
        self.attribute("locale")
    }
}
