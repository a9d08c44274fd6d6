//! Vestibule: a standalone OpenID Connect / OAuth 2 identity provider.
pub mod action;
pub mod client;
pub mod flow;
pub mod kernel;
pub mod login;
pub mod mail;
pub mod oidc;
pub mod password;
pub mod realm;
pub mod role;
pub mod scope;
pub mod session;
pub mod store;
pub mod user;
pub mod web;
