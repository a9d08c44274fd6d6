//! Jobs over many people, and what was before them, in SQL.
//!
//! Invariant: a chunk's changes, its place and its count are one transaction, fenced by the job's lease: a node that
//! slept through its lease, or was killed, changes nothing twice.

use diesel::prelude::*;

use super::order::{Order, Task, Tells};
use crate::kernel::{Entropy, RealmId, Timestamp, UserId};
use crate::store::schema::{cohort_jobs, cohort_people};
use crate::store::{StoreError, Tx, corrupt, db};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has begun.
    Queued,
    /// Some of it is done.
    Running,
    /// All of it is done.
    Done,
    /// It cannot go on.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl State {
    const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The states in which there is something left to do.
const OPEN: [&str; 2] = [State::Queued.as_str(), State::Running.as_str()];

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its realm.
    pub realm_id: RealmId,
    /// Where it stands.
    pub state: State,
    /// What is to be done.
    pub order: Order,
    /// How many people it was about when it was ordered.
    pub total: i64,
    /// How many are done.
    pub done: i64,
    /// How many the filter found and the rules left out.
    pub skipped: i64,
    /// The last id that is done.
    pub place: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether somebody is still to be told of it.
    pub telling: bool,
    /// The last id that was told.
    pub told: String,
    /// The job that undoes it, or has.
    pub undone_by: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = cohort_jobs)]
struct JobRow {
    id: String,
    realm_id: RealmId,
    state: String,
    work: String,
    total: i64,
    done: i64,
    skipped: i64,
    place: String,
    error: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    telling: bool,
    told: String,
    undone_by: Option<String>,
}

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let state = State::ALL
            .into_iter()
            .find(|state| state.as_str() == row.state)
            .ok_or_else(|| corrupt("cohort_jobs", "state", &row.id, &row.state))?;
        let order = serde_json::from_str(&row.work)
            .map_err(|cause| corrupt("cohort_jobs", "work", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            state,
            order,
            total: row.total,
            done: row.done,
            skipped: row.skipped,
            place: row.place,
            error: row.error,
            created_at: row.created_at,
            finished_at: row.finished_at,
            telling: row.telling,
            told: row.told,
            undone_by: row.undone_by,
        })
    }
}

impl Job {
    /// A job that nobody has begun.
    pub fn new(
        entropy: &Entropy,
        realm: &RealmId,
        order: Order,
        (total, skipped): (i64, i64),
        now: Timestamp,
    ) -> Self {
        Self {
            id: entropy.uuid(now),
            realm_id: realm.clone(),
            state: State::Queued,
            telling: order.tells == Tells::Everybody,
            told: String::new(),
            undone_by: None,
            order,
            total,
            done: 0,
            skipped,
            place: String::new(),
            error: None,
            created_at: now,
            finished_at: None,
        }
    }
}

/// Stores a new job.
///
/// # Errors
/// The database fails.
pub fn insert(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    let work = serde_json::to_string(&job.order)
        .map_err(|cause| corrupt("cohort_jobs", "work", &job.id, cause))?;
    db!(tx, |c| diesel::insert_into(cohort_jobs::table)
        .values((
            cohort_jobs::id.eq(&job.id),
            cohort_jobs::realm_id.eq(&job.realm_id),
            cohort_jobs::state.eq(job.state.as_str()),
            cohort_jobs::work.eq(&work),
            cohort_jobs::total.eq(job.total),
            cohort_jobs::done.eq(job.done),
            cohort_jobs::skipped.eq(job.skipped),
            cohort_jobs::place.eq(&job.place),
            cohort_jobs::lease_until.eq(Timestamp::from_micros(0)),
            cohort_jobs::created_at.eq(job.created_at),
            cohort_jobs::telling.eq(job.telling),
            cohort_jobs::told.eq(&job.told),
        ))
        .execute(c))?;
    Ok(())
}

