//! What commands print: data on stdout, for people or as JSON, and words to the person at the terminal on stderr.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::Failure;
use crate::demo::table;

/// Says something on stderr; on a terminal no line is broken inside a word.
#[expect(
    clippy::print_stderr,
    reason = "the command line's own words to the person at the terminal"
)]
pub(super) fn say(text: &str) {
    let text = &printable(text);
    if std::io::stderr().is_terminal() {
        let (_, columns) = console::Term::stderr().size();
        eprintln!("{}", fitted(text, usize::from(columns)));
    } else {
        eprintln!("{text}");
    }
}

/// The text with everything escaped that a terminal takes for an order or shows in another order than it is written:
/// names, files and what mail servers say are other people's words.
fn printable(text: &str) -> Cow<'_, str> {
    let odd = |c: char| {
        c != '\n'
            && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if odd(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Whoever reads may have read enough (`| head`): that is no failure.
fn printed(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(Failure::failed),
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
    let outcome = lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", printable(line.as_ref())))
        .and_then(|()| out.flush());
    printed(outcome)
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
    let shown: Vec<[String; N]> = rows
        .iter()
        .map(|row| {
            row.each_ref()
                .map(|cell| printable(cell).replace('\n', "\\n"))
        })
        .collect();
    let mut out = std::io::stdout().lock();
    printed(table::print(&mut out, header, &shown).and_then(|()| out.flush()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_words_order_a_terminal_nothing() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c"), "a\\u{1b}[31mb\\u{9b}c");
        assert_eq!(printable("x\u{202e}txt.exe\r"), "x\\u{202e}txt.exe\\u{d}");
        assert_eq!(printable("häfen\nund 桟橋"), "häfen\nund 桟橋");
    }

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
