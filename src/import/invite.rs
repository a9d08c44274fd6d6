//! `preRegister`: the mailing that an import starts, to everybody whom it made and who has no password.
//!
//! It is made in the transaction that ends the import, so that there is one for each import whatever dies when. From
//! then on it is a mailing like any other: paced, paused, stopped, counted, and in doubt where nobody knows.

use super::jobs::{self, Job};
use crate::campaign::{Kind, Settings, orders};
use crate::kernel::Entropy;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};

/// Starts the mailing of an import that this transaction ends; answers its id.
///
/// # Errors
/// The database fails.
pub(super) fn start(tx: &mut Tx<'_>, entropy: &Entropy, job: &Job) -> Result<String, StoreError> {
    let settings = Settings {
        import: Some(job.id.clone()),
        ..Settings::default()
    };
    let name = format!("People of import {}", job.id);
    let kind = Kind::PreRegistration;
    let campaign = orders::create(tx, entropy, &job.realm_id, (&name, kind, settings))?;
    jobs::set_campaign(tx, &job.id, &campaign.id)?;
    let event = Event::new(&job.realm_id, "ADMIN_CAMPAIGN_CREATE")
        .detail("campaign", campaign.id.as_str())
        .detail("import", job.id.as_str());
    let now = tx.now()?;
    events::record(tx, entropy, now, event)?;
    Ok(campaign.id)
}
