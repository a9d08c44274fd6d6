//! One chunk of an order: some people, changed by a few statements instead of a few for each.
//!
//! Runs in the transaction in which the job's place moves on. People on whom nothing of the order waits yet are done
//! together; the others one by one, by the same code that an order for one person uses.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::order::{self, Task};
use super::rows::{self, Job};
use super::undo::{self, Changed};
use crate::action::kinds::update_password;
use crate::admin::users::actions::Plan;
use crate::kernel::{Entropy, UserId};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::engine::Engine;
use crate::session;
use crate::store::schema::{cohort_before, cohort_people, events, required_actions, users};
use crate::store::{StoreError, Tx, db};
use crate::user;
use crate::user::AuthEpoch;
use crate::user::search;

/// So many people are changed in one transaction: few enough that a sign-in waits for milliseconds.
pub const SIZE: i64 = 1000;

/// What a chunk came to.
pub struct Chunk {
    /// The last id of it.
    pub place: String,
    /// How many people it changed.
    pub done: i64,
}

/// Does the next chunk. `None`: there is nobody left.
///
/// # Errors
/// The database fails.
pub fn next(
    tx: &mut Tx<'_>,
    engine: &Engine,
    config: &RealmConfig,
    job: &Job,
) -> Result<Option<Chunk>, StoreError> {
    let (ids, last) = match &job.order.task {
        Task::Change(_) => {
            let audience = order::spared(tx, config, &job.order)?;
            let ids = search::ids(tx, &job.realm_id, &audience, (&job.place, SIZE))?;
            let last = ids.last().cloned();
            (ids, last)
        }
        Task::Undo { job: undone, .. } => {
            let found = rows::people(tx, undone, (&job.place, SIZE))?;
            let last = found.last().cloned();
            let audience = crate::user::audience::Audience {
                ids: Some(found),
                without_roles: job.order.beyond.clone(),
                ..Default::default()
            };
            let ids = search::ids(tx, &job.realm_id, &audience, ("", SIZE))?;
            (ids, last)
        }
    };
    let Some(last) = last else { return Ok(None) };
    lock(tx, &ids)?;
    let entropy = &engine.entropy;
    match &job.order.task {
        Task::Change(plan) => {
            change(tx, entropy, (job, plan), &ids)?;
            audit(tx, job, (&Changed::by(plan), &ids))?;
        }
        Task::Undo { job: undone, plan } => {
            let all = undo::undo(tx, entropy, (&job.id, undone, plan), &ids)?;
            for (changed, ids) in &all {
                audit(tx, job, (changed, ids))?;
            }
        }
    }
    Ok(Some(Chunk {
        place: last.as_str().to_owned(),
        done: i64::try_from(ids.len()).unwrap_or(i64::MAX),
    }))
}

/// Writes the rows that the mint locks, which locks them against it.
fn lock(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table.filter(users::id.eq_any(ids))
    )
    .set(users::gate_version.eq(users::gate_version + 1))
    .execute(c))?;
    Ok(())
}

fn change(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (job, plan): (&Job, &Plan),
    ids: &[UserId],
) -> Result<(), StoreError> {
    let named: Vec<&String> = plan.set.iter().chain(&plan.take).collect();
    db!(tx, |c| users::table
        .filter(users::id.eq_any(ids))
        .select((job.id.as_str().into_sql::<Text>(), users::id))
        .insert_into(cohort_people::table)
        .into_columns((cohort_people::job_id, cohort_people::user_id))
        .execute(c))?;
    db!(tx, |c| required_actions::table
        .filter(required_actions::user_id.eq_any(ids))
        .filter(required_actions::action.eq_any(&named))
        .select((
            job.id.as_str().into_sql::<Text>(),
            required_actions::user_id,
            required_actions::action,
            required_actions::source,
            required_actions::reason,
            required_actions::since,
            required_actions::due_at,
            required_actions::reset_proof,
            required_actions::set_by_job,
        ))
        .insert_into(cohort_before::table)
        .into_columns((
            cohort_before::job_id,
            cohort_before::user_id,
            cohort_before::action,
            cohort_before::source,
            cohort_before::reason,
            cohort_before::since,
            cohort_before::due_at,
            cohort_before::reset_proof,
            cohort_before::set_by_job,
        ))
        .execute(c))?;
    let waiting: Vec<UserId> = db!(tx, |c| required_actions::table
        .filter(required_actions::user_id.eq_any(ids))
        .filter(required_actions::action.eq_any(&named))
        .select(required_actions::user_id)
        .distinct()
        .load(c))?;
    let waiting: BTreeSet<UserId> = waiting.into_iter().collect();
    let fresh: Vec<&UserId> = ids.iter().filter(|id| !waiting.contains(id)).collect();
    set_on_all(tx, entropy, (job, plan), &fresh)?;
    for id in &waiting {
        plan.carry_out(tx, entropy, id, Some(&job.id))?;
    }
    Ok(())
}

