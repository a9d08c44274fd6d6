//! The protocol engine: OpenID Connect and OAuth 2.0 for a realm.

pub mod bearer;
pub mod catalog;
mod client_auth;
pub mod code;
pub mod context;
mod cors;
pub mod discovery;
pub mod engine;
pub mod error;
pub mod form;
pub mod grant;
pub mod introspect;
pub mod issue;
pub mod provision;
pub mod revoke;
pub mod scope;
pub mod sso;
pub mod token;
pub mod userinfo;

pub use client_auth::secret_digest;
