//! `preRegister`: once the file is through, everybody whom it made and who has no password gets a link by mail.
//!
//! In portions with a marker of their own, in one transaction each, so that after a crash nobody is mailed twice.

use super::jobs::{self, Job};
use super::lease;
use super::verdicts::{self, State};
use crate::link::{self, NewLink, Purpose, Sender};
use crate::mail::Mailer;
use crate::realm::Realm;
use crate::store::{Store, StoreError, Tx};
use crate::user::credential;

/// The most people of a portion.
const PORTION: i64 = 100;

/// Whether there is more to do.
enum Step {
    More,
    Done,
    Lost,
}

/// Invites everybody who is left; `false` where the lease is lost or `go_on` says no.
///
/// # Errors
/// The database fails.
pub(super) async fn everybody(
    store: &Store,
    mailer: &Mailer,
    (job, token): (&Job, &str),
    realm: &Realm,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<bool, StoreError> {
    while go_on() {
        let (job, token) = (job.clone(), token.to_owned());
        let (mailer_here, realm) = (mailer.clone(), realm.clone());
        let step = store
            .run(move |store| store.tx(|tx| portion(tx, &mailer_here, (&job, &token), &realm)))
            .await?;
        mailer.wake();
        match step {
            Step::More => {}
            Step::Done => return Ok(true),
            Step::Lost => return Ok(false),
        }
    }
    Ok(false)
}

fn portion(
    tx: &mut Tx<'_>,
    mailer: &Mailer,
    (job, token): (&Job, &str),
    realm: &Realm,
) -> Result<Step, StoreError> {
    let from = jobs::in_realm(tx, &job.realm_id, &job.id)?.map_or(0, |job| job.invited);
    let people = verdicts::list(tx, &job.id, Some(State::Accepted), from, (0, PORTION))?;
    let Some(last) = people.last() else {
        return Ok(Step::Done);
    };
    if !lease::invited(tx, &job.id, token, from, last.number)? {
        return Ok(Step::Lost);
    }
    for user in people.iter().filter_map(|verdict| verdict.user.as_ref()) {
        if credential::password(tx, user)?.is_some() {
            continue;
        }
        let new = NewLink {
            bulk: true,
            ..NewLink::of(realm, user, Purpose::PreRegistration, Sender::Administrator)
        };
        // Who has no address, or is switched off, gets none; the person's status says so.
        if let Err(refused) = link::create(tx, mailer.tools(), &new)? {
            tracing::debug!(%refused, import = %job.id, "an imported person gets no link");
        }
    }
    Ok(Step::More)
}
