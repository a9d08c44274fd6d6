//! The undo of an order, for the people of a chunk: what waited before is put back, and nothing else is touched.
//!
//! What an order has set carries its job. The undo takes, or puts back to what it was, only what still carries it: what
//! anybody else has asked for since, be it stricter or the same, stays ([`WaitingAction::set_by_job`]).

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::action::assign;
use crate::action::kinds::update_password;
use crate::admin::users::actions::{Manner, Plan};
use crate::kernel::{Entropy, Timestamp, UserId};
use crate::store::schema::{cohort_before, cohort_people, users};
use crate::store::{StoreError, Tx, corrupt, db};
use crate::user;
use crate::user::waiting::{self, ResetProof, WaitingAction};

/// So many rows are written by one statement: the databases limit its parameters.
const ROWS: usize = 500;

/// What happened to somebody: the names of the actions that were set, and of those that were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Changed {
    pub(super) set: Vec<String>,
    pub(super) taken: Vec<String>,
}

impl Changed {
    /// What a plan does.
    pub(super) fn by(plan: &Plan) -> Self {
        Self {
            set: plan.set.clone(),
            taken: plan.take.clone(),
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = cohort_before, treat_none_as_default_value = false)]
struct BeforeRow {
    job_id: String,
    user_id: UserId,
    action: String,
    source: String,
    reason: Option<String>,
    since: Timestamp,
    due_at: Timestamp,
    reset_proof: String,
    set_by_job: Option<String>,
}

/// Puts back what waited before the order, whose job is `undone`. Answers what that was, with whom; those whom it
/// changes are the people of the job `own`.
///
/// # Errors
/// The database fails.
pub(super) fn undo(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (own, undone, plan): (&str, &str, &Plan),
    ids: &[UserId],
) -> Result<BTreeMap<Changed, Vec<UserId>>, StoreError> {
    let mut before = before(tx, undone, ids)?;
    let mut all: BTreeMap<Changed, Vec<UserId>> = BTreeMap::new();
    let mut ended: Vec<BeforeRow> = Vec::new();
    for id in ids {
        let waits = waiting::of_user(tx, id)?;
        let waited = before.remove(id).unwrap_or_default();
        let changed = undo_one(tx, entropy, (id, undone, plan), (&waits, &waited))?;
        if changed == Changed::default() {
            continue;
        }
        let touched = waits
            .into_iter()
            .filter(|row| changed.set.contains(&row.action) || changed.taken.contains(&row.action));
        ended.extend(touched.map(|row| BeforeRow {
            job_id: own.to_owned(),
            user_id: id.clone(),
            action: row.action,
            source: row.source,
            reason: row.reason,
            since: row.since,
            due_at: row.due_at,
            reset_proof: row.reset_proof.as_str().to_owned(),
            set_by_job: None,
        }));
        all.entry(changed).or_default().push(id.clone());
    }
    // Its notices are told from these, like those of any order.
    let people: Vec<&UserId> = all.values().flatten().collect();
    db!(tx, |c| users::table
        .filter(users::id.eq_any(&people))
        .select((own.into_sql::<Text>(), users::id))
        .insert_into(cohort_people::table)
        .into_columns((cohort_people::job_id, cohort_people::user_id))
        .execute(c))?;
    for part in ended.chunks(ROWS) {
        db!(tx, |c| diesel::insert_into(cohort_before::table)
            .values(part)
            .execute(c))?;
    }
    Ok(all)
}

/// What waited on these people before the order.
fn before(
    tx: &mut Tx<'_>,
    job: &str,
    ids: &[UserId],
) -> Result<BTreeMap<UserId, Vec<WaitingAction>>, StoreError> {
    let rows: Vec<BeforeRow> = db!(tx, |c| cohort_before::table
        .filter(cohort_before::job_id.eq(job))
        .filter(cohort_before::user_id.eq_any(ids))
        .select(BeforeRow::as_select())
        .load(c))?;
    let mut before: BTreeMap<UserId, Vec<WaitingAction>> = BTreeMap::new();
    for row in rows {
        let reset_proof = ResetProof::parse(&row.reset_proof)
            .ok_or_else(|| corrupt("cohort_before", "reset_proof", job, &row.reset_proof))?;
        before.entry(row.user_id).or_default().push(WaitingAction {
            action: row.action,
            source: row.source,
            reason: row.reason,
            since: row.since,
            due_at: row.due_at,
            reset_proof,
            set_by_job: row.set_by_job,
        });
    }
    Ok(before)
}

fn undo_one(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (id, job, plan): (&UserId, &str, &Plan),
    (waits, waited): (&[WaitingAction], &[WaitingAction]),
) -> Result<Changed, StoreError> {
    let mut changed = Changed::default();
    for action in &plan.set {
        let row = waits.iter().find(|row| row.action == *action);
        let old = waited.iter().find(|old| old.action == *action);
        let Some(row) = row.filter(|row| row.set_by_job.as_deref() == Some(job)) else {
            // They have done it, somebody has taken it, or somebody has asked for it since.
            bequeath(tx, (job, id, action), old)?;
            continue;
        };
        let Some(old) = old else {
            assign::waive(tx, id, action, entropy)?;
            changed.taken.push(action.clone());
            continue;
        };
        waiting::put(tx, id, old)?;
        let back = Manner {
            due_at: Some(old.due_at),
            reset_proof: Some(old.reset_proof),
            ..Manner::default()
        };
        if action == update_password::NAME && back.loosens(row) {
            assign::end_everything(tx, id, entropy)?;
        }
        let is_other = (row.due_at, row.reset_proof, &row.reason)
            != (old.due_at, old.reset_proof, &old.reason);
        if is_other {
            changed.set.push(action.clone());
        }
    }
    for old in waited.iter().filter(|old| plan.take.contains(&old.action)) {
        if waits.iter().any(|row| row.action == old.action) {
            continue;
        }
        waiting::put(tx, id, old)?;
        changed.set.push(old.action.clone());
        if old.action == update_password::NAME {
            let now = tx.now()?;
            user::not_before::flag(tx, &[id], now)?;
            if old.due_at <= now {
                user::not_before::raise(tx, &[id], now)?;
            }
        }
    }
    Ok(changed)
}

/// A newer order that found what this one had set puts back, when it is undone in its turn, what was before both.
fn bequeath(
    tx: &mut Tx<'_>,
    (job, user, action): (&str, &UserId, &str),
    old: Option<&WaitingAction>,
) -> Result<(), StoreError> {
    let heir = || {
        cohort_before::table
            .filter(cohort_before::user_id.eq(user))
            .filter(cohort_before::action.eq(action))
            .filter(cohort_before::set_by_job.eq(job))
    };
    match old {
        None => db!(tx, |c| diesel::delete(heir()).execute(c))?,
        Some(old) => db!(tx, |c| diesel::update(heir())
            .set((
                cohort_before::source.eq(&old.source),
                cohort_before::reason.eq(&old.reason),
                cohort_before::since.eq(old.since),
                cohort_before::due_at.eq(old.due_at),
                cohort_before::reset_proof.eq(old.reset_proof.as_str()),
                cohort_before::set_by_job.eq(&old.set_by_job),
            ))
            .execute(c))?,
    };
    Ok(())
}
