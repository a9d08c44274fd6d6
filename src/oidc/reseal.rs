//! Everything in the database that is sealed or digested under the master key, done anew under another one.
//!
//! Called by `vestibule keys rotate-master` inside one transaction, with a ring whose current key is the new one. A
//! new kind of sealed value has to be added here; [`everything`] refuses to finish where it finds a value that opens
//! under no key of the ring.

use diesel::prelude::*;

use super::issue;
use super::provision::{Tools, reveal_secret, store_secret};
use crate::client;
use crate::kernel::{ClientUuid, RealmId};
use crate::link;
use crate::realm;
use crate::store::schema::{clients, outbox};
use crate::store::{StoreError, Tx, db};

/// How many values were sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resealed {
    /// Private signing keys.
    pub signing_keys: usize,
    /// Client secrets.
    pub client_secrets: usize,
    /// Passwords and client secrets for mail servers.
    pub smtp_passwords: usize,
    /// Mails that wait.
    pub mails: usize,
    /// Keys of links.
    pub link_keys: usize,
}

/// Seals everything anew.
///
/// # Errors
/// The database fails, or a value opens under none of the ring's keys.
pub fn everything(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<Resealed, StoreError> {
    let resealed = Resealed {
        signing_keys: issue::reseal(tx, tools.keyring, tools.entropy)?,
        client_secrets: client_secrets(tx, tools)?,
        smtp_passwords: smtp_passwords(tx, tools)?,
        mails: mails(tx, tools)?,
        link_keys: link::keys::reseal(tx, tools.keyring, tools.entropy)?,
    };
    // What nodes have read under the old key is read again.
    for (_, id, _) in realm::rows::versions(tx)? {
        realm::rows::touch(tx, &id)?;
    }
    Ok(resealed)
}

/// The sealed form and the keyed digest, both from the opened secret.
fn client_secrets(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<usize, StoreError> {
    let with_secret: Vec<(ClientUuid, RealmId)> = db!(tx, |c| clients::table
        .filter(clients::secret_sealed.is_not_null())
        .select((clients::id, clients::realm_id))
        .load(c))?;
    for (id, realm) in &with_secret {
        if let Some(secret) = reveal_secret(tx, tools, realm, id)? {
            let stored = store_secret(tools, realm, id, &secret)?;
            client::rows::set_secret(tx, id, Some(&stored))?;
        }
    }
    Ok(with_secret.len())
}

fn smtp_passwords(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<usize, StoreError> {
    let mut count: usize = 0;
    for mut realm in realm::rows::all(tx)? {
        let resealed = realm::smtp::reseal(tools.keyring, tools.entropy, &mut realm)?;
        if resealed > 0 {
            realm::rows::update(tx, &realm)?;
            count = count.saturating_add(resealed);
        }
    }
    Ok(count)
}

/// A settled mail keeps no content; every other one does.
fn mails(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<usize, StoreError> {
    let waiting: Vec<(String, RealmId, Vec<u8>)> = db!(tx, |c| outbox::table
        .filter(outbox::content_sealed.ne(Vec::new()))
        .select((outbox::id, outbox::realm_id, outbox::content_sealed))
        .load(c))?;
    for (id, realm, sealed) in &waiting {
        let place = format!("outbox/content_sealed/{id}/{realm}");
        let again = reseal(tools, sealed, &place)?;
        db!(tx, |c| diesel::update(
            outbox::table.filter(outbox::id.eq(id))
        )
        .set(outbox::content_sealed.eq(&again))
        .execute(c))?;
    }
    Ok(waiting.len())
}

fn reseal(tools: Tools<'_>, sealed: &[u8], place: &str) -> Result<Vec<u8>, StoreError> {
    let failed = |cause: &dyn std::fmt::Display| {
        StoreError::Sealed(format!("the value at {place}: {cause}"))
    };
    let plain = tools
        .keyring
        .open(sealed, place)
        .map_err(|cause| failed(&cause))?;
    tools
        .keyring
        .seal(&plain, place, &|out: &mut [u8]| tools.entropy.fill(out))
        .map_err(|cause| failed(&cause))
}
