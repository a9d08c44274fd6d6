//! The one judgement of a row by itself: the same for a dry run and a real one, and without the database.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value};

use super::Options;
use super::draft::{Draft, Problem, RoleName, Secret};
use crate::action;
use crate::action::kinds::update_password;
use crate::group;
use crate::kernel::{Timestamp, UserId};
use crate::password::{self, Origin, Password, PasswordHash, PasswordPolicy};
use crate::realm::{Realm, RequiredActionConfig};
use crate::user::name::{name_key, parse_email, parse_username};

/// The longest id: that of a `sub` (OpenID Connect Core section 2).
const LONGEST_ID: usize = 255;
/// The longest given or family name, in characters.
const LONGEST_NAME: usize = 255;
/// How many values all attributes of a person have at most.
const MOST_ATTRIBUTES: usize = 1000;
/// The longest value of an attribute, in bytes.
const LONGEST_ATTRIBUTE: usize = 16 * 1024;
/// Properties that are no attributes, whoever sends them among those.
const PROPERTIES: [&str; 5] = ["username", "email", "firstName", "lastName", "id"];
/// How many rows may have one plain password before it is no secret (threat V192).
pub(super) const SHARED: u8 = 3;

/// A person, judged.
pub(super) struct Person {
    pub(super) id: Option<UserId>,
    pub(super) username: String,
    username_key: String,
    pub(super) email: Option<String>,
    /// The key by which the address signs in, where it does.
    email_key: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) attributes: BTreeMap<String, Vec<String>>,
    /// Paths of groups as [`group::path_of`] writes them.
    pub(super) groups: Vec<String>,
    pub(super) roles: Vec<RoleName>,
    pub(super) actions: Vec<&'static str>,
    pub(super) password: NewPassword,
    pub(super) created_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) extra: Map<String, Value>,
    pub(super) notes: Vec<Problem>,
}

/// The password that a row sets.
pub(super) enum NewPassword {
    None,
    /// Hashed once it is known that the row will be taken.
    Plain {
        password: Password,
        temporary: bool,
    },
    Stored {
        hash: String,
        temporary: bool,
    },
}

impl Person {
    /// The names and the id that the row takes; the flag tells ids from names.
    pub(super) fn claims(&self) -> impl Iterator<Item = (&'static str, (bool, &str))> {
        let id = self.id.as_ref().map(|id| ("id", (true, id.as_str())));
        let email = self.email_key.as_deref().map(|key| ("email", (false, key)));
        std::iter::once(("username", (false, self.username_key.as_str())))
            .chain(email)
            .chain(id)
    }
}

/// What rows are judged by.
pub(super) struct Rules {
    pub(super) realm: Realm,
    pub(super) actions: Vec<RequiredActionConfig>,
    policy: PasswordPolicy,
    allow_shared: bool,
    shared: Shared,
}

/// The plain passwords that too many rows have, as keyed digests that live as long as this run.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) hasher: RandomState,
    pub(super) digests: HashSet<u64>,
}

impl Shared {
    fn holds(&self, password: &str) -> bool {
        !self.digests.is_empty() && self.digests.contains(&self.hasher.hash_one(password))
    }
}

impl Rules {
    /// The rules of a realm.
    ///
    /// # Errors
    /// The realm's password policy cannot be read; its text.
    pub(super) fn new(
        realm: Realm,
        actions: Vec<RequiredActionConfig>,
        options: &Options,
        shared: Shared,
    ) -> Result<Self, String> {
        let policy = realm.settings.password_policy.as_deref().unwrap_or("");
        let policy = PasswordPolicy::parse(policy).map_err(|error| {
            format!("the realm's password policy cannot be read ({error}): mend it first")
        })?;
        Ok(Self {
            realm,
            actions,
            policy,
            allow_shared: options.allow_shared_passwords,
            shared,
        })
    }

