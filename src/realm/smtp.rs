//! The secrets by which a realm signs in to its mail server: sealed among the settings, opened by who sends mail.
//!
//! Invariant: each opens in its own realm and as its own field alone. The admin API seals them, `mail` opens them,
//! and a rotation of the master key seals them anew.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use super::Realm;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId};
use crate::store::{StoreError, corrupt};

/// The fields of an `smtpServer` that are secrets: its password, and what fetches the tokens that stand for one.
pub const SECRETS: [&str; 2] = ["password", "authTokenClientSecret"];

/// Says that what follows is sealed.
const SEALED: &str = "sealed:";

/// Where the sealed secret lies.
fn place(realm: &RealmId, field: &str) -> String {
    format!("realms/settings.smtpServer.{field}/{realm}/{realm}")
}

/// A secret in the form in which it is stored.
///
/// # Errors
/// The master key fails.
pub fn seal(
    keyring: &Keyring,
    entropy: &Entropy,
    (realm, field): (&RealmId, &str),
    secret: &str,
) -> Result<String, StoreError> {
    let fill = |out: &mut [u8]| entropy.fill(out);
    let sealed = keyring
        .seal(secret.as_bytes(), &place(realm, field), &fill)
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    Ok(format!("{SEALED}{}", STANDARD_NO_PAD.encode(sealed)))
}

/// A secret in plain, if there is one. One that is not sealed is taken as it is: it has not been stored yet.
///
/// # Errors
/// The stored text is not what [`seal`] made, or the master key does not open it.
pub fn open(
    keyring: &Keyring,
    (realm, field): (&RealmId, &str),
    smtp_server: &BTreeMap<String, Value>,
) -> Result<Option<String>, StoreError> {
    let Some(stored) = smtp_server.get(field).and_then(Value::as_str) else {
        return Ok(None);
    };
    let Some(sealed) = stored.strip_prefix(SEALED) else {
        return Ok(Some(stored.to_owned()));
    };
    let sealed = STANDARD_NO_PAD
        .decode(sealed)
        .map_err(|cause| corrupt("realms", "settings", realm, cause))?;
    let opened = keyring
        .open(&sealed, &place(realm, field))
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    let text = std::str::from_utf8(&opened)
        .map_err(|cause| corrupt("realms", "settings", realm, cause))?;
    Ok(Some(text.to_owned()))
}

/// Seals the realm's secrets anew under the ring's current key; answers how many there are.
///
/// # Errors
/// One of them opens under no key of the ring.
pub fn reseal(
    keyring: &Keyring,
    entropy: &Entropy,
    realm: &mut Realm,
) -> Result<usize, StoreError> {
    let mut count: usize = 0;
    for field in SECRETS {
        let of = (&realm.id, field);
        let settings = &mut realm.settings.smtp_server;
        if let Some(secret) = open(keyring, of, settings)? {
            let sealed = seal(keyring, entropy, of, &secret)?;
            settings.insert(field.to_owned(), Value::String(sealed));
            count = count.saturating_add(1);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::seal::MasterKey;

    #[test]
    fn a_secret_opens_in_its_realm_and_as_its_field_alone() {
        let entropy = Entropy;
        let fill = |out: &mut [u8]| entropy.fill(out);
        let keyring = Keyring::new(MasterKey::generate(&fill));
        let (one, two) = (RealmId::new("one"), RealmId::new("two"));
        let sealed = seal(&keyring, &entropy, (&one, "password"), "sealed:p4ss").unwrap();
        assert!(!sealed.contains("p4ss"));
        let server = BTreeMap::from([
            ("password".to_owned(), Value::String(sealed.clone())),
            ("authTokenClientSecret".to_owned(), Value::String(sealed)),
        ]);
        let opened = |realm, field| open(&keyring, (realm, field), &server);
        assert_eq!(
            opened(&one, "password").unwrap().as_deref(),
            Some("sealed:p4ss")
        );
        assert!(opened(&two, "password").is_err());
        assert!(opened(&one, "authTokenClientSecret").is_err());
        assert!(opened(&one, "user").unwrap().is_none());
    }
}
