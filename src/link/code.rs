//! The typed code: for whoever reads the mail on one device and wants to go on at another.
//!
//! Invariants: a try is counted before it is looked at; five wrong ones end the code and never the link; what nobody
//! has is answered like what is wrong. Called by the page `link-code`.

use super::{Link, keys, rows, token};
use crate::kernel::RealmId;
use crate::kernel::seal::Keyring;
use crate::store::{StoreError, Tx};
use crate::user::name::name_key;

/// The token of the link whose code was typed together with the address that it was mailed to (or, where it was
/// handed out to somebody without an address, the user name). Without `Debug`, as every token.
///
/// # Errors
/// The database fails, or a key cannot be opened.
pub fn token_for(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    realm: &RealmId,
    (address, code): (&str, &str),
) -> Result<Option<String>, StoreError> {
    let now = tx.now()?;
    let links = rows::with_code(tx, (realm, &name_key(address)), now)?;
    let mut counted: Vec<Link> = Vec::new();
    let mut right = None;
    for link in links {
        if !rows::count_code(tx, &link.id)? {
            continue;
        }
        let key = keys::by_version(tx, keyring, link.key_version)?;
        if token::is_code(&key, &link, code) {
            right = Some(token::token(&key, &link));
        }
        counted.push(link);
    }
    if right.is_some() {
        // Who knows one of the person's codes has guessed at none of them.
        for link in &counted {
            rows::forgive_code(tx, &link.id)?;
        }
    }
    Ok(right)
}
