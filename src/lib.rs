//! Vestibule: a standalone OpenID Connect / OAuth 2 identity provider.
pub mod action;
pub mod client;
pub mod kernel;
pub mod realm;
pub mod role;
pub mod scope;
pub mod session;
pub mod store;
pub mod user;