/// Sets the plan's actions on people on whom none of them waits.
fn set_on_all(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (job, plan): (&Job, &Plan),
    ids: &[&UserId],
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let setting = plan.manner.setting(None);
    let due_at = setting.due_at.unwrap_or(now);
    for action in &plan.set {
        db!(tx, |c| users::table
            .filter(users::id.eq_any(ids))
            .select((
                users::id,
                action.as_str().into_sql::<Text>(),
                setting.source.into_sql::<Text>(),
                setting.reason.into_sql::<Nullable<Text>>(),
                now.micros().into_sql::<BigInt>(),
                due_at.micros().into_sql::<BigInt>(),
                setting.reset_proof.as_str().into_sql::<Text>(),
                Some(job.id.as_str()).into_sql::<Nullable<Text>>(),
            ))
            .insert_into(required_actions::table)
            .into_columns((
                required_actions::user_id,
                required_actions::action,
                required_actions::source,
                required_actions::reason,
                required_actions::since,
                required_actions::due_at,
                required_actions::reset_proof,
                required_actions::set_by_job,
            ))
            .execute(c))?;
        // As for one person: what is due later leaves the tokens of today alone.
        if action == update_password::NAME {
            user::not_before::flag(tx, ids, now)?;
            if due_at <= now {
                user::not_before::raise(tx, ids, now)?;
            }
        }
    }
    if plan.manner.revoke_sessions {
        // An epoch is compared with artefacts of the same person alone, so one random one serves the chunk.
        let epoch = AuthEpoch::new(entropy.random_uuid());
        db!(tx, |c| diesel::update(
            users::table.filter(users::id.eq_any(ids))
        )
        .set(users::auth_epoch.eq(&epoch))
        .execute(c))?;
        session::rows::delete_of_users(tx, ids)?;
    }
    Ok(())
}

/// One event for each person, so that their history tells what was done to them.
fn audit(
    tx: &mut Tx<'_>,
    job: &Job,
    (changed, ids): (&Changed, &[UserId]),
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let event = job
        .order
        .event(&job.realm_id, "ADMIN_USER_REQUIRED_ACTIONS", &job.id)
        .detail("set", changed.set.clone())
        .detail("taken", changed.taken.clone());
    let details = serde_json::Value::Object(event.details).to_string();
    let own = format!("{}/", job.id);
    metrics::counter!("idp_events_total", "kind" => event.kind).increment(ids.len() as u64);
    db!(tx, |c| users::table
        .filter(users::id.eq_any(ids))
        .select((
            own.as_str().into_sql::<Text>().concat(users::id),
            users::realm_id,
            event.kind.into_sql::<Text>(),
            users::id.nullable(),
            event.client_id.as_deref().into_sql::<Nullable<Text>>(),
            event.ip_address.as_deref().into_sql::<Nullable<Text>>(),
            details.as_str().into_sql::<Text>(),
            now.micros().into_sql::<BigInt>(),
        ))
        .insert_into(events::table)
        .into_columns((
            events::id,
            events::realm_id,
            events::kind,
            events::user_id,
            events::client_id,
            events::ip_address,
            events::details,
            events::at,
        ))
        .execute(c))?;
    Ok(())
}
