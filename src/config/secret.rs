//! A secret that came from the configuration. Owned by `config`; read by whoever opens the
//! connection or stores the digest. Invariant: it cannot be printed by accident.

use zeroize::Zeroizing;

/// A secret text: wiped from memory when dropped, without `Debug`, `Display` or `Serialize`.
///
/// ```
/// let secret = vestibule::config::Secret::new("hunter2");
/// assert_eq!(format!("{:?}", secret.expose()), "\"hunter2\"");
/// ```
///
/// The same without [`expose`](Secret::expose) does not compile:
///
/// ```compile_fail
/// let secret = vestibule::config::Secret::new("hunter2");
/// assert_eq!(format!("{:?}", secret), "\"hunter2\"");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text that must not be printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one call that needs it. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
