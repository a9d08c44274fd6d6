//! Import jobs in SQL: what they are, their states, how far they are. How one is held and moved on: `lease.rs`.

use diesel::prelude::*;

use super::{Counts, Options};
use crate::kernel::{ImportId, RealmId, Timestamp};
use crate::store::schema::import_jobs;
use crate::store::{StoreError, Tx, corrupt, db};

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its file is still arriving; nobody has been told of it.
    Receiving,
    /// Waits for a worker.
    Queued,
    /// A worker has it, or had it and died.
    Running,
    /// Every row has its verdict.
    Done,
    /// The file could not be read to its end.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Receiving,
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Where a job's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// On the host of whoever typed the command.
    File,
    /// In the database, in sealed pieces.
    Upload,
}

impl Source {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Upload => "upload",
        }
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: ImportId,
    /// Where the people go.
    pub realm_id: RealmId,
    /// What it is doing.
    pub state: State,
    /// Who began it: a user's id, or a word for the host.
    pub author: String,
    /// How it is meant.
    pub options: Options,
    /// SHA-256 of the file, in base64url.
    pub digest: Option<String>,
    /// How many rows the file has, once that is known.
    pub total: Option<i64>,
    /// How far it is.
    pub counts: Counts,
    /// The mailing that it started at its end.
    pub campaign: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// The lease of whoever has it.
    pub lease_token: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = import_jobs)]
struct JobRow {
    id: ImportId,
    realm_id: RealmId,
    state: String,
    author: String,
    options: String,
    digest: Option<String>,
    total: Option<i64>,
    done: i64,
    accepted: i64,
    updated: i64,
    skipped: i64,
    rejected: i64,
    noted: i64,
    campaign_id: Option<String>,
    error: Option<String>,
    lease_token: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
}

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let options = serde_json::from_str(&row.options)
            .map_err(|cause| corrupt("import_jobs", "options", &row.id, cause))?;
        let state = State::ALL
            .into_iter()
            .find(|state| state.as_str() == row.state)
            .ok_or_else(|| corrupt("import_jobs", "state", &row.id, &row.state))?;
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            state,
            author: row.author,
            options,
            digest: row.digest,
            total: row.total,
            counts: Counts {
                done: row.done,
                accepted: row.accepted,
                updated: row.updated,
                skipped: row.skipped,
                rejected: row.rejected,
                noted: row.noted,
            },
            campaign: row.campaign_id,
            error: row.error,
            created_at: row.created_at,
            finished_at: row.finished_at,
            lease_token: row.lease_token,
        })
    }
}

/// A job to be stored.
pub struct NewJob<'a> {
    /// Its id.
    pub id: &'a ImportId,
    /// Where the people go.
    pub realm_id: &'a RealmId,
    /// Where its file is.
    pub source: Source,
    /// Who begins it: a user's id, or a word for the host.
    pub author: &'a str,
    /// How it is meant.
    pub options: &'a Options,
    /// The digest of the file, where it is known already.
    pub digest: Option<&'a str>,
}

/// Stores a job: an upload as one whose file is still arriving, a file as one that waits.
///
/// # Errors
/// The database fails.
pub fn insert(tx: &mut Tx<'_>, new: &NewJob<'_>, now: Timestamp) -> Result<(), StoreError> {
    let options = serde_json::to_string(new.options)
        .map_err(|cause| corrupt("import_jobs", "options", new.id, cause))?;
    let state = match new.source {
        Source::File => State::Queued,
        Source::Upload => State::Receiving,
    };
    db!(tx, |c| diesel::insert_into(import_jobs::table)
        .values((
            (
                import_jobs::id.eq(new.id),
                import_jobs::realm_id.eq(new.realm_id),
                import_jobs::state.eq(state.as_str()),
                import_jobs::source.eq(new.source.as_str()),
                import_jobs::author.eq(new.author),
                import_jobs::options.eq(&options),
                import_jobs::digest.eq(new.digest),
                import_jobs::done.eq(0),
                import_jobs::accepted.eq(0),
                import_jobs::updated.eq(0),
            ),
            (
                import_jobs::skipped.eq(0),
                import_jobs::rejected.eq(0),
                import_jobs::noted.eq(0),
                import_jobs::lease_until.eq(0),
                import_jobs::created_at.eq(now),
            ),
        ))
        .execute(c))?;
    Ok(())
}

/// Notes the mailing that a job has started.
///
/// # Errors
/// The database fails.
pub(super) fn set_campaign(
    tx: &mut Tx<'_>,
    id: &ImportId,
    campaign: &str,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        import_jobs::table.filter(import_jobs::id.eq(id))
    )
    .set(import_jobs::campaign_id.eq(campaign))
    .execute(c))?;
    Ok(())
}

/// The realm's job of that id.
///
/// # Errors
/// The database fails.
pub fn in_realm(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &ImportId,
) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = db!(tx, |c| import_jobs::table
        .filter(import_jobs::id.eq(id))
        .filter(import_jobs::realm_id.eq(realm))
        .select(JobRow::as_select())
        .first(c)
        .optional())?;
    row.map(Job::try_from).transpose()
}

/// The realm's jobs that anybody was told of, newest first.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    (first, max): (i64, i64),
) -> Result<Vec<Job>, StoreError> {
    let rows: Vec<JobRow> = db!(tx, |c| import_jobs::table
        .filter(import_jobs::realm_id.eq(realm))
        .filter(import_jobs::state.ne(State::Receiving.as_str()))
        .order((import_jobs::created_at.desc(), import_jobs::id.desc()))
        .offset(first)
        .limit(max)
        .select(JobRow::as_select())
        .load(c))?;
    rows.into_iter().map(Job::try_from).collect()
}

/// The job that an idempotency key of the realm stands for.
///
/// # Errors
/// The database fails.
pub fn by_key(tx: &mut Tx<'_>, realm: &RealmId, key: &str) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = db!(tx, |c| import_jobs::table
        .filter(import_jobs::realm_id.eq(realm))
        .filter(import_jobs::idempotency_key.eq(key))
        .select(JobRow::as_select())
        .first(c)
        .optional())?;
    row.map(Job::try_from).transpose()
}

/// The realm's newest job of a file of that digest that is not over.
///
/// # Errors
/// The database fails.
pub fn unfinished(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    digest: &str,
) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = db!(tx, |c| import_jobs::table
        .filter(import_jobs::realm_id.eq(realm))
        .filter(import_jobs::digest.eq(digest))
        .filter(import_jobs::source.eq(Source::File.as_str()))
        .filter(import_jobs::state.eq_any([State::Queued.as_str(), State::Running.as_str()]))
        .order(import_jobs::created_at.desc())
        .select(JobRow::as_select())
        .first(c)
        .optional())?;
    row.map(Job::try_from).transpose()
}

/// An uploaded job that waits, or whose worker has not been heard of.
///
/// # Errors
/// The database fails.
pub fn due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = db!(tx, |c| import_jobs::table
        .filter(import_jobs::source.eq(Source::Upload.as_str()))
        .filter(import_jobs::state.eq_any([State::Queued.as_str(), State::Running.as_str()]))
        .filter(import_jobs::lease_until.le(now))
        .order((import_jobs::created_at, import_jobs::id))
        .select(JobRow::as_select())
        .first(c)
        .optional())?;
    row.map(Job::try_from).transpose()
}
