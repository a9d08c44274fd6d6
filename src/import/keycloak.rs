//! `UserRepresentation` as Keycloak exports it and as NDJSON has it: a person with roles, groups and credentials.
//!
//! What Keycloak's own import drops is honoured: `credentials[].temporary`, unknown required actions (refused).

use serde_json::{Map, Value};

use super::draft::{Draft, Problem, RoleName, Secret};

/// Fields that say nothing which an import takes.
const IGNORED: [&str; 14] = [
    "self",
    "origin",
    "totp",
    "disableableCredentialTypes",
    "access",
    "userProfileMetadata",
    "applicationRoles",
    "socialLinks",
    "clientConsents",
    "forcePasswordReset",
    "status",
    "lastSignIn",
    "temporaryPasswordExpiresAt",
    "federationLink",
];

/// A row of NDJSON: a field that is not known is refused, as in the API.
///
/// # Errors
/// A field is unknown, or of a wrong type.
pub fn read(value: Value) -> Result<Draft, Problem> {
    let (draft, unknown) = person(value)?;
    match unknown {
        Some(field) => Err(Problem::of(&field, format!("Unrecognized field {field:?}"))),
        None => Ok(draft),
    }
}

/// A person of an export: other versions of Keycloak have other fields, which the report names.
///
/// # Errors
/// A field is of a wrong type.
pub fn of_export(value: Value) -> Result<Draft, Problem> {
    let (mut draft, unknown) = person(value)?;
    if let Some(field) = unknown {
        draft
            .notes
            .push(Problem::of(&field, "is not known here and was left out"));
    }
    Ok(draft)
}

/// The person, and the first field that is not known.
fn person(value: Value) -> Result<(Draft, Option<String>), Problem> {
    let Value::Object(fields) = value else {
        return Err(Problem::row("the row is not a JSON object"));
    };
    let mut draft = Draft::default();
    let mut unknown = None;
    let mut flagged = None;
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "id" => draft.id = text(&name, value)?,
            "username" => draft.username = text(&name, value)?,
            "email" => draft.email = text(&name, value)?,
            "firstName" => draft.first_name = text(&name, value)?,
            "lastName" => draft.last_name = text(&name, value)?,
            "emailVerified" => draft.email_verified = Some(flag(&name, &value)?),
            "enabled" => draft.enabled = Some(flag(&name, &value)?),
            "createdTimestamp" => draft.created_millis = Some(number(&name, &value)?),
            "notBefore" => draft.not_before = Some(number(&name, &value)?),
            "requiredActions" => draft.required_actions = texts(&name, value)?,
            "groups" => draft.groups = texts(&name, value)?,
            "realmRoles" => draft.roles.extend(realm_roles(texts(&name, value)?)),
            "clientRoles" => draft.roles.extend(client_roles(&name, value)?),
            "attributes" => {
                for (attribute, values) in object(&name, value)? {
                    let values = match values {
                        Value::Array(_) => texts("attributes", values)?,
                        one => vec![scalar("attributes", one)?],
                    };
                    draft.attribute(&attribute, values);
                }
            }
            "credentials" => credentials(&mut draft, value)?,
            "forcePasswordReset" => flagged = Some(flag(&name, &value)?),
            "serviceAccountClientId" => {
                draft.passed_over = Some("a service account comes with its client");
            }
            "federatedIdentities" => {
                if value.as_array().is_some_and(|list| !list.is_empty()) {
                    draft.notes.push(Problem::of(
                        &name,
                        "is kept with the person, who cannot sign in through it here yet",
                    ));
                    draft.extra.insert(name, value);
                }
            }
            ignored if IGNORED.contains(&ignored) => {}
            _ => unknown = unknown.or(Some(name)),
        }
    }
    if flagged == Some(true) {
        draft.required_actions.push("UPDATE_PASSWORD".to_owned());
    }
    Ok((draft, unknown))
}

/// Everybody gets the default role of this realm; that of another one is nobody's.
fn realm_roles(names: Vec<String>) -> impl Iterator<Item = RoleName> {
    names
        .into_iter()
        .filter(|name| !name.starts_with("default-roles-"))
        .map(|name| RoleName::from(name.as_str()))
}

