//! The protocol engine: OpenID Connect and OAuth 2.0 for a realm.

pub mod authorize;
pub mod bearer;
pub mod catalog;
mod client_auth;
pub mod code;
pub mod consent;
pub mod context;
mod cors;
pub mod discovery;
pub mod engine;
pub mod error;
pub mod form;
pub mod grant;
pub mod introspect;
pub mod issue;
pub mod logout;
mod mailed_code;
mod new_password;
pub mod next;
pub mod notices;
pub mod provision;
pub mod reseal;
pub mod revoke;
pub mod routes;
pub mod scope;
mod screens;
pub mod show;
pub mod sso;
pub mod steps;
mod submit;
mod texts;
pub mod token;
pub mod userinfo;

pub use client_auth::secret_digest;
