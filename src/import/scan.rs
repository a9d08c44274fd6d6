//! The first look at a file: how many rows it has, and which plain passwords too many of them share.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::check::{SHARED, Shared};
use super::draft::Secret;
use super::format::{self, FileError, Format};

/// What the first look found.
pub(super) struct Scan {
    pub(super) format: Format,
    pub(super) rows: i64,
    pub(super) shared: Shared,
}

/// Reads the file to its end. Of passwords only keyed digests are kept, and those only while the job runs.
///
/// # Errors
/// The file cannot be read at all. One that breaks off later is scanned up to there: its rows so far are good.
pub(super) fn scan(
    input: impl Read + Send + 'static,
    format: Option<Format>,
) -> Result<Scan, FileError> {
    let (format, mut rows) = format::open(input, format)?;
    let mut shared = Shared::default();
    let mut often: HashMap<u64, u8> = HashMap::new();
    let mut count: i64 = 0;
    while let Ok(Some(row)) = rows.next() {
        count = count.saturating_add(1);
        if let Ok(draft) = &row.draft
            && let Secret::Plain { password, .. } = &draft.secret
        {
            use std::hash::BuildHasher as _;
            let times = often
                .entry(shared.hasher.hash_one(password.as_str()))
                .or_default();
            *times = times.saturating_add(1);
        }
    }
    shared.digests = often
        .into_iter()
        .filter(|(_, times)| *times > SHARED)
        .map(|(digest, _)| digest)
        .collect::<HashSet<u64>>();
    Ok(Scan {
        format,
        rows: count,
        shared,
    })
}
