//! The web below the protocols: pages, texts, client addresses.

pub mod client_ip;
pub mod pages;
pub mod texts;
