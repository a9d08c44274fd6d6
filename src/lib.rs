//! Vestibule: a standalone OpenID Connect / OAuth 2 identity provider.
pub mod kernel;
pub mod store;
