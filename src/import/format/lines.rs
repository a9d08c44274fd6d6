//! NDJSON: one `UserRepresentation` a line.

use std::io::BufRead;

use super::{FileError, Row, Rows, read_line};
use crate::import::draft::Problem;
use crate::import::keycloak;

pub(super) struct LineRows<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> LineRows<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            line: 0,
            buffer: Vec::new(),
        }
    }
}

impl<R: BufRead + Send> Rows for LineRows<R> {
    fn next(&mut self) -> Result<Option<Row>, FileError> {
        loop {
            self.line = self.line.saturating_add(1);
            if read_line(&mut self.input, &mut self.buffer, self.line)?.is_none() {
                return Ok(None);
            }
            let text = self.buffer.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let draft = serde_json::from_slice(text)
                .map_err(|error| Problem::json(&error))
                .and_then(keycloak::read);
            return Ok(Some(Row {
                line: self.line,
                bytes: text.len(),
                draft,
            }));
        }
    }
}
