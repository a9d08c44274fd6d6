//! The one integration binary: everything through HTTP, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod administration;
mod architecture;
mod bulk;
mod gate;
mod import;
mod link;
mod mail;
mod operations;
mod protocol;
mod store;
mod tour;
/// The words that tests are written in. Not each of them is in use at all times.
#[allow(dead_code)]
mod support {
    pub mod answer;
    pub mod app;
    pub mod arrival;
    pub mod browser;
    pub mod chromium;
    pub mod database;
    pub mod dice;
    pub mod html;
    pub mod mail_peer;
    pub mod mailbox;
    pub mod oracle;
    pub mod own_tests;
    pub mod peers;
    pub mod people;
    pub mod rp;
    pub mod seed;
    pub mod services;
    pub mod sink;
    pub mod terminal;
}
