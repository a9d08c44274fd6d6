//! CSV with a header row (RFC 4180; UTF-8 with or without BOM).

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};
use parking_lot::Mutex;

use super::{FileError, LONGEST_ROW, Row, Rows};
use crate::import::draft::{Draft, Problem, Secret};

/// The columns that there are; `attribute.<name>` beside them.
const COLUMNS: [&str; 14] = [
    "id",
    "username",
    "email",
    "emailVerified",
    "firstName",
    "lastName",
    "enabled",
    "locale",
    "groups",
    "roles",
    "requiredActions",
    "password",
    "passwordHash",
    "temporary",
];
/// What a column of an attribute starts with.
const ATTRIBUTE: &str = "attribute.";
/// The most columns.
const MOST_COLUMNS: usize = 1000;
/// The longest value of a cell, in bytes.
const LONGEST_CELL: usize = 64 * 1024;

pub(super) struct CsvRows<R> {
    reader: csv::Reader<Bounded<R>>,
    window: Arc<Mutex<Window>>,
    columns: Vec<String>,
    record: ByteRecord,
}

/// Ends the file where one row takes more than its share, and remembers the bytes of the row at hand.
struct Bounded<R> {
    inner: R,
    window: Arc<Mutex<Window>>,
}

/// The bytes that were read and whose rows have not all been handed on.
#[derive(Default)]
struct Window {
    bytes: VecDeque<u8>,
    /// Where in the file they begin.
    start: u64,
}

impl Window {
    /// Lets go of what lies before the row that starts at `start`; answers how many line ends stand before its first
    /// character. The parser counts the end of the row before, and empty lines, to the row that follows.
    fn line_ends(&mut self, start: u64) -> u64 {
        let passed = usize::try_from(start.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.drain(..passed.min(self.bytes.len()));
        self.start = start;
        let ends = self
            .bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .filter(|byte| **byte == b'\n');
        ends.count() as u64
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        let mut window = self.window.lock();
        window.bytes.extend(into.iter().take(read));
        if window.bytes.len() > LONGEST_ROW {
            return Err(std::io::Error::other("a row is too long"));
        }
        Ok(read)
    }
}

impl<R: BufRead> CsvRows<R> {
    /// Reads the header row.
    pub(super) fn open(input: R) -> Result<Self, FileError> {
        let window = Arc::new(Mutex::new(Window::default()));
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(64 * 1024)
            .from_reader(Bounded {
                inner: input,
                window: Arc::clone(&window),
            });
        let mut record = ByteRecord::new();
        if !reader
            .read_byte_record(&mut record)
            .map_err(|error| failed(&error, 1))?
        {
            return Err(FileError::format("the file is empty"));
        }
        let columns = columns(&record)?;
        Ok(Self {
            reader,
            window,
            columns,
            record,
        })
    }
}

/// The columns that a header row names.
fn columns(header: &ByteRecord) -> Result<Vec<String>, FileError> {
    if header.len() > MOST_COLUMNS {
        return Err(FileError::format(format!(
            "the header row has {} columns, and there may be {MOST_COLUMNS}",
            header.len()
        )));
    }
    let mut columns: Vec<String> = Vec::new();
    for cell in header {
        let name = std::str::from_utf8(cell)
            .map_err(|_| FileError::format("the header row is not UTF-8: save the file as UTF-8"))?
            .trim();
        let attribute = name
            .strip_prefix(ATTRIBUTE)
            .is_some_and(|attribute| !attribute.is_empty());
        let column = COLUMNS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map(|known| (*known).to_owned())
            .or_else(|| attribute.then(|| name.to_owned()))
            .ok_or_else(|| unknown(name, header.len()))?;
        if columns.contains(&column) {
            return Err(FileError::format(format!(
                "the header row names the column {column:?} twice"
            )));
        }
        columns.push(column);
    }
    if !columns
        .iter()
        .any(|column| column == "username" || column == "email")
    {
        return Err(FileError::format(
            "the header row names neither `username` nor `email`",
        ));
    }
    Ok(columns)
}

fn unknown(name: &str, columns: usize) -> FileError {
    let shown: String = name.chars().take(64).collect();
    if columns == 1 && name.contains([';', '\t']) {
        return FileError::format(
            "the header row is one column: separate columns by commas (`username,email`), not by semicolons or tabs",
        );
    }
    let nearest = COLUMNS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, &shown), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| format!(" (is it `{known}`?)"))
        .unwrap_or_default();
    FileError::format(format!(
        "the header row names a column {shown:?} that is not known{nearest}. Columns: {}, attribute.<name>",
        COLUMNS.join(", ")
    ))
}

