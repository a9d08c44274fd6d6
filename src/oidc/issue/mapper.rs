//! Protocol mappers, made ready: which claims a scope or a client puts into a token.
//!
//! A mapper's configuration is texts in a map. It is read once for each version of the realm's configuration; what is
//! left for each token is to look at the user. Called by the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::claims::{Claim, ClaimPath, Claims};
use super::plan::{About, Carried};
use crate::client::Client;
use crate::kernel::{ClientUuid, RoleId};
use crate::oidc::catalog::RealmConfig;
use crate::role::Role;
use crate::scope::Mapper;

/// What a set of claims is for; each mapper says which of them it feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The access token.
    Access,
    /// The ID token.
    Id,
    /// The userinfo answer.
    UserInfo,
}

impl Target {
    const ALL: [Self; 3] = [Self::Access, Self::Id, Self::UserInfo];

    fn bit(self) -> u8 {
        match self {
            Self::Access => 1,
            Self::Id => 2,
            Self::UserInfo => 4,
        }
    }

    fn is_fed_by(self, mapper: &Mapper, lightweight: bool) -> bool {
        match self {
            Self::Access if lightweight => mapper.flag("lightweight.claim"),
            Self::Access => mapper.flag("access.token.claim"),
            Self::Id => mapper.flag("id.token.claim"),
            Self::UserInfo => mapper.flag("userinfo.token.claim"),
        }
    }
}

/// A mapper, made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The bits of what it feeds.
    targets: u8,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Attribute {
        attribute: String,
        path: ClaimPath,
        label: Label,
        multivalued: bool,
    },
    Property {
        property: String,
        path: ClaimPath,
        label: Label,
    },
    FullName,
    /// Members of `address`, each with the attribute that it is read from.
    Address(Vec<(&'static str, String)>),
    /// What [`Carried`] has for the role mapper of that number.
    Roles(usize),
    ResolvedAudience,
    Audience(String),
    Fixed {
        path: ClaimPath,
        value: Value,
    },
    Note {
        path: ClaimPath,
        note: Note,
    },
}

#[derive(Debug, Clone, Copy)]
enum Note {
    AuthTime,
    ClientAddress,
    ClientId,
}

/// The JSON type that a mapper makes of a text.
#[derive(Debug, Clone, Copy)]
enum Label {
    Text,
    Flag,
    Number,
    Json,
}

impl Label {
    fn of(mapper: &Mapper) -> Self {
        match mapper.setting("jsonType.label") {
            Some("boolean") => Self::Flag,
            Some("long" | "int") => Self::Number,
            Some("JSON") => Self::Json,
            _ => Self::Text,
        }
    }

    /// A text as that type; one that does not fit stays a text.
    fn read(self, text: &str) -> Claim<'_> {
        match self {
            Self::Text => text.into(),
            Self::Flag => text.parse::<bool>().map_or(text.into(), Claim::from),
            Self::Number => text.parse::<i64>().map_or(text.into(), Claim::from),
            Self::Json => {
                serde_json::from_str::<Value>(text).map_or_else(|_| text.into(), Claim::from)
            }
        }
    }

    fn value(self, text: &str) -> Value {
        json!(self.read(text))
    }
}

/// A mapper of roles: what it makes depends on the roles alone.
#[derive(Debug)]
pub(super) enum RoleMapper {
    Realm {
        path: ClaimPath,
        prefix: String,
    },
    Client {
        pattern: String,
        only: Option<String>,
        prefix: String,
    },
}

impl Prepared {
    /// Makes a mapper of a client's token ready; `None` if it does nothing. A mapper of roles joins `role_mappers`.
    pub(super) fn new(
        mapper: &Mapper,
        client: &Client,
        role_mappers: &mut Vec<RoleMapper>,
    ) -> Option<Self> {
        let lightweight = client.flag("client.use.lightweight.access.token.enabled");
        let fed = |target: Target| target.is_fed_by(mapper, lightweight);
        let feeds = |target: Target| match mapper.protocol_mapper.as_str() {
            // Both are of the access token alone, and need not be asked for.
            "oidc-audience-resolve-mapper" => {
                let unsaid = !mapper.config.contains_key("access.token.claim");
                target == Target::Access && !lightweight && (unsaid || fed(target))
            }
            "oidc-allowed-origins-mapper" => target == Target::Access && !lightweight,
            _ => fed(target),
        };
        let targets = Target::ALL
            .into_iter()
            .filter(|target| feeds(*target))
            .fold(0, |bits, target| bits | target.bit());
        if targets == 0 {
            return None;
        }
        let kind = kind(mapper, client, role_mappers)?;
        Some(Self { targets, kind })
    }

