//! A set of claims: names and values in the order in which they are written, and the paths by which mappers put them.
//!
//! Most values are texts of the user's row or were made with the configuration, so they are borrowed, and a set is
//! written as JSON without a tree in between.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::store::StoreError;

/// The room that a written set of claims commonly needs, in bytes.
const ROOM: usize = 1536;

/// A claim's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Claim<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(i64),
    /// A truth.
    Flag(bool),
    /// Anything else.
    Tree(Cow<'a, Value>),
}

impl Claim<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.into_owned()),
            Self::Number(number) => Value::from(number),
            Self::Flag(flag) => Value::Bool(flag),
            Self::Tree(tree) => tree.into_owned(),
        }
    }
}

impl<'a> From<&'a str> for Claim<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Claim<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Claim<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Claim<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'a> From<&'a Value> for Claim<'a> {
    fn from(tree: &'a Value) -> Self {
        Self::Tree(Cow::Borrowed(tree))
    }
}

impl From<Value> for Claim<'_> {
    fn from(tree: Value) -> Self {
        Self::Tree(Cow::Owned(tree))
    }
}

/// Names with their values, each name once.
#[derive(Debug, Default, PartialEq)]
pub struct Claims<'a> {
    list: Vec<(Cow<'a, str>, Claim<'a>)>,
}

impl<'a> Claims<'a> {
    /// None yet, with room for as many as a token commonly has.
    pub fn new() -> Self {
        Self {
            list: Vec::with_capacity(32),
        }
    }

    // There are a few dozen names at most, most of different lengths, so that looking is faster than hashing.
    fn find(&mut self, name: &str) -> Option<&mut Claim<'a>> {
        self.list
            .iter_mut()
            .find(|(known, _)| known == name)
            .map(|(_, claim)| claim)
    }

    /// Sets a claim; one that is there already keeps its place.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, claim: impl Into<Claim<'a>>) {
        let (name, claim) = (name.into(), claim.into());
        match self.find(&name) {
            Some(known) => *known = claim,
            None => self.list.push((name, claim)),
        }
    }

    /// Takes a claim out.
    pub fn take(&mut self, name: &str) -> Option<Claim<'a>> {
        let place = self.list.iter().position(|(known, _)| known == name)?;
        Some(self.list.remove(place).1)
    }

    /// Sets every claim of another set.
    pub fn append(&mut self, other: Self) {
        for (name, claim) in other.list {
            self.set(name, claim);
        }
    }

    /// Puts a claim where a mapper wants it.
    pub fn put(&mut self, path: &'a ClaimPath, claim: impl Into<Claim<'a>>) {
        if path.below.is_empty() {
            return self.set(path.first.as_str(), claim);
        }
        let mut tree = match self.find(&path.first) {
            Some(known) => std::mem::replace(known, Claim::Flag(false)).into_value(),
            None => Value::Null,
        };
        nest(&mut tree, &path.below, claim.into().into_value());
        self.set(path.first.as_str(), tree);
    }

    /// Lays trees over what is there: members of objects beside each other, everything else in its place.
    pub fn overlay(&mut self, trees: &'a Map<String, Value>) {
        for (name, tree) in trees {
            match self.find(name) {
                None => self.list.push((Cow::Borrowed(name), Claim::from(tree))),
                Some(known) => {
                    let mut value = std::mem::replace(known, Claim::Flag(false)).into_value();
                    merge(&mut value, tree);
                    *known = Claim::from(value);
                }
            }
        }
    }

    /// Adds an audience to those that `aud` names already.
    pub fn add_audience(&mut self, audience: &'a str) {
        let Some(known) = self.find("aud") else {
            return self.set("aud", audience);
        };
        let one = std::mem::replace(known, Claim::Flag(false));
        *known = match one {
            Claim::Text(one) if one == audience => Claim::Text(one),
            one => match one.into_value() {
                Value::Array(mut list) => {
                    if !list.iter().any(|one| one == audience) {
                        list.push(Value::from(audience));
                    }
                    Claim::from(Value::Array(list))
                }
                one if one == audience => Claim::from(one),
                one => Claim::from(Value::Array(vec![one, Value::from(audience)])),
            },
        };
    }

    /// The claims as JSON.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::with_capacity(ROOM);
        serde_json::to_writer(&mut out, self)
            .map_err(|_| StoreError::Sealed("claims cannot be written".to_owned()))?;
        Ok(out)
    }
}

impl Serialize for Claims<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.list.len()))?;
        for (name, claim) in &self.list {
            map.serialize_entry(name, claim)?;
        }
        map.end()
    }
}

