//! The master key's place and the first administrator. Read once at start.

use super::secret::Secret;
use super::settings::{BOOTSTRAP_ADMIN_PASSWORD, BOOTSTRAP_ADMIN_USERNAME, MASTER_KEY_FILE};
use super::sources::{Reported, Sources};
use std::path::PathBuf;

/// Keys outside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The file of the master key, see `kernel::seal`.
    pub master_key_file: PathBuf,
}

/// What is made at the first start and never looked at again.
#[derive(Clone)]
pub struct Bootstrap {
    /// The administrator to make in realm `master`. `None` makes one with a one-time secret.
    pub admin: Option<BootstrapAdmin>,
}

/// An administrator whose password the operator chose, and who is therefore not gated.
#[derive(Clone)]
pub struct BootstrapAdmin {
    /// The user name as written; the realm's rules apply when the user is made.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Keys {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let file = sources.read(&MASTER_KEY_FILE, |text| Ok(PathBuf::from(text)))?;
        Ok(Self {
            master_key_file: file.unwrap_or_else(|| "keys/master.key".into()),
        })
    }
}

impl Bootstrap {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let username = sources.read(&BOOTSTRAP_ADMIN_USERNAME, |text| {
            if text.trim().is_empty() {
                return Err("it is blank".to_owned());
            }
            Ok(text.to_owned())
        });
        let password = sources.read(&BOOTSTRAP_ADMIN_PASSWORD, |text| Ok(Secret::new(text)));
        let admin = match (username?, password?) {
            (Some(username), Some(password)) => Some(BootstrapAdmin { username, password }),
            (None, None) => None,
            (Some(_), None) => {
                let reason = "a user name is set for the first administrator";
                return Err(sources.missing(&BOOTSTRAP_ADMIN_PASSWORD, reason));
            }
            (None, Some(_)) => {
                let reason = "a password is set for the first administrator";
                return Err(sources.missing(&BOOTSTRAP_ADMIN_USERNAME, reason));
            }
        };
        Ok(Self { admin })
    }
}
