//! The objects of Auth0's users-import array: profile, metadata, and hashes in the forms of `custom_password_hash`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};

use super::draft::{Draft, Problem, Secret};

/// Fields that say nothing which an import takes.
const IGNORED: [&str; 12] = [
    "nickname",
    "picture",
    "identities",
    "last_login",
    "last_ip",
    "logins_count",
    "updated_at",
    "last_password_reset",
    "connection",
    "verify_email",
    "global_client_id",
    "tenant",
];

/// Reads one object.
///
/// # Errors
/// A field is of a wrong type, or unknown.
pub fn read(value: Value) -> Result<Draft, Problem> {
    let Value::Object(fields) = value else {
        return Err(Problem::row("the row is not a JSON object"));
    };
    let mut draft = Draft::default();
    let mut family = None;
    let mut whole = None;
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "user_id" => draft.id = Some(text(&name, value)?),
            "username" => draft.username = Some(text(&name, value)?),
            "email" => draft.email = Some(text(&name, value)?),
            "email_verified" => draft.email_verified = Some(flag(&name, &value)?),
            "given_name" => draft.first_name = Some(text(&name, value)?),
            "family_name" => family = Some(text(&name, value)?),
            "name" => whole = Some(text(&name, value)?),
            "blocked" => draft.enabled = Some(!flag(&name, &value)?),
            "created_at" => draft.created_millis = time(&value),
            "phone_number" => draft.attribute("phoneNumber", vec![text(&name, value)?]),
            "phone_verified" => {
                draft.attribute(
                    "phoneNumberVerified",
                    vec![flag(&name, &value)?.to_string()],
                );
            }
            "user_metadata" | "app_metadata" => metadata(&mut draft, &name, value)?,
            "password_hash" => hash(&mut draft, &name, text(&name, value)?)?,
            "custom_password_hash" => {
                let text = custom(&value)?;
                hash(&mut draft, &name, text)?;
            }
            "mfa_factors" => draft.notes.push(Problem::of(
                &name,
                "cannot be carried over; the person has no second factor here",
            )),
            ignored if IGNORED.contains(&ignored) => {}
            _ => {
                return Err(Problem::of(&name, format!("Unrecognized field {name:?}")));
            }
        }
    }
    draft.last_name = family;
    if draft.first_name.is_none() && draft.last_name.is_none() {
        // Often the address again, which is no name.
        draft.first_name = whole.filter(|name| !name.contains('@'));
    }
    Ok(draft)
}

fn hash(draft: &mut Draft, field: &str, text: String) -> Result<(), Problem> {
    if !matches!(draft.secret, Secret::None) {
        return Err(Problem::of(field, "is given beside another password"));
    }
    draft.secret = Secret::Hash {
        text,
        temporary: false,
    };
    Ok(())
}

/// What an application keeps on the person: texts become attributes, the rest is kept as JSON.
fn metadata(draft: &mut Draft, field: &str, value: Value) -> Result<(), Problem> {
    let Value::Object(object) = value else {
        return Err(wrong(field));
    };
    for (name, value) in object {
        match value {
            Value::Null => {}
            Value::String(text) => draft.attribute(&name, vec![text]),
            other => draft.attribute(&name, vec![other.to_string()]),
        }
    }
    Ok(())
}

/// `custom_password_hash` as one of the strings that are stored.
fn custom(value: &Value) -> Result<String, Problem> {
    let field = "custom_password_hash";
    let object = value.as_object().ok_or_else(|| wrong(field))?;
    let algorithm = object
        .get("algorithm")
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::of(field, "names no algorithm"))?;
    if let Some(encoding) = object
        .get("password")
        .and_then(|password| password.get("encoding"))
        .and_then(Value::as_str)
        && !matches!(encoding, "utf8" | "utf-8" | "ascii")
    {
        return Err(Problem::of(
            field,
            format!("a password in {encoding:.16} cannot be verified here: only utf8 can"),
        ));
    }
    let value = part(object, "hash")?.ok_or_else(|| Problem::of(field, "has no hash"))?;
    match algorithm {
        // Their values are whole strings by themselves.
        "argon2" | "bcrypt" | "pbkdf2" | "ldap" => Ok(value.text),
        "scrypt" => {
            let number = |name: &str| {
                object
                    .get(name)
                    .and_then(Value::as_u64)
                    .ok_or_else(|| Problem::of(field, format!("has no {name}")))
            };
            let cost = number("cost")?;
            if !cost.is_power_of_two() {
                return Err(Problem::of(field, "has a cost that is no power of two"));
            }
            let salt = part(object, "salt")?.unwrap_or_default().bytes;
            Ok(format!(
                "$scrypt$ln={},r={},p={}${}${}",
                cost.trailing_zeros(),
                number("blockSize")?,
                number("parallelization")?,
                STANDARD_NO_PAD.encode(salt),
                STANDARD_NO_PAD.encode(value.bytes)
            ))
        }
        "md5" | "sha1" | "sha256" | "sha512" => {
            let salt = part(object, "salt")?.unwrap_or_default();
            let place = object
                .get("salt")
                .and_then(|salt| salt.get("position"))
                .and_then(Value::as_str)
                .unwrap_or("prefix");
            Ok(format!(
                "$digest$a={algorithm},s={place}${}${}",
                STANDARD_NO_PAD.encode(salt.bytes),
                STANDARD_NO_PAD.encode(value.bytes)
            ))
        }
        other => Err(Problem::of(
            field,
            format!(
                "the algorithm {other:.32} is not known here: let the person set a password by a link"
            ),
        )),
    }
}

