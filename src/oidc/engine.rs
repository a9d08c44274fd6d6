//! What every endpoint needs: the store, the realm's configuration, the hasher, the pages.

use std::sync::Arc;

use super::catalog::Catalog;
use crate::config::Proxies;
use crate::kernel::Entropy;
use crate::kernel::seal::Keyring;
use crate::login::turnstile::Turnstile;
use crate::mail::Mailer;
use crate::password::Hasher;
use crate::store::{Store, StoreError};
use crate::web::pages::Pages;
use crate::web::texts::Texts;

/// The protocol engine's parts, shared by all workers.
pub struct Engine {
    /// The database.
    pub store: Store,
    /// Realms in memory.
    pub catalog: Catalog,
    /// The master key.
    pub keyring: Arc<Keyring>,
    /// Randomness.
    pub entropy: Entropy,
    /// The bounded pool of Argon2.
    pub hasher: Hasher,
    /// One try per name at a time.
    pub turnstile: Turnstile,
    /// The mail of this node.
    pub mailer: Mailer,
    /// The pages.
    pub pages: Pages,
    /// The texts.
    pub texts: Arc<Texts>,
    /// The only source of URLs; no slash at its end.
    pub public_url: String,
    /// Whose forwarding header is believed.
    pub proxies: Proxies,
}

impl Engine {
    /// Whether cookies are `Secure` and carry the `__Host-` prefix: everywhere but on plain http.
    pub fn secure_cookies(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The issuer of a realm.
    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.public_url)
    }

    /// Makes this process see a change of configuration at once; others see it within a second.
    ///
    /// # Errors
    /// The database fails.
    pub fn refresh_catalog(&self) -> Result<(), StoreError> {
        self.catalog.refresh(&self.store)
    }
}
