//! “This was not me”: the link in a notice, with which whoever reads the mailbox closes the account.
//!
//! Called by whoever queues a notice of a change that a thief could have made. The page and the press are `oidc`'s.
//! Such a link does nothing but shut, so it may live longer and through more than any other: through new passwords,
//! new epochs and a new address, which a thief brings about. It has no typed code, and is never renewed.

use super::create::{store, unsent};
use super::{NewLink, Purpose, Sender, rows};
use crate::kernel::UserId;
use crate::mail::{NOTICE_LIFESPAN, OutboxId, Tools};
use crate::realm::Realm;
use crate::store::{StoreError, Tx};
use crate::user::User;

/// A notice that was just queued.
pub struct Notice<'a> {
    /// The realm.
    pub realm: &'a Realm,
    /// Whom it is for.
    pub user: &'a User,
    /// The address that it goes to.
    pub address: &'a str,
    /// The application in which it came about.
    pub client_id: Option<&'a str>,
    /// The mail.
    pub mail: &'a OutboxId,
}

/// Makes the link that the notice carries. Its life begins when a mail server has taken the mail.
///
/// # Errors
/// The database fails.
pub fn put_into(tx: &mut Tx<'_>, tools: Tools<'_>, notice: &Notice<'_>) -> Result<(), StoreError> {
    let new = NewLink {
        client_id: notice.client_id.map(str::to_owned),
        ..NewLink::of(
            notice.realm,
            &notice.user.id,
            Purpose::NotMe,
            Sender::Person,
        )
    };
    let to = (notice.user, Some(notice.address.to_owned()));
    let mut link = unsent(tx, tools, &new, to)?;
    link.mail_id = Some(notice.mail.clone());
    link.good_until = link
        .created_at
        .plus_seconds(NOTICE_LIFESPAN.saturating_add(link.lifespan));
    store(tx, tools, &new, (notice.user, &link))
}

/// Ends those that were mailed to other addresses of the person than these.
///
/// # Errors
/// The database fails.
pub fn end_others(tx: &mut Tx<'_>, user: &UserId, addresses: &[String]) -> Result<(), StoreError> {
    rows::revoke_elsewhere(tx, (user, Purpose::NotMe), addresses)
}