fn client_roles(field: &str, value: Value) -> Result<Vec<RoleName>, Problem> {
    let mut roles = Vec::new();
    for (client, names) in object(field, value)? {
        for name in texts(field, names)? {
            roles.push(RoleName {
                client: Some(client.clone()),
                name,
            });
        }
    }
    Ok(roles)
}

fn credentials(draft: &mut Draft, value: Value) -> Result<(), Problem> {
    let Value::Array(list) = value else {
        return Err(wrong("credentials"));
    };
    for one in list {
        let credential = object("credentials", one)?;
        let part = |name: &str| credential.get(name).and_then(Value::as_str);
        let kind = part("type").unwrap_or("password");
        if kind != "password" {
            draft.notes.push(Problem::of(
                "credentials",
                format!("a credential of type {kind:.32} cannot be carried over; the person has none of it here"),
            ));
            continue;
        }
        if !matches!(draft.secret, Secret::None) {
            return Err(Problem::of("credentials", "holds more than one password"));
        }
        let temporary = match credential.get("temporary") {
            None | Some(Value::Null) => None,
            Some(value) => Some(flag("temporary", value)?),
        };
        draft.secret = match part("value") {
            Some(plain) => Secret::plain(plain, temporary),
            None => Secret::Hash {
                text: hash(&credential)?,
                temporary: temporary.unwrap_or(false),
            },
        };
    }
    Ok(())
}

/// The hash of a credential, as `secretData` and `credentialData` have it, or the fields of Keycloak before 8.
fn hash(credential: &Map<String, Value>) -> Result<String, Problem> {
    let of = |name: &str| credential.get(name).and_then(Value::as_str);
    let inner = |name: &str| -> Result<Map<String, Value>, Problem> {
        match credential.get(name) {
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| broken(name)),
            Some(Value::Object(object)) => Ok(object.clone()),
            _ => Err(broken(name)),
        }
    };
    let (secret, data) = if let Some(old) = of("hashedSaltedValue") {
        let old = Map::from_iter([
            ("value".to_owned(), Value::from(old)),
            (
                "salt".to_owned(),
                Value::from(of("salt").unwrap_or_default()),
            ),
        ]);
        (old, credential.clone())
    } else {
        (inner("secretData")?, inner("credentialData")?)
    };
    let base64 = |name: &str| {
        let text = secret.get(name).and_then(Value::as_str).unwrap_or_default();
        text.trim_end_matches('=').to_owned()
    };
    let (value, salt) = (base64("value"), base64("salt"));
    let iterations = data
        .get("hashIterations")
        .and_then(Value::as_i64)
        .ok_or_else(|| broken("hashIterations"))?;
    let parameter = |name: &str| {
        let value = data.get("additionalParameters")?.get(name)?;
        let first = value.as_array().map_or(Some(value), |list| list.first())?;
        first.as_str().map(str::to_owned)
    };
    let algorithm = data
        .get("algorithm")
        .and_then(Value::as_str)
        .unwrap_or("pbkdf2");
    match algorithm {
        "argon2" => {
            let version = match parameter("version").as_deref() {
                None | Some("1.3") => "19",
                Some("1.0") => "16",
                Some(_) => return Err(broken("version")),
            };
            let number = |name| parameter(name).ok_or_else(|| broken(name));
            Ok(format!(
                "$argon2{}$v={version}$m={},t={iterations},p={}${salt}${value}",
                parameter("type").unwrap_or_else(|| "id".to_owned()),
                number("memory")?,
                number("parallelism")?
            ))
        }
        "pbkdf2" | "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => {
            Ok(format!("${algorithm}$i={iterations}${salt}${value}"))
        }
        // A bcrypt provider of others keeps the whole string in `value`.
        "bcrypt" => Ok(secret
            .get("value")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()),
        other => Err(Problem::of(
            "credentials",
            format!(
                "the algorithm {other:.32} is not known here: let the person set a password by a link"
            ),
        )),
    }
}

fn broken(name: &str) -> Problem {
    Problem::of(
        "credentials",
        format!("the password's {name} cannot be read"),
    )
}

fn wrong(field: &str) -> Problem {
    Problem::of(field, "is of a wrong type")
}

fn object(field: &str, value: Value) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(wrong(field)),
    }
}

fn text(field: &str, value: Value) -> Result<Option<String>, Problem> {
    match value {
        Value::String(text) => Ok(Some(text)),
        _ => Err(wrong(field)),
    }
}

