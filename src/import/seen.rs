//! Which names and ids the rows so far have taken: the first of duplicates wins.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::check::Person;

/// Names and ids by a keyed digest of 64 bits, each with the line that took it: some 50 bytes a name.
pub(super) struct Seen {
    hasher: RandomState,
    lines: HashMap<u64, u32>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            lines: HashMap::new(),
        }
    }

    /// The line that took one of the person's names before, and what it took.
    pub(super) fn earlier(&self, person: &Person) -> Option<(&'static str, u32)> {
        person
            .claims()
            .find_map(|(field, key)| Some((field, *self.lines.get(&self.digest(key))?)))
    }

    /// Notes the names of a row that was taken.
    pub(super) fn take(&mut self, person: &Person, line: u64) {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        for (_, key) in person.claims() {
            let digest = self.digest(key);
            self.lines.entry(digest).or_insert(line);
        }
    }

    fn digest(&self, key: (bool, &str)) -> u64 {
        self.hasher.hash_one(key)
    }
}
