//! The web below the protocols: pages, texts, cookies, headers, client addresses.

pub mod client_ip;
pub mod cookie;
pub mod headers;
pub mod pages;
pub mod texts;
pub mod tls;
