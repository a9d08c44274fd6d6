//! `vestibule demo`: a playground in one process.
//!
//! Beside the identity provider it runs what an identity provider needs around it to be
//! seen at work: a third-party app on an origin of its own and a mailbox.

pub mod app;
mod causes;
pub mod mailbox;
mod pages;
pub mod seed;
pub mod table;
