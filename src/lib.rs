//! Vestibule: a standalone OpenID Connect / OAuth 2 identity provider.
pub mod kernel;
pub mod store;
pub mod realm;
pub mod role;
pub mod scope;
pub mod client;