/// Stores how far a job has come; its lease stays as it is.
///
/// # Errors
/// The database fails.
pub fn update(tx: &mut Tx<'_>, job: &Job) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        cohort_jobs::table.filter(cohort_jobs::id.eq(&job.id))
    )
    .set((
        cohort_jobs::state.eq(job.state.as_str()),
        cohort_jobs::done.eq(job.done),
        cohort_jobs::place.eq(&job.place),
        cohort_jobs::error.eq(&job.error),
        cohort_jobs::finished_at.eq(job.finished_at),
    ))
    .execute(c))?;
    Ok(())
}

/// The realm's job of that id.
///
/// # Errors
/// The database fails.
pub fn by_id(tx: &mut Tx<'_>, realm: &RealmId, id: &str) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = db!(tx, |c| cohort_jobs::table
        .filter(cohort_jobs::id.eq(id))
        .filter(cohort_jobs::realm_id.eq(realm))
        .select(JobRow::as_select())
        .first(c)
        .optional())?;
    row.map(Job::try_from).transpose()
}

/// The realm's jobs, the newest first.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    (first, max): (i64, Option<i64>),
) -> Result<Vec<Job>, StoreError> {
    let rows: Vec<JobRow> = db!(tx, |c| cohort_jobs::table
        .filter(cohort_jobs::realm_id.eq(realm))
        .order((cohort_jobs::created_at.desc(), cohort_jobs::id.desc()))
        .offset(first)
        .limit(max.unwrap_or(i64::MAX))
        .select(JobRow::as_select())
        .load(c))?;
    rows.into_iter().map(Job::try_from).collect()
}

/// Stops a job. `false`: it had ended.
///
/// # Errors
/// The database fails.
pub fn cancel(tx: &mut Tx<'_>, id: &str) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let changed = db!(tx, |c| diesel::update(
        cohort_jobs::table
            .filter(cohort_jobs::id.eq(id))
            .filter(cohort_jobs::state.eq_any(OPEN))
    )
    .set((
        cohort_jobs::state.eq(State::Cancelled.as_str()),
        cohort_jobs::finished_at.eq(now),
    ))
    .execute(c))?;
    Ok(changed == 1)
}

/// Notes which job undoes this one. `false`: another one has done so, or is about to; one that was stopped or has
/// failed leaves its rest to the next.
///
/// # Errors
/// The database fails.
pub(super) fn begin_undo(tx: &mut Tx<'_>, job: &Job, by: &str) -> Result<bool, StoreError> {
    let former = job.undone_by.as_deref();
    if let Some(former) = former {
        let known = by_id(tx, &job.realm_id, former)?;
        if !known.is_some_and(|of| matches!(of.state, State::Cancelled | State::Failed)) {
            return Ok(false);
        }
    }
    let unchanged = cohort_jobs::undone_by
        .is_null()
        .or(cohort_jobs::undone_by.eq(former.unwrap_or_default()));
    let changed = db!(tx, |c| diesel::update(
        cohort_jobs::table
            .filter(cohort_jobs::id.eq(&job.id))
            .filter(unchanged)
    )
    .set(cohort_jobs::undone_by.eq(by))
    .execute(c))?;
    Ok(changed == 1)
}

/// A job that nobody works on, the oldest first.
///
/// # Errors
/// The database fails.
pub fn due(tx: &mut Tx<'_>) -> Result<Option<String>, StoreError> {
    let now = tx.now()?;
    db!(tx, |c| cohort_jobs::table
        .filter(cohort_jobs::state.eq_any(OPEN))
        .filter(cohort_jobs::lease_until.le(now))
        .order(cohort_jobs::created_at)
        .select(cohort_jobs::id)
        .first(c)
        .optional())
}

/// Takes a job that nobody works on for `seconds`. `false`: somebody else was faster.
///
/// # Errors
/// The database fails.
pub fn lease(tx: &mut Tx<'_>, id: &str, token: &str, seconds: i64) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let changed = db!(tx, |c| diesel::update(
        cohort_jobs::table
            .filter(cohort_jobs::id.eq(id))
            .filter(cohort_jobs::state.eq_any(OPEN))
            .filter(cohort_jobs::lease_until.le(now))
    )
    .set((
        cohort_jobs::lease_token.eq(token),
        cohort_jobs::lease_until.eq(now.plus_seconds(seconds)),
    ))
    .execute(c))?;
    Ok(changed == 1)
}

