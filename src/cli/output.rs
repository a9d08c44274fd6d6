//! What commands print: data on stdout, for people or as JSON, and words to the person at the terminal on stderr.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use super::Failure;
use crate::demo::table;

/// Says something on stderr; on a terminal no line is broken inside a word.
#[expect(
    clippy::print_stderr,
    reason = "the command line's own words to the person at the terminal"
)]
pub(super) fn say(text: &str) {
    if std::io::stderr().is_terminal() {
        let (_, columns) = console::Term::stderr().size();
        eprintln!("{}", fitted(text, usize::from(columns)));
    } else {
        eprintln!("{text}");
    }
}

/// The text with its long lines broken between words. Lines that are indented are commands or quoted mails: whoever
/// copies one wants it whole.
fn fitted(text: &str, columns: usize) -> String {
    let fit = |line: &str| {
        if line.starts_with(' ') {
            return line.to_owned();
        }
        let mut fitted = String::new();
        let mut length = 0_usize;
        for word in line.split(' ') {
            let letters = word.chars().count();
            if length == 0 {
                length = letters;
            } else if length.saturating_add(letters) < columns {
                fitted.push(' ');
                length = length.saturating_add(letters).saturating_add(1);
            } else {
                fitted.push('\n');
                length = letters;
            }
            fitted.push_str(word);
        }
        fitted
    };
    text.split('\n').map(fit).collect::<Vec<_>>().join("\n")
}

/// The switch that every command with data to print has.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Format {
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    lines(&[text])
}

/// Prints lines.
pub(super) fn lines(lines: &[impl AsRef<str>]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", line.as_ref()))
        .and_then(|()| out.flush())
        .map_err(Failure::failed)
}

/// Prints text that people read: on a terminal no line is broken inside a word.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() {
        let (_, columns) = console::Term::stdout().size();
        lines(&[fitted(text, usize::from(columns))])
    } else {
        lines(&[text])
    }
}

/// Asks on stderr, and reads the answer from stdin: whether it is a yes.
pub(super) fn agreed(question: &str) -> Result<bool, Failure> {
    let (_, columns) = console::Term::stderr().size();
    let mut err = std::io::stderr().lock();
    write!(err, "{} ", fitted(question, usize::from(columns)))
        .and_then(|()| err.flush())
        .map_err(Failure::failed)?;
    drop(err);
    let mut answer = String::new();
    let read = std::io::stdin()
        .read_line(&mut answer)
        .map_err(Failure::failed)?;
    if read == 0 {
        // Ctrl-D leaves the cursor after the question.
        say("");
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Prints a table.
pub(super) fn rows<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    table::print(&mut out, header, rows)
        .and_then(|()| out.flush())
        .map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_commands_are_not() {
        assert_eq!(fitted("one two three", 8), "one two\nthree");
        assert_eq!(fitted("one two three", 7), "one two\nthree");
        assert_eq!(fitted("one two three", 80), "one two three");
        assert_eq!(
            fitted("a-word-longer-than-that x", 5),
            "a-word-longer-than-that\nx"
        );
        assert_eq!(fitted("a b\n\n  c d e f", 3), "a b\n\n  c d e f");
        assert_eq!(fitted("", 80), "");
    }
}
