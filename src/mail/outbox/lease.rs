//! Leases on mails: taking them, losing them, and saying how they ended. Called by the sender alone.

use diesel::prelude::*;

use super::{OutboxId, State, place};
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId, Timestamp, UserId};
use crate::mail::message::Content;
use crate::mail::pace::{self, Turn};
use crate::mail::retry;
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx, corrupt, db, dialect};
use crate::web::texts::Locale;

/// A mail that this node may send until its lease ends.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct Claim {
    /// The mail.
    pub id: OutboxId,
    /// The realm that sends it.
    pub realm_id: RealmId,
    /// Whose mail it is.
    pub user_id: Option<UserId>,
    /// Whose very bytes it goes to.
    pub recipient: String,
    /// The tag of its language.
    pub locale: String,
    /// How often it was tried before.
    pub attempts: i64,
    /// When it stops being worth sending.
    pub expires_at: Timestamp,
    /// The batch that it is part of.
    pub batch: Option<String>,
    content_sealed: Vec<u8>,
    lease_token: Option<String>,
}

impl Claim {
    /// Its language; English where this version does not speak it.
    pub fn language(&self) -> Locale {
        Locale::from_tag(&self.locale).unwrap_or(Locale::ENGLISH)
    }

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

/// Takes up to `limit` due mails of a realm of which this node has `taken` some already, for `seconds`; those that have
/// expired are given up instead.
///
/// # Errors
/// The database fails.
pub fn lease(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (realm, taken): (&RealmId, usize),
    (limit, seconds): (usize, i64),
) -> Result<Vec<Claim>, StoreError> {
    let now = tx.now()?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let due = dialect::lock_due_mails(tx, realm, now, limit)?;
    let due = at_their_pace(tx, (due, taken), now)?;
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

/// Those of the due mails that the pace of their batch lets go now; the others get the time at which it will.
fn at_their_pace(
    tx: &mut Tx<'_>,
    (due, taken): (Vec<dialect::DueMail>, usize),
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let asked: Vec<pace::Due<'_>> = due
        .iter()
        .map(|mail| pace::Due {
            batch: mail.batch.as_deref(),
            recipient: &mail.recipient,
        })
        .collect();
    let answers = pace::take(tx, (&asked, taken), now)?;
    let mut now_due = Vec::with_capacity(due.len());
    for (mail, turn) in due.into_iter().zip(answers) {
        match turn {
            Turn::Now => now_due.push(mail.id),
            Turn::Next => {}
            Turn::At(at) => {
                db!(tx, |c| diesel::update(
                    outbox::table.filter(outbox::id.eq(&mail.id))
                )
                .set(outbox::not_before.eq(at))
                .execute(c))?;
            }
        }
    }
    Ok(now_due)
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
    /// What it says is no longer true: not sent.
    Cancelled(String),
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
        Outcome::Cancelled(why) => (State::Cancelled, Some(why.as_str()), now),
        Outcome::InDoubt(why) => (State::InDoubt, Some(why.as_str()), now),
        Outcome::Released => (State::Queued, None, now),
        Outcome::TryLater(why) => {
            match retry::next_try(claim.attempts, now, claim.expires_at, entropy) {
                Some(at) => (State::Queued, Some(why.as_str()), at),
                None => (State::Failed, Some(why.as_str()), now),
            }
        }
    };
    let tried = i64::from(!matches!(
        outcome,
        Outcome::Released | Outcome::Cancelled(_)
    ));
    let done = matches!(
        state,
        State::Sent | State::Bounced | State::Failed | State::Cancelled
    );
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
