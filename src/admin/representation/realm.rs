//! `RealmRepresentation`: shown without the mail server's secrets, read by laying what was sent over what is stored.

use serde_json::{Map, Value, json};

use super::role::RoleRepresentation;
use super::{object, value};
use crate::admin::error::AdminError;
use crate::admin::json::{MASK, Shape, text};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::issue::Algorithm;
use crate::oidc::provision::default_role_name;
use crate::password::PasswordPolicy;
use crate::realm::{RealmSettings, bounds, smtp};
use crate::store::StoreError;

/// Its fields.
pub const SHAPE: Shape = Shape {
    name: "RealmRepresentation",
    texts: &[
        "id",
        "realm",
        "displayName",
        "displayNameHtml",
        "defaultSignatureAlgorithm",
        "sslRequired",
        "bruteForceStrategy",
        "passwordPolicy",
        "otpPolicyType",
        "otpPolicyAlgorithm",
        "webAuthnPolicyRpEntityName",
        "webAuthnPolicyRpId",
        "webAuthnPolicyAttestationConveyancePreference",
        "webAuthnPolicyAuthenticatorAttachment",
        "webAuthnPolicyRequireResidentKey",
        "webAuthnPolicyResidentKey",
        "webAuthnPolicyUserVerificationRequirement",
        "webAuthnPolicyPasswordlessRpEntityName",
        "webAuthnPolicyPasswordlessRpId",
        "webAuthnPolicyPasswordlessAttestationConveyancePreference",
        "webAuthnPolicyPasswordlessAuthenticatorAttachment",
        "webAuthnPolicyPasswordlessRequireResidentKey",
        "webAuthnPolicyPasswordlessResidentKey",
        "webAuthnPolicyPasswordlessUserVerificationRequirement",
        "loginTheme",
        "accountTheme",
        "adminTheme",
        "emailTheme",
        "defaultLocale",
        "browserFlow",
        "registrationFlow",
        "directGrantFlow",
        "resetCredentialsFlow",
        "clientAuthenticationFlow",
        "dockerAuthenticationFlow",
        "firstBrokerLoginFlow",
        "keycloakVersion",
    ],
    flags: &[
        "enabled",
        "revokeRefreshToken",
        "offlineSessionMaxLifespanEnabled",
        "registrationAllowed",
        "registrationEmailAsUsername",
        "rememberMe",
        "verifyEmail",
        "loginWithEmailAllowed",
        "duplicateEmailsAllowed",
        "resetPasswordAllowed",
        "editUsernameAllowed",
        "bruteForceProtected",
        "permanentLockout",
        "otpPolicyCodeReusable",
        "webAuthnPolicyAvoidSameAuthenticatorRegister",
        "webAuthnPolicyPasswordlessAvoidSameAuthenticatorRegister",
        "webAuthnPolicyPasswordlessPasskeysEnabled",
        "eventsEnabled",
        "adminEventsEnabled",
        "adminEventsDetailsEnabled",
        "internationalizationEnabled",
        "userManagedAccessAllowed",
        "organizationsEnabled",
        "verifiableCredentialsEnabled",
        "adminPermissionsEnabled",
        "scimApiEnabled",
    ],
    numbers: &[
        "notBefore",
        "refreshTokenMaxReuse",
        "accessTokenLifespan",
        "accessTokenLifespanForImplicitFlow",
        "ssoSessionIdleTimeout",
        "ssoSessionMaxLifespan",
        "ssoSessionIdleTimeoutRememberMe",
        "ssoSessionMaxLifespanRememberMe",
        "offlineSessionIdleTimeout",
        "offlineSessionMaxLifespan",
        "clientSessionIdleTimeout",
        "clientSessionMaxLifespan",
        "clientOfflineSessionIdleTimeout",
        "clientOfflineSessionMaxLifespan",
        "accessCodeLifespan",
        "accessCodeLifespanUserAction",
        "accessCodeLifespanLogin",
        "actionTokenGeneratedByAdminLifespan",
        "actionTokenGeneratedByUserLifespan",
        "oauth2DeviceCodeLifespan",
        "oauth2DevicePollingInterval",
        "maxTemporaryLockouts",
        "maxFailureWaitSeconds",
        "minimumQuickLoginWaitSeconds",
        "waitIncrementSeconds",
        "quickLoginCheckMilliSeconds",
        "maxDeltaTimeSeconds",
        "failureFactor",
        "maxSecondaryAuthFailures",
        "otpPolicyInitialCounter",
        "otpPolicyDigits",
        "otpPolicyLookAheadWindow",
        "otpPolicyPeriod",
        "webAuthnPolicyCreateTimeout",
        "webAuthnPolicyPasswordlessCreateTimeout",
        "eventsExpiration",
    ],
    lists: &[
        "requiredCredentials",
        "otpSupportedApplications",
        "webAuthnPolicySignatureAlgorithms",
        "webAuthnPolicyAcceptableAaguids",
        "webAuthnPolicyExtraOrigins",
        "webAuthnPolicyPasswordlessSignatureAlgorithms",
        "webAuthnPolicyPasswordlessAcceptableAaguids",
        "webAuthnPolicyPasswordlessExtraOrigins",
        "defaultRoles",
        "defaultGroups",
        "eventsListeners",
        "enabledEventTypes",
        "supportedLocales",
        "defaultDefaultClientScopes",
        "defaultOptionalClientScopes",
    ],
    other: &[
        "defaultRole",
        "browserSecurityHeaders",
        "smtpServer",
        "attributes",
        "localizationTexts",
        "clientProfiles",
        "clientPolicies",
        "adminPermissionsClient",
        "roles",
        "groups",
        "users",
        "federatedUsers",
        "clients",
        "clientScopes",
        "scopeMappings",
        "clientScopeMappings",
        "components",
        "identityProviders",
        "identityProviderMappers",
        "protocolMappers",
        "authenticationFlows",
        "authenticatorConfig",
        "requiredActions",
        "organizations",
        "workflows",
    ],
};

