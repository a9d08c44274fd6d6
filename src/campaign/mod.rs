//! Mailings: a link to everybody of an audience, at a pace, and what became of it.
//!
//! ```text
//! scheduled → running ⇄ paused → … → reminding → done
//!      └─────────┴─────────┴────────────┴──→ cancelled
//! ```
//!
//! The audience is frozen when a mailing starts (`audience.rs`) into [`recipients`]. [`work`] hands recipients over to the outbox a few at
//! a time, each with a link and in one transaction, and reads back what became of their mails; the outbox is what
//! never mails anybody twice. Pace, pauses and quiet hours are the outbox's batch. Called by the admin API and the
//! command line.
//!
//! Invariant: a recipient is handed over in the transaction that writes their link and mail, so whatever dies when,
//! nobody is lost and nobody is handed over twice.

mod audience;
pub mod bounce;
pub mod cleaner;
pub mod deeds;
pub mod doubt;
pub mod funnel;
pub mod orders;
mod outcomes;
pub mod quiet;
pub mod recipients;
pub mod rows;
pub mod samples;
pub mod settings;
pub mod work;

pub use rows::{Campaign, State};
pub use settings::{Kind, Settings};
