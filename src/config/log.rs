//! What is logged and how. Read by `logging`.

use super::settings::{LOG, LOG_FORMAT};
use super::sources::{Reported, Sources};
use tracing_subscriber::EnvFilter;

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Levels by module, as `tracing_subscriber::EnvFilter` reads them; checked.
    pub filter: String,
    /// The form; `None` means text on a terminal and JSON elsewhere.
    pub format: Option<LogFormat>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

impl LogFormat {
    /// The word that stands for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        }
    }
}

impl Log {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let filter = sources.read(&LOG, |text| {
            check_levels(text)?;
            EnvFilter::builder()
                .parse(text)
                .map(|_| text.to_owned())
                .map_err(|error| error.to_string())
        });
        let format = sources.read(&LOG_FORMAT, |text| match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err("it is neither of the two".to_owned()),
        });
        Ok(Self {
            filter: filter?.unwrap_or_else(|| "info".to_owned()),
            format: format?,
        })
    }
}

/// The levels, as they are written.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A word by itself is a level: `EnvFilter` would take a mistyped one for a module, and log nothing but that.
fn check_levels(text: &str) -> Result<(), String> {
    let is_level = |word: &str| {
        LEVELS
            .iter()
            .any(|level| level.eq_ignore_ascii_case(word.trim()))
    };
    // What stands in a span's brackets may hold commas and equals signs of its own.
    let names_a_level = |part: &str| {
        part.rsplit(']').next().is_some_and(|end| end.contains('=')) || part.contains('{')
    };
    let mut parts = text.split(',').filter(|part| !part.trim().is_empty());
    match parts.find(|part| !names_a_level(part) && !is_level(part)) {
        Some(word) => Err(format!(
            "`{}` is no level, which are {}, and a module has its level behind it, as in `vestibule::mail=debug`",
            word.trim(),
            LEVELS.join(", ")
        )),
        None => Ok(()),
    }
}
