//! `UserRepresentation` and `CredentialRepresentation`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::action::kinds::update_password;
use crate::admin::json::Shape;
use crate::kernel::Timestamp;
use crate::user::User;
use crate::user::search::{Details, Status};

/// Its fields: Keycloak's and ours.
pub const SHAPE: Shape = Shape {
    name: "UserRepresentation",
    texts: &[
        "id",
        "username",
        "email",
        "firstName",
        "lastName",
        "self",
        "origin",
        "federationLink",
        "serviceAccountClientId",
        "resetProof",
        "status",
        "message",
    ],
    flags: &[
        "emailVerified",
        "enabled",
        "totp",
        "forcePasswordReset",
        "revokeSessions",
        "compromised",
        "preRegistration",
        "sendInstructions",
    ],
    numbers: &[
        "createdTimestamp",
        "notBefore",
        "dueAt",
        "lastSignIn",
        "temporaryPasswordExpiresAt",
    ],
    lists: &[
        "requiredActions",
        "disableableCredentialTypes",
        "realmRoles",
        "groups",
    ],
    other: &[
        "attributes",
        "userProfileMetadata",
        "credentials",
        "federatedIdentities",
        "clientRoles",
        "clientConsents",
        "applicationRoles",
        "socialLinks",
        "access",
    ],
};

/// The fields of a credential.
pub const CREDENTIAL: Shape = Shape {
    name: "CredentialRepresentation",
    texts: &[
        "id",
        "type",
        "userLabel",
        "secretData",
        "credentialData",
        "value",
        "device",
        "hashedSaltedValue",
        "salt",
        "algorithm",
        "federationLink",
    ],
    flags: &["temporary"],
    numbers: &[
        "createdDate",
        "priority",
        "hashIterations",
        "counter",
        "digits",
        "period",
    ],
    lists: &[],
    other: &["config"],
};

/// Fields that nothing here reads, kept and given back.
pub const KEPT: [&str; 2] = ["federationLink", "origin"];

/// A user as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRepresentation<'a> {
    id: &'a str,
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<String, Vec<String>>>,
    enabled: bool,
    created_timestamp: i64,
    #[serde(flatten)]
    full: Option<Full<'a>>,
    access: Value,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Full<'a> {
    totp: bool,
    disableable_credential_types: [&'static str; 0],
    required_actions: &'a [String],
    force_password_reset: bool,
    status: &'static str,
    not_before: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary_password_expires_at: Option<i64>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// What of a user a caller may do, as Keycloak's `access` says it.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// In a list.
    Listed {
        /// Whether the caller manages users.
        manage: bool,
    },
    /// Alone.
    Single {
        /// Whether the caller manages users.
        manage: bool,
    },
}

impl Access {
    fn value(self) -> Value {
        match self {
            Self::Listed { manage } => json!({ "manage": manage }),
            Self::Single { manage } => json!({
                "manageGroupMembership": manage, "resetPassword": manage, "view": true, "mapRoles": manage,
                "impersonate": false, "manage": manage,
            }),
        }
    }
}

impl<'a> UserRepresentation<'a> {
    /// Shows a user.
    pub fn of(
        user: &'a User,
        details: &'a Details,
        (access, brief): (Access, bool),
        now: Timestamp,
    ) -> Self {
        let full = Full {
            totp: false,
            disableable_credential_types: [],
            required_actions: &details.waiting,
            force_password_reset: details
                .waiting
                .iter()
                .any(|action| action == update_password::NAME),
            status: Status::of(user, details, now).as_str(),
            not_before: details
                .flagged_at
                .map_or(user.not_before, |at| at.max(user.not_before))
                .seconds(),
            last_sign_in: details.last_sign_in.map(Timestamp::millis),
            temporary_password_expires_at: details.password_expires_at.map(Timestamp::millis),
            extra: &user.extra,
        };
        Self {
            id: user.id.as_str(),
            username: &user.username,
            first_name: user.first_name.as_deref(),
            last_name: user.last_name.as_deref(),
            email: user.email.as_deref(),
            email_verified: user.email_verified,
            attributes: Some(&user.attributes).filter(|all| !brief && !all.is_empty()),
            enabled: user.enabled,
            created_timestamp: user.created_at.millis(),
            full: (!brief).then_some(full),
            access: access.value(),
        }
    }
}
