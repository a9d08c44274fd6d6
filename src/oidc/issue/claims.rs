//! Protocol mappers: which claims the scopes and the client put into a token.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::kernel::RoleId;
use crate::oidc::catalog::RealmConfig;
use crate::scope::{ClientScope, Mapper};
use crate::session::Session;
use crate::user::User;

/// What a set of claims is for; each mapper says which of them it feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The access token.
    Access,
    /// The ID token.
    Id,
    /// The userinfo answer.
    UserInfo,
    /// The introspection answer.
    Introspection,
}

impl Target {
    fn includes(self, mapper: &Mapper, lightweight: bool) -> bool {
        match self {
            Self::Access if lightweight => mapper.flag("lightweight.claim"),
            Self::Access => mapper.flag("access.token.claim"),
            Self::Id => mapper.flag("id.token.claim"),
            Self::UserInfo => mapper.flag("userinfo.token.claim"),
            Self::Introspection => {
                mapper.flag("introspection.token.claim")
                    || (!mapper.config.contains_key("introspection.token.claim")
                        && mapper.flag("access.token.claim"))
            }
        }
    }
}

/// Everything mappers read.
pub struct Source<'a> {
    /// The realm's configuration.
    pub config: &'a RealmConfig,
    /// The client that asks.
    pub client: &'a Client,
    /// The client scopes of the request.
    pub scopes: &'a [&'a ClientScope],
    /// The user.
    pub user: &'a User,
    /// The roles that the token may carry.
    pub roles: &'a BTreeSet<&'a RoleId>,
    /// The session, if there is one.
    pub session: Option<&'a Session>,
    /// The address of the client, for a service account's tokens.
    pub client_address: Option<&'a str>,
}

