//! Tells people what an order has done to them, by mails that leave at a pace.
//!
//! Begins once the order has ended, within the call where that has done it, and goes through the people whom it has
//! changed, by their ids. The place moves on in the transaction that queues the mails, so nobody is told twice and
//! nobody is left out, whatever dies. Few of these mails wait in the outbox at a time, so that an order for a million
//! people holds up no other mail. What is no longer true when somebody's turn has come is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;

use super::order::{Task, Tells};
use super::rows::{self, Job};
use crate::action::kinds::update_password;
use crate::admin::users::actions::Done;
use crate::admin::users::notices;
use crate::kernel::{RealmId, UserId};
use crate::mail::outbox::batch;
use crate::mail::pace::{self, Pace};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::engine::Engine;
use crate::realm;
use crate::store::schema::{cohort_before, required_actions};
use crate::store::{Store, StoreError, Tx, corrupt, db};
use crate::user::waiting::ResetProof;
use crate::user::{self, User};

/// So many notices of a realm's orders leave in a second.
pub const PER_SECOND: i64 = 20;
/// So many of them wait in the outbox at once: two seconds' worth.
const WINDOW: i64 = 2 * PER_SECOND;
/// So many people are looked at in one transaction.
const PORTION: i64 = 200;
/// How often a node looks for work.
const POLL: Duration = Duration::from_millis(500);
/// How long it rests between two portions.
const BREATH: Duration = Duration::from_millis(2);

