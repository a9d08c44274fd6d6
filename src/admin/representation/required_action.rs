//! `RequiredActionProviderRepresentation`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::admin::json::Shape;
use crate::realm::RequiredActionConfig;

/// Its fields.
pub const SHAPE: Shape = Shape {
    name: "RequiredActionProviderRepresentation",
    texts: &["alias", "name", "providerId"],
    flags: &["enabled", "defaultAction"],
    numbers: &["priority"],
    lists: &[],
    other: &["config"],
};

/// A required action of a realm as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredActionRepresentation<'a> {
    alias: &'a str,
    name: &'a str,
    provider_id: &'a str,
    enabled: bool,
    default_action: bool,
    priority: i64,
    config: &'a Map<String, Value>,
}

impl<'a> From<&'a RequiredActionConfig> for RequiredActionRepresentation<'a> {
    fn from(action: &'a RequiredActionConfig) -> Self {
        Self {
            alias: &action.alias,
            name: &action.name,
            provider_id: &action.alias,
            enabled: action.enabled,
            default_action: action.default_action,
            priority: action.priority,
            config: &action.config,
        }
    }
}
