//! Bodies: JSON with a size and a depth, read into the shape of one of Keycloak's representations.
//!
//! A field that the representation does not have is refused by name, never dropped: a dropped field is a setting
//! that somebody believes in. What Keycloak's parser forgives (numbers and booleans in quotes) is forgiven here.

use serde_json::{Map, Value};

use super::error::AdminError;

/// The largest body, in bytes.
pub const LARGEST: usize = 1024 * 1024;
/// How deep a body may be nested.
const DEEPEST: usize = 32;

/// The fields of a representation by the type they have.
pub struct Shape {
    /// Keycloak's name of the representation.
    pub name: &'static str,
    /// Texts.
    pub texts: &'static [&'static str],
    /// Booleans.
    pub flags: &'static [&'static str],
    /// Whole numbers.
    pub numbers: &'static [&'static str],
    /// Lists of texts.
    pub lists: &'static [&'static str],
    /// Anything else.
    pub other: &'static [&'static str],
}

/// Parses a body.
///
/// # Errors
/// It is not JSON, nested too deeply, or a text in it holds U+0000, which PostgreSQL has in no text.
pub fn parse(body: &[u8]) -> Result<Value, AdminError> {
    if depth(body) > DEEPEST {
        return Err(AdminError::not_json());
    }
    let value = serde_json::from_slice(body).map_err(|_| AdminError::not_json())?;
    // JSON can write it as an escape alone, and nearly no body has one.
    let written = body.windows(6).any(|six| six == b"\\u0000");
    if written && holds_nul(&value) {
        return Err(AdminError::Invalid {
            error: "invalid_request",
            description: "A text holds the character U+0000: send it without".to_owned(),
        });
    }
    Ok(value)
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
    }
}

/// How deep the brackets outside of strings are nested.
fn depth(body: &[u8]) -> usize {
    let (mut open, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl Shape {
    /// The object's fields, each of its type; those that are null count as absent.
    ///
    /// # Errors
    /// It is no object, has a field that the representation has not, or one of the wrong type.
    pub fn read(&self, value: Value) -> Result<Map<String, Value>, AdminError> {
        let Value::Object(fields) = value else {
            return Err(AdminError::wrong_type(self.name));
        };
        let mut read = Map::new();
        for (name, value) in fields {
            let value = self.coerce(&name, value)?;
            if !value.is_null() {
                read.insert(name, value);
            }
        }
        Ok(read)
    }

    fn coerce(&self, name: &str, value: Value) -> Result<Value, AdminError> {
        let of = |fields: &[&str]| fields.contains(&name);
        let known = [self.texts, self.flags, self.numbers, self.lists, self.other];
        if !known.iter().any(|fields| of(fields)) {
            let shown: String = name.chars().take(64).collect();
            return Err(AdminError::Bad(format!(
                "Invalid json representation for {}. Unrecognized field \"{shown}\".",
                self.name
            )));
        }
        if value.is_null() || of(self.other) {
            return Ok(value);
        }
        let coerced = if of(self.texts) {
            text(&value).map(Value::String)
        } else if of(self.flags) {
            flag(&value).map(Value::Bool)
        } else if of(self.numbers) {
            number(&value).map(Value::from)
        } else {
            texts(&value).map(Value::from)
        };
        coerced.ok_or_else(|| AdminError::wrong_type(name))
    }
}

/// A text, or a number or boolean as one.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A boolean, in quotes or not.
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A whole number, in quotes or not.
pub fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(text).collect()
}

/// What stands for a secret in answers; sent back, it means the secret that is stored.
pub const MASK: &str = "**********";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Shape = Shape {
        name: "ThingRepresentation",
        texts: &["name"],
        flags: &["enabled"],
        numbers: &["count"],
        lists: &["uris"],
        other: &["attributes"],
    };

    #[test]
    fn what_the_parser_forgives_is_forgiven() {
        let read = SHAPE.read(json!({
            "name": 12345, "enabled": "true", "count": "77", "uris": ["a"], "attributes": null
        }));
        assert_eq!(
            Value::Object(read.unwrap()),
            json!({ "name": "12345", "enabled": true, "count": 77, "uris": ["a"] })
        );
    }

    #[test]
    fn an_unknown_field_is_named_and_a_wrong_type_too() {
        let refusal = |value| match SHAPE.read(value) {
            Err(AdminError::Bad(text)) => text,
            Err(AdminError::Invalid { description, .. }) => description,
            other => panic!("{other:?}"),
        };
        assert!(refusal(json!({ "noSuch": 1 })).contains("Unrecognized field \"noSuch\""));
        for wrong in [
            json!({ "name": {} }),
            json!({ "enabled": "maybe" }),
            json!({ "count": "x" }),
            json!({ "count": 1.5 }),
            json!({ "uris": "a" }),
            json!([]),
            json!("x"),
        ] {
            assert!(refusal(wrong).contains("wrong type"));
        }
    }

    #[test]
    fn a_text_with_a_zero_byte_is_refused_wherever_it_stands() {
        for body in [
            r#""\u0000""#,
            r#"{"a":["b","\u0000c"]}"#,
            r#"{"a":{"b\u0000":1}}"#,
            r#"["\\u0000","\u0000"]"#,
        ] {
            let refused = parse(body.as_bytes());
            assert!(matches!(refused, Err(AdminError::Invalid { .. })), "{body}");
        }
        for body in [r#""\\u0000""#, r#""\u0001""#, r#"["u0000"]"#] {
            assert!(parse(body.as_bytes()).is_ok(), "{body}");
        }
        // Half of a pair is no character at all.
        for body in [r#""\ud800""#, r#""\udc00x""#, r#"{"\ud800\u0041":1}"#] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn brackets_count_outside_of_strings_only() {
        assert_eq!(depth(br#"{"a":["[[[[\"[["]}"#), 2);
        assert!(parse("[".repeat(33).as_bytes()).is_err());
        let fine = format!("{}{}", "[".repeat(32), "]".repeat(32));
        assert!(parse(fine.as_bytes()).is_ok());
        assert!(parse(b"{").is_err());
    }
}
