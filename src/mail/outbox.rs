//! The outbox: mails as rows, and every change of their state.
//!
//! ```text
//! queued → leased → sending → sent
//!   ↑  ↖ lease ends ↙   │ ├──→ bounced     refused for good
//!   │                   │ ├──→ failed      given up, expired, or not a mail at all
//!   ├──── try later ────┘ └──→ in_doubt    nobody knows: never sent again by itself
//!   └──→ cancelled
//! ```
//!
//! Invariants: a row is `sending`, durably, before the content of its mail goes out; whoever holds a lease writes
//! only while the row still carries the lease's random token (fencing), so a node that slept through its lease
//! sends nothing; what is `in_doubt` after a crash stays so until a person decides. Settled rows keep no content.
//! Called by the sender, and by whoever has something to say through [`queue`].

use diesel::prelude::*;

use super::message::{Content, Message};
use super::retry;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId, Timestamp, UserId, text_newtype};
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx, corrupt, db, dialect};

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
    const ALL: [Self; 8] = [
        Self::Queued,
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
            Self::Leased => "leased",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::InDoubt => "in_doubt",
            Self::Bounced => "bounced",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn parse(text: &str) -> Option<Self> {
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

/// A mail that this node may send until its lease ends.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct Claim {
    /// The mail.
    pub id: OutboxId,
    /// The realm that sends it.
    pub realm_id: RealmId,
    /// Whose very bytes it goes to.
    pub recipient: String,
    /// The tag of its language.
    pub locale: String,
    /// How often it was tried before.
    pub attempts: i64,
    /// When it stops being worth sending.
    pub expires_at: Timestamp,
    content_sealed: Vec<u8>,
    lease_token: Option<String>,
}

impl Claim {
    /// What the mail says.
    ///
    /// # Errors
    /// The content was sealed by a key that is not at hand, or is corrupt.
    pub fn content(&self, keyring: &Keyring) -> Result<Content, StoreError> {
        let plain = keyring
            .open(&self.content_sealed, &place(&self.id, &self.realm_id))
            .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
        serde_json::from_slice(&plain)
            .map_err(|cause| corrupt("outbox", "content_sealed", &self.id, cause))
    }
}

/// The most realms that one look at the outbox tells apart.
const REALMS: usize = 256;

/// The realms that have mail to send now.
///
/// # Errors
/// The database fails.
pub fn due_realms(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<RealmId>, StoreError> {
    let mut realms: Vec<RealmId> = Vec::new();
    // One step into the index for each realm, instead of a walk over every mail that waits.
    while realms.len() < REALMS {
        let last = realms.last().map_or("", RealmId::as_str).to_owned();
        let next: Option<RealmId> = db!(tx, |c| outbox::table
            .filter(outbox::state.eq(State::Queued.as_str()))
            .filter(outbox::realm_id.gt(&last))
            .filter(outbox::not_before.le(now))
            .order(outbox::realm_id)
            .select(outbox::realm_id)
            .first(c)
            .optional())?;
        match next {
            Some(realm) => realms.push(realm),
            None => break,
        }
    }
    Ok(realms)
}

/// Whether some lease has ended without a word from its holder.
///
/// # Errors
/// The database fails.
pub fn has_ended_leases(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let ended: Option<OutboxId> = db!(tx, |c| outbox::table
        .filter(outbox::state.eq_any([State::Leased.as_str(), State::Sending.as_str()]))
        .filter(outbox::lease_until.le(now))
        .select(outbox::id)
        .first(c)
        .optional())?;
    Ok(ended.is_some())
}

/// What became of leases that ended without a word from their holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Nothing of them was sent: back in the queue.
    pub requeued: usize,
    /// Their content may have gone out: in doubt.
    pub in_doubt: usize,
}

/// Takes back the mails of nodes that died or slept.
///
/// # Errors
/// The database fails.
pub fn recover(tx: &mut Tx<'_>, now: Timestamp) -> Result<Recovered, StoreError> {
    let requeued = db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::state.eq(State::Leased.as_str()))
            .filter(outbox::lease_until.le(now))
    )
    .set((
        outbox::state.eq(State::Queued.as_str()),
        outbox::lease_token.eq(None::<String>),
    ))
    .execute(c))?;
    // The token stays: should the holder only have slept, it may still say what happened.
    let in_doubt = db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::state.eq(State::Sending.as_str()))
            .filter(outbox::lease_until.le(now))
    )
    .set((
        outbox::state.eq(State::InDoubt.as_str()),
        outbox::last_error.eq("the node that was sending it did not say what happened"),
    ))
    .execute(c))?;
    Ok(Recovered { requeued, in_doubt })
}

/// Takes up to `limit` due mails of a realm for `seconds`; those that have expired are given up instead.
///
/// # Errors
/// The database fails.
pub fn lease(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    realm: &RealmId,
    (limit, seconds): (i64, i64),
) -> Result<Vec<Claim>, StoreError> {
    let now = tx.now()?;
    let due = dialect::lock_due_mails(tx, realm, now, limit)?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let token = entropy.token();
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq_any(&due))
            .filter(outbox::expires_at.le(now))
    )
    .set((
        outbox::state.eq(State::Failed.as_str()),
        outbox::last_error.eq("it expired before it could be sent"),
        outbox::content_sealed.eq(Vec::new()),
        outbox::settled_at.eq(now),
    ))
    .execute(c))?;
    db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq_any(&due))
            .filter(outbox::state.eq(State::Queued.as_str()))
    )
    .set((
        outbox::state.eq(State::Leased.as_str()),
        outbox::lease_until.eq(now.plus_seconds(seconds)),
        outbox::lease_token.eq(&token),
    ))
    .returning(Claim::as_returning())
    .get_results(c))
}

