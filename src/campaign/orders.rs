//! What administrators order of a mailing: begin, pause, go on, stop, send again. Audited.

use super::rows::{self, Campaign, NEVER, State};
use super::settings::{Kind, Settings};
use super::{doubt, recipients};
use crate::kernel::{Entropy, RealmId, RoleId, Timestamp};
use crate::link;
use crate::mail::outbox::batch;
use crate::mail::{pace, pause};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// Makes a mailing; it starts by itself when its time has come.
///
/// # Errors
/// The database fails.
pub fn create(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    realm: &RealmId,
    (name, kind, settings): (&str, Kind, Settings),
) -> Result<Campaign, StoreError> {
    let now = tx.now()?;
    let start = settings.start_at.filter(|at| *at > now);
    let campaign = Campaign {
        id: entropy.uuid(now),
        realm_id: realm.clone(),
        name: name.to_owned(),
        kind,
        state: if start.is_some() {
            State::Scheduled
        } else {
            State::Running
        },
        reason: None,
        settings,
        frozen: false,
        place: String::new(),
        wake_at: start.unwrap_or(now),
        created_at: now,
        started_at: None,
        finished_at: None,
    };
    rows::insert(tx, &campaign)?;
    pace::set(tx, &campaign.id, campaign.settings.pace())?;
    Ok(campaign)
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// It is so.
    Done,
    /// The mailing stands where that makes no sense.
    NotNow(State),
}

/// Lets a mailing rest: nothing that was not begun is sent, on any node.
///
/// # Errors
/// The database fails.
pub fn pause(tx: &mut Tx<'_>, id: &str, why: &str) -> Result<Option<Ordered>, StoreError> {
    let Some(mut campaign) = rows::locked(tx, id)? else {
        return Ok(None);
    };
    if campaign.state.is_over() {
        return Ok(Some(Ordered::NotNow(campaign.state)));
    }
    rest(tx, &mut campaign, why)?;
    rows::update(tx, &campaign)?;
    Ok(Some(Ordered::Done))
}

/// The same for a mailing whose row is locked and will be stored.
pub(super) fn rest(tx: &mut Tx<'_>, campaign: &mut Campaign, why: &str) -> Result<(), StoreError> {
    batch::hold(tx, &campaign.id)?;
    campaign.state = State::Paused;
    campaign.reason = Some(why.to_owned());
    campaign.wake_at = tx.now()?;
    Ok(())
}

/// Lets a mailing go on, and where the realm's mail rests lets one mail see at once whether the server is back.
///
/// # Errors
/// The database fails.
pub fn resume(tx: &mut Tx<'_>, id: &str) -> Result<Option<Ordered>, StoreError> {
    let Some(mut campaign) = rows::locked(tx, id)? else {
        return Ok(None);
    };
    let goes_on = [State::Paused, State::Running, State::Reminding].contains(&campaign.state);
    let rested = goes_on && pause::probe_now(tx, &campaign.realm_id)?;
    if campaign.state != State::Paused {
        // One that runs is shown as paused while the realm's mail rests.
        return Ok(Some(if rested {
            Ordered::Done
        } else {
            Ordered::NotNow(campaign.state)
        }));
    }
    let now = tx.now()?;
    let early = campaign.settings.start_at.filter(|at| *at > now);
    campaign.state = match early {
        Some(_) if campaign.started_at.is_none() => State::Scheduled,
        _ => State::Running,
    };
    campaign.reason = None;
    campaign.wake_at = match campaign.state {
        State::Scheduled => early.unwrap_or(now),
        _ => now,
    };
    // What bounced before a person decided to go on is not held against it again; what does from now on is.
    recipients::reap(tx, id)?;
    recipients::handed_anew(tx, id, now)?;
    campaign.settings.bounces_since = Some(now);
    batch::release(tx, id)?;
    rows::update(tx, &campaign)?;
    Ok(Some(Ordered::Done))
}

/// Stops a mailing for good. What is on its way arrives; with `revoke` the links that nobody has used end too, also
/// those of a mailing that is over (threat V049).
///
/// # Errors
/// The database fails.
pub fn cancel(tx: &mut Tx<'_>, id: &str, revoke: bool) -> Result<Option<Ordered>, StoreError> {
    cancel_for(tx, id, (revoke, &[]))
}

/// The same by an administrator: people who have one of these roles, which are beyond them, keep their links (threat
/// V137).
///
/// # Errors
/// The database fails.
pub fn cancel_for(
    tx: &mut Tx<'_>,
    id: &str,
    (revoke, beyond): (bool, &[RoleId]),
) -> Result<Option<Ordered>, StoreError> {
    let Some(mut campaign) = rows::locked(tx, id)? else {
        return Ok(None);
    };
    if campaign.state.is_over() && !revoke {
        return Ok(Some(Ordered::NotNow(campaign.state)));
    }
    let now = tx.now()?;
    batch::cancel(tx, id, "cancelled")?;
    recipients::skip_waiting(tx, id, "cancelled")?;
    if revoke {
        link::revoke_campaign(tx, (&campaign.realm_id, id), beyond)?;
    }
    campaign.state = State::Cancelled;
    campaign.reason = None;
    campaign.finished_at = campaign.finished_at.or(Some(now));
    // Once more, for what is on its way.
    campaign.wake_at = now;
    rows::update(tx, &campaign)?;
    Ok(Some(Ordered::Done))
}

/// What became of the order to send again what is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// So many mails are on their way again.
    Mails(usize),
    /// The mailing was stopped for good, and nothing of it is sent any more.
    Cancelled,
}

/// Sends what is in doubt again: the same mails, with the same `Message-ID` and the same link.
///
/// # Errors
/// The database fails.
pub fn resend_in_doubt(tx: &mut Tx<'_>, id: &str) -> Result<Option<Resent>, StoreError> {
    let Some(campaign) = rows::locked(tx, id)? else {
        return Ok(None);
    };
    if campaign.state == State::Cancelled {
        return Ok(Some(Resent::Cancelled));
    }
    recipients::reap(tx, id)?;
    let count = batch::resend_in_doubt(tx, id)?;
    recipients::resent(tx, id)?;
    if count > 0 {
        doubt::goes_on(tx, campaign)?;
    }
    Ok(Some(Resent::Mails(count)))
}

/// Records what a mailing did by itself.
pub(super) fn note(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    campaign: &Campaign,
    kind: &'static str,
) -> Result<(), StoreError> {
    let event = Event::new(&campaign.realm_id, kind)
        .detail("campaign", campaign.id.as_str())
        .detail("name", campaign.name.as_str())
        .detail("reason", campaign.reason.clone().unwrap_or_default());
    let now: Timestamp = tx.now()?;
    events::record(tx, entropy, now, event)
}

/// Whether nothing is left to look at.
pub(super) fn sleep(campaign: &mut Campaign) {
    campaign.wake_at = NEVER;
}