/// Claims that no mapper may write: they are the server's word.
const RESERVED: [&str; 14] = [
    "iss",
    "sub",
    "exp",
    "iat",
    "jti",
    "typ",
    "azp",
    "sid",
    "nonce",
    "at_hash",
    "auth_epoch",
    "grant_id",
    "client_id",
    "scope",
];

/// Where a mapper puts its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    first: String,
    below: Vec<String>,
}

impl ClaimPath {
    /// Reads a dotted path (`a.b.c`; `\.` is a dot inside a name); `None` for what is the server's word alone.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut names, mut name) = (Vec::new(), String::new());
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if characters.peek() == Some(&'.') => {
                    characters.next();
                    name.push('.');
                }
                '.' => names.push(std::mem::take(&mut name)),
                other => name.push(other),
            }
        }
        names.push(name);
        let mut names = names.into_iter();
        let (first, below) = (names.next()?, names.collect::<Vec<_>>());
        let forged = below.is_empty() && first != "client_id" && RESERVED.contains(&first.as_str());
        (!forged).then_some(Self { first, below })
    }

    /// Puts a value into a tree of claims.
    pub fn put(&self, claims: &mut Map<String, Value>, value: Value) {
        let entry = claims.entry(self.first.clone()).or_insert(Value::Null);
        nest(entry, &self.below, value);
    }
}

/// Puts a value below a tree; what stands in the way gives way.
fn nest(tree: &mut Value, names: &[String], value: Value) {
    let mut at = tree;
    for name in names {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Some(inner) = at.as_object_mut() else {
            return;
        };
        at = inner.entry(name.clone()).or_insert(Value::Null);
    }
    *at = value;
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(name) {
                    Some(known) => merge(known, value),
                    None => {
                        into.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> ClaimPath {
        ClaimPath::parse(text).unwrap()
    }

    fn read(claims: &Claims<'_>) -> Value {
        serde_json::from_slice(&claims.to_json().unwrap()).unwrap()
    }

    #[test]
    fn paths_nest_and_escaped_dots_do_not() {
        let (roles, more) = (path("realm_access.roles"), path("realm_access.more"));
        let (of_app, top) = (path("resource_access.my\\.app.roles"), path("top"));
        let mut claims = Claims::new();
        claims.put(&roles, json!(["a"]));
        claims.put(&of_app, json!(["b"]));
        claims.put(&top, 7);
        claims.put(&more, true);
        assert_eq!(
            read(&claims),
            json!({
                "realm_access": {"roles": ["a"], "more": true},
                "resource_access": {"my.app": {"roles": ["b"]}},
                "top": 7,
            })
        );
    }

    #[test]
    fn what_stands_in_the_way_of_a_path_gives_way() {
        let below = path("a.b");
        let mut claims = Claims::new();
        claims.set("a", "text");
        claims.put(&below, "under");
        assert_eq!(read(&claims), json!({"a": {"b": "under"}}));
        let trees = json!({"a": {"c": [1]}, "d": {"e": "f"}});
        claims.overlay(trees.as_object().unwrap());
        let mut over = Claims::new();
        over.set("a", 1);
        over.overlay(trees.as_object().unwrap());
        assert_eq!(
            read(&claims),
            json!({"a": {"b": "under", "c": [1]}, "d": {"e": "f"}})
        );
        assert_eq!(read(&over), trees);
    }

    #[test]
    fn a_mapper_cannot_write_what_the_server_says() {
        for name in ["sub", "iss", "exp", "typ", "scope", "grant_id"] {
            assert_eq!(ClaimPath::parse(name), None, "{name}");
        }
        for name in ["client_id", "a.sub", "sub.a", "Sub"] {
            assert!(ClaimPath::parse(name).is_some(), "{name}");
        }
    }

    #[test]
    fn audiences_are_a_text_or_a_list() {
        let mut claims = Claims::new();
        let steps = [
            ("account", json!("account")),
            ("account", json!("account")),
            ("web", json!(["account", "web"])),
            ("web", json!(["account", "web"])),
            ("x", json!(["account", "web", "x"])),
        ];
        for (audience, expected) in steps {
            claims.add_audience(audience);
            assert_eq!(read(&claims), json!({ "aud": expected }));
        }
    }

    #[test]
    fn claims_are_written_in_order_and_a_changed_one_keeps_its_place() {
        let mut claims = Claims::new();
        claims.set("a", "\"quoted\"\n");
        claims.set("b", 1);
        let mut others = Claims::new();
        others.set("c", false);
        others.set("a", "changed");
        claims.append(others);
        claims.set("d", json!({"e": null}));
        assert_eq!(claims.take("b"), Some(Claim::Number(1)));
        assert_eq!(claims.take("b"), None);
        let text = String::from_utf8(claims.to_json().unwrap()).unwrap();
        assert_eq!(text, r#"{"a":"changed","c":false,"d":{"e":null}}"#);
    }
}
