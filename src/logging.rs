//! The log: what is written to stderr, and how. Started once by the command line. Invariants: one
//! event is one line, whatever a hostile value holds; times are UTC in RFC 3339; and the modules
//! that would print whole requests, statements or mail dialogs are kept from it.
//!
//! # Levels
//!
//! | level | for | who acts |
//! |---|---|---|
//! | `error` | the server could not do its work: an operation failed for a reason on our side | an operator, now |
//! | `warn` | it works, but something is wrong or dangerous: an `insecure_*` switch, a slow dependency, a deprecated setting | an operator, soon |
//! | `info` | what an operator wants to see of a healthy server: start, stop, migrations, keys, finished jobs | nobody |
//! | `debug` | one line for each step of a request, to find out why it went as it did | a developer |
//! | `trace` | everything | a developer at a test server |
//!
//! An error is logged once, at the boundary that answers it. What people did is not logged but
//! recorded as audit events in the database.
//!
//! # Fields
//!
//! A message is a constant text; whatever varies is a field, and a field has one name everywhere:
//! `request_id`, `method`, `route` (the pattern, never the path), `status`, `duration_ms`, `realm`,
//! `client_id`, `user_id`, `session_id_digest`, `action`, `grant`, `job_id`, `mail_id`, `key_id`,
//! `event` (the word of the audit event), `error` (ours or a dependency's, after it was checked that
//! it quotes no input).
//!
//! # Never logged, at no level
//!
//! Passwords (also wrong ones and their lengths), codes, tokens of any kind, one-time links, cookies,
//! session ids, client secrets, private keys, the master key, the SMTP password, the database
//! password, mail addresses, user names (people type passwords there), IP addresses, request bodies,
//! query strings. Types that hold such a thing have no `Debug`; a URL goes through [`redact_url`].

mod line;
mod redact;

pub use redact::redact_url;

use crate::config::{Log, LogFormat};
use line::{LineWriter, TextFields};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, filter};

/// Why the log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one. `Config::load` has checked it, so a caller built it by hand.
    #[error("the log filter is wrong: {0}")]
    Filter(#[from] filter::ParseError),
    /// A log is already there.
    #[error(transparent)]
    Started(#[from] TryInitError),
}

/// Starts the log of this process on stderr. `on_terminal` says whether stderr is a terminal.
///
/// # Errors
///
/// When the filter cannot be read, or when a log was started before.
pub fn init(log: &Log, on_terminal: bool) -> Result<(), LoggingError> {
    subscriber(log, on_terminal, std::io::stderr)?.try_init()?;
    Ok(())
}

/// The log onto any writer; `init` and tests use it.
///
/// # Errors
///
/// When the filter cannot be read.
pub fn subscriber<W>(
    log: &Log,
    on_terminal: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&log.filter)?
        .and(filter::filter_fn(may_be_logged));
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(LineWriter(writer));
    let text = match log.format {
        Some(LogFormat::Text) => true,
        Some(LogFormat::Json) => false,
        None => on_terminal,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if text {
        layer.fmt_fields(TextFields).boxed()
    } else {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed()
    };
    Ok(Box::new(
        tracing_subscriber::registry().with(layer.with_filter(filter)),
    ))
}

/// Modules of other people that print headers, statements or mail dialogs below `info`.
const TALKATIVE: [&str; 11] = [
    "actix_http",
    "actix_web",
    "diesel",
    "diesel_async",
    "hyper",
    "hyper_util",
    "lettre",
    "postgres_protocol",
    "reqwest",
    "rustls",
    "tokio_postgres",
];

/// Tells at `info` how it works inside, which is no news of the server.
const INWARD: &str = "actix_server";

/// Whether an event may be logged at all: what the filter asks for cannot open this.
fn may_be_logged(event: &Metadata<'_>) -> bool {
    let module = event.target().split("::").next().unwrap_or_default();
    let least = match module {
        INWARD => LevelFilter::WARN,
        module if TALKATIVE.contains(&module) => LevelFilter::INFO,
        _ => LevelFilter::TRACE,
    };
    *event.level() <= least
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io::{self, Write};
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(
        filter: &str,
        format: Option<LogFormat>,
        on_terminal: bool,
        act: impl FnOnce(),
    ) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let log = Log {
            filter: filter.to_owned(),
            format,
        };
        let subscriber = subscriber(&log, on_terminal, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = memory.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str =
        "eve\r\n2030-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{9b}2J\u{2028}\u{202e}x\u{7f}";

    fn hostile_event() {
        let span = tracing::info_span!("request", realm = %HOSTILE);
        let _entered = span.enter();
        let error = io::Error::other(HOSTILE);
        tracing::info!(
            shown = %HOSTILE, debugged = ?HOSTILE, plain = HOSTILE,
            error = &error as &dyn std::error::Error, "{HOSTILE}",
        );
    }

    #[test]
    fn a_hostile_value_stays_within_its_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged("info", Some(format), false, hostile_event);
            assert_eq!(text.lines().count(), 1, "{format:?}: {text}");
            let line = text.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(char::is_control), "{format:?}: {line:?}");
            assert!(!line.contains(['\u{2028}', '\u{202e}']), "{format:?}");
        }
    }

    #[test]
    fn json_lines_stay_json_and_say_what_was_said() {
        let text = logged("info", Some(LogFormat::Json), true, hostile_event);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], HOSTILE);
        assert_eq!(line["shown"], HOSTILE);
        assert_eq!(line["plain"], HOSTILE);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["realm"], HOSTILE);
    }

    #[test]
    fn times_are_utc_in_rfc_3339() {
        let text = logged("info", Some(LogFormat::Json), false, || {
            tracing::info!("x");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let time = line["timestamp"].as_str().unwrap();
        assert_eq!((time.len(), &time[10..11], &time[26..]), (27, "T", "Z"));
    }

    #[test]
    fn a_text_field_cannot_be_taken_for_another() {
        let text = logged("info", Some(LogFormat::Text), false, || {
            tracing::info!(realm = %"demo outcome=success", count = 3, "signed in");
        });
        assert!(
            text.ends_with("signed in realm=\"demo outcome=success\" count=3\n"),
            "{text}"
        );
    }

    #[test]
    fn the_form_is_text_on_a_terminal_and_json_elsewhere() {
        let event = || tracing::info!("ready");
        assert!(logged("info", None, false, event).starts_with('{'));
        assert!(!logged("info", None, true, event).starts_with('{'));
    }

    #[test]
    fn the_filter_decides() {
        let events = || {
            tracing::debug!("detail");
            tracing::warn!("trouble");
        };
        let text = logged("warn", Some(LogFormat::Text), false, events);
        assert!(
            text.contains("trouble") && !text.contains("detail"),
            "{text}"
        );
    }

    #[test]
    fn what_the_http_library_does_inside_is_no_news() {
        let text = logged("info", Some(LogFormat::Text), false, || {
            tracing::info!(target: "actix_server::server", "Tokio runtime found");
            tracing::warn!(target: "actix_server::accept", "too many files");
            tracing::info!("serving");
        });
        assert!(!text.contains("Tokio"), "{text}");
        assert!(
            text.contains("too many") && text.contains("serving"),
            "{text}"
        );
    }

    #[test]
    fn no_filter_opens_a_module_that_prints_requests() {
        let text = logged("trace,lettre=trace", Some(LogFormat::Text), false, || {
            tracing::debug!(target: "lettre::transport::smtp", "AUTH PLAIN secret");
            tracing::trace!(target: "actix_http::h1", "cookie: secret");
            tracing::warn!(target: "lettre::transport::smtp", "no answer");
        });
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("no answer"), "{text}");
    }
}
