//! Progress of long work on stderr: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::output::say;

/// Elsewhere than on a terminal a line is printed at each such part of the whole.
const PARTS: u64 = 10;

/// How far long work has come.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    told: u64,
    begun: bool,
}

impl Progress {
    /// Begins; `what` says what is counted.
    pub(super) fn new(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template(
                "{msg} {wide_bar} {pos} of {len}  {rate} a second  {eta} left",
            );
            if let Ok(style) = style {
                let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.0}", state.per_sec());
                };
                bar.set_style(style.with_key("rate", rate));
            }
            bar.set_message(what);
            bar
        });
        Self {
            bar,
            what,
            told: 0,
            begun: false,
        }
    }

    /// Shows that `done` of `total` are done.
    #[expect(
        clippy::print_stderr,
        reason = "the command line's own words to the person at the terminal"
    )]
    pub(super) fn show(&mut self, done: i64, total: i64) {
        let (done, total) = (
            u64::try_from(done).unwrap_or(0),
            u64::try_from(total).unwrap_or(0),
        );
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                if !std::mem::replace(&mut self.begun, true) {
                    // What was done before is not this run's speed.
                    bar.reset_eta();
                }
            }
            None if total > 0 => {
                let part = done.saturating_mul(PARTS) / total;
                if part > self.told {
                    self.told = part;
                    eprintln!("{}: {done} of {total}", self.what);
                }
            }
            None => {}
        }
    }

    /// Says something beside the bar; the bar shows whether the work rests meanwhile.
    pub(super) fn say(&self, text: &str, rests: bool) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(if rests { "paused" } else { self.what });
                bar.suspend(|| say(text));
            }
            None => say(text),
        }
    }

    /// Takes the bar away, so that other words can follow.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
