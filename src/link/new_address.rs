//! A wish for another address by somebody who is signed in and has just proved it: a link to the new one.
//!
//! Called by the account's page. Nothing here asks whether the address is somebody else's, so neither the answer nor
//! its time tells (threat V052); whoever opens the link reads that mailbox, and may know then. One such link of a
//! person lives at a time: the newest says which address is meant.

use super::{NewLink, Purpose, Refused, Sender, create, rows};
use crate::kernel::Timestamp;
use crate::mail::Tools;
use crate::realm::Realm;
use crate::session::throttle::{self, Limit, Turn};
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::web::texts::Locale;

/// Wishes of one person: five in an hour.
const PER_PERSON: Limit = throttle::MAILS_PER_HOUR;

/// Wishes from one network, as many as for forgotten passwords (reliability H013).
const PER_NETWORK: Limit = super::requests::PER_NETWORK;

/// What became of the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A link is on its way to the new address; earlier ones have ended. [`wake`](crate::mail::Mailer::wake) the sender
    /// once the transaction has committed.
    Mailed,
    /// There were too many, and nothing has changed: an earlier link is as good as it was.
    TooMany {
        /// When there may be another one.
        again_at: Timestamp,
    },
    /// The person can get no link.
    Refused(Refused),
}

/// Mails a link that changes a person's address to the new one. The caller holds the person's lock and has asked the
/// gate; `network` is where the wish comes from.
///
/// # Errors
/// The database fails.
pub fn ask(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (realm, user, network): (&Realm, &User, &str),
    (address, locale): (&str, Locale),
) -> Result<Asked, StoreError> {
    let now = tx.now()?;
    for (name, limit) in [
        (format!("new-address/{}", user.id), PER_PERSON),
        (
            format!("new-address-from/{}/{network}", realm.id),
            PER_NETWORK,
        ),
    ] {
        if let Turn::Shut(again_at) = throttle::take(tx, &name, limit, now)? {
            return Ok(Asked::TooMany { again_at });
        }
    }
    // Counted apart from what is mailed to people by their account, which would tell whether there is one.
    let mailbox = (throttle::TYPED, &realm.id, address);
    if let Turn::Shut(again_at) = throttle::take_mail(tx, mailbox, now)? {
        return Ok(Asked::TooMany { again_at });
    }
    let new = NewLink {
        new_address: Some(address.to_owned()),
        locale: Some(locale),
        ..NewLink::of(realm, &user.id, Purpose::UpdateEmail, Sender::Person)
    };
    let created = match create(tx, tools, &new)? {
        Ok(created) => created,
        Err(refused) => return Ok(Asked::Refused(refused)),
    };
    if let Some(newest) = rows::by_id(tx, &created.id)? {
        rows::supersede(tx, &newest, now)?;
    }
    Ok(Asked::Mailed)
}

/// The address that a person has asked for and not confirmed yet.
///
/// # Errors
/// The database fails.
pub fn pending(tx: &mut Tx<'_>, user: &User) -> Result<Option<String>, StoreError> {
    let now = tx.now()?;
    let newest = rows::of_user(tx, &user.id)?
        .into_iter()
        .find(|link| link.purpose == Purpose::UpdateEmail && link.state(user, now).is_live());
    Ok(newest.and_then(|link| link.address))
}