/// Fields that are not among the stored settings: they have columns, are derived, or are things of their own.
const NOT_SETTINGS: [&str; 26] = [
    "id",
    "realm",
    "enabled",
    "notBefore",
    "defaultRole",
    "defaultRoles",
    "keycloakVersion",
    "attributes",
    "roles",
    "groups",
    "users",
    "federatedUsers",
    "clients",
    "clientScopes",
    "scopeMappings",
    "clientScopeMappings",
    "components",
    "identityProviders",
    "identityProviderMappers",
    "protocolMappers",
    "authenticationFlows",
    "authenticatorConfig",
    "requiredActions",
    "organizations",
    "workflows",
    "adminPermissionsClient",
];

/// Parts of a whole realm file that a plain create does not read: refused rather than dropped.
pub const IMPORTED: [&str; 6] = [
    "users",
    "clients",
    "clientScopes",
    "roles",
    "groups",
    "identityProviders",
];

/// A realm as it is shown to who may see all of it.
///
/// # Errors
/// Never: settings are JSON.
pub fn show(config: &RealmConfig) -> Result<Value, StoreError> {
    let realm = &config.realm;
    let mut shown = Map::new();
    shown.insert("id".into(), json!(realm.id.as_str()));
    shown.insert("realm".into(), json!(realm.name));
    shown.insert("enabled".into(), json!(realm.enabled));
    shown.insert("notBefore".into(), json!(realm.not_before.seconds()));
    shown.append(&mut object(&realm.settings)?);
    for secret in smtp::SECRETS {
        let server = shown.get_mut("smtpServer");
        if let Some(secret) = server.and_then(|server| server.get_mut(secret)) {
            *secret = json!(MASK);
        }
    }
    if let Some(role) = config.roles.named(None, &default_role_name(&realm.name)) {
        shown.insert(
            "defaultRole".into(),
            value(&RoleRepresentation::of(config, role, true))?,
        );
    }
    Ok(Value::Object(shown))
}

/// What is shown of a realm in a list, or to callers with other roles than those for the realm itself.
pub fn show_brief(config: &RealmConfig) -> Value {
    let settings = &config.realm.settings;
    let mut shown = Map::new();
    shown.insert("realm".into(), json!(config.realm.name));
    if let Some(name) = &settings.display_name {
        shown.insert("displayName".into(), json!(name));
    }
    shown.insert(
        "registrationEmailAsUsername".into(),
        json!(settings.registration_email_as_username),
    );
    shown.insert(
        "bruteForceProtected".into(),
        json!(settings.brute_force_protected),
    );
    shown.insert(
        "supportedLocales".into(),
        json!(settings.supported_locales.clone().unwrap_or_default()),
    );
    Value::Object(shown)
}

