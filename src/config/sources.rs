//! Lays the environment over the file and hands out one value per setting. Used by `Config::load`
//! alone. Invariants: what is not in the table of settings is reported, never ignored; problems are
//! collected, so that one run shows them all.

use super::problem::Problem;
use super::settings::{ALL, Kind, PREFIX, Setting, known_keys, variable};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use toml::{Table, Value};
use zeroize::Zeroizing;

/// How alike an unknown variable is to a known one to be taken for a mistyped one, from 0 to 1.
const A_SLIP: f64 = 0.8;

/// Says that a problem is in the list, so that what depends on the value is not judged.
pub(super) struct Reported;

/// What reading one setting gives: its value, nothing, or an entry in the list of problems.
pub(super) type Read<T> = Result<Option<T>, Reported>;

/// Where a value was found.
#[derive(Clone)]
enum Place {
    File { path: String, key: String },
    Environment { variable: String },
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File { path, key } => write!(f, "`{key}` in {path}"),
            Place::Environment { variable } => write!(f, "`{variable}`"),
        }
    }
}

/// A value as written.
#[derive(Clone)]
struct Found {
    text: Zeroizing<String>,
    place: Place,
}

/// All values, by key, and the problems so far.
pub(super) struct Sources {
    /// From the strongest to the weakest: our environment, Keycloak's, the file.
    layers: [BTreeMap<String, Found>; 3],
    pub(super) problems: Vec<Problem>,
}

impl Sources {
    /// Reads the file, if one is given, and sorts the variables.
    pub(super) fn gather(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let mut sources = Self {
            layers: Default::default(),
            problems: Vec::new(),
        };
        let in_file = file.map(|path| sources.read_file(path)).unwrap_or_default();
        let (ours, keycloaks) = sources.sort_environment(environment);
        sources.layers = [ours, keycloaks, in_file];
        sources
    }

