//! Keeps one event on one line. Used by `logging` alone. tracing-subscriber escapes only the
//! control characters that drive terminals, only in messages, and no line ends; so this escapes
//! every one of them where the bytes leave, for both forms and all fields.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

/// Makes writers that take one event at each write, as tracing-subscriber's layer does.
pub(super) struct LineWriter<W>(pub(super) W);

/// Writes one event, escaped, with the line end it came with.
pub(super) struct Line<W>(W);

impl<'writer, W: MakeWriter<'writer>> MakeWriter<'writer> for LineWriter<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'writer self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = String::with_capacity(text.len() + 1);
        for character in text.chars() {
            if !disturbs(character) {
                line.push(character);
            } else {
                // Every such character is below U+10000, so this form is right in JSON as well.
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a character ends a line, drives a terminal or turns the direction of the text.
fn disturbs(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The fields of the text form: `name=value`, the value in quotes where it could be taken for
/// something else.
pub(super) struct TextFields;

impl<'writer> FormatFields<'writer> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor {
            writer,
            first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct TextVisitor<'writer> {
    writer: Writer<'writer>,
    first: bool,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn put(&mut self, name: &str, value: &str) -> fmt::Result {
        let space = if self.first { "" } else { " " };
        self.first = false;
        if name == "message" {
            return write!(self.writer, "{space}{value}");
        }
        let plain = !value.is_empty()
            && !value
                .chars()
                .any(|c| c.is_whitespace() || disturbs(c) || matches!(c, '"' | '=' | '\\'));
        if plain {
            write!(self.writer, "{space}{name}={value}")
        } else {
            write!(self.writer, "{space}{name}={value:?}")
        }
    }
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // What the `log` crate adds to its records is already in the line's target.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.put(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