/// Notes that the content is about to go out, and gives the lease `seconds` from now. `false`: the lease was lost,
/// and nothing may be sent.
///
/// # Errors
/// The database fails.
pub fn begin_sending(tx: &mut Tx<'_>, claim: &Claim, seconds: i64) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let changed = db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq(&claim.id))
            .filter(outbox::state.eq(State::Leased.as_str()))
            .filter(outbox::lease_token.eq(&claim.lease_token))
            .filter(outbox::lease_until.gt(now))
    )
    .set((
        outbox::state.eq(State::Sending.as_str()),
        outbox::lease_until.eq(now.plus_seconds(seconds)),
    ))
    .execute(c))?;
    Ok(changed == 1)
}

/// How an attempt ended. The texts are for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has taken it.
    Sent,
    /// Refused for now, or the server went away before it had the content.
    TryLater(String),
    /// Refused for good.
    Bounced(String),
    /// It cannot be made into a mail.
    Failed(String),
    /// The server had the content and did not say what it did with it.
    InDoubt(String),
    /// Not tried at all: back as it was.
    Released,
}

/// Stores how an attempt ended. `None`: somebody else has taken the mail meanwhile and nothing was changed.
///
/// A holder that slept through its lease may still tell of a mail in doubt what happened to it.
///
/// # Errors
/// The database fails.
pub fn settle(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    claim: &Claim,
    outcome: &Outcome,
) -> Result<Option<State>, StoreError> {
    let now = tx.now()?;
    let (state, error, not_before) = match outcome {
        Outcome::Sent => (State::Sent, None, now),
        Outcome::Bounced(why) => (State::Bounced, Some(why.as_str()), now),
        Outcome::Failed(why) => (State::Failed, Some(why.as_str()), now),
        Outcome::InDoubt(why) => (State::InDoubt, Some(why.as_str()), now),
        Outcome::Released => (State::Queued, None, now),
        Outcome::TryLater(why) => {
            match retry::next_try(claim.attempts, now, claim.expires_at, entropy) {
                Some(at) => (State::Queued, Some(why.as_str()), at),
                None => (State::Failed, Some(why.as_str()), now),
            }
        }
    };
    let tried = i64::from(*outcome != Outcome::Released);
    let done = matches!(state, State::Sent | State::Bounced | State::Failed);
    // In doubt keeps what sending it again would need, and the token by which its holder may still speak.
    let keep_token = state == State::InDoubt;
    let changed = db!(tx, |c| diesel::update(
        outbox::table
            .filter(outbox::id.eq(&claim.id))
            .filter(outbox::lease_token.eq(&claim.lease_token))
            .filter(outbox::state.eq_any([
                State::Leased.as_str(),
                State::Sending.as_str(),
                State::InDoubt.as_str(),
            ]))
    )
    .set((
        outbox::state.eq(state.as_str()),
        outbox::attempts.eq(claim.attempts.saturating_add(tried)),
        outbox::not_before.eq(not_before),
        outbox::lease_token.eq(claim.lease_token.as_ref().filter(|_| keep_token)),
        outbox::last_error.eq(error),
        outbox::settled_at.eq(done.then_some(now)),
        outbox::content_sealed.eq(if done {
            Vec::new()
        } else {
            claim.content_sealed.clone()
        }),
    ))
    .execute(c))?;
    Ok((changed == 1).then_some(state))
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

/// A mail as administrators see it.
#[derive(Clone)]
pub struct Entry {
    /// Its id.
    pub id: OutboxId,
    /// Where it goes.
    pub recipient: String,
    /// Its purpose.
    pub template: String,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, where it is queued.
    pub not_before: Timestamp,
    /// What the server or we had to say about it.
    pub last_error: Option<String>,
    /// When it was sent, refused, given up or called back.
    pub settled_at: Option<Timestamp>,
}

type EntryRow = (
    OutboxId,
    String,
    String,
    String,
    i64,
    Timestamp,
    Option<String>,
    Option<Timestamp>,
);

/// The realm's mail of that id.
///
/// # Errors
/// The database fails or holds a state that this version does not know.
pub fn by_id(tx: &mut Tx<'_>, realm: &RealmId, id: &OutboxId) -> Result<Option<Entry>, StoreError> {
    let row: Option<EntryRow> = db!(tx, |c| outbox::table
        .filter(outbox::id.eq(id))
        .filter(outbox::realm_id.eq(realm))
        .select((
            outbox::id,
            outbox::recipient,
            outbox::template,
            outbox::state,
            outbox::attempts,
            outbox::not_before,
            outbox::last_error,
            outbox::settled_at,
        ))
        .first(c)
        .optional())?;
    row.map(
        |(id, recipient, template, state, attempts, not_before, last_error, settled_at)| {
            let state =
                State::parse(&state).ok_or_else(|| corrupt("outbox", "state", &id, &state))?;
            Ok(Entry {
                id,
                recipient,
                template,
                state,
                attempts,
                not_before,
                last_error,
                settled_at,
            })
        },
    )
    .transpose()
}