    /// Puts what this mapper makes into a set of claims.
    pub(super) fn apply<'a>(
        &'a self,
        target: Target,
        about: &About<'a>,
        client_id: &'a str,
        claims: &mut Claims<'a>,
    ) {
        if self.targets & target.bit() == 0 {
            return;
        }
        let user = about.user;
        match &self.kind {
            Kind::Attribute {
                attribute,
                path,
                label,
                multivalued: true,
            } => {
                let values = user.attributes.get(attribute).into_iter().flatten();
                let values: Vec<Value> = values.map(|value| label.value(value)).collect();
                if !values.is_empty() {
                    claims.put(path, Value::Array(values));
                }
            }
            Kind::Attribute {
                attribute,
                path,
                label,
                multivalued: false,
            } => {
                if let Some(value) = user.attribute(attribute) {
                    claims.put(path, label.read(value));
                }
            }
            Kind::Property {
                property,
                path,
                label,
            } => match property.as_str() {
                "emailVerified" => claims.put(path, user.email_verified),
                "id" => claims.put(path, user.id.as_str()),
                "enabled" => claims.put(path, user.enabled),
                property => {
                    if let Some(value) = user.attribute(property) {
                        claims.put(path, label.read(value));
                    }
                }
            },
            Kind::FullName => {
                if let Some(name) = user.full_name() {
                    claims.set("name", name);
                }
            }
            Kind::Address(members) => {
                let found = members.iter().filter_map(|(claim, attribute)| {
                    let value = user.attribute(attribute)?;
                    Some(((*claim).to_owned(), json!(value)))
                });
                let address: Map<String, Value> = found.collect();
                if !address.is_empty() {
                    claims.set("address", Value::Object(address));
                }
            }
            Kind::Roles(number) => {
                if let Some(trees) = about.carried.claims.get(*number) {
                    claims.overlay(trees);
                }
            }
            Kind::ResolvedAudience => {
                for audience in &about.carried.audiences {
                    claims.add_audience(audience);
                }
            }
            Kind::Audience(audience) => claims.add_audience(audience),
            Kind::Fixed { path, value } => claims.put(path, value),
            Kind::Note { path, note } => {
                let value = match note {
                    Note::AuthTime => about
                        .session
                        .map(|session| Claim::from(session.auth_time.seconds())),
                    Note::ClientAddress => about.client_address.map(Claim::from),
                    Note::ClientId => about.client_address.map(|_| Claim::from(client_id)),
                };
                if let Some(value) = value {
                    claims.put(path, value);
                }
            }
        }
    }
}

/// Whether all that a mapper does is to name a client that is switched off.
pub(super) fn is_for_nobody(mapper: &Mapper, config: &RealmConfig) -> bool {
    let named = mapper.setting("included.client.audience");
    let client = named.and_then(|client_id| config.client_named(client_id));
    mapper.protocol_mapper == "oidc-audience-mapper" && client.is_some_and(|id| config.is_off(id))
}

/// What a mapper does; `None` for one that does nothing. `sub` is in every token of ours, asked or not; kinds that
/// are not known here wait for what they read.
fn kind(mapper: &Mapper, client: &Client, role_mappers: &mut Vec<RoleMapper>) -> Option<Kind> {
    let path = || ClaimPath::parse(mapper.setting("claim.name")?);
    let owned = |name: &str| mapper.setting(name).map(str::to_owned);
    let label = Label::of(mapper);
    Some(match mapper.protocol_mapper.as_str() {
        "oidc-usermodel-attribute-mapper" => Kind::Attribute {
            attribute: owned("user.attribute")?,
            path: path()?,
            label,
            multivalued: mapper.flag("multivalued"),
        },
        "oidc-usermodel-property-mapper" => Kind::Property {
            property: owned("user.attribute")?,
            path: path()?,
            label,
        },
        "oidc-full-name-mapper" => Kind::FullName,
        "oidc-address-mapper" => Kind::Address(
            [
                ("formatted", "user.attribute.formatted"),
                ("street_address", "user.attribute.street"),
                ("locality", "user.attribute.locality"),
                ("region", "user.attribute.region"),
                ("postal_code", "user.attribute.postal_code"),
                ("country", "user.attribute.country"),
            ]
            .into_iter()
            .filter_map(|(claim, setting)| Some((claim, owned(setting)?)))
            .collect(),
        ),
        "oidc-usermodel-realm-role-mapper" | "oidc-usermodel-client-role-mapper" => {
            role_mappers.push(RoleMapper::new(mapper)?);
            Kind::Roles(role_mappers.len() - 1)
        }
        "oidc-audience-resolve-mapper" => Kind::ResolvedAudience,
        "oidc-audience-mapper" => Kind::Audience(
            owned("included.client.audience").or_else(|| owned("included.custom.audience"))?,
        ),
        "oidc-hardcoded-claim-mapper" => Kind::Fixed {
            path: path()?,
            value: label.value(mapper.setting("claim.value")?),
        },
        "oidc-usersessionmodel-note-mapper" => Kind::Note {
            path: path()?,
            note: match mapper.setting("user.session.note")? {
                "AUTH_TIME" => Note::AuthTime,
                "clientHost" | "clientAddress" => Note::ClientAddress,
                "client_id" | "clientId" => Note::ClientId,
                _ => return None,
            },
        },
        "oidc-acr-mapper" => Kind::Fixed {
            path: ClaimPath::parse("acr")?,
            value: json!("1"),
        },
        "oidc-allowed-origins-mapper" => {
            let origins = client.allowed_origins();
            if origins.is_empty() {
                return None;
            }
            Kind::Fixed {
                path: ClaimPath::parse("allowed-origins")?,
                value: json!(origins),
            }
        }
        _ => return None,
    })
}

