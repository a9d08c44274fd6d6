//! The elements of one long JSON array, cut out one by one.
//!
//! A JSON library gives the values of a stream, but not the physical line where each of them starts, and it ends at
//! the first broken one. So the brackets are counted here, and each element is parsed by itself.

use std::io::BufRead;

use serde_json::Value;

use super::{FileError, LONGEST_ROW, Row, Rows, too_long};
use crate::import::draft::{Draft, Problem};

/// What reads an element.
pub(super) type Reader = fn(Value) -> Result<Draft, Problem>;

pub(super) struct ElementRows<R> {
    bytes: Bytes<R>,
    reader: Reader,
    first: bool,
    ended: bool,
    buffer: Vec<u8>,
}

impl<R: BufRead> ElementRows<R> {
    /// Goes to the array: the whole file, or the value of `key` in the object that the file is.
    pub(super) fn open(input: R, key: Option<&str>, reader: Reader) -> Result<Self, FileError> {
        let mut bytes = Bytes { input, line: 1 };
        let mut ended = false;
        match (bytes.next_token()?, key) {
            (Some(b'['), _) => {}
            (Some(b'{'), Some(key)) => ended = !go_to(&mut bytes, key)?,
            (Some(b'{'), None) => {
                return Err(FileError::format(
                    "the file is a JSON object, and this format is an array of people: is it `--format keycloak`?",
                ));
            }
            _ => return Err(FileError::format("the file is not JSON")),
        }
        if ended {
            return Err(FileError::format(format!(
                "the file has no {:?}: export the realm with its users, or name the file that holds them",
                key.unwrap_or_default()
            )));
        }
        Ok(Self {
            bytes,
            reader,
            first: true,
            ended: false,
            buffer: Vec::new(),
        })
    }
}

impl<R: BufRead + Send> Rows for ElementRows<R> {
    fn next(&mut self) -> Result<Option<Row>, FileError> {
        if self.ended {
            return Ok(None);
        }
        let mut token = self.bytes.next_token()?;
        let between = token == Some(b',');
        if between && !self.first {
            token = self.bytes.next_token()?;
        }
        let line = self.bytes.line;
        match token {
            Some(b']') if !between || self.first => {
                self.ended = true;
                return Ok(None);
            }
            None => {
                return Err(FileError::format(format!(
                    "the file ends at line {line} in the middle of its list"
                )));
            }
            Some(first) if self.first || between => {
                self.first = false;
                self.bytes.value(first, Some(&mut self.buffer), line)?;
            }
            Some(_) => {
                return Err(FileError::format(format!(
                    "a comma is missing before line {line}"
                )));
            }
        }
        let draft = serde_json::from_slice(&self.buffer)
            .map_err(|error| Problem::json(&error))
            .and_then(self.reader);
        Ok(Some(Row {
            line,
            bytes: self.buffer.len(),
            draft,
        }))
    }
}

/// Passes over an object's members until the array of that name; `false` where it has none.
fn go_to<R: BufRead>(bytes: &mut Bytes<R>, key: &str) -> Result<bool, FileError> {
    let odd = |line: u64| FileError::format(format!("the JSON makes no sense at line {line}"));
    let mut name = Vec::new();
    loop {
        match bytes.next_token()? {
            Some(b'"') => {}
            Some(b',') => continue,
            Some(b'}') => return Ok(false),
            _ => return Err(odd(bytes.line)),
        }
        let line = bytes.line;
        bytes.value(b'"', Some(&mut name), line)?;
        if bytes.next_token()? != Some(b':') {
            return Err(odd(bytes.line));
        }
        let Some(first) = bytes.next_token()? else {
            return Err(odd(bytes.line));
        };
        let wanted = serde_json::from_slice::<String>(&name).is_ok_and(|name| name == key);
        if wanted && first == b'[' {
            return Ok(true);
        }
        bytes.value(first, None, bytes.line)?;
    }
}

/// The bytes of a file, with the line that they are on.
struct Bytes<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Bytes<R> {
    fn peek(&mut self) -> Result<Option<u8>, FileError> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn take(&mut self, byte: u8) {
        self.input.consume(1);
        if byte == b'\n' {
            self.line = self.line.saturating_add(1);
        }
    }

    /// The next byte that is no white space, taken.
    fn next_token(&mut self) -> Result<Option<u8>, FileError> {
        while let Some(byte) = self.peek()? {
            self.take(byte);
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
        }
        Ok(None)
    }

    /// Takes the rest of a value whose first byte has been taken, into `keep` where it is wanted.
    fn value(
        &mut self,
        first: u8,
        mut keep: Option<&mut Vec<u8>>,
        start: u64,
    ) -> Result<(), FileError> {
        if let Some(keep) = keep.as_deref_mut() {
            keep.clear();
            keep.push(first);
        }
        let mut depth: usize = usize::from(matches!(first, b'{' | b'['));
        let mut quoted = first == b'"';
        let mut escaped = false;
        let scalar = depth == 0 && !quoted;
        loop {
            let block = self.input.fill_buf()?;
            if block.is_empty() {
                return if scalar {
                    Ok(())
                } else {
                    Err(FileError::format(format!(
                        "the file ends inside what starts at line {start}"
                    )))
                };
            }
            let mut used: usize = 0;
            let mut lines: u64 = 0;
            let mut done = false;
            for byte in block {
                if scalar && (matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace()) {
                    done = true;
                    break;
                }
                used = used.saturating_add(1);
                lines = lines.saturating_add(u64::from(*byte == b'\n'));
                if escaped {
                    escaped = false;
                } else if quoted {
                    match byte {
                        b'\\' => escaped = true,
                        b'"' => quoted = false,
                        _ => {}
                    }
                } else {
                    match byte {
                        b'"' => quoted = true,
                        b'{' | b'[' => depth = depth.saturating_add(1),
                        b'}' | b']' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                }
                if !scalar && depth == 0 && !quoted {
                    done = true;
                    break;
                }
            }
            if let Some(keep) = keep.as_deref_mut() {
                keep.extend(block.iter().take(used));
                if keep.len() > LONGEST_ROW {
                    return Err(too_long(start));
                }
            }
            self.line = self.line.saturating_add(lines);
            self.input.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}