/// The job under that lease, its row locked and the lease given `seconds` from now. `None`: the lease is lost, or the
/// job was stopped.
///
/// # Errors
/// The database fails.
pub fn hold(
    tx: &mut Tx<'_>,
    id: &str,
    token: &str,
    seconds: i64,
) -> Result<Option<Job>, StoreError> {
    let now = tx.now()?;
    let row: Option<JobRow> = db!(tx, |c| diesel::update(
        cohort_jobs::table
            .filter(cohort_jobs::id.eq(id))
            .filter(cohort_jobs::state.eq_any(OPEN))
            .filter(cohort_jobs::lease_token.eq(token))
    )
    .set((
        cohort_jobs::state.eq(State::Running.as_str()),
        cohort_jobs::lease_until.eq(now.plus_seconds(seconds)),
    ))
    .returning(JobRow::as_returning())
    .get_result(c)
    .optional())?;
    row.map(Job::try_from).transpose()
}

/// The next people of the order that is to be undone.
///
/// # Errors
/// The database fails.
pub fn people(
    tx: &mut Tx<'_>,
    job: &str,
    (after, limit): (&str, i64),
) -> Result<Vec<UserId>, StoreError> {
    db!(tx, |c| cohort_people::table
        .filter(cohort_people::job_id.eq(job))
        .filter(cohort_people::user_id.gt(after))
        .order(cohort_people::user_id)
        .limit(limit)
        .select(cohort_people::user_id)
        .load(c))
}

/// How many people an undo is about.
///
/// # Errors
/// The database fails.
pub fn count_people(tx: &mut Tx<'_>, task: &Task) -> Result<i64, StoreError> {
    let Task::Undo { job, .. } = task else {
        return Ok(0);
    };
    db!(tx, |c| cohort_people::table
        .filter(cohort_people::job_id.eq(job))
        .count()
        .get_result(c))
}

/// The ended jobs of which people are still to be told, the oldest first, with their realms.
///
/// # Errors
/// The database fails.
pub fn to_tell(tx: &mut Tx<'_>) -> Result<Vec<(String, RealmId)>, StoreError> {
    db!(tx, |c| cohort_jobs::table
        .filter(cohort_jobs::telling.eq(true))
        .filter(cohort_jobs::state.ne_all(OPEN))
        .order((cohort_jobs::created_at, cohort_jobs::id))
        .select((cohort_jobs::id, cohort_jobs::realm_id))
        .load(c))
}

/// One of [`to_tell`], its row locked. `None`: everybody was told meanwhile.
///
/// # Errors
/// The database fails.
pub(super) fn hold_telling(tx: &mut Tx<'_>, id: &str) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = db!(tx, |c| diesel::update(
        cohort_jobs::table
            .filter(cohort_jobs::id.eq(id))
            .filter(cohort_jobs::telling.eq(true))
            .filter(cohort_jobs::state.ne_all(OPEN))
    )
    .set(cohort_jobs::telling.eq(true))
    .returning(JobRow::as_returning())
    .get_result(c)
    .optional())?;
    row.map(Job::try_from).transpose()
}

/// Notes who was told last, and whether anybody is left.
///
/// # Errors
/// The database fails.
pub(super) fn note_told(
    tx: &mut Tx<'_>,
    id: &str,
    (told, telling): (&str, bool),
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        cohort_jobs::table.filter(cohort_jobs::id.eq(id))
    )
    .set((cohort_jobs::told.eq(told), cohort_jobs::telling.eq(telling)))
    .execute(c))?;
    Ok(())
}

/// Lets an order tell whom it has changed; for one that does not by itself.
///
/// # Errors
/// The database fails.
pub fn begin_telling(tx: &mut Tx<'_>, id: &str) -> Result<(), StoreError> {
    note_told(tx, id, ("", true))
}
