//! `ClientRepresentation`: shown without any secret, read by laying what was sent over what is stored.

use serde_json::{Map, Value, json};

use super::client_scope::MapperRepresentation;
use super::{merge_attributes, object, value};
use crate::admin::error::AdminError;
use crate::admin::json::Shape;
use crate::client::{Client, ClientSettings};
use crate::kernel::ClientScopeId;
use crate::oidc::catalog::RealmConfig;
use crate::realm::bounds;
use crate::store::StoreError;

/// Its fields.
pub const SHAPE: Shape = Shape {
    name: "ClientRepresentation",
    texts: &[
        "id",
        "clientId",
        "name",
        "description",
        "type",
        "rootUrl",
        "adminUrl",
        "baseUrl",
        "clientAuthenticatorType",
        "secret",
        "registrationAccessToken",
        "protocol",
        "clientTemplate",
        "origin",
    ],
    flags: &[
        "surrogateAuthRequired",
        "enabled",
        "alwaysDisplayInConsole",
        "bearerOnly",
        "consentRequired",
        "standardFlowEnabled",
        "implicitFlowEnabled",
        "directAccessGrantsEnabled",
        "serviceAccountsEnabled",
        "authorizationServicesEnabled",
        "directGrantsOnly",
        "publicClient",
        "frontchannelLogout",
        "fullScopeAllowed",
        "useTemplateConfig",
        "useTemplateScope",
        "useTemplateMappers",
    ],
    numbers: &["notBefore", "nodeReRegistrationTimeout"],
    lists: &[
        "defaultRoles",
        "redirectUris",
        "webOrigins",
        "defaultClientScopes",
        "optionalClientScopes",
    ],
    other: &[
        "attributes",
        "authenticationFlowBindingOverrides",
        "registeredNodes",
        "protocolMappers",
        "authorizationSettings",
        "access",
    ],
};

/// Fields that are not among the stored settings: they have columns, are derived, or are secrets.
const NOT_SETTINGS: [&str; 11] = [
    "id",
    "clientId",
    "enabled",
    "secret",
    "registrationAccessToken",
    "defaultClientScopes",
    "optionalClientScopes",
    "protocolMappers",
    "attributes",
    "access",
    "origin",
];

/// A client as it is shown to a caller with or without `manage-clients`.
///
/// # Errors
/// Never: settings are JSON.
pub fn show(config: &RealmConfig, client: &Client, manage: bool) -> Result<Value, StoreError> {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(client.id.as_str()));
    shown.insert("clientId".into(), json!(client.client_id));
    shown.insert("surrogateAuthRequired".into(), json!(false));
    shown.insert("enabled".into(), json!(client.enabled));
    shown.insert("alwaysDisplayInConsole".into(), json!(false));
    shown.insert("frontchannelLogout".into(), json!(false));
    shown.insert("authenticationFlowBindingOverrides".into(), json!({}));
    shown.insert("nodeReRegistrationTimeout".into(), json!(-1));
    shown.append(&mut object(&client.settings)?);
    if let Some(Value::Object(attributes)) = shown.get_mut("attributes") {
        attributes.retain(|name, _| !is_secret(name));
    }
    if !client.mappers.is_empty() {
        let mappers: Vec<MapperRepresentation<'_>> =
            client.mappers.iter().map(Into::into).collect();
        shown.insert("protocolMappers".into(), value(&mappers)?);
    }
    let names = |ids: &[ClientScopeId]| -> Vec<&str> {
        let mut names: Vec<&str> = ids
            .iter()
            .filter_map(|id| config.scopes.get(id))
            .map(|scope| scope.name.as_str())
            .collect();
        names.sort_unstable();
        names
    };
    shown.insert(
        "defaultClientScopes".into(),
        json!(names(&client.default_scopes)),
    );
    shown.insert(
        "optionalClientScopes".into(),
        json!(names(&client.optional_scopes)),
    );
    shown.insert(
        "access".into(),
        json!({ "view": true, "configure": manage, "manage": manage }),
    );
    Ok(Value::Object(shown))
}

/// Attributes that hold keys or former secrets.
fn is_secret(attribute: &str) -> bool {
    attribute.ends_with("private.key") || attribute == "client.secret.rotated"
}

/// Lays what was sent over stored settings.
///
/// # Errors
/// A field has the wrong type, or a number in it cannot be.
pub fn lay_over(
    stored: &ClientSettings,
    sent: &Map<String, Value>,
) -> Result<ClientSettings, AdminError> {
    check_numbers(sent)?;
    let mut settings = object(stored)?;
    for (name, value) in sent {
        if !NOT_SETTINGS.contains(&name.as_str()) {
            settings.insert(name.clone(), value.clone());
        }
    }
    if let Some(attributes) = sent.get("attributes") {
        let stored = settings
            .entry("attributes")
            .or_insert_with(|| json!({}))
            .as_object_mut();
        stored
            .and_then(|stored| merge_attributes(stored, attributes))
            .ok_or_else(|| AdminError::wrong_type("attributes"))?;
    }
    serde_json::from_value(Value::Object(settings)).map_err(|_| AdminError::wrong_type(SHAPE.name))
}

/// Checks the numbers that something here reads; an attribute that is null or empty is taken away.
fn check_numbers(sent: &Map<String, Value>) -> Result<(), AdminError> {
    let attributes = sent.get("attributes").and_then(Value::as_object);
    let lifespan = attributes
        .and_then(|attributes| attributes.get("access.token.lifespan"))
        .filter(|value| !value.is_null() && value.as_str() != Some(""));
    for (bound, value) in [
        (bounds::NOT_BEFORE, sent.get("notBefore")),
        (bounds::OF_CLIENT, lifespan),
    ] {
        if let Some(value) = value {
            bound.check(value).map_err(AdminError::invalid_input)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sent_stays_and_secrets_are_never_kept_among_the_settings() {
        let stored = ClientSettings {
            name: Some("N".into()),
            ..ClientSettings::default()
        };
        let sent = SHAPE
            .read(json!({
                "clientId": "x", "secret": "canary", "registrationAccessToken": "canary",
                "description": "d", "adminUrl": "https://a.example", "attributes": { "a": "1" },
                "access": { "manage": true }
            }))
            .unwrap();
        let settings = lay_over(&stored, &sent).unwrap();
        assert_eq!(settings.name.as_deref(), Some("N"));
        assert_eq!(settings.description.as_deref(), Some("d"));
        assert_eq!(settings.attributes.get("a").map(String::as_str), Some("1"));
        let text = serde_json::to_string(&settings).unwrap();
        assert!(
            !text.contains("canary") && !text.contains("access\""),
            "{text}"
        );
        assert!(text.contains("adminUrl"));
        assert!(!is_secret("access.token.lifespan") && is_secret("saml.signing.private.key"));
    }
}
