//! Mailings in SQL.

use diesel::prelude::*;

use super::settings::{Kind, Settings};
use crate::kernel::{RealmId, Timestamp};
use crate::store::schema::campaigns;
use crate::store::{StoreError, Tx, corrupt, db};

/// Where a mailing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its time has not come.
    Scheduled,
    /// It goes on.
    Running,
    /// It rests until somebody lets it go on.
    Paused,
    /// Everybody was mailed; who has not come is reminded later.
    Reminding,
    /// It is over.
    Done,
    /// It was stopped for good.
    Cancelled,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Running,
        Self::Paused,
        Self::Reminding,
        Self::Done,
        Self::Cancelled,
    ];

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Reminding => "reminding",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will be handed over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// A mailing.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Its id, and the name of its batch in the outbox.
    pub id: String,
    /// The realm that sends it.
    pub realm_id: RealmId,
    /// Its name, for administrators.
    pub name: String,
    /// What is mailed.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Why it rests or was stopped.
    pub reason: Option<String>,
    /// Everything else about it.
    pub settings: Settings,
    /// Whether its audience is written down.
    pub frozen: bool,
    /// The last id that is written down.
    pub place: String,
    /// When it is looked at again; [`NEVER`] is never.
    pub wake_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A time that does not come.
pub const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
struct CampaignRow {
    id: String,
    realm_id: RealmId,
    name: String,
    kind: String,
    state: String,
    reason: Option<String>,
    settings: String,
    frozen: bool,
    place: String,
    wake_at: Timestamp,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl TryFrom<CampaignRow> for Campaign {
    type Error = StoreError;

    fn try_from(row: CampaignRow) -> Result<Self, StoreError> {
        let kind = Kind::parse(&row.kind)
            .ok_or_else(|| corrupt("campaigns", "kind", &row.id, &row.kind))?;
        let state = State::ALL
            .into_iter()
            .find(|state| state.as_str() == row.state)
            .ok_or_else(|| corrupt("campaigns", "state", &row.id, &row.state))?;
        let settings = serde_json::from_str(&row.settings)
            .map_err(|cause| corrupt("campaigns", "settings", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            name: row.name,
            kind,
            state,
            reason: row.reason,
            settings,
            frozen: row.frozen,
            place: row.place,
            wake_at: row.wake_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

impl Campaign {
    fn row(&self) -> Result<CampaignRow, StoreError> {
        let settings = serde_json::to_string(&self.settings)
            .map_err(|cause| corrupt("campaigns", "settings", &self.id, cause))?;
        Ok(CampaignRow {
            id: self.id.clone(),
            realm_id: self.realm_id.clone(),
            name: self.name.clone(),
            kind: self.kind.as_str().to_owned(),
            state: self.state.as_str().to_owned(),
            reason: self.reason.clone(),
            settings,
            frozen: self.frozen,
            place: self.place.clone(),
            wake_at: self.wake_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

/// Stores a new mailing.
///
/// # Errors
/// The database fails.
pub fn insert(tx: &mut Tx<'_>, campaign: &Campaign) -> Result<(), StoreError> {
    let row = campaign.row()?;
    db!(tx, |c| diesel::insert_into(campaigns::table)
        .values(&row)
        .execute(c))?;
    Ok(())
}

/// Stores a mailing whose row the caller has locked.
///
/// # Errors
/// The database fails.
pub fn update(tx: &mut Tx<'_>, campaign: &Campaign) -> Result<(), StoreError> {
    let row = campaign.row()?;
    db!(tx, |c| diesel::update(
        campaigns::table.filter(campaigns::id.eq(&campaign.id))
    )
    .set(&row)
    .execute(c))?;
    Ok(())
}

/// The mailing of that id.
///
/// # Errors
/// The database fails.
pub fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Campaign>, StoreError> {
    let row: Option<CampaignRow> = db!(tx, |c| campaigns::table
        .filter(campaigns::id.eq(id))
        .select(CampaignRow::as_select())
        .first(c)
        .optional())?;
    row.map(Campaign::try_from).transpose()
}

/// The mailing of that id, its row locked against the worker.
///
/// # Errors
/// The database fails.
pub fn locked(tx: &mut Tx<'_>, id: &str) -> Result<Option<Campaign>, StoreError> {
    let row: Option<CampaignRow> = db!(tx, |c| diesel::update(
        campaigns::table.filter(campaigns::id.eq(id))
    )
    .set(campaigns::place.eq(campaigns::place))
    .returning(CampaignRow::as_returning())
    .get_result(c)
    .optional())?;
    row.map(Campaign::try_from).transpose()
}

/// The realm's mailings, the newest first.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    (first, max): (i64, Option<i64>),
) -> Result<Vec<Campaign>, StoreError> {
    let rows: Vec<CampaignRow> = db!(tx, |c| campaigns::table
        .filter(campaigns::realm_id.eq(realm))
        .order((campaigns::created_at.desc(), campaigns::id.desc()))
        .offset(first)
        .limit(max.unwrap_or(i64::MAX))
        .select(CampaignRow::as_select())
        .load(c))?;
    rows.into_iter().map(Campaign::try_from).collect()
}

/// Whether some mailing's time has come.
///
/// # Errors
/// The database fails.
pub fn is_due(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let due: Option<String> = db!(tx, |c| campaigns::table
        .filter(campaigns::wake_at.le(now))
        .select(campaigns::id)
        .first(c)
        .optional())?;
    Ok(due.is_some())
}
