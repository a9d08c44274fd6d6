//! Keycloak's representations: which fields there are, and how things of ours are shown in them.

pub mod client;
pub mod client_scope;
pub mod realm;
pub mod required_action;
pub mod role;
pub mod user;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::{StoreError, corrupt};

/// Anything of ours as JSON.
///
/// # Errors
/// Never for the types here; JSON knows all their values.
pub fn value(of: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(of).map_err(|cause| corrupt("representation", "json", "", cause))
}

/// The same, as an object.
///
/// # Errors
/// As for [`value`].
pub fn object(of: &impl Serialize) -> Result<Map<String, Value>, StoreError> {
    match value(of)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// Lays attributes of a request over stored ones: a null or an empty text takes one away.
pub fn merge_attributes(stored: &mut Map<String, Value>, sent: &Value) -> Option<()> {
    for (name, value) in sent.as_object()? {
        match super::json::text(value) {
            Some(text) if !text.is_empty() => {
                stored.insert(name.clone(), Value::String(text));
            }
            Some(_) => {
                stored.remove(name);
            }
            None if value.is_null() => {
                stored.remove(name);
            }
            None => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_are_merged_and_taken_away_by_null() {
        let mut stored = object(&json!({ "a": "1", "b": "2", "c": "3" })).unwrap();
        let sent = json!({ "a": null, "b": "", "d": 4, "e": true });
        assert!(merge_attributes(&mut stored, &sent).is_some());
        assert_eq!(
            Value::Object(stored.clone()),
            json!({ "c": "3", "d": "4", "e": "true" })
        );
        assert!(merge_attributes(&mut stored, &json!({ "x": [] })).is_none());
        assert!(merge_attributes(&mut stored, &json!([])).is_none());
    }
}
