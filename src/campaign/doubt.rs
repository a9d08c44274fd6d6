//! One mail in doubt, sent again because a person said so: the same mail, with the same `Message-ID` and the same link.
//! One that is part of a mailing is counted there.

use super::recipients;
use super::rows::{self, Campaign};
use crate::kernel::RealmId;
use crate::mail::outbox::{self, Entry, batch};
use crate::mail::{OutboxId, pace};
use crate::store::{StoreError, Tx};

/// Why a mail is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAgain {
    /// It is not in doubt.
    #[error("it is {0}: only a mail in doubt is sent again")]
    NotInDoubt(&'static str),
    /// What it says is not true any more.
    #[error("it has expired, and so has what it says: send a new one")]
    Expired,
    /// Its mailing was stopped for good.
    #[error("its campaign was cancelled: send the person a mail of its own")]
    Cancelled,
}

fn shown(state: outbox::State) -> &'static str {
    match state {
        outbox::State::InDoubt => "in doubt",
        outbox::State::Held | outbox::State::Leased | outbox::State::Sending => "queued",
        other => other.as_str(),
    }
}

/// What became of the wish to send a mail again.
pub type Resent = Result<Entry, NotAgain>;

/// Sends a mail of the realm again. `None`: there is no such mail.
///
/// # Errors
/// The database fails.
pub fn resend(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &OutboxId,
) -> Result<Option<Resent>, StoreError> {
    let Some(mail) = outbox::by_id(tx, realm, id)? else {
        return Ok(None);
    };
    // The mailing's row first, as its worker has it; a batch of notices is none.
    let campaign = match &mail.batch {
        Some(batch) => rows::locked(tx, batch)?,
        None => None,
    };
    let refused = if mail.state != outbox::State::InDoubt {
        Some(NotAgain::NotInDoubt(shown(mail.state)))
    } else if mail.expires_at <= tx.now()? {
        Some(NotAgain::Expired)
    } else if campaign
        .as_ref()
        .is_some_and(|campaign| campaign.state == rows::State::Cancelled)
    {
        Some(NotAgain::Cancelled)
    } else if !outbox::resend_in_doubt(tx, realm, id)? {
        // Who was sending it has said meanwhile what became of it, or somebody else was faster.
        let state = outbox::by_id(tx, realm, id)?.map_or(mail.state, |now| now.state);
        Some(NotAgain::NotInDoubt(shown(state)))
    } else {
        None
    };
    if let Some(why) = refused {
        return Ok(Some(Err(why)));
    }
    if let Some(campaign) = campaign {
        recipients::resent_one(tx, &campaign.id, id)?;
        goes_on(tx, campaign)?;
    }
    Ok(Some(Ok(mail)))
}

/// Lets a mailing look after its mails again, because one of them is on its way again.
pub(super) fn goes_on(tx: &mut Tx<'_>, mut campaign: Campaign) -> Result<(), StoreError> {
    pace::set(tx, &campaign.id, campaign.settings.pace())?;
    if matches!(campaign.state, rows::State::Done | rows::State::Reminding) {
        campaign.state = rows::State::Running;
        campaign.finished_at = None;
    }
    if campaign.state == rows::State::Paused {
        batch::hold(tx, &campaign.id)?;
    }
    campaign.wake_at = tx.now()?;
    rows::update(tx, &campaign)
}
