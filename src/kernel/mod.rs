//! The thin kernel: the only ambient time and randomness, identifiers, digests, sealed secrets.
//!
//! Everything else receives a [`Clock`] and an [`Entropy`] as arguments, so that tests can move time and
//! nothing reaches for the operating system behind a function's back.

mod clock;
mod entropy;
mod id;
pub mod seal;
pub mod typed_code;

pub use clock::{Clock, Timestamp};
pub use entropy::{Entropy, sha256, sha256_base64};
pub(crate) use id::text_newtype;
pub use id::{
    ClientScopeId, ClientUuid, CredentialId, GroupId, ImportId, RealmId, RoleId, SessionId, UserId,
};
