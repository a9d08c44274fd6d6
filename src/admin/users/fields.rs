//! The fields of a person, as they come in a request: parsed, or refused in Keycloak's words.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::admin::call::Context;
use crate::admin::error::AdminError;
use crate::admin::json::text;
use crate::admin::links::wants_instructions;
use crate::admin::representation::user::KEPT;
use crate::kernel::Timestamp;
use crate::oidc::provision;
use crate::realm::Realm;
use crate::user::User;
use crate::user::name::{NameError, parse_email, parse_username};
use crate::user::rows::Conflict;

/// The shortest user name, in characters.
const SHORTEST_USERNAME: usize = 3;
/// The longest given or family name, in characters.
const LONGEST_NAME: usize = 255;
/// How many values all attributes of a person have at most.
const MOST_ATTRIBUTES: usize = 1000;
/// The longest value of an attribute, in bytes.
const LONGEST_ATTRIBUTE: usize = 16 * 1024;
/// Properties that are no attributes, whoever sends them among those.
const PROPERTIES: [&str; 5] = ["username", "email", "firstName", "lastName", "id"];

/// A taken name, in Keycloak's words.
pub fn conflict(conflict: Conflict) -> AdminError {
    AdminError::Conflict(match conflict {
        Conflict::Username => "User exists with same username".to_owned(),
        Conflict::Email => "User exists with same email".to_owned(),
    })
}

/// A person to be made from a request.
///
/// # Errors
/// A field that a person cannot have.
pub fn new_user(
    context: &mut Context<'_, '_>,
    sent: &Map<String, Value>,
) -> Result<User, AdminError> {
    refuse_groups(sent)?;
    let config = std::sync::Arc::clone(&context.config);
    let as_username = config.realm.settings.registration_email_as_username;
    let named = text_of(sent, "username").filter(|name| !name.trim().is_empty());
    let mail = text_of(sent, "email").filter(|_| as_username);
    let Some(name) = mail.or(named) else {
        return Err(AdminError::Message("User name is missing".into()));
    };
    let name = username(name)?;
    let tools = context.tools();
    let mut user = provision::blank_user(context.tx, tools, &config.realm, &name)?;
    // As Keycloak has it, unless the same call invites the person in.
    user.enabled = flag_of(sent, "enabled").unwrap_or_else(|| wants_instructions(sent));
    if let Some(made) = number_of(sent, "createdTimestamp") {
        user.created_at = Timestamp::from_millis(made);
    }
    apply(&mut user, sent)?;
    Ok(user)
}

/// Lays the plain fields of a request over a person. User name, `enabled` and actions are others' work.
///
/// # Errors
/// A field that a person cannot have.
pub fn apply(user: &mut User, sent: &Map<String, Value>) -> Result<(), AdminError> {
    if let Some(typed) = text_of(sent, "email") {
        let before = user.email.take();
        user.email = email(typed)?;
        // What was proved is the old address, unless the caller vouches for the new one.
        user.email_verified &= before == user.email;
    }
    if let Some(verified) = flag_of(sent, "emailVerified") {
        user.email_verified = verified;
    }
    if let Some(typed) = text_of(sent, "firstName") {
        user.first_name = person_name("firstName", typed)?;
    }
    if let Some(typed) = text_of(sent, "lastName") {
        user.last_name = person_name("lastName", typed)?;
    }
    if let Some(sent) = sent.get("attributes") {
        user.attributes = attributes(sent)?;
    }
    for name in KEPT {
        if let Some(value) = sent.get(name) {
            user.extra.insert(name.to_owned(), value.clone());
        }
    }
    Ok(())
}

/// A user name for an existing person; unchanged unless the realm lets names be edited.
///
/// # Errors
/// The name cannot be used, or not be changed.
pub fn renamed(realm: &Realm, user: &User, typed: &str) -> Result<String, AdminError> {
    let settings = &realm.settings;
    if typed.trim().is_empty() || typed.trim().to_lowercase() == user.username {
        return Ok(user.username.clone());
    }
    if !settings.edit_username_allowed && !settings.registration_email_as_username {
        return Err(AdminError::Field {
            field: "username",
            message: "error-user-attribute-read-only",
            params: vec![json!("username")],
        });
    }
    username(typed)
}

