//! What commands print: data on stdout, for people or as JSON.

use std::io::Write as _;

use serde::Serialize;

use super::Failure;
use crate::demo::table;

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
    lines
        .iter()
        .try_for_each(|line| writeln!(out, "{}", line.as_ref()))
        .and_then(|()| out.flush())
        .map_err(Failure::failed)
}

/// Prints a table.
pub(super) fn rows<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    table::print(&mut out, header, rows)
        .and_then(|()| out.flush())
        .map_err(Failure::failed)
}