/// `{value, encoding}`, decoded.
#[derive(Default)]
struct Part {
    text: String,
    bytes: Vec<u8>,
}

fn part(object: &Map<String, Value>, name: &str) -> Result<Option<Part>, Problem> {
    let Some(part) = object.get(name) else {
        return Ok(None);
    };
    let odd = || Problem::of("custom_password_hash", format!("its {name} cannot be read"));
    let text = part.get("value").and_then(Value::as_str).ok_or_else(odd)?;
    let bytes = match part.get("encoding").and_then(Value::as_str) {
        Some("base64") => STANDARD
            .decode(text)
            .or_else(|_| STANDARD_NO_PAD.decode(text))
            .map_err(|_| odd())?,
        Some("hex") => unhex(text).ok_or_else(odd)?,
        None | Some("utf8" | "utf-8" | "ascii") => text.as_bytes().to_vec(),
        Some(_) => return Err(odd()),
    };
    Ok(Some(Part {
        text: text.to_owned(),
        bytes,
    }))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let digit = |one: u8| char::from(one).to_digit(16);
        let [high, low] = *pair;
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    };
    rest.is_empty().then_some(())?;
    pairs.iter().map(byte).collect()
}

fn time(value: &Value) -> Option<i64> {
    let text = value
        .as_str()
        .or_else(|| value.get("$date").and_then(Value::as_str))?;
    chrono::DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.timestamp_millis())
}

fn wrong(field: &str) -> Problem {
    Problem::of(field, "is of a wrong type")
}

fn text(field: &str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(wrong(field)),
    }
}

fn flag(field: &str, value: &Value) -> Result<bool, Problem> {
    value.as_bool().ok_or_else(|| wrong(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::password::PasswordHash;

    fn stored(custom: Value) -> Result<String, Problem> {
        match read(json!({ "email": "a@b.example", "custom_password_hash": custom }))?.secret {
            Secret::Hash { text, .. } => Ok(text),
            Secret::None | Secret::Plain { .. } => Ok(String::new()),
        }
    }

    #[test]
    fn hashes_become_strings_that_can_be_verified() {
        for custom in [
            json!({ "algorithm": "bcrypt", "hash": { "value": "$2b$10$nOUIs5kJ7naTuTFkBy1veuK0kSxUFXfuaOKdOKf9xYT0KKIGSJwFa" } }),
            json!({ "algorithm": "ldap", "hash": { "value": "{SSHA}WTT3B9Jjr8gOt0Q7WMs9/XvukyhTQj0Ns0jMKQ==" } }),
            json!({ "algorithm": "pbkdf2", "hash": { "value": "$pbkdf2-sha512$i=100000,l=64$c2FsdHNhbHQ$MbnKOI7PVgXY4HzJ2VhWUDHqiCNmBVGLwbXGgHbQv4c" } }),
            json!({ "algorithm": "sha256", "hash": { "value": "00".repeat(32), "encoding": "hex" },
                    "salt": { "value": "pepper", "position": "suffix" } }),
            json!({ "algorithm": "md5", "hash": { "value": "AAAAAAAAAAAAAAAAAAAAAA==", "encoding": "base64" } }),
            json!({ "algorithm": "scrypt", "cost": 16384, "blockSize": 8, "parallelization": 1, "keylen": 32,
                    "hash": { "value": "00".repeat(32), "encoding": "hex" }, "salt": { "value": "abcdefgh" } }),
        ] {
            let text = stored(custom.clone()).unwrap();
            assert!(PasswordHash::parse(&text).is_ok(), "{custom}: {text}");
        }
        for refused in [
            json!({ "algorithm": "hmac", "hash": { "value": "00" } }),
            json!({ "algorithm": "scrypt", "cost": 100, "hash": { "value": "00" } }),
            json!({ "algorithm": "sha1", "hash": { "value": "0g", "encoding": "hex" } }),
            json!({ "algorithm": "sha1", "hash": { "value": "x" }, "password": { "encoding": "utf16le" } }),
            json!("x"),
        ] {
            assert!(stored(refused.clone()).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_profile_is_read() {
        let draft = read(json!({
            "user_id": "auth0|507f1f77", "email": "ada@b.example", "email_verified": true, "given_name": "Ada",
            "family_name": "Byron", "blocked": true, "created_at": "2024-01-02T03:04:05.000Z",
            "user_metadata": { "colour": "red", "size": 7 },
        }))
        .ok()
        .unwrap();
        assert_eq!(draft.id.as_deref(), Some("auth0|507f1f77"));
        assert_eq!(draft.enabled, Some(false));
        assert_eq!(draft.created_millis, Some(1_704_164_645_000));
        assert_eq!(draft.attributes["size"], ["7"]);
        assert!(read(json!({ "email": "a@b.example", "nope": 1 })).is_err());
    }
}
