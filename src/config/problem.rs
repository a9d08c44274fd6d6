//! What can be wrong with a configuration, in words that say what to do. Owned by `config`; the
//! command line prints it and exits with 2. Invariant: no problem quotes the value of a secret.

use std::fmt;

/// Everything wrong with a configuration, found in one pass. Never empty.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The problems, in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the configuration has a problem: {only}"),
            several => {
                write!(f, "the configuration has {} problems:", several.len())?;
                several
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

/// One thing wrong with a configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A file that is named, but cannot be read.
    #[error("cannot read {path}, named by {named_by}: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// The option or setting that names it.
        named_by: String,
        /// What the operating system says.
        cause: String,
    },
    /// The configuration file is not TOML. The line itself is not quoted: it may hold a secret.
    #[error("{path} is not valid TOML at line {line}: {cause}")]
    Syntax {
        /// The configuration file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// What the parser says.
        cause: String,
    },
    /// A key of the file that does not exist.
    #[error("unknown key `{key}` in {path}: did you mean `{nearest}`?")]
    UnknownKey {
        /// The key as written, with dots where tables are nested.
        key: String,
        /// The configuration file.
        path: String,
        /// The known key that is most like it.
        nearest: String,
    },
    /// An environment variable of ours that does not exist.
    #[error("unknown environment variable `{variable}`: did you mean `{nearest}`?")]
    UnknownVariable {
        /// The variable as set.
        variable: String,
        /// The known variable that is most like it.
        nearest: String,
    },
    /// A value of the wrong type or outside what is allowed.
    #[error("{place}{}: {reason}; expected {expected}, for example `{example}`", quoted(value.as_deref()))]
    Wrong {
        /// Where it is set.
        place: String,
        /// What is set, unless it is a secret.
        value: Option<String>,
        /// Why it does not do.
        reason: String,
        /// What would do.
        expected: &'static str,
        /// A line that can be copied.
        example: String,
    },
    /// A secret given both directly and by a file.
    #[error("{first} and {second} are both set: keep one of them")]
    Both {
        /// One place.
        first: String,
        /// The other.
        second: String,
    },
    /// A setting that has no default here.
    #[error("`{variable}` is required, because {reason}; for example `{example}`")]
    Missing {
        /// The environment variable; the file has the same word.
        variable: String,
        /// Why there is no default.
        reason: String,
        /// A line that can be copied.
        example: String,
    },
    /// Settings that are each right and do not go together. A whole sentence that says what to do.
    #[error("{0}")]
    Conflict(String),
}

/// The value in a message: short, and without control characters.
fn quoted(value: Option<&str>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    let shown: String = value
        .chars()
        .take(80)
        .flat_map(char::escape_debug)
        .collect();
    format!(" is `{shown}`")
}