impl Source<'_> {
    /// The claims for `target`, and the audiences that they imply.
    pub fn claims(&self, target: Target) -> Map<String, Value> {
        let mut claims = Map::new();
        let lightweight = self
            .client
            .flag("client.use.lightweight.access.token.enabled");
        let of_scopes = self.scopes.iter().flat_map(|scope| scope.mappers.iter());
        for mapper in of_scopes.chain(self.client.mappers.iter()) {
            self.apply(mapper, target, lightweight, &mut claims);
        }
        claims
    }

    fn apply(
        &self,
        mapper: &Mapper,
        target: Target,
        lightweight: bool,
        claims: &mut Map<String, Value>,
    ) {
        let included = target.includes(mapper, lightweight);
        match mapper.protocol_mapper.as_str() {
            "oidc-usermodel-attribute-mapper" if included => self.attribute(mapper, claims),
            "oidc-usermodel-property-mapper" if included => self.property(mapper, claims),
            "oidc-full-name-mapper" if included => {
                if let Some(name) = self.user.full_name() {
                    claims.insert("name".into(), json!(name));
                }
            }
            "oidc-address-mapper" if included => self.address(mapper, claims),
            "oidc-usermodel-realm-role-mapper" if included => {
                let roles = self.role_names(None, mapper);
                if !roles.is_empty() {
                    put(
                        claims,
                        mapper.setting("claim.name").unwrap_or("realm_access.roles"),
                        json!(roles),
                    );
                }
            }
            "oidc-usermodel-client-role-mapper" if included => self.client_roles(mapper, claims),
            "oidc-audience-resolve-mapper"
                if (included || !mapper.config.contains_key("access.token.claim"))
                    && matches!(target, Target::Access | Target::Introspection)
                    && !lightweight =>
            {
                self.resolve_audience(claims);
            }
            "oidc-audience-mapper" if included => {
                let audience = mapper
                    .setting("included.client.audience")
                    .or(mapper.setting("included.custom.audience"));
                if let Some(audience) = audience {
                    add_audience(claims, audience);
                }
            }
            "oidc-hardcoded-claim-mapper" if included => {
                if let (Some(name), Some(value)) =
                    (mapper.setting("claim.name"), mapper.setting("claim.value"))
                {
                    put(claims, name, typed(value, mapper.setting("jsonType.label")));
                }
            }
            "oidc-usersessionmodel-note-mapper" if included => self.session_note(mapper, claims),
            "oidc-acr-mapper" if included => {
                claims.insert("acr".into(), json!("1"));
            }
            "oidc-allowed-origins-mapper" if target == Target::Access && !lightweight => {
                let origins = self.client.allowed_origins();
                if !origins.is_empty() {
                    claims.insert("allowed-origins".into(), json!(origins));
                }
            }
            // `sub` is in every token of ours, asked or not; the other kinds wait for what they read.
            _ => {}
        }
    }

    fn attribute(&self, mapper: &Mapper, claims: &mut Map<String, Value>) {
        let (Some(attribute), Some(claim)) = (
            mapper.setting("user.attribute"),
            mapper.setting("claim.name"),
        ) else {
            return;
        };
        let label = mapper.setting("jsonType.label");
        if mapper.flag("multivalued") {
            let values: Vec<Value> = self
                .user
                .attributes
                .get(attribute)
                .into_iter()
                .flatten()
                .map(|value| typed(value, label))
                .collect();
            if !values.is_empty() {
                put(claims, claim, Value::Array(values));
            }
        } else if let Some(value) = self.user.attribute(attribute) {
            put(claims, claim, typed(value, label));
        }
    }

    fn property(&self, mapper: &Mapper, claims: &mut Map<String, Value>) {
        let (Some(property), Some(claim)) = (
            mapper.setting("user.attribute"),
            mapper.setting("claim.name"),
        ) else {
            return;
        };
        let value = match property {
            "emailVerified" => json!(self.user.email_verified),
            "id" => json!(self.user.id.as_str()),
            "enabled" => json!(self.user.enabled),
            _ => match self.user.attribute(property) {
                Some(value) => typed(value, mapper.setting("jsonType.label")),
                None => return,
            },
        };
        put(claims, claim, value);
    }

    fn address(&self, mapper: &Mapper, claims: &mut Map<String, Value>) {
        let mut address = Map::new();
        for (setting, claim) in [
            ("user.attribute.formatted", "formatted"),
            ("user.attribute.street", "street_address"),
            ("user.attribute.locality", "locality"),
            ("user.attribute.region", "region"),
            ("user.attribute.postal_code", "postal_code"),
            ("user.attribute.country", "country"),
        ] {
            if let Some(value) = mapper
                .setting(setting)
                .and_then(|attribute| self.user.attribute(attribute))
            {
                address.insert(claim.into(), json!(value));
            }
        }
        if !address.is_empty() {
            claims.insert("address".into(), Value::Object(address));
        }
    }

    fn role_names(
        &self,
        client: Option<&crate::kernel::ClientUuid>,
        mapper: &Mapper,
    ) -> Vec<String> {
        let prefix = mapper
            .setting("usermodel.realmRoleMapping.rolePrefix")
            .or(mapper.setting("usermodel.clientRoleMapping.rolePrefix"))
            .unwrap_or_default();
        self.roles
            .iter()
            .filter_map(|id| self.config.roles.get(id))
            .filter(|role| role.client.as_ref() == client)
            .map(|role| format!("{prefix}{}", role.name))
            .collect()
    }

    fn client_roles(&self, mapper: &Mapper, claims: &mut Map<String, Value>) {
        let pattern = mapper
            .setting("claim.name")
            .unwrap_or("resource_access.${client_id}.roles");
        let only = mapper.setting("usermodel.clientRoleMapping.clientId");
        let mut by_client: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let clients: BTreeSet<_> = self
            .roles
            .iter()
            .filter_map(|id| self.config.roles.get(id))
            .filter_map(|role| role.client.as_ref())
            .collect();
        for client in clients {
            let Some(client_id) = self.config.client_id_of(client) else {
                continue;
            };
            if only.is_none_or(|only| only == client_id) {
                by_client.insert(client_id, self.role_names(Some(client), mapper));
            }
        }
        for (client_id, roles) in by_client {
            let escaped = client_id.replace('.', "\\.");
            put(
                claims,
                &pattern.replace("${client_id}", &escaped),
                json!(roles),
            );
        }
    }

    fn resolve_audience(&self, claims: &mut Map<String, Value>) {
        let clients: BTreeSet<&str> = self
            .roles
            .iter()
            .filter_map(|id| self.config.roles.get(id))
            .filter_map(|role| role.client.as_ref())
            .filter_map(|client| self.config.client_id_of(client))
            .filter(|client_id| *client_id != self.client.client_id)
            .collect();
        for client_id in clients {
            add_audience(claims, client_id);
        }
    }

    fn session_note(&self, mapper: &Mapper, claims: &mut Map<String, Value>) {
        let Some(claim) = mapper.setting("claim.name") else {
            return;
        };
        let value = match mapper.setting("user.session.note") {
            Some("AUTH_TIME") => self
                .session
                .map(|session| json!(session.auth_time.seconds())),
            Some("clientHost" | "clientAddress") => {
                self.client_address.map(|address| json!(address))
            }
            Some("client_id" | "clientId") => {
                self.client_address.map(|_| json!(self.client.client_id))
            }
            _ => None,
        };
        if let Some(value) = value {
            put(claims, claim, value);
        }
    }
}

