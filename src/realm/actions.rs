//! The realm's configuration of a required action.

use serde_json::{Map, Value};

/// A required action as a realm has it switched and ordered (Keycloak's `RequiredActionProviderRepresentation`).
#[derive(Debug, Clone, PartialEq)]
pub struct RequiredActionConfig {
    /// The action's name, e.g. `UPDATE_PASSWORD`.
    pub alias: String,
    /// What administrators read.
    pub name: String,
    /// Whether it can be assigned. The gate never asks this: who waits, waits.
    pub enabled: bool,
    /// Whether new people get it.
    pub default_action: bool,
    /// Lower comes first; `UPDATE_PASSWORD` comes before all others whatever this says.
    pub priority: i64,
    /// Settings of the action itself.
    pub config: Map<String, Value>,
}

impl RequiredActionConfig {
    /// What a fresh realm has: name, label, enabled, priority (recorded from Keycloak 26.7).
    pub fn fresh() -> Vec<Self> {
        let action = |alias: &str, name: &str, enabled, priority| Self {
            alias: alias.to_owned(),
            name: name.to_owned(),
            enabled,
            default_action: false,
            priority,
            config: Map::new(),
        };
        vec![
            action("TERMS_AND_CONDITIONS", "Terms and Conditions", true, 20),
            action("UPDATE_PROFILE", "Update Profile", true, 40),
            action("VERIFY_EMAIL", "Verify Email", true, 50),
            action("UPDATE_PASSWORD", "Update Password", true, 57),
        ]
    }
}