/// Works for as long as the server runs.
pub async fn run(engine: Arc<Engine>) {
    loop {
        match once(&engine).await {
            Ok(true) => tokio::time::sleep(BREATH).await,
            Ok(false) => tokio::time::sleep(POLL).await,
            Err(error) => {
                tracing::warn!(%error, "notices of an order rest; they go on in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Hands over as many notices as there is room for, of one order in each realm. `false`: there is nothing to do for a
/// moment.
///
/// # Errors
/// The database fails.
async fn once(engine: &Arc<Engine>) -> Result<bool, StoreError> {
    let shared = Arc::clone(engine);
    let work = move |store: &Store| {
        let jobs = store.read(|tx| {
            let mut jobs = rows::to_tell(tx)?;
            let mut realms = BTreeSet::new();
            jobs.retain(|(_, realm)| realms.insert(realm.clone()));
            Ok::<_, StoreError>(jobs)
        })?;
        let (mut worked, mut more) = (false, false);
        for (id, realm) in jobs {
            // Looks before it writes: for most of the time the window is full.
            if store.read(|tx| room(tx, &realm))? > 0 {
                worked = true;
                more |= store.tx(|tx| step(tx, &shared, &id))?;
            }
        }
        Ok::<_, StoreError>((worked, more))
    };
    let (worked, more) = engine.store.run(work).await?;
    if worked {
        engine.mailer.wake();
    }
    Ok(more)
}

/// The notices of all orders of a realm share one pace.
fn batch_of(realm: &RealmId) -> String {
    format!("notices/{realm}")
}

fn room(tx: &mut Tx<'_>, realm: &RealmId) -> Result<i64, StoreError> {
    Ok(WINDOW.saturating_sub(batch::open(tx, &batch_of(realm))?))
}

/// One portion of an ended order. `false`: there is nobody left, or no room.
///
/// # Errors
/// The database fails.
pub(super) fn step(tx: &mut Tx<'_>, engine: &Engine, id: &str) -> Result<bool, StoreError> {
    let Some(job) = rows::hold_telling(tx, id)? else {
        return Ok(false);
    };
    let config = match realm::rows::by_id(tx, &job.realm_id)? {
        Some(realm) => engine.catalog.current(tx, &realm.name)?,
        None => None,
    };
    let Some(config) = config else {
        return Ok(false);
    };
    let batch = batch_of(&job.realm_id);
    let mut people = rows::people(tx, id, (&job.told, PORTION))?;
    if !engine.mailer.is_configured(&config.realm) {
        people.clear();
    }
    if people.is_empty() {
        // The pace is needed for as long as one of the mails waits.
        let waits = batch::open(tx, &batch)? > 0;
        if !waits {
            pace::clear(tx, &batch)?;
        }
        rows::note_told(tx, id, (&job.told, waits))?;
        return Ok(false);
    }
    let pace = Pace {
        per_second: Some(PER_SECOND),
        ..Pace::default()
    };
    pace::set(tx, &batch, pace)?;
    let room = room(tx, &job.realm_id)?;
    let told = tell(tx, (engine, &config), (&job, &people), (&batch, room))?;
    let place = told.last.as_ref().map_or(job.told.as_str(), UserId::as_str);
    rows::note_told(tx, id, (place, true))?;
    Ok(told.mails < room)
}

/// How far a portion has come.
struct Told {
    last: Option<UserId>,
    mails: i64,
}

/// Queues the notices of these people until there is no room left.
fn tell(
    tx: &mut Tx<'_>,
    at: (&Engine, &RealmConfig),
    (job, people): (&Job, &[UserId]),
    (batch, room): (&str, i64),
) -> Result<Told, StoreError> {
    let now = tx.now()?;
    let ids: Vec<&UserId> = people.iter().collect();
    let waited = before(tx, &job.id, people)?;
    let waits = waiting(tx, people)?;
    let users = user::bulk::by_ids(tx, &ids)?;
    let with_password = user::bulk::with_password(tx, &ids)?;
    let mut former = user::bulk::former_addresses(tx, &ids, now)?;
    let mut told = Told {
        last: None,
        mails: 0,
    };
    for id in people {
        if told.mails >= room {
            break;
        }
        told.last = Some(id.clone());
        // Whoever is switched off can do nothing that a notice could say.
        let Some(user) = users.get(id).filter(|user| user.enabled) else {
            continue;
        };
        let done = news(
            &job.order.task,
            waited.get(id).unwrap_or(&BTreeSet::new()),
            waits.get(id).unwrap_or(&BTreeMap::new()),
        );
        let former = former.remove(id).unwrap_or_default();
        let user = match job.order.tells {
            Tells::Everybody => user.clone(),
            Tells::FormerAddresses => User {
                email: None,
                ..user.clone()
            },
        };
        let news = notices::news(&done, with_password.contains(id), job.created_at);
        for mail in notices::of_order(tx, at, (&user, &former), &news, now)? {
            batch::join(tx, &mail, batch, None)?;
            told.mails = told.mails.saturating_add(1);
        }
    }
    Ok(told)
}

/// Actions that wait, and who can complete each.
type Waiting = BTreeMap<String, ResetProof>;

/// What the order did to somebody on whom these actions waited before it, as far as it holds with these that wait now.
/// Who can set the password is told as it is now: a stricter demand that waited before the order is not softened by it.
/// What an undo has ended or put back to what it was is all that is kept as having waited before it.
fn news(task: &Task, before: &BTreeSet<String>, now: &Waiting) -> Done {
    let reset = update_password::NAME;
    let names = |actions: &[String]| actions.iter().any(|action| action == reset);
    let is_news = match task {
        Task::Change(plan) => {
            names(&plan.set) && (!before.contains(reset) || plan.manner.changes_waiting())
        }
        Task::Undo { plan, .. } => names(&plan.take) || before.contains(reset),
    };
    let taken = match task {
        Task::Change(plan) => &plan.take,
        Task::Undo { plan, .. } => &plan.set,
    };
    Done {
        waived: taken
            .iter()
            .filter(|action| before.contains(*action) && !now.contains_key(*action))
            .cloned()
            .collect(),
        demanded: now.get(reset).copied().filter(|_| is_news),
    }
}

/// What waited on these people before the order, as far as it was about that.
fn before(
    tx: &mut Tx<'_>,
    job: &str,
    people: &[UserId],
) -> Result<BTreeMap<UserId, BTreeSet<String>>, StoreError> {
    let rows: Vec<(UserId, String)> = db!(tx, |c| cohort_before::table
        .filter(cohort_before::job_id.eq(job))
        .filter(cohort_before::user_id.eq_any(people))
        .select((cohort_before::user_id, cohort_before::action))
        .load(c))?;
    let mut all: BTreeMap<UserId, BTreeSet<String>> = BTreeMap::new();
    for (user, action) in rows {
        all.entry(user).or_default().insert(action);
    }
    Ok(all)
}

/// What waits on these people now.
fn waiting(tx: &mut Tx<'_>, people: &[UserId]) -> Result<BTreeMap<UserId, Waiting>, StoreError> {
    let rows: Vec<(UserId, String, String)> = db!(tx, |c| required_actions::table
        .filter(required_actions::user_id.eq_any(people))
        .select((
            required_actions::user_id,
            required_actions::action,
            required_actions::reset_proof,
        ))
        .load(c))?;
    let mut all: BTreeMap<UserId, Waiting> = BTreeMap::new();
    for (user, action, proof) in rows {
        let proof = ResetProof::parse(&proof)
            .ok_or_else(|| corrupt("required_actions", "reset_proof", &user, proof))?;
        all.entry(user).or_default().insert(action, proof);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::users::actions::{Manner, Plan};

    const RESET: &str = update_password::NAME;
    const TERMS: &str = "TERMS_AND_CONDITIONS";

    fn set(actions: &[&str]) -> BTreeSet<String> {
        actions.iter().map(|&action| action.to_owned()).collect()
    }

    fn waits(actions: &[&str], proof: ResetProof) -> Waiting {
        set(actions)
            .into_iter()
            .map(|action| (action, proof))
            .collect()
    }

    fn plan() -> Plan {
        Plan {
            set: vec![RESET.to_owned()],
            take: vec![TERMS.to_owned()],
            manner: Manner::default(),
        }
    }

    #[test]
    fn what_is_no_news_or_no_longer_true_is_not_told() {
        let plan = plan();
        let order = Task::Change(plan.clone());
        for (before, now, demanded, waived) in [
            (&[][..], &[RESET][..], true, &[][..]),
            (&[TERMS], &[RESET], true, &[TERMS]),
            // It waited already, and as it does now.
            (&[RESET], &[RESET], false, &[]),
            // A new password was set, or the order undone, before it could be told.
            (&[], &[], false, &[]),
            (&[TERMS], &[TERMS], false, &[]),
        ] {
            let done = news(&order, &set(before), &waits(now, ResetProof::Password));
            assert_eq!(done.demanded.is_some(), demanded, "{before:?} {now:?}");
            assert_eq!(done.waived, waived, "{before:?} {now:?}");
        }
        let noted = Task::Change(Plan {
            manner: Manner {
                reason: Some("a leak".to_owned()),
                ..Manner::default()
            },
            ..plan
        });
        let stricter = waits(&[RESET], ResetProof::Mailbox);
        let told = news(&noted, &set(&[RESET]), &stricter).demanded;
        assert_eq!(told, Some(ResetProof::Mailbox), "as it is, not as ordered");
    }

    #[test]
    fn an_undo_tells_what_it_has_ended_and_what_it_has_put_back() {
        let undo = Task::Undo {
            job: "order".to_owned(),
            plan: plan(),
        };
        for (ended, now, demanded, waived) in [
            (&[RESET][..], &[][..], false, &[RESET][..]),
            // The terms that the order had taken are back.
            (&[RESET], &[TERMS], false, &[RESET]),
            // A milder demand is back, or somebody has asked anew before it could be told.
            (&[RESET], &[RESET], true, &[]),
        ] {
            let done = news(&undo, &set(ended), &waits(now, ResetProof::Password));
            assert_eq!(done.demanded.is_some(), demanded, "{ended:?} {now:?}");
            assert_eq!(done.waived, waived, "{ended:?} {now:?}");
        }
    }
}