fn failed(error: &csv::Error, line: u64) -> FileError {
    match error.kind() {
        csv::ErrorKind::Io(cause) if cause.to_string() == "a row is too long" => {
            super::too_long(line)
        }
        csv::ErrorKind::Io(cause) => {
            FileError::Io(std::io::Error::new(cause.kind(), cause.to_string()))
        }
        _ => FileError::format(format!("the CSV makes no sense at line {line}")),
    }
}

impl<R: BufRead + Send> Rows for CsvRows<R> {
    fn next(&mut self) -> Result<Option<Row>, FileError> {
        let position = self.reader.position().clone();
        let line_of = |window: &Mutex<Window>| {
            let ends = window.lock().line_ends(position.byte());
            position.line().saturating_add(ends)
        };
        let before = line_of(&self.window);
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| failed(&error, before))?;
        if !more {
            return Ok(None);
        }
        Ok(Some(Row {
            // Asked anew: before, not all of the line ends may have been read.
            line: line_of(&self.window),
            bytes: self.record.as_slice().len(),
            draft: read(&self.columns, &self.record),
        }))
    }
}

fn read(columns: &[String], record: &ByteRecord) -> Result<Draft, Problem> {
    if record.len() != columns.len() {
        return Err(Problem::row(format!(
            "the row has {} columns and the header row {}",
            record.len(),
            columns.len()
        )));
    }
    let mut draft = Draft::default();
    let mut password = "";
    let mut hash = "";
    let mut temporary = None;
    for (column, cell) in columns.iter().zip(record) {
        if cell.len() > LONGEST_CELL {
            return Err(Problem::of(column, "is longer than 64 KiB"));
        }
        let cell = std::str::from_utf8(cell)
            .map_err(|_| Problem::of(column, "is not UTF-8: save the file as UTF-8"))?;
        let text = cell.trim();
        match column.as_str() {
            // A password is what it is, spaces included.
            "password" => password = cell,
            "passwordHash" => hash = text,
            "temporary" => temporary = flag(column, text)?,
            _ => set(&mut draft, column, text)?,
        }
    }
    draft.secret = match (password.is_empty(), hash.is_empty()) {
        (true, true) => Secret::None,
        (false, true) => Secret::plain(password, temporary),
        (true, false) => Secret::Hash {
            text: hash.to_owned(),
            temporary: temporary.unwrap_or(false),
        },
        (false, false) => {
            return Err(Problem::of(
                "passwordHash",
                "is given beside `password`; a row has one of them",
            ));
        }
    };
    if temporary == Some(true) && matches!(draft.secret, Secret::None) {
        return Err(Problem::of("temporary", "is set, and there is no password"));
    }
    Ok(draft)
}

fn set(draft: &mut Draft, column: &str, text: &str) -> Result<(), Problem> {
    let owned = || Some(text.to_owned()).filter(|text| !text.is_empty());
    match column {
        "id" => draft.id = owned(),
        "username" => draft.username = owned(),
        "email" => draft.email = owned(),
        "emailVerified" => draft.email_verified = flag(column, text)?,
        "firstName" => draft.first_name = owned(),
        "lastName" => draft.last_name = owned(),
        "enabled" => draft.enabled = flag(column, text)?,
        "locale" => draft.attribute("locale", owned().into_iter().collect()),
        "groups" => draft.groups = list(text),
        "roles" => draft.roles = list(text).iter().map(|name| name.as_str().into()).collect(),
        "requiredActions" => draft.required_actions = list(text),
        _ => {
            let name = column.strip_prefix(ATTRIBUTE).unwrap_or(column);
            draft.attribute(name, list(text));
        }
    }
    Ok(())
}

/// A list separated by `|`.
fn list(text: &str) -> Vec<String> {
    text.split('|')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

fn flag(column: &str, text: &str) -> Result<Option<bool>, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(Problem::of(column, "is neither `true` nor `false`")),
    }
}
