//! One verdict for each row, in SQL. A verdict never holds a password or a hash.

use std::collections::HashMap;

use diesel::prelude::*;

use super::draft::Problem;
use crate::kernel::{ImportId, UserId};
use crate::store::dialect::ROWS;
use crate::store::schema::import_rows;
use crate::store::{StoreError, Tx, corrupt, db};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A person was made.
    Accepted,
    /// A person was changed.
    Updated,
    /// Nothing was to be done.
    Skipped,
    /// The row was refused.
    Rejected,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Updated, Self::Skipped, Self::Rejected];

    /// The word in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Updated => "updated",
            Self::Skipped => "skipped",
            Self::Rejected => "rejected",
        }
    }

    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the row has taken its names.
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::Accepted | Self::Updated)
    }
}

/// The verdict on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which row of the file, from 1.
    pub number: i64,
    /// The physical line where it starts, from 1.
    pub line: i64,
    /// What became of it.
    pub state: State,
    /// Who it made or changed, or found there already.
    pub user: Option<UserId>,
    /// What there is to say of it.
    pub problem: Option<Problem>,
}

#[derive(Insertable)]
#[diesel(table_name = import_rows, treat_none_as_default_value = false)]
struct NewRow<'a> {
    job_id: &'a ImportId,
    row_number: i64,
    line: i64,
    state: &'static str,
    user_id: Option<&'a str>,
    field: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Stores the verdicts of a chunk.
///
/// # Errors
/// The database fails.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    job: &ImportId,
    verdicts: &[Verdict],
) -> Result<(), StoreError> {
    for part in verdicts.chunks(ROWS) {
        let rows: Vec<NewRow<'_>> = part
            .iter()
            .map(|verdict| NewRow {
                job_id: job,
                row_number: verdict.number,
                line: verdict.line,
                state: verdict.state.as_str(),
                user_id: verdict.user.as_ref().map(UserId::as_str),
                field: verdict
                    .problem
                    .as_ref()
                    .and_then(|problem| problem.field.as_deref()),
                reason: verdict
                    .problem
                    .as_ref()
                    .map(|problem| problem.reason.as_str()),
            })
            .collect();
        db!(tx, |c| diesel::insert_into(import_rows::table)
            .values(&rows)
            .execute(c))?;
    }
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = import_rows)]
struct StoredRow {
    row_number: i64,
    line: i64,
    state: String,
    user_id: Option<UserId>,
    field: Option<String>,
    reason: Option<String>,
}

/// `limit` verdicts of a job after row `after` and `skip` more, of one state or of all.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    job: &ImportId,
    state: Option<State>,
    after: i64,
    (skip, limit): (i64, i64),
) -> Result<Vec<Verdict>, StoreError> {
    let rows: Vec<StoredRow> = db!(tx, |c| {
        let mut query = import_rows::table
            .filter(import_rows::job_id.eq(job))
            .filter(import_rows::row_number.gt(after))
            .into_boxed();
        if let Some(state) = state {
            query = query.filter(import_rows::state.eq(state.as_str()));
        }
        query
            .order(import_rows::row_number)
            .offset(skip)
            .limit(limit)
            .select(StoredRow::as_select())
            .load(c)
    })?;
    rows.into_iter()
        .map(|row| {
            Ok(Verdict {
                number: row.row_number,
                line: row.line,
                state: State::parse(&row.state)
                    .ok_or_else(|| corrupt("import_rows", "state", job, &row.state))?,
                user: row.user_id,
                problem: row.reason.map(|reason| Problem {
                    field: row.field,
                    reason,
                }),
            })
        })
        .collect()
}

/// The numbers of the rows from `first` to `last` that have taken their names.
///
/// # Errors
/// The database fails.
pub(super) fn taken(
    tx: &mut Tx<'_>,
    job: &ImportId,
    (first, last): (i64, i64),
) -> Result<HashMap<i64, State>, StoreError> {
    let rows: Vec<(i64, String)> = db!(tx, |c| import_rows::table
        .filter(import_rows::job_id.eq(job))
        .filter(import_rows::row_number.between(first, last))
        .select((import_rows::row_number, import_rows::state))
        .load(c))?;
    Ok(rows
        .into_iter()
        .filter_map(|(number, state)| Some((number, State::parse(&state)?)))
        .filter(|(_, state)| state.is_taken())
        .collect())
}
