//! Proofs of identity. A password is one; each further way is one more file.

pub mod device;
pub mod password;
pub mod turnstile;
