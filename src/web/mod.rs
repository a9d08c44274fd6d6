//! The web below the protocols: pages, texts, cookies, headers, client addresses.

pub mod client_ip;
pub mod cookie;
pub mod headers;
pub mod intake;
pub mod outbound;
pub mod pages;
pub mod request_log;
pub mod spreadsheet;
pub mod texts;
pub mod tls;
pub mod wire;
