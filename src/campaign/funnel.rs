//! How far the people of a mailing have come.

use serde::Serialize;

use super::deeds::{self, Arrived};
use super::recipients;
use super::rows::{Campaign, State};
use crate::kernel::Timestamp;
use crate::mail::pause;
use crate::store::{StoreError, Tx};

/// The sums of a mailing. `total` is the sum of the six after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Funnel {
    /// Everybody it is for.
    pub total: i64,
    /// Whose mail waits or is on its way.
    pub queued: i64,
    /// Whose mail was taken by the mail server.
    pub sent: i64,
    /// Whose mail was refused for good, or came back.
    pub bounced: i64,
    /// Of whose mail nobody knows whether it went out.
    pub in_doubt: i64,
    /// Who was passed over.
    pub skipped: i64,
    /// Whose mail was given up.
    pub failed: i64,
    /// Who pressed the button of the link.
    pub opened: i64,
    /// Whose button was pressed by a machine alone.
    pub automated: i64,
    /// Who used the link up.
    pub password_set: i64,
    /// Who signed in after they were mailed.
    pub signed_in: i64,
}

impl Funnel {
    /// How many are settled, of how many.
    pub const fn settled(&self) -> i64 {
        self.total.saturating_sub(self.queued)
    }
}

/// The sums of a mailing now.
///
/// # Errors
/// The database fails.
pub fn of(tx: &mut Tx<'_>, campaign: &str) -> Result<Funnel, StoreError> {
    let mut funnel = Funnel::default();
    for (state, count) in recipients::states(tx, campaign)? {
        funnel.total = funnel.total.saturating_add(count);
        let sum = match state.as_str() {
            recipients::SENT => &mut funnel.sent,
            recipients::BOUNCED => &mut funnel.bounced,
            recipients::IN_DOUBT => &mut funnel.in_doubt,
            recipients::SKIPPED => &mut funnel.skipped,
            recipients::FAILED => &mut funnel.failed,
            _ => &mut funnel.queued,
        };
        *sum = sum.saturating_add(count);
    }
    let Arrived {
        opened,
        automated,
        password_set,
        signed_in,
    } = deeds::arrived(tx, campaign)?;
    Ok(Funnel {
        opened,
        automated,
        password_set,
        signed_in,
        ..funnel
    })
}

/// A mailing as it is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is mailed.
    pub kind: &'static str,
    /// Where it stands; `paused` too while the mail server cannot be used.
    pub state: &'static str,
    /// Why it rests.
    pub reason: Option<String>,
    /// When it was made, in milliseconds.
    pub created_at: i64,
    /// When it started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// Its sums.
    pub funnel: Funnel,
}

/// Shows a mailing.
///
/// # Errors
/// The database fails.
pub fn show(tx: &mut Tx<'_>, campaign: &Campaign) -> Result<Shown, StoreError> {
    let (mut state, mut reason) = (campaign.state, campaign.reason.clone());
    if state == State::Running
        && let Some(pause) = pause::of_realm(tx, &campaign.realm_id)?
    {
        state = State::Paused;
        reason = Some(format!("mail-server: {}: {}", pause.kind, pause.reason));
    }
    Ok(Shown {
        id: campaign.id.clone(),
        name: campaign.name.clone(),
        kind: campaign.kind.as_str(),
        state: state.as_str(),
        reason,
        created_at: campaign.created_at.millis(),
        started_at: campaign.started_at.map(Timestamp::millis),
        finished_at: campaign.finished_at.map(Timestamp::millis),
        funnel: of(tx, &campaign.id)?,
    })
}
