//! Audit events of mails that carry a link: handed over, and refused for good. Together with those of the link and of
//! sign-ins they tell how far the people of a mailing have come, without anything but the events.
//!
//! Invariant: no event says where a mail went, nor anything of what it says; what a server said has been through
//! [`impersonal`](crate::mail::said::impersonal) when it comes here.

use super::{Claim, OutboxId, Outcome, State};
use crate::kernel::{Entropy, RealmId, UserId};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// A mail server has taken a mail.
const SENT: &str = "MAIL_SENT";

/// A mail was refused for good, or came back.
pub const BOUNCED: &str = "MAIL_BOUNCED";

/// An event about a mail: whose it is, the mailing that it is part of, the link that it carries.
pub fn event(
    kind: &'static str,
    (realm, mail): (&RealmId, &OutboxId),
    user: Option<&UserId>,
    (campaign, link): (Option<&str>, Option<&str>),
) -> Event {
    let mut event = Event::new(realm, kind).detail("mail", mail.as_str());
    if let Some(user) = user {
        event = event.user(user);
    }
    for (name, value) in [("campaign", campaign), ("link", link)] {
        if let Some(value) = value {
            event = event.detail(name, value);
        }
    }
    event
}

/// Records what became of a mail with a link, in the transaction that stores so.
///
/// # Errors
/// The database fails.
pub(in crate::mail) fn settled(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (claim, link): (&Claim, &str),
    (state, outcome): (State, &Outcome),
) -> Result<(), StoreError> {
    let about = |kind| {
        let ids = (&claim.realm_id, &claim.id);
        let part = (claim.batch.as_deref(), Some(link));
        event(kind, ids, claim.user_id.as_ref(), part)
    };
    let event = match (state, outcome) {
        (State::Sent, _) => about(SENT),
        (State::Bounced, Outcome::Bounced(why)) => about(BOUNCED).detail("reason", why.as_str()),
        _ => return Ok(()),
    };
    let now = tx.now()?;
    events::record(tx, entropy, now, event)
}