/// Adds an audience to those that `aud` names already.
fn add_audience(claims: &mut Map<String, Value>, audience: &str) {
    match claims.get_mut("aud") {
        None => {
            claims.insert("aud".into(), json!(audience));
        }
        Some(Value::Array(list)) => {
            if !list.iter().any(|one| one == audience) {
                list.push(json!(audience));
            }
        }
        Some(one) => {
            if *one != audience {
                *one = json!([one.take(), audience]);
            }
        }
    }
}

/// A text as the JSON type that the mapper asks for; a text that does not fit stays a text.
fn typed(value: &str, label: Option<&str>) -> Value {
    match label {
        Some("boolean") => value
            .parse::<bool>()
            .map_or_else(|_| json!(value), |flag| json!(flag)),
        Some("long" | "int") => value
            .parse::<i64>()
            .map_or_else(|_| json!(value), |number| json!(number)),
        Some("JSON") => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        _ => json!(value),
    }
}

/// Claims that no mapper may write: they are the server's word.
const RESERVED: [&str; 14] = [
    "iss",
    "sub",
    "exp",
    "iat",
    "jti",
    "typ",
    "azp",
    "sid",
    "nonce",
    "at_hash",
    "auth_epoch",
    "grant_id",
    "client_id",
    "scope",
];

/// Puts a value at a dotted path (`a.b.c`; `\.` is a dot inside a name).
fn put(claims: &mut Map<String, Value>, path: &str, value: Value) {
    let mut names: Vec<String> = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'.') => {
                characters.next();
                if let Some(last) = names.last_mut() {
                    last.push('.');
                }
            }
            '.' => names.push(String::new()),
            other => {
                if let Some(last) = names.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    let Some(leaf) = names.pop() else { return };
    if names.is_empty() && leaf != "client_id" && RESERVED.contains(&leaf.as_str()) {
        return;
    }
    let mut at = claims;
    for name in names {
        let entry = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        let Some(inner) = entry.as_object_mut() else {
            return;
        };
        at = inner;
    }
    at.insert(leaf, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_nest_and_escaped_dots_do_not() {
        let mut claims = Map::new();
        put(&mut claims, "realm_access.roles", json!(["a"]));
        put(&mut claims, "resource_access.my\\.app.roles", json!(["b"]));
        assert_eq!(
            Value::Object(claims),
            json!({"realm_access": {"roles": ["a"]}, "resource_access": {"my.app": {"roles": ["b"]}}})
        );
    }

    #[test]
    fn a_mapper_cannot_write_what_the_server_says() {
        let mut claims = Map::new();
        for name in ["sub", "iss", "exp", "typ"] {
            put(&mut claims, name, json!("forged"));
        }
        assert!(claims.is_empty());
    }

    #[test]
    fn audiences_are_a_text_or_a_list() {
        let mut claims = Map::new();
        add_audience(&mut claims, "account");
        assert_eq!(claims.get("aud"), Some(&json!("account")));
        add_audience(&mut claims, "web");
        add_audience(&mut claims, "web");
        assert_eq!(claims.get("aud"), Some(&json!(["account", "web"])));
    }
}
