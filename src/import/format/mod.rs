//! The files that an import reads: which format it is, and its rows one by one.
//!
//! Nothing here holds more than one row of a file in memory. What is wrong with a row is a [`Problem`] of that row;
//! what is wrong with the file as a whole is a [`FileError`] and ends the import where it stands.

mod csv;
mod elements;
mod inflate;
mod lines;

use std::io::{BufRead, BufReader, Read};

use super::draft::{Draft, Problem};

/// How much of a file is looked at to tell its format.
const HEAD: usize = 64 * 1024;
/// The longest row, in bytes: a quote or bracket left open must not take the machine's memory.
const LONGEST_ROW: usize = 4 * 1024 * 1024;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header row.
    Csv,
    /// One `UserRepresentation` a line.
    Ndjson,
    /// Keycloak's realm file or a `*-users-N.json` of its export to a directory.
    Keycloak,
    /// The array that Auth0's bulk import takes.
    Auth0,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Ndjson, Self::Keycloak, Self::Auth0];

    /// Its word on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Keycloak => "keycloak",
            Self::Auth0 => "auth0",
        }
    }

    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The bytes do not come.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes make no sense as that format.
    #[error("{0}")]
    Format(String),
}

impl FileError {
    fn format(text: impl Into<String>) -> Self {
        Self::Format(text.into())
    }
}

/// A row as it was read.
pub struct Row {
    /// The physical line where it starts, from 1.
    pub line: u64,
    /// About how many bytes it has.
    pub bytes: usize,
    /// Who it is about.
    pub draft: Result<Draft, Problem>,
}

/// The rows of a file, one by one.
pub trait Rows: Send {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read on.
    fn next(&mut self) -> Result<Option<Row>, FileError>;
}

/// Opens a file: unpacks it where it is gzip, tells its format where none is given.
///
/// # Errors
/// It cannot be read, or it is of no format that is known.
pub fn open(
    input: impl Read + Send + 'static,
    format: Option<Format>,
) -> Result<(Format, Box<dyn Rows>), FileError> {
    let mut input = inflate::unpacked(Box::new(input))?;
    let mut head = Vec::new();
    input.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(FileError::format(
            "the file is UTF-16: save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\") and import it again",
        ));
    }
    if head.starts_with(&[0xef, 0xbb, 0xbf]) {
        head.drain(..3);
    }
    let format = match format {
        Some(format) => format,
        None => guess(&head)?,
    };
    let input: Input =
        BufReader::with_capacity(HEAD, Box::new(std::io::Cursor::new(head).chain(input)));
    let rows: Box<dyn Rows> = match format {
        Format::Csv => Box::new(csv::CsvRows::open(input)?),
        Format::Ndjson => Box::new(lines::LineRows::new(input)),
        Format::Keycloak => Box::new(elements::ElementRows::open(
            input,
            Some("users"),
            super::keycloak::of_export,
        )?),
        Format::Auth0 => Box::new(elements::ElementRows::open(
            input,
            None,
            super::auth0::read,
        )?),
    };
    Ok((format, rows))
}

type Input = BufReader<Box<dyn Read + Send>>;

/// Tells the format from the first bytes of a file.
fn guess(head: &[u8]) -> Result<Format, FileError> {
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(match first {
        None => return Err(FileError::format("the file is empty")),
        Some(b'[') => Format::Auth0,
        Some(b'{') => {
            // A whole person on the first line is NDJSON; Keycloak's files have the people deeper inside.
            let line = head
                .split(|byte| *byte == b'\n')
                .find(|line| !line.trim_ascii().is_empty())
                .unwrap_or_default();
            let person = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
                .is_ok_and(|object| {
                    !object.contains_key("users")
                        && (object.contains_key("username") || object.contains_key("email"))
                });
            if person {
                Format::Ndjson
            } else {
                Format::Keycloak
            }
        }
        Some(_) => Format::Csv,
    })
}

/// Reads one line without its end; `None` at the end of the file.
fn read_line(
    input: &mut impl BufRead,
    into: &mut Vec<u8>,
    line: u64,
) -> Result<Option<()>, FileError> {
    into.clear();
    let read = input
        .by_ref()
        .take(LONGEST_ROW as u64 + 1)
        .read_until(b'\n', into)?;
    if read == 0 {
        return Ok(None);
    }
    if into.len() > LONGEST_ROW {
        return Err(too_long(line));
    }
    if into.last() == Some(&b'\n') {
        into.pop();
    }
    Ok(Some(()))
}

fn too_long(line: u64) -> FileError {
    FileError::format(format!(
        "the row that starts at line {line} is longer than {} MiB: is a quote or a bracket left open there?",
        LONGEST_ROW / (1024 * 1024)
    ))
}

#[cfg(test)]
mod tests;
