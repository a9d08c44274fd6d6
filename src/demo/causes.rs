//! Writes an error out together with its causes, which libraries leave to `source()`.

use std::error::Error;

/// `what failed: because: because`.
pub(super) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
