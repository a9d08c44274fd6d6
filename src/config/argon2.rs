//! The cost of a password digest. Read by the hasher. Invariant: never below the floor, whatever
//! is configured.

use super::settings::{ARGON2, ARGON2_PERMITS};
use super::sources::{Reported, Sources};
use std::num::NonZeroUsize;

/// The parameters of Argon2id for new digests, and how many are computed at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argon2 {
    /// The cost of one digest.
    pub params: HasherParams,
    /// Digests at the same time; `None` means one per core, see [`Argon2::permits`].
    pub permits: Option<usize>,
}

/// The cost of one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HasherParams {
    /// Memory in KiB (`m`).
    pub memory_kib: u32,
    /// Passes over the memory (`t`).
    pub passes: u32,
    /// Lanes (`p`).
    pub lanes: u32,
}

/// The least and the default: OWASP's first recommendation for Argon2id.
pub const FLOOR: HasherParams = HasherParams {
    memory_kib: 19_456,
    passes: 2,
    lanes: 1,
};

/// The most: a sign-in that takes more would be a mistake in the configuration.
const CEILING: HasherParams = HasherParams {
    memory_kib: 4 * 1024 * 1024,
    passes: 100,
    lanes: 64,
};

impl Argon2 {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let params = sources.read(&ARGON2, parse);
        let permits = sources.number(&ARGON2_PERMITS, 1024);
        Ok(Self {
            params: params?.unwrap_or(FLOOR),
            permits: permits?,
        })
    }

    /// Digests at the same time: what is configured, or one per core of this machine.
    pub fn permits(&self) -> usize {
        self.permits
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

fn parse(text: &str) -> Result<HasherParams, String> {
    let (mut memory_kib, mut passes, mut lanes) = (None, None, None);
    for part in text.split(',') {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| format!("`{}` is not `name=number`", part.escape_debug()))?;
        let name = name.trim();
        let (slot, floor, ceiling) = match name {
            "m" => (&mut memory_kib, FLOOR.memory_kib, CEILING.memory_kib),
            "t" => (&mut passes, FLOOR.passes, CEILING.passes),
            "p" => (&mut lanes, FLOOR.lanes, CEILING.lanes),
            _ => {
                return Err(format!(
                    "`{}` is none of `m`, `t`, `p`",
                    name.escape_debug()
                ));
            }
        };
        let number: u32 = value
            .trim()
            .parse()
            .map_err(|_| format!("`{name}` is not a whole number"))?;
        if !(floor..=ceiling).contains(&number) {
            return Err(format!(
                "`{name}` is {number}, and must be from {floor} to {ceiling}"
            ));
        }
        if slot.replace(number).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    match (memory_kib, passes, lanes) {
        (Some(memory_kib), Some(passes), Some(lanes)) => Ok(HasherParams {
            memory_kib,
            passes,
            lanes,
        }),
        _ => Err("one of `m`, `t`, `p` is not there".to_owned()),
    }
}