/// The settings among what was sent, checked; `smtpServer` and attributes still as they were sent.
///
/// # Errors
/// A value that a realm cannot have.
pub fn settings_of(sent: &Map<String, Value>) -> Result<Map<String, Value>, AdminError> {
    let mut settings = Map::new();
    for (name, value) in sent {
        if !NOT_SETTINGS.contains(&name.as_str()) {
            settings.insert(name.clone(), value.clone());
        }
    }
    bounds::check(sent).map_err(AdminError::Message)?;
    let text = |name: &str| sent.get(name).and_then(Value::as_str);
    if let Some(policy) = text("passwordPolicy") {
        PasswordPolicy::parse(policy).map_err(|error| AdminError::Message(error.to_string()))?;
    }
    if let Some(name) = text("defaultSignatureAlgorithm")
        && Algorithm::parse(name).is_none()
    {
        return Err(AdminError::Message(format!(
            "Signature algorithm {name} is not known here"
        )));
    }
    if let Some(required) = text("sslRequired") {
        let lower = required.to_ascii_lowercase();
        if !["all", "external", "none"].contains(&lower.as_str()) {
            return Err(AdminError::Message("Invalid value for sslRequired".into()));
        }
        settings.insert("sslRequired".into(), Value::String(lower));
    }
    let locales = sent.get("supportedLocales").and_then(Value::as_array);
    let locales = locales.into_iter().flatten().filter_map(Value::as_str);
    for locale in locales.chain(text("defaultLocale")) {
        if let Some(odd) = locale
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'))
        {
            return Err(AdminError::Message(format!(
                "Character '{odd}' not allowed."
            )));
        }
    }
    Ok(settings)
}

/// Lays checked settings over stored ones. Attributes are replaced, and those that only exist because Keycloak has
/// them in every realm stay.
///
/// # Errors
/// A value has the wrong type.
pub fn lay_over(
    stored: &RealmSettings,
    mut new: Map<String, Value>,
    attributes: Option<&Value>,
) -> Result<RealmSettings, AdminError> {
    let mut settings = object(stored)?;
    settings.append(&mut new);
    for name in ["passwordPolicy", "displayName", "defaultLocale"] {
        if settings.get(name).and_then(Value::as_str) == Some("") {
            settings.remove(name);
        }
    }
    if let Some(attributes) = attributes {
        settings.insert("attributes".into(), read_attributes(stored, attributes)?);
    }
    serde_json::from_value(Value::Object(settings)).map_err(|_| AdminError::wrong_type(SHAPE.name))
}

/// Attributes as they are stored after `sent` has replaced them.
fn read_attributes(stored: &RealmSettings, sent: &Value) -> Result<Value, AdminError> {
    let sent = sent
        .as_object()
        .ok_or_else(|| AdminError::wrong_type("attributes"))?;
    let builtin = |name: &str| {
        name.starts_with("ciba") || name.starts_with("oauth2") || name.starts_with("par")
    };
    let mut attributes: Map<String, Value> = stored
        .attributes
        .iter()
        .filter(|(name, _)| builtin(name))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    for (name, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
        let value = text(value).ok_or_else(|| AdminError::wrong_type("attributes"))?;
        attributes.insert(name.clone(), Value::String(value));
    }
    Ok(Value::Object(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> RealmSettings {
        serde_json::from_value(Value::Object(RealmSettings::default_json().unwrap())).unwrap()
    }

    fn changed(sent: Value) -> Result<RealmSettings, AdminError> {
        let sent = SHAPE.read(sent)?;
        lay_over(&fresh(), settings_of(&sent)?, sent.get("attributes"))
    }

    #[test]
    fn every_stored_setting_is_a_field_of_the_representation() {
        let all = RealmSettings::default_json().unwrap();
        assert!(SHAPE.read(Value::Object(all)).is_ok());
    }

    #[test]
    fn a_partial_change_keeps_the_rest() {
        let settings =
            changed(json!({ "accessTokenLifespan": "77", "verifyEmail": true })).unwrap();
        assert_eq!(settings.access_token_lifespan, 77);
        assert!(settings.verify_email);
        assert_eq!(settings.sso_session_idle_timeout, 1800);
    }

    #[test]
    fn attributes_are_replaced_and_an_empty_policy_is_none() {
        let settings =
            changed(json!({ "attributes": { "a": "1", "frontendUrl": "" }, "passwordPolicy": "" }));
        let settings = settings.unwrap();
        assert_eq!(settings.attributes.get("a").map(String::as_str), Some("1"));
        assert!(settings.attributes.contains_key("cibaInterval"));
        assert_eq!(settings.password_policy, None);
    }

    #[test]
    fn values_that_a_realm_cannot_have_are_refused() {
        for sent in [
            json!({ "passwordPolicy": "bogus(1)" }),
            json!({ "passwordPolicy": "length(abc)" }),
            json!({ "sslRequired": "bogus" }),
            json!({ "supportedLocales": ["zz-!!"] }),
            json!({ "defaultSignatureAlgorithm": "none" }),
            json!({ "attributes": [] }),
            json!({ "smtpServer": "x" }),
            json!({ "nope": 1 }),
            json!({ "accessTokenLifespan": -5 }),
            json!({ "attributes": { "temporaryPasswordLifespan": "abc" } }),
        ] {
            assert!(changed(sent.clone()).is_err(), "{sent}");
        }
    }
}
