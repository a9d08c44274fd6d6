//! The admin REST API.
pub mod ask;
pub mod call;
pub mod caller;
pub mod error;
pub mod json;
pub mod powers;
pub mod representation;
pub mod composites;
pub mod roles;
pub mod users;
