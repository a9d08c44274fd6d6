//! Operating the server: its commands, limits, start and stop, and what it cleans up. Most of it through the real
//! binary, as an operator meets it.

mod bad_connections;
mod cleaning;
mod commands;
mod crash;
mod doctor;
mod flood;
mod guide;
mod lifecycle;
mod limits;
mod master_key;
mod nodes;
pub mod process;
mod restore;
mod slowness;
mod starting;