    /// Judges a row.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub(super) fn judge(&self, draft: Draft) -> Result<Person, Problem> {
        let Draft {
            id,
            username,
            email,
            email_verified,
            first_name,
            last_name,
            enabled,
            attributes,
            groups,
            roles,
            required_actions,
            secret,
            created_millis,
            not_before,
            extra,
            passed_over: _,
            mut notes,
        } = draft;
        let of = |field: &'static str| {
            move |error: &dyn std::fmt::Display| Problem::of(field, error.to_string())
        };
        let settings = &self.realm.settings;
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let email = filled(email)
            .map(|typed| parse_email(&typed).map_err(|error| of("email")(&error)))
            .transpose()?;
        // The address stands for a user name that is not given.
        let named = match (filled(username), &email) {
            (_, Some(email)) if settings.registration_email_as_username => email.clone(),
            (Some(name), _) => name,
            (None, Some(email)) => email.clone(),
            (None, None) => {
                return Err(Problem::of("username", "is missing, and so is an address"));
            }
        };
        let username = parse_username(&named).map_err(|error| of("username")(&error))?;
        let unique_email = !settings.duplicate_emails_allowed;
        let mut person = Person {
            id: filled(id).map(|id| parse_id(&id)).transpose()?,
            username_key: name_key(&username),
            email_key: email.as_deref().filter(|_| unique_email).map(name_key),
            username,
            email_verified,
            first_name: person_name("firstName", first_name)?,
            last_name: person_name("lastName", last_name)?,
            email,
            enabled,
            attributes: self.attributes(attributes)?,
            groups: paths(&groups)?,
            roles: role_names(roles)?,
            actions: self.required_actions(&required_actions, &mut notes)?,
            password: NewPassword::None,
            created_at: created_millis.map(Timestamp::from_millis),
            not_before: not_before.map(Timestamp::from_seconds),
            extra,
            notes,
        };
        if person.email_key.as_ref() == Some(&person.username_key) {
            person.email_key = None;
        }
        person.password = self.password(&person, secret)?;
        Ok(person)
    }

    fn attributes(
        &self,
        attributes: BTreeMap<String, Vec<String>>,
    ) -> Result<BTreeMap<String, Vec<String>>, Problem> {
        let mut count: usize = 0;
        for (name, values) in &attributes {
            count = count.saturating_add(values.len());
            let long = values.iter().any(|value| value.len() > LONGEST_ATTRIBUTE);
            if name.is_empty() || name.len() > LONGEST_NAME || long || count > MOST_ATTRIBUTES {
                return Err(Problem::of(
                    &format!("attribute.{name}"),
                    "is too large: 16 KiB a value and 1,000 values in all are the most",
                ));
            }
            if values.iter().chain([name]).any(|text| text.contains('\0')) {
                return Err(Problem::of(
                    &format!("attribute.{name}"),
                    "contains characters that cannot be used",
                ));
            }
        }
        Ok(attributes
            .into_iter()
            .filter(|(name, _)| !PROPERTIES.contains(&name.as_str()))
            .collect())
    }

    /// The one spelling of each; a name that is not known is refused, never dropped: a dropped action is an open gate.
    fn required_actions(
        &self,
        wanted: &[String],
        notes: &mut Vec<Problem>,
    ) -> Result<Vec<&'static str>, Problem> {
        let mut actions = Vec::new();
        for name in wanted {
            let canonical = action::canonical(name).ok_or_else(|| {
                Problem::of(
                    "requiredActions",
                    format!(
                        "{name:.64} is not known here; this server can carry out {}",
                        action::kinds::names().join(", ")
                    ),
                )
            })?;
            if !actions.contains(&canonical) {
                actions.push(canonical);
            }
            let on = |action: &RequiredActionConfig| action.alias == canonical && action.enabled;
            if !self.actions.iter().any(on) {
                notes.push(Problem::of(
                    "requiredActions",
                    format!("{canonical} is switched off in this realm, and waits on the person all the same"),
                ));
            }
        }
        Ok(actions)
    }

    fn password(&self, person: &Person, secret: Secret) -> Result<NewPassword, Problem> {
        let password = match secret {
            Secret::None => NewPassword::None,
            Secret::Hash { text, temporary } => {
                let hash = PasswordHash::parse(&text)
                    .map_err(|error| Problem::of("passwordHash", error.to_string()))?;
                NewPassword::Stored {
                    hash: hash.as_str().to_owned(),
                    temporary,
                }
            }
            Secret::Plain {
                password,
                temporary,
            } => {
                if !self.allow_shared && self.shared.holds(&password) {
                    return Err(Problem::of(
                        "password",
                        format!(
                            "is that of more than {SHARED} rows, so anybody among them knows it: give each person one of \
                             their own, or none and a link by mail, or allow shared passwords"
                        ),
                    ));
                }
                let typed = Password::parse(&password)
                    .map_err(|error| Problem::of("password", error.to_string()))?;
                let context = password::Context {
                    username: &person.username,
                    email: person.email.as_deref(),
                    first_name: person.first_name.as_deref(),
                    last_name: person.last_name.as_deref(),
                    realm: &self.realm.name,
                };
                if let Err(broken) =
                    self.policy
                        .check(&typed, &context, Origin::Administrator, false)
                {
                    let rule = broken
                        .first()
                        .map_or_else(String::new, |rule| rule.english());
                    return Err(Problem::of("password", rule));
                }
                NewPassword::Plain {
                    password: typed,
                    temporary,
                }
            }
        };
        Ok(password)
    }

    /// Whether the realm has switched the forced reset off: it waits on people all the same, and that is said.
    pub(super) fn reset_is_off(&self) -> bool {
        !self
            .actions
            .iter()
            .any(|action| action.alias == update_password::NAME && action.enabled)
    }
}

fn parse_id(id: &str) -> Result<UserId, Problem> {
    let id = id.trim();
    let odd = |c: char| {
        !c.is_ascii_graphic() || matches!(c, '/' | '\\' | '?' | '#' | '%' | ';' | '"' | '<' | '>')
    };
    if id.len() > LONGEST_ID || id.chars().any(odd) || matches!(id, "." | ".." | "count") {
        return Err(Problem::of(
            "id",
            "cannot be an id: at most 255 ASCII characters that can stand in a URL",
        ));
    }
    Ok(UserId::new(id))
}

fn person_name(field: &'static str, name: Option<String>) -> Result<Option<String>, Problem> {
    let Some(name) = name else {
        return Ok(None);
    };
    let name = name.trim();
    if name.chars().count() > LONGEST_NAME {
        return Err(Problem::of(field, "is longer than 255 characters"));
    }
    let odd = |c: char| c.is_control() || matches!(c, '<' | '>' | '&' | '"' | '{' | '}' | '$');
    if name.chars().any(odd) {
        return Err(Problem::of(
            field,
            "contains characters that cannot be used",
        ));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn paths(groups: &[String]) -> Result<Vec<String>, Problem> {
    let mut paths = Vec::new();
    for path in groups {
        let names =
            group::names_of(path).map_err(|error| Problem::of("groups", error.to_string()))?;
        let path = group::path_of(names.iter().map(String::as_str));
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn role_names(mut roles: Vec<RoleName>) -> Result<Vec<RoleName>, Problem> {
    for role in &roles {
        let fits = !role.name.is_empty()
            && role.name.chars().count() <= LONGEST_NAME
            && !role.name.chars().any(char::is_control);
        if !fits {
            return Err(Problem::of("roles", "has a name that cannot be a role's"));
        }
    }
    roles.sort();
    roles.dedup();
    Ok(roles)
}

#[cfg(test)]
mod tests;
