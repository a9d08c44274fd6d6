//! `smtpServer` of a realm: its password is write-only.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::Context;
use super::error::AdminError;
use super::json::{MASK, text};
use crate::kernel::RealmId;
use crate::realm::smtp;
use crate::user::name::parse_email;

/// The settings to store for what was sent: a new password sealed, the mask standing for the stored one.
///
/// # Errors
/// No sender address, or the mask with another server than the one for which the password was given (threat V159).
pub fn settings(
    context: &Context<'_, '_>,
    realm: &RealmId,
    stored: &BTreeMap<String, Value>,
    sent: &Value,
) -> Result<Value, AdminError> {
    let sent = sent
        .as_object()
        .ok_or_else(|| AdminError::wrong_type("smtpServer"))?;
    let mut settings = Map::new();
    for (name, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
        let value = text(value).ok_or_else(|| AdminError::wrong_type("smtpServer"))?;
        settings.insert(name.clone(), Value::String(value));
    }
    if settings.is_empty() {
        return Ok(Value::Object(settings));
    }
    let from = settings.get("from").and_then(Value::as_str);
    if from.is_none_or(|from| parse_email(from).is_err()) {
        return Err(AdminError::Message(format!(
            "Invalid sender address '{}'.",
            from.unwrap_or("null")
        )));
    }
    let password = settings
        .remove("password")
        .and_then(|value| value.as_str().map(str::to_owned))
        .filter(|password| !password.is_empty());
    match password {
        None => {}
        Some(mask) if mask == MASK => {
            let same = |name: &str| settings.get(name) == stored.get(name);
            if !["host", "port"].iter().all(|name| same(name)) {
                return Err(AdminError::Message(
                    "Enter the password again: it was given for another mail server".into(),
                ));
            }
            if let Some(password) = stored.get("password") {
                settings.insert("password".into(), password.clone());
            }
        }
        Some(password) => {
            let tools = context.tools();
            let sealed = smtp::seal(tools.keyring, tools.entropy, realm, &password)?;
            settings.insert("password".into(), json!(sealed));
        }
    }
    Ok(Value::Object(settings))
}
