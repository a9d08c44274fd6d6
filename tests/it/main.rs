//! The one integration binary: everything through HTTP, on both databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod architecture;
mod operations;
mod support {
    pub mod chromium;
    pub mod html;
    pub mod own_tests;
    pub mod peers;
    pub mod services;
}