fn username(typed: &str) -> Result<String, AdminError> {
    let length = || AdminError::Field {
        field: "username",
        message: "error-invalid-length",
        params: vec![json!("username"), json!(SHORTEST_USERNAME), json!(255)],
    };
    let name = parse_username(typed).map_err(|error| match error {
        NameError::Empty => AdminError::Message("User name is missing".into()),
        NameError::TooLong => length(),
        NameError::Characters | NameError::NotAnAddress => AdminError::Field {
            field: "username",
            message: "error-username-invalid-character",
            params: vec![json!("username")],
        },
    })?;
    if name.chars().count() < SHORTEST_USERNAME {
        return Err(length());
    }
    Ok(name)
}

fn email(typed: &str) -> Result<Option<String>, AdminError> {
    if typed.trim().is_empty() {
        return Ok(None);
    }
    parse_email(typed).map(Some).map_err(|_| AdminError::Field {
        field: "email",
        message: "error-invalid-email",
        params: vec![
            json!("email"),
            json!(typed.chars().take(255).collect::<String>()),
        ],
    })
}

fn person_name(field: &'static str, typed: &str) -> Result<Option<String>, AdminError> {
    let name = typed.trim();
    if name.chars().count() > LONGEST_NAME {
        return Err(AdminError::Field {
            field,
            message: "error-invalid-length",
            params: vec![json!(field), json!(0), json!(LONGEST_NAME)],
        });
    }
    let odd = |c: char| c.is_control() || matches!(c, '<' | '>' | '&' | '"' | '{' | '}' | '$');
    if name.chars().any(odd) {
        return Err(AdminError::Field {
            field,
            message: "error-person-name-invalid-character",
            params: vec![json!(field)],
        });
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// Attributes: names with lists of texts; a bare text is a list of one.
///
/// # Errors
/// Not an object of texts, or too much of it.
pub fn attributes(sent: &Value) -> Result<BTreeMap<String, Vec<String>>, AdminError> {
    let wrong = || AdminError::wrong_type("attributes");
    let mut attributes = BTreeMap::new();
    let mut count = 0_usize;
    for (name, value) in sent.as_object().ok_or_else(wrong)? {
        let values: Vec<String> = match value {
            Value::Null => Vec::new(),
            Value::Array(list) => list
                .iter()
                .map(text)
                .collect::<Option<_>>()
                .ok_or_else(wrong)?,
            one => vec![text(one).ok_or_else(wrong)?],
        };
        count += values.len();
        let too_much = values.iter().any(|value| value.len() > LONGEST_ATTRIBUTE);
        if too_much || count > MOST_ATTRIBUTES || name.len() > 255 {
            return Err(AdminError::Bad(format!(
                "Attribute {name:.64} is too large"
            )));
        }
        if !values.is_empty() && !PROPERTIES.contains(&name.as_str()) {
            attributes.insert(name.clone(), values);
        }
    }
    Ok(attributes)
}

/// Groups that do not exist are refused by name.
fn refuse_groups(sent: &Map<String, Value>) -> Result<(), AdminError> {
    let groups = sent.get("groups").and_then(Value::as_array);
    if groups.is_some_and(|groups| !groups.is_empty()) {
        return Err(AdminError::Bad("Group not found".into()));
    }
    Ok(())
}

/// A text of a request that has been read into its shape.
pub fn text_of<'a>(sent: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    sent.get(name).and_then(Value::as_str)
}

/// A boolean of it.
pub fn flag_of(sent: &Map<String, Value>, name: &str) -> Option<bool> {
    sent.get(name).and_then(Value::as_bool)
}

/// A number of it.
pub fn number_of(sent: &Map<String, Value>, name: &str) -> Option<i64> {
    sent.get(name).and_then(Value::as_i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_keycloaks_words() {
        let message = |typed: &str| match username(typed) {
            Ok(name) => name,
            Err(AdminError::Field { message, .. }) => message.to_owned(),
            Err(AdminError::Message(text)) => text,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(message(" Alice "), "alice");
        assert_eq!(message("  "), "User name is missing");
        assert_eq!(message("ab"), "error-invalid-length");
        assert_eq!(message(&"x".repeat(256)), "error-invalid-length");
        assert_eq!(message("a<b>c"), "error-username-invalid-character");
        assert!(email("x@").is_err());
        assert_eq!(email("").unwrap(), None);
        assert!(person_name("firstName", "<x>").is_err());
        assert_eq!(person_name("firstName", " ").unwrap(), None);
    }

    #[test]
    fn attributes_never_shadow_a_property() {
        let sent =
            json!({ "locale": "de", "email": ["x@y.example"], "n": [1, true], "gone": null });
        let read = attributes(&sent).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["locale", "n"]);
        assert_eq!(read.get("n").unwrap(), &["1", "true"]);
        assert!(attributes(&json!({ "a": { "b": 1 } })).is_err());
    }
}
