//! Reading and judging rows, and handing them on in chunks, on a thread of its own.

use tokio::sync::mpsc;

use super::check::{NewPassword, Rules};
use super::draft::Problem;
use super::format::{self, FileError, Format, Rows};
use super::plan::{Item, Refusal};
use super::run::Source;

/// The most rows of a chunk.
const CHUNK_ROWS: usize = 1000;
/// The most plain passwords of a chunk: each costs an Argon2, and a chunk should not take minutes.
const CHUNK_PASSWORDS: usize = 100;
/// About how many bytes of the file a chunk has at most.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// Rows that are committed together.
pub(super) struct Chunk {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) items: Vec<Item>,
}

/// Reads and judges rows, and hands them on in chunks; one ends where the marker stands.
pub(super) fn produce(
    source: &dyn Source,
    format: Format,
    rules: &Rules,
    done: i64,
    to: &mpsc::Sender<Result<Chunk, FileError>>,
) {
    let opened = source
        .open()
        .and_then(|input| format::open(input, Some(format)));
    let result = opened.and_then(|(_, rows)| produce_from(rows, rules, done, to));
    if let Err(error) = result {
        // Nobody listens any more where the work was stopped.
        let _ = to.blocking_send(Err(error));
    }
}

fn produce_from(
    mut rows: Box<dyn Rows>,
    rules: &Rules,
    done: i64,
    to: &mpsc::Sender<Result<Chunk, FileError>>,
) -> Result<(), FileError> {
    let mut number: i64 = 0;
    let mut ended = Ok(());
    loop {
        let mut chunk = Chunk {
            first: number.saturating_add(1),
            last: number,
            items: Vec::new(),
        };
        let (mut bytes, mut passwords) = (0_usize, 0_usize);
        while chunk.items.len() < CHUNK_ROWS
            && bytes < CHUNK_BYTES
            && passwords < CHUNK_PASSWORDS
            && (number != done || chunk.items.is_empty())
        {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // What came before it is good.
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            };
            number = number.saturating_add(1);
            bytes = bytes.saturating_add(row.bytes);
            let person =
                row.draft
                    .map_err(Refusal::Reject)
                    .and_then(|draft| match draft.passed_over {
                        Some(reason) => Err(Refusal::Skip(Problem::row(reason), None)),
                        None => rules.judge(draft).map(Box::new).map_err(Refusal::Reject),
                    });
            let is_plain = person
                .as_ref()
                .is_ok_and(|person| matches!(person.password, NewPassword::Plain { .. }));
            passwords = passwords.saturating_add(usize::from(is_plain));
            chunk.items.push(Item {
                number,
                line: row.line,
                person,
            });
        }
        if chunk.items.is_empty() {
            return ended;
        }
        chunk.last = number;
        if to.blocking_send(Ok(chunk)).is_err() || ended.is_err() {
            return ended;
        }
    }
}
