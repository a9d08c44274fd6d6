//! Operating the server: its commands, limits, start and stop, and what it cleans up. Most of it through the real
//! binary, as an operator meets it.

mod cleaning;
mod commands;
mod doctor;
mod lifecycle;
mod limits;
mod master_key;
mod nodes;
pub mod process;
mod slowness;
