//! A person as a row of a file says them, before anything is judged; and what can be wrong with a row.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// What a row says of a person. What it leaves out is `None` or empty.
#[derive(Default)]
pub struct Draft {
    /// The id that the person keeps.
    pub id: Option<String>,
    /// The user name.
    pub username: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// Whether the address was proved.
    pub email_verified: Option<bool>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Whether the person may sign in.
    pub enabled: Option<bool>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Paths of groups.
    pub groups: Vec<String>,
    /// Roles.
    pub roles: Vec<RoleName>,
    /// Required actions, in whatever spelling.
    pub required_actions: Vec<String>,
    /// The password.
    pub secret: Secret,
    /// When the person was made, in milliseconds.
    pub created_millis: Option<i64>,
    /// Tokens from before are refused; seconds.
    pub not_before: Option<i64>,
    /// Fields that are kept and that nothing reads yet.
    pub extra: Map<String, Value>,
    /// Why the row is passed over, where it is about nobody who could be imported.
    pub passed_over: Option<&'static str>,
    /// What the report says although the row is taken.
    pub notes: Vec<Problem>,
}

impl Draft {
    /// Sets an attribute, unless there is nothing to set.
    pub fn attribute(&mut self, name: &str, values: Vec<String>) {
        if !values.is_empty() {
            self.attributes.insert(name.to_owned(), values);
        }
    }
}

/// The password of a row.
#[derive(Default)]
pub enum Secret {
    /// There is none.
    #[default]
    None,
    /// In plain text.
    Plain {
        /// The password.
        password: Zeroizing<String>,
        /// Whether the person has to change it at once.
        temporary: bool,
    },
    /// A stored hash, in a form that [`crate::password::PasswordHash`] reads.
    Hash {
        /// The hash.
        text: String,
        /// Whether the person has to change it at once.
        temporary: bool,
    },
}

impl Secret {
    /// A plain password, which is temporary unless the row says that it is not.
    pub fn plain(password: &str, temporary: Option<bool>) -> Self {
        Self::Plain {
            password: Zeroizing::new(password.to_owned()),
            temporary: temporary.unwrap_or(true),
        }
    }
}

/// A role by its name: `name` of the realm, or `client_id:name` of a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleName {
    /// The OAuth `client_id`; `None` for what may be either.
    pub client: Option<String>,
    /// The name.
    pub name: String,
}

impl From<&str> for RoleName {
    fn from(text: &str) -> Self {
        Self {
            client: None,
            name: text.to_owned(),
        }
    }
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.client {
            Some(client) => write!(f, "{client}:{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A text that quotes a file, without U+0000: PostgreSQL has it in no text.
fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// What is wrong with a row, or worth saying about it: the field and a sentence. Never a password or a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, as the file names it.
    pub field: Option<String>,
    /// What about it.
    pub reason: String,
}

impl Problem {
    /// About one field.
    pub fn of(field: &str, reason: impl Into<String>) -> Self {
        let field: String = field.chars().take(64).collect();
        Self {
            field: Some(storable(field)),
            ..Self::row(reason)
        }
    }

    /// About the row as a whole.
    pub fn row(reason: impl Into<String>) -> Self {
        Self {
            field: None,
            reason: storable(reason.into()),
        }
    }

    /// About JSON that is none.
    pub fn json(error: &serde_json::Error) -> Self {
        // Its own text may quote what it found, which may be a password.
        Self::row(match error.classify() {
            serde_json::error::Category::Data => "the row is not a JSON object".to_owned(),
            _ => format!("the row is not JSON (at its column {})", error.column()),
        })
    }
}