fn scalar(field: &str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(wrong(field)),
    }
}

fn texts(field: &str, value: Value) -> Result<Vec<String>, Problem> {
    match value {
        Value::Array(list) => list.into_iter().map(|one| scalar(field, one)).collect(),
        _ => Err(wrong(field)),
    }
}

fn flag(field: &str, value: &Value) -> Result<bool, Problem> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err(wrong(field)),
    }
}

fn number(field: &str, value: &Value) -> Result<i64, Problem> {
    value.as_i64().ok_or_else(|| wrong(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::password::PasswordHash;

    fn secret_of(credential: Value) -> Result<String, Problem> {
        match read(json!({ "username": "u", "credentials": [credential] }))?.secret {
            Secret::Hash { text, .. } => Ok(text),
            Secret::Plain {
                password,
                temporary,
            } => Ok(format!("{} {temporary}", *password)),
            Secret::None => Ok(String::new()),
        }
    }

    #[test]
    fn stored_passwords_become_strings_that_can_be_verified() {
        let credential = |secret: Value, data: Value| {
            json!({
                "type": "password", "secretData": secret.to_string(), "credentialData": data.to_string(),
            })
        };
        let secret = json!({ "value": "wgWMU1rVhg3M2WZVb3r0u6YTsnbEun6fnDCO9zc5ReU=", "salt": "kO9596vNRGHGSUPL/5GT9g==" });
        let argon2 = json!({
            "hashIterations": 5, "algorithm": "argon2",
            "additionalParameters": {
                "hashLength": ["32"], "memory": ["7168"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"],
            },
        });
        let text = secret_of(credential(secret.clone(), argon2)).unwrap();
        assert_eq!(
            text,
            "$argon2id$v=19$m=7168,t=5,p=1$kO9596vNRGHGSUPL/5GT9g$wgWMU1rVhg3M2WZVb3r0u6YTsnbEun6fnDCO9zc5ReU"
        );
        assert!(PasswordHash::parse(&text).is_ok());
        for algorithm in ["pbkdf2", "pbkdf2-sha256", "pbkdf2-sha512"] {
            let data = json!({ "hashIterations": 27500, "algorithm": algorithm });
            let text = secret_of(credential(secret.clone(), data)).unwrap();
            assert!(PasswordHash::parse(&text).is_ok(), "{text}");
        }
        let old = json!({
            "type": "password", "hashedSaltedValue": "wgWMU1rVhg3M2WZVb3r0u6YTsnbEun6fnDCO9zc5ReU=",
            "salt": "kO9596vNRGHGSUPL/5GT9g==", "hashIterations": 27500, "algorithm": "pbkdf2-sha256",
        });
        assert!(PasswordHash::parse(&secret_of(old).unwrap()).is_ok());
        let data = json!({ "hashIterations": 1, "algorithm": "rot13" });
        assert!(secret_of(credential(secret, data)).is_err());
        assert!(secret_of(json!({ "type": "password" })).is_err());
    }

    #[test]
    fn a_plain_password_is_temporary_unless_it_says_that_it_is_not() {
        let of = |credential| secret_of(credential).unwrap();
        assert_eq!(of(json!({ "value": "pw" })), "pw true");
        assert_eq!(of(json!({ "value": "pw", "temporary": true })), "pw true");
        assert_eq!(of(json!({ "value": "pw", "temporary": false })), "pw false");
    }

    #[test]
    fn nothing_is_dropped_in_silence() {
        let refused = read(json!({ "username": "u", "nope": 1 })).err().unwrap();
        assert_eq!(refused.reason, "Unrecognized field \"nope\"");
        let draft = of_export(json!({
            "username": "u", "nope": 1, "credentials": [{ "type": "otp", "secretData": "{}" }],
            "federatedIdentities": [{ "identityProvider": "google" }],
        }))
        .ok()
        .unwrap();
        assert_eq!(draft.notes.len(), 3);
        for wrong in [
            json!([]),
            json!({ "username": 7 }),
            json!({ "username": "u", "enabled": "yes" }),
            json!({ "username": "u", "groups": "crew" }),
            json!({ "username": "u", "credentials": [{ "value": "a" }, { "value": "b" }] }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
