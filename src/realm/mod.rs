//! A realm: its name, its switches and its lifetimes.
//!
//! Fields that the engine reads are typed; every other field of Keycloak's `RealmRepresentation` is kept in
//! [`RealmSettings::rest`] and given back as it came.

mod actions;
pub mod bounds;
pub mod rows;
pub mod smtp;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use actions::RequiredActionConfig;

use crate::kernel::{RealmId, Timestamp};

/// What a new realm has unless told otherwise: the defaults of Keycloak 26.7, with our own where the contract says so.
const DEFAULTS: &str = include_str!("defaults.json");

/// A realm, the tenant: people, clients, roles and keys of one realm are nothing to another.
#[derive(Debug, Clone)]
pub struct Realm {
    /// Its id, which no rename changes.
    pub id: RealmId,
    /// Its name, part of every URL.
    pub name: String,
    /// Whether anything of it answers.
    pub enabled: bool,
    /// Tokens issued before this time are refused; Keycloak's `notBefore`.
    pub not_before: Timestamp,
    /// Raised by every change of the realm's configuration, so that caches know.
    pub version: i64,
    /// Everything else.
    pub settings: RealmSettings,
}

/// The settings of a realm, named as Keycloak names them. Lifetimes are seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RealmSettings {
    /// The name people see; the realm's name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The algorithm of tokens where the client asks for none.
    pub default_signature_algorithm: String,
    /// Rotation of refresh tokens for confidential clients too.
    pub revoke_refresh_token: bool,
    /// Lifetime of access and ID tokens.
    pub access_token_lifespan: i64,
    /// A session ends when unused for this long.
    pub sso_session_idle_timeout: i64,
    /// A session ends this long after the sign-in, used or not.
    pub sso_session_max_lifespan: i64,
    /// The same for remembered sessions; 0 means 30 days.
    pub sso_session_idle_timeout_remember_me: i64,
    /// The same for remembered sessions; 0 means 30 days.
    pub sso_session_max_lifespan_remember_me: i64,
    /// An offline session ends when unused for this long.
    pub offline_session_idle_timeout: i64,
    /// Lifetime of an authorization code.
    pub access_code_lifespan: i64,
    /// How long the page of a required action is good after the password was verified.
    pub access_code_lifespan_user_action: i64,
    /// How long a parked flow waits for its person.
    pub access_code_lifespan_login: i64,
    /// Whether the sign-in page offers to remember the person.
    pub remember_me: bool,
    /// Whether people must have proved their address.
    pub verify_email: bool,
    /// Whether an e-mail address signs in as a user name does.
    pub login_with_email_allowed: bool,
    /// Whether two people may have one address.
    pub duplicate_emails_allowed: bool,
    /// Whether the user name is the e-mail address.
    pub registration_email_as_username: bool,
    /// Whether a user name may be changed.
    pub edit_username_allowed: bool,
    /// Whether the sign-in page offers a link by mail.
    pub reset_password_allowed: bool,
    /// Keycloak's rules of lockout on top of ours.
    pub brute_force_protected: bool,
    /// Wrong passwords until a lock, where `bruteForceProtected`.
    pub failure_factor: i64,
    /// The first lock and each further step, where `bruteForceProtected`.
    pub wait_increment_seconds: i64,
    /// The longest lock, where `bruteForceProtected`.
    pub max_failure_wait_seconds: i64,
    /// Failures older than this are forgotten, where `bruteForceProtected`.
    pub max_delta_time_seconds: i64,
    /// Keycloak's `passwordPolicy` string; empty means the built-in policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_policy: Option<String>,
    /// How the realm sends mail; keys as Keycloak names them.
    #[serde(default)]
    pub smtp_server: BTreeMap<String, Value>,
    /// Whether CODE_TO_TOKEN, REFRESH_TOKEN and CLIENT_LOGIN are recorded too.
    pub events_enabled: bool,
    /// Whether pages come in other languages than the default one.
    pub internationalization_enabled: bool,
    /// The languages offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supported_locales: Option<Vec<String>>,
    /// The language of pages where the browser asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_locale: Option<String>,
    /// Settings of our own and those of Keycloak that live in attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Fields that nothing here reads yet.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl RealmSettings {
    /// The settings of a fresh realm as JSON, to lay a representation over.
    ///
    /// # Errors
    /// Never in a binary whose tests have passed: the text is compiled in.
    pub fn default_json() -> Result<Map<String, Value>, serde_json::Error> {
        serde_json::from_str(DEFAULTS)
    }

    /// A lifetime among the attributes, in seconds.
    pub fn seconds(&self, attribute: &str, default: i64) -> i64 {
        self.attributes
            .get(attribute)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(default)
    }
}

/// How long a session lives, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLifespan {
    /// Seconds without use.
    pub idle: i64,
    /// Seconds from the sign-in.
    pub max: i64,
}

/// Thirty days: how long a remembered session lives where the realm says 0.
const REMEMBER_ME: i64 = 30 * 24 * 3600;

impl Realm {
    /// The name that people see.
    pub fn display_name(&self) -> &str {
        self.settings
            .display_name
            .as_deref()
            .filter(|name| !name.trim().is_empty())
            .unwrap_or(&self.name)
    }

    /// The issuer's path below the public URL.
    pub fn path(&self) -> String {
        format!("/realms/{}", self.name)
    }

    /// How long a browser session lives.
    pub fn session_lifespan(&self, remember_me: bool) -> SessionLifespan {
        let settings = &self.settings;
        let or_default = |seconds: i64| if seconds > 0 { seconds } else { REMEMBER_ME };
        if remember_me && settings.remember_me {
            SessionLifespan {
                idle: or_default(settings.sso_session_idle_timeout_remember_me),
                max: or_default(settings.sso_session_max_lifespan_remember_me),
            }
        } else {
            SessionLifespan {
                idle: settings.sso_session_idle_timeout,
                max: settings.sso_session_max_lifespan,
            }
        }
    }

    /// Seconds that a temporary password lives; `None` means for ever (attribute `temporaryPasswordLifespan`, 0).
    pub fn temporary_password_lifespan(&self) -> Option<i64> {
        let seconds = self
            .settings
            .seconds("temporaryPasswordLifespan", 14 * 24 * 3600);
        (seconds > 0).then_some(seconds)
    }

    /// Eight characters that stand for the realm in the names of cookies, whatever it is called today.
    pub fn cookie_tag(&self) -> String {
        let digest = crate::kernel::sha256_base64(self.id.as_str().as_bytes());
        digest
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(8)
            .collect()
    }
}

/// Whether `name` can be a realm's name: it stands in URLs unescaped.
pub fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !matches!(name, "." | "..")
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