impl RoleMapper {
    fn new(mapper: &Mapper) -> Option<Self> {
        let prefix = mapper
            .setting("usermodel.realmRoleMapping.rolePrefix")
            .or(mapper.setting("usermodel.clientRoleMapping.rolePrefix"))
            .unwrap_or_default()
            .to_owned();
        let name = mapper.setting("claim.name");
        Some(match mapper.protocol_mapper.as_str() {
            "oidc-usermodel-realm-role-mapper" => Self::Realm {
                path: ClaimPath::parse(name.unwrap_or("realm_access.roles"))?,
                prefix,
            },
            _ => Self::Client {
                pattern: name
                    .unwrap_or("resource_access.${client_id}.roles")
                    .to_owned(),
                only: mapper
                    .setting("usermodel.clientRoleMapping.clientId")
                    .map(str::to_owned),
                prefix,
            },
        })
    }

    fn claims(&self, config: &RealmConfig, roles: &[&Role]) -> Map<String, Value> {
        let names = |client: Option<&ClientUuid>, prefix: &str| -> Value {
            let of_client = roles.iter().filter(|role| role.client.as_ref() == client);
            of_client
                .map(|role| format!("{prefix}{}", role.name))
                .collect()
        };
        let mut claims = Map::new();
        match self {
            Self::Realm { path, prefix } => {
                if roles.iter().any(|role| role.client.is_none()) {
                    path.put(&mut claims, names(None, prefix));
                }
            }
            Self::Client {
                pattern,
                only,
                prefix,
            } => {
                let clients: BTreeMap<&str, &ClientUuid> = roles
                    .iter()
                    .filter_map(|role| role.client.as_ref())
                    .filter_map(|client| Some((config.client_id_of(client)?, client)))
                    .filter(|(client_id, _)| only.as_ref().is_none_or(|only| only == client_id))
                    .collect();
                for (client_id, client) in clients {
                    let escaped = client_id.replace('.', "\\.");
                    let path = pattern.replace("${client_id}", &escaped);
                    if let Some(path) = ClaimPath::parse(&path) {
                        path.put(&mut claims, names(Some(client), prefix));
                    }
                }
            }
        }
        claims
    }
}

impl Carried {
    /// What these roles make in the tokens of a client.
    pub(super) fn new(
        config: &RealmConfig,
        client_id: &str,
        ids: BTreeSet<RoleId>,
        role_mappers: &[RoleMapper],
    ) -> Self {
        let is_on = |role: &&Role| role.client.as_ref().is_none_or(|id| !config.is_off(id));
        let known = ids.iter().filter_map(|id| config.roles.get(id));
        let roles: Vec<&Role> = known.filter(is_on).collect();
        let audiences: BTreeSet<&str> = roles
            .iter()
            .filter_map(|role| role.client.as_ref())
            .filter_map(|client| config.client_id_of(client))
            .filter(|of_role| *of_role != client_id)
            .collect();
        Self {
            claims: role_mappers
                .iter()
                .map(|mapper| mapper.claims(config, &roles))
                .collect(),
            audiences: audiences.into_iter().map(str::to_owned).collect(),
            ids,
        }
    }
}
