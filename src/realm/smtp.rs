//! The password by which a realm signs in to its mail server: sealed among the settings, opened by who sends mail.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId};
use crate::store::{StoreError, corrupt};

/// Says that what follows is sealed.
const SEALED: &str = "sealed:";

/// Where the sealed password lies.
fn place(realm: &RealmId) -> String {
    format!("realms/settings.smtpServer.password/{realm}/{realm}")
}

/// The password in the form in which it is stored.
///
/// # Errors
/// The master key fails.
pub fn seal(
    keyring: &Keyring,
    entropy: &Entropy,
    realm: &RealmId,
    password: &str,
) -> Result<String, StoreError> {
    let fill = |out: &mut [u8]| entropy.fill(out);
    let sealed = keyring
        .seal(password.as_bytes(), &place(realm), &fill)
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    Ok(format!("{SEALED}{}", STANDARD_NO_PAD.encode(sealed)))
}

/// The password in plain, if there is one.
///
/// # Errors
/// The stored text is not what [`seal`] made, or the master key does not open it.
pub fn open(
    keyring: &Keyring,
    realm: &RealmId,
    smtp_server: &BTreeMap<String, Value>,
) -> Result<Option<String>, StoreError> {
    let Some(stored) = smtp_server.get("password").and_then(Value::as_str) else {
        return Ok(None);
    };
    let sealed = stored
        .strip_prefix(SEALED)
        .and_then(|text| STANDARD_NO_PAD.decode(text).ok())
        .ok_or_else(|| {
            corrupt(
                "realms",
                "settings",
                realm,
                "the mail password is not sealed",
            )
        })?;
    let opened = keyring
        .open(&sealed, &place(realm))
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    Ok(Some(String::from_utf8_lossy(&opened).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::seal::MasterKey;

    #[test]
    fn a_password_opens_in_its_realm_alone() {
        let entropy = Entropy;
        let fill = |out: &mut [u8]| entropy.fill(out);
        let keyring = Keyring::new(MasterKey::generate(&fill));
        let (one, two) = (RealmId::new("one"), RealmId::new("two"));
        let sealed = seal(&keyring, &entropy, &one, "p4ss").unwrap();
        assert!(!sealed.contains("p4ss"));
        let server = BTreeMap::from([("password".to_owned(), Value::String(sealed))]);
        assert_eq!(
            open(&keyring, &one, &server).unwrap().as_deref(),
            Some("p4ss")
        );
        assert!(open(&keyring, &two, &server).is_err());
        assert!(open(&keyring, &one, &BTreeMap::new()).unwrap().is_none());
    }
}
