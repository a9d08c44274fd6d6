//! A client: an application that asks for tokens.

pub mod redirect;
pub mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{ClientScopeId, ClientUuid, RealmId};
use crate::realm::bounds;
use crate::scope::Mapper;

/// The one way in which confidential clients prove who they are here, by basic authentication or in the form.
pub const BY_SECRET: &str = "client-secret";

/// A client with everything a token request needs to know of it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id in the admin API.
    pub id: ClientUuid,
    /// Its realm.
    pub realm_id: RealmId,
    /// The OAuth `client_id`.
    pub client_id: String,
    /// Whether it may do anything.
    pub enabled: bool,
    /// The keyed digest of its secret, for the comparison.
    pub secret_digest: Option<String>,
    /// Everything else.
    pub settings: ClientSettings,
    /// Client scopes that every token of this client has.
    pub default_scopes: Vec<ClientScopeId>,
    /// Client scopes that a request may ask for.
    pub optional_scopes: Vec<ClientScopeId>,
    /// Mappers of its own.
    pub mappers: Vec<Mapper>,
}

/// The settings of a client, named as Keycloak names them; fields nothing reads are kept in `rest`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientSettings {
    /// The name people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What administrators read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What relative URLs are relative to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_url: Option<String>,
    /// Where the application lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Registered redirect URIs, compared exactly.
    pub redirect_uris: Vec<String>,
    /// Origins whose scripts may call the token endpoint.
    pub web_origins: Vec<String>,
    /// Whether the client has no secret (RFC 6749 section 2.1).
    pub public_client: bool,
    /// Whether it only receives tokens.
    pub bearer_only: bool,
    /// Whether people are asked before it gets anything.
    pub consent_required: bool,
    /// The authorization code flow.
    pub standard_flow_enabled: bool,
    /// The implicit flow, which this server does not offer; kept and given back.
    pub implicit_flow_enabled: bool,
    /// The password grant.
    pub direct_access_grants_enabled: bool,
    /// The client credentials grant.
    pub service_accounts_enabled: bool,
    /// Whether tokens carry all roles of the person, or only those mapped to the client's scope.
    pub full_scope_allowed: bool,
    /// Tokens issued before this time are refused, seconds.
    pub not_before: i64,
    /// `client-secret` and its kin.
    pub client_authenticator_type: String,
    /// `openid-connect`.
    pub protocol: String,
    /// Settings of our own and those of Keycloak that live in attributes.
    pub attributes: BTreeMap<String, String>,
    /// Fields that nothing here reads yet.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Default for ClientSettings {
    /// What a client made by `{"clientId": …}` has in Keycloak 26.7.
    fn default() -> Self {
        Self {
            name: None,
            description: None,
            root_url: None,
            base_url: None,
            redirect_uris: Vec::new(),
            web_origins: Vec::new(),
            public_client: false,
            bearer_only: false,
            consent_required: false,
            standard_flow_enabled: true,
            implicit_flow_enabled: false,
            direct_access_grants_enabled: false,
            service_accounts_enabled: false,
            full_scope_allowed: true,
            not_before: 0,
            client_authenticator_type: BY_SECRET.to_owned(),
            protocol: "openid-connect".to_owned(),
            attributes: BTreeMap::new(),
            rest: Map::new(),
        }
    }
}

impl Client {
    /// An attribute that is `true` only when it says `"true"`.
    pub fn flag(&self, attribute: &str) -> bool {
        self.settings
            .attributes
            .get(attribute)
            .is_some_and(|text| text == "true")
    }

    /// An attribute's text, absent when empty.
    pub fn attribute(&self, attribute: &str) -> Option<&str> {
        self.settings
            .attributes
            .get(attribute)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Whether it speaks OpenID Connect; clients of other protocols are kept and given back, and get nothing.
    pub fn speaks_openid(&self) -> bool {
        self.settings.protocol == "openid-connect"
    }

    /// Whether its secret proves who it is. Where another method is prescribed, which this server does not have, it
    /// does not (threat V086).
    pub fn proves_itself_by_secret(&self) -> bool {
        self.settings.client_authenticator_type == BY_SECRET
    }

    /// Whether people may be sent to this address with a code or an error (RFC 9700 section 2.1).
    pub fn redirects_to(&self, uri: &str, public_url: &str) -> bool {
        let settings = &self.settings;
        let root = settings.root_url.as_deref();
        redirect::matches(&settings.redirect_uris, uri, root, public_url)
    }

    /// The name that people see.
    pub fn display_name(&self) -> &str {
        self.settings
            .name
            .as_deref()
            .filter(|name| !name.is_empty() && !name.starts_with("${"))
            .unwrap_or(&self.client_id)
    }

    /// Whether refresh tokens rotate: always for public clients (standards S013), else where the client asks for it.
    pub fn rotates_refresh_tokens(&self) -> bool {
        self.settings.public_client || self.flag("refresh.token.rotation")
    }

    /// Whether an authorization request must bring PKCE with S256 (standards S006).
    pub fn requires_pkce(&self) -> bool {
        let public = self.settings.public_client && !self.flag("insecure.pkce.optional");
        public || self.attribute("pkce.code.challenge.method") == Some("S256")
    }

    /// Lifetime of access tokens where the client has one of its own, in seconds.
    pub fn access_token_lifespan(&self) -> Option<i64> {
        self.attribute("access.token.lifespan")
            .and_then(|text| bounds::OF_CLIENT.of_text(text))
            .filter(|seconds| *seconds > 0)
    }

    /// Where the application lives, as an absolute URL.
    pub fn home(&self, public_url: &str) -> Option<String> {
        let base = self
            .settings
            .base_url
            .as_deref()
            .filter(|url| !url.is_empty())?;
        redirect::resolve(base, self.settings.root_url.as_deref(), public_url)
    }

    /// The origins whose scripts may read answers of the token endpoint; `+` stands for those of the redirect URIs.
    pub fn allowed_origins(&self) -> Vec<String> {
        let mut origins = Vec::new();
        for entry in &self.settings.web_origins {
            if entry == "+" {
                let from_redirects = self
                    .settings
                    .redirect_uris
                    .iter()
                    .filter_map(|uri| redirect::origin(uri));
                origins.extend(from_redirects);
            } else if entry != "*" {
                origins.push(entry.trim_end_matches('/').to_owned());
            }
        }
        origins.sort();
        origins.dedup();
        origins
    }
}
