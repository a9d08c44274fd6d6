//! Mails as administrators see them: everything but what they say.

use diesel::prelude::*;

use super::{OutboxId, State};
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx, corrupt, db};

/// A mail as administrators see it.
#[derive(Clone)]
pub struct Entry {
    /// Its id.
    pub id: OutboxId,
    /// Whose mail it is.
    pub user_id: Option<UserId>,
    /// Where it goes.
    pub recipient: String,
    /// Its purpose.
    pub template: String,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, where it is queued.
    pub not_before: Timestamp,
    /// What the server or we had to say about it.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being worth sending.
    pub expires_at: Timestamp,
    /// When it was sent, refused, given up or called back.
    pub settled_at: Option<Timestamp>,
    /// The batch that it is part of: a mailing, for most.
    pub batch: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox)]
struct EntryRow {
    id: OutboxId,
    user_id: Option<UserId>,
    recipient: String,
    template: String,
    state: String,
    attempts: i64,
    not_before: Timestamp,
    last_error: Option<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    settled_at: Option<Timestamp>,
    batch: Option<String>,
}

impl TryFrom<EntryRow> for Entry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self, StoreError> {
        let state = State::parse(&row.state)
            .ok_or_else(|| corrupt("outbox", "state", &row.id, &row.state))?;
        Ok(Self {
            id: row.id,
            user_id: row.user_id,
            recipient: row.recipient,
            template: row.template,
            state,
            attempts: row.attempts,
            not_before: row.not_before,
            last_error: row.last_error,
            created_at: row.created_at,
            expires_at: row.expires_at,
            settled_at: row.settled_at,
            batch: row.batch,
        })
    }
}

/// The realm's mail of that id.
///
/// # Errors
/// The database fails or holds a state that this version does not know.
pub fn by_id(tx: &mut Tx<'_>, realm: &RealmId, id: &OutboxId) -> Result<Option<Entry>, StoreError> {
    let row: Option<EntryRow> = db!(tx, |c| outbox::table
        .filter(outbox::id.eq(id))
        .filter(outbox::realm_id.eq(realm))
        .select(EntryRow::as_select())
        .first(c)
        .optional())?;
    row.map(Entry::try_from).transpose()
}

/// The realm's mails, the newest first: up to `limit` that are older than `before`, in one of `states`, of one user
/// where one is given. Ids of mails are in the order of time.
///
/// # Errors
/// The database fails or holds a state that this version does not know.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    (states, user): (Option<&[&str]>, Option<&UserId>),
    (before, limit): (Option<&str>, i64),
) -> Result<Vec<Entry>, StoreError> {
    let rows: Vec<EntryRow> = db!(tx, |c| {
        let mut query = outbox::table
            .filter(outbox::realm_id.eq(realm))
            .into_boxed();
        if let Some(states) = states {
            query = query.filter(outbox::state.eq_any(states.iter().copied()));
        }
        if let Some(user) = user {
            query = query.filter(outbox::user_id.eq(user));
        }
        if let Some(before) = before {
            query = query.filter(outbox::id.lt(before));
        }
        query
            .order(outbox::id.desc())
            .limit(limit)
            .select(EntryRow::as_select())
            .load(c)
    })?;
    rows.into_iter().map(Entry::try_from).collect()
}
