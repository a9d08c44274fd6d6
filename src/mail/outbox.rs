//! The outbox: mails as rows, and every change of their state.
//!
//! ```text
//! queued → leased → sending → sent
//!   ↑  ↖ lease ends ↙   │ ├──→ bounced     refused for good
//!   │                   │ ├──→ failed      given up, expired, or not a mail at all
//!   ├──── try later ────┘ └──→ in_doubt    nobody knows: never sent again by itself
//!   ├──→ cancelled
//!   └──↔ held                              its batch rests
//! ```
//!
//! Invariants: a row is `sending`, durably, before the content of its mail goes out; whoever holds a lease writes
//! only while the row still carries the lease's random token (fencing), so a node that slept through its lease
//! sends nothing; what is `in_doubt` after a crash stays so until a person decides. Settled rows keep no content.
//! Called by the sender, and by whoever has something to say through [`queue`].

pub mod audit;
pub mod batch;
mod entries;
mod lease;

use diesel::prelude::*;

use super::message::Message;
pub use entries::{Entry, by_id, list};
pub use lease::{
    Claim, Outcome, Recovered, begin_sending, due_realms, has_ended_leases, lease, recover, settle,
};

use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId, Timestamp, UserId, text_newtype};
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx, corrupt, db};

text_newtype!(
    /// The id of a mail. Its `Message-ID` is made of it, so a mail sent again is the same mail.
    OutboxId
);

/// What queueing needs.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The master key, under which the content is sealed.
    pub keyring: &'a Keyring,
    /// Randomness.
    pub entropy: &'a Entropy,
}

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for its time.
    Queued,
    /// Waiting until the batch that it is part of goes on.
    Held,
    /// A node is about to send it.
    Leased,
    /// Its content may be on the way.
    Sending,
    /// The server has taken it.
    Sent,
    /// It may or may not have been taken.
    InDoubt,
    /// The server refused it for good.
    Bounced,
    /// Given up.
    Failed,
    /// Called back before it was sent.
    Cancelled,
}

impl State {
    const ALL: [Self; 9] = [
        Self::Queued,
        Self::Held,
        Self::Leased,
        Self::Sending,
        Self::Sent,
        Self::InDoubt,
        Self::Bounced,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Held => "held",
            Self::Leased => "leased",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::InDoubt => "in_doubt",
            Self::Bounced => "bounced",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

fn place(id: &OutboxId, realm: &RealmId) -> String {
    format!("outbox/content_sealed/{id}/{realm}")
}

/// Puts a mail into the outbox. Once this transaction has committed, [`wake`](super::Mailer::wake) sends it at once.
///
/// # Errors
/// The database fails, or the content cannot be sealed.
pub fn queue(tx: &mut Tx<'_>, tools: Tools<'_>, message: &Message) -> Result<OutboxId, StoreError> {
    let now = tx.now()?;
    let id = OutboxId::new(tools.entropy.uuid(now));
    let plain = serde_json::to_vec(&message.content)
        .map_err(|cause| corrupt("outbox", "content_sealed", &id, cause))?;
    let fill = |out: &mut [u8]| tools.entropy.fill(out);
    let sealed = tools
        .keyring
        .seal(&plain, &place(&id, &message.realm_id), &fill)
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    db!(tx, |c| diesel::insert_into(outbox::table)
        .values((
            outbox::id.eq(&id),
            outbox::realm_id.eq(&message.realm_id),
            outbox::user_id.eq(&message.user_id),
            outbox::recipient.eq(&message.recipient),
            outbox::template.eq(message.content.purpose.name()),
            outbox::locale.eq(message.locale.tag()),
            outbox::bulk.eq(message.bulk),
            outbox::content_sealed.eq(&sealed),
            outbox::state.eq(State::Queued.as_str()),
            outbox::attempts.eq(0),
            outbox::not_before.eq(now),
            outbox::lease_until.eq(Timestamp::from_micros(0)),
            outbox::created_at.eq(now),
            outbox::expires_at.eq(message.expires_at),
        ))
        .execute(c))?;
    Ok(id)
}

/// Calls back the mails of that purpose to that user which nobody has begun to send. Answers how many.
///
/// # Errors
/// The database fails.
pub fn cancel_queued(
    tx: &mut Tx<'_>,
    user: &UserId,
    purpose: &'static str,
) -> Result<usize, StoreError> {
    let now = tx.now()?;
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::user_id.eq(user))
            .filter(outbox::template.eq(purpose))
            .filter(outbox::state.eq(State::Queued.as_str()))
    )
    .set((
        outbox::state.eq(State::Cancelled.as_str()),
        outbox::content_sealed.eq(Vec::new()),
        outbox::settled_at.eq(now),
    ))
    .execute(c))
}

/// Gives up to `batch` mails up that expired while they waited, whose realm's server cannot be used or is gone;
/// answers how many.
///
/// # Errors
/// The database fails.
pub fn give_up_expired(tx: &mut Tx<'_>, batch: usize) -> Result<usize, StoreError> {
    let now = tx.now()?;
    let expired: Vec<OutboxId> = db!(tx, |c| outbox::table
        .filter(outbox::state.eq(State::Queued.as_str()))
        .filter(outbox::expires_at.le(now))
        .select(outbox::id)
        .limit(i64::try_from(batch).unwrap_or(i64::MAX))
        .load(c))?;
    if expired.is_empty() {
        return Ok(0);
    }
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq_any(&expired))
            .filter(outbox::state.eq(State::Queued.as_str()))
    )
    .set((
        outbox::state.eq(State::Failed.as_str()),
        outbox::last_error.eq("it expired before it could be sent"),
        outbox::content_sealed.eq(Vec::new()),
        outbox::settled_at.eq(now),
    ))
    .execute(c))
}

/// Sends a mail in doubt again because a person said so: the same mail, with the same `Message-ID`. `false`: it is
/// not, or no longer, in doubt.
///
/// # Errors
/// The database fails.
pub fn resend_in_doubt(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &OutboxId,
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let changed = db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq(id))
            .filter(outbox::realm_id.eq(realm))
            .filter(outbox::state.eq(State::InDoubt.as_str()))
    )
    .set((
        outbox::state.eq(State::Queued.as_str()),
        outbox::lease_token.eq(None::<String>),
        outbox::not_before.eq(now),
    ))
    .execute(c))?;
    Ok(changed == 1)
}