    fn read_file(&mut self, path: &Path) -> BTreeMap<String, Found> {
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                self.problems.push(Problem::Unreadable {
                    path: shown,
                    named_by: "--config".to_owned(),
                    cause: error.to_string(),
                });
                return BTreeMap::new();
            }
        };
        let table: Table = match toml::from_str(&text) {
            Ok(table) => table,
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                self.problems.push(Problem::Syntax {
                    path: shown,
                    line: text
                        .bytes()
                        .take(start)
                        .filter(|byte| *byte == b'\n')
                        .count()
                        + 1,
                    cause: error.message().to_owned(),
                });
                return BTreeMap::new();
            }
        };
        let mut entries = Vec::new();
        flatten("", table, &mut entries);
        entries
            .into_iter()
            .filter_map(|(key, value)| {
                let found = self.file_value(&shown, &key, value)?;
                Some((key, found))
            })
            .collect()
    }

    /// One value of the file as text, or a problem when the key or the type is wrong.
    fn file_value(&mut self, path: &str, key: &str, value: Value) -> Option<Found> {
        let place = Place::File {
            path: path.to_owned(),
            key: key.to_owned(),
        };
        let setting = ALL.iter().find(|setting| setting.key == key);
        if setting.is_none() && !known_keys().any(|known| known == key) {
            self.problems.push(Problem::UnknownKey {
                key: key.to_owned(),
                path: path.to_owned(),
                nearest: nearest(key),
            });
            return None;
        }
        let kind = setting.map_or(Kind::Text, |setting| setting.kind);
        let (text, name) = match (kind, value) {
            (Kind::Text | Kind::List, Value::String(text)) => (Some(text), "text"),
            (Kind::Number, Value::Integer(number)) => (Some(number.to_string()), "number"),
            (Kind::Switch, Value::Boolean(switch)) => (Some(switch.to_string()), "switch"),
            (Kind::List, Value::Array(items)) => (
                items
                    .iter()
                    .map(Value::as_str)
                    .collect::<Option<Vec<_>>>()
                    .map(|items| items.join(",")),
                "list with something else than texts in it",
            ),
            (_, other) => (None, other.type_str()),
        };
        if text.is_none() {
            let wanted = match kind {
                Kind::Text => "a text in quotes",
                Kind::Number => "a number without quotes",
                Kind::Switch => "`true` or `false` without quotes",
                Kind::List => "a list of texts",
            };
            self.problems.push(Problem::Wrong {
                place: place.to_string(),
                value: None,
                reason: format!("it is a TOML {name} and must be {wanted}"),
                expected: setting.map_or("the path of a file", |setting| setting.expected),
                example: setting.map_or_else(
                    || format!("{key} = \"/run/secrets/{key}\""),
                    |setting| setting.example_in_file(),
                ),
            });
        }
        text.map(|text| Found {
            text: Zeroizing::new(text),
            place,
        })
    }

    /// Our variables and the ones of Keycloak's that are read too. An empty variable counts as
    /// not set, because `${NAME:-}` in a compose file makes such.
    fn sort_environment(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
    ) -> (BTreeMap<String, Found>, BTreeMap<String, Found>) {
        let (mut ours, mut keycloaks) = (BTreeMap::new(), BTreeMap::new());
        let known: BTreeMap<String, String> =
            known_keys().map(|key| (variable(&key), key)).collect();
        for (name, value) in environment {
            let found = |text| Found {
                text: Zeroizing::new(text),
                place: Place::Environment {
                    variable: name.clone(),
                },
            };
            if let Some(setting) = ALL
                .iter()
                .find(|setting| setting.keycloak == Some(name.as_str()))
            {
                if !value.is_empty() {
                    keycloaks.insert(setting.key.to_owned(), found(value));
                }
            } else if let Some(key) = known.get(&name) {
                if !value.is_empty() {
                    ours.insert(key.clone(), found(value));
                }
            } else if name.starts_with(PREFIX) && !is_kubernetes_service(&name, &value) {
                // The environment belongs to others too (scripts, orchestrators), so only what looks like a slip of
                // the pen is a mistake of ours to report.
                let nearest = variable(&nearest(&name));
                if strsim::normalized_damerau_levenshtein(&name, &nearest) >= A_SLIP {
                    self.problems.push(Problem::UnknownVariable {
                        nearest,
                        variable: name,
                    });
                }
            }
        }
        (ours, keycloaks)
    }

    /// The value that counts: the strongest layer's. A secret's `_file` is read here.
    fn find(&mut self, setting: &Setting) -> Read<Found> {
        let file_key = setting.file_key();
        for layer in &self.layers {
            let direct = layer.get(setting.key);
            let by_file = file_key.as_ref().and_then(|key| layer.get(key));
            match (direct, by_file) {
                (None, None) => {}
                (Some(found), None) => return Ok(Some(found.clone())),
                (None, Some(named)) => {
                    return match read_secret_file(&named.text) {
                        Ok(text) => Ok(Some(Found {
                            text,
                            place: named.place.clone(),
                        })),
                        Err(cause) => {
                            self.problems.push(Problem::Unreadable {
                                path: named.text.to_string(),
                                named_by: named.place.to_string(),
                                cause,
                            });
                            Err(Reported)
                        }
                    };
                }
                (Some(first), Some(second)) => {
                    self.problems.push(Problem::Both {
                        first: first.place.to_string(),
                        second: second.place.to_string(),
                    });
                    return Err(Reported);
                }
            }
        }
        Ok(None)
    }

    /// Reads one setting. `parse` answers why a value does not do; it must not repeat a secret.
    pub(super) fn read<T>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Read<T> {
        let Some(found) = self.find(setting)? else {
            return Ok(None);
        };
        match parse(&found.text) {
            Ok(value) => Ok(Some(value)),
            Err(reason) => {
                self.problems.push(Problem::Wrong {
                    value: (!setting.secret).then(|| found.text.to_string()),
                    reason,
                    expected: setting.expected,
                    example: match &found.place {
                        Place::File { .. } => setting.example_in_file(),
                        Place::Environment { .. } => setting.example_in_environment(),
                    },
                    place: found.place.to_string(),
                });
                Err(Reported)
            }
        }
    }

    /// Reads a whole number within a range.
    pub(super) fn number(&mut self, setting: &Setting, max: usize) -> Read<usize> {
        self.read(setting, |text| match text.parse() {
            Ok(number) if (1..=max).contains(&number) => Ok(number),
            Ok(_) => Err("it is out of range".to_owned()),
            Err(_) => Err("it is not a whole number".to_owned()),
        })
    }

    /// Reads a switch that is off unless set.
    pub(super) fn switch(&mut self, setting: &Setting) -> Result<bool, Reported> {
        let value = self.read(setting, |text| {
            text.parse()
                .map_err(|_| "it is neither of the two".to_owned())
        })?;
        Ok(value.unwrap_or(false))
    }

    /// Reports a setting that has no default here.
    pub(super) fn missing(&mut self, setting: &Setting, reason: impl Into<String>) -> Reported {
        self.problems.push(Problem::Missing {
            variable: setting.variable(),
            reason: reason.into(),
            example: setting.example_in_environment(),
        });
        Reported
    }

    /// Reports settings that do not go together.
    pub(super) fn conflict(&mut self, sentence: impl Into<String>) -> Reported {
        self.problems.push(Problem::Conflict(sentence.into()));
        Reported
    }
}

/// The content of a secret file without the line end that editors add.
fn read_secret_file(path: &str) -> Result<Zeroizing<String>, String> {
    let content = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let content = Zeroizing::new(content);
    let secret = content.strip_suffix('\n').unwrap_or(&content);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err("the file is empty".to_owned());
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

/// Settings are flat; a nested table's keys are named with dots, so that the message about them
/// can name the flat key that was meant.
fn flatten(above: &str, table: Table, into: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let key = format!("{above}{key}");
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                flatten(&format!("{key}."), inner, into);
            }
            value => into.push((key, value)),
        }
    }
}

/// The known key that is most like an unknown one.
fn nearest(unknown: &str) -> String {
    let unknown = unknown.to_ascii_lowercase().replace(['.', '-'], "_");
    let unknown = unknown.strip_prefix("vestibule_").unwrap_or(&unknown);
    let likeness = |known: &String| strsim::normalized_damerau_levenshtein(unknown, known);
    known_keys()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .unwrap_or_default()
}

/// Whether Kubernetes made this variable for a service called `vestibule` or `vestibule-…`: it
/// does so in every pod beside it, and no operator can be blamed for that.
fn is_kubernetes_service(name: &str, value: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let port = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let protocol = |part: &str| matches!(part, "TCP" | "UDP" | "SCTP");
    match parts.as_slice() {
        [.., "SERVICE", "HOST"] | [.., "SERVICE", "PORT"] => true,
        [.., "PORT", number, kind] | [.., "PORT", number, kind, "PROTO" | "PORT" | "ADDR"]
            if port(number) && protocol(kind) =>
        {
            true
        }
        [.., "PORT"] => value.contains("://"),
        _ => name.contains("_SERVICE_PORT_") && port(value),
    }
}
