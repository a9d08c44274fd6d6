//! Flows in SQL.

use diesel::prelude::*;

use super::{BY_LINK, Flow, FlowProof};
use crate::kernel::{ClientUuid, RealmId, SessionId, Timestamp, UserId};
use crate::link::LinkId;
use crate::store::schema::flows;
use crate::store::{StoreError, Tx, corrupt, db};
use crate::user::AuthEpoch;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = flows, treat_none_as_null = true)]
struct FlowRow {
    id: String,
    realm_id: RealmId,
    client_uuid: ClientUuid,
    browser_digest: String,
    request: String,
    step: i64,
    user_id: Option<UserId>,
    proved_at: Option<Timestamp>,
    proof_amr: Option<String>,
    proof_epoch: Option<AuthEpoch>,
    remember_me: bool,
    session_id: Option<SessionId>,
    link_id: Option<LinkId>,
    consented: bool,
    flash: Option<String>,
    finished_at: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl TryFrom<FlowRow> for Flow {
    type Error = StoreError;

    fn try_from(row: FlowRow) -> Result<Self, StoreError> {
        let request = serde_json::from_str(&row.request)
            .map_err(|cause| corrupt("flows", "request", &row.id, cause))?;
        let flash = row
            .flash
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
            .map_err(|cause| corrupt("flows", "flash", &row.id, cause))?;
        let proof = match (row.proved_at, row.proof_amr, row.proof_epoch) {
            (Some(at), Some(amr), Some(epoch)) => Some(FlowProof { at, amr, epoch }),
            (None, None, None) => None,
            _ => return Err(corrupt("flows", "proved_at", &row.id, "half a proof")),
        };
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            client_id: row.client_uuid,
            browser_digest: row.browser_digest,
            request,
            step: row.step,
            user_id: row.user_id,
            proof,
            remember_me: row.remember_me,
            session_id: row.session_id,
            link_id: row.link_id,
            consented: row.consented,
            flash,
            finished_at: row.finished_at,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

fn row(flow: &Flow) -> Result<FlowRow, StoreError> {
    let request = serde_json::to_string(&flow.request)
        .map_err(|cause| corrupt("flows", "request", &flow.id, cause))?;
    let flash = flow
        .flash
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(|cause| corrupt("flows", "flash", &flow.id, cause))?;
    Ok(FlowRow {
        id: flow.id.clone(),
        realm_id: flow.realm_id.clone(),
        client_uuid: flow.client_id.clone(),
        browser_digest: flow.browser_digest.clone(),
        request,
        step: flow.step,
        user_id: flow.user_id.clone(),
        proved_at: flow.proof.as_ref().map(|proof| proof.at),
        proof_amr: flow.proof.as_ref().map(|proof| proof.amr.clone()),
        proof_epoch: flow.proof.as_ref().map(|proof| proof.epoch.clone()),
        remember_me: flow.remember_me,
        session_id: flow.session_id.clone(),
        link_id: flow.link_id.clone(),
        consented: flow.consented,
        flash,
        finished_at: flow.finished_at,
        created_at: flow.created_at,
        expires_at: flow.expires_at,
    })
}

/// Parks a new flow.
///
/// # Errors
/// The database fails.
pub fn insert(tx: &mut Tx<'_>, flow: &Flow) -> Result<(), StoreError> {
    let row = row(flow)?;
    db!(tx, |c| diesel::insert_into(flows::table)
        .values(&row)
        .execute(c))?;
    Ok(())
}

/// The flow of that handle, if it belongs to this browser.
///
/// # Errors
/// The database fails.
pub fn of_browser(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &str,
    browser_digest: &str,
) -> Result<Option<Flow>, StoreError> {
    let row: Option<FlowRow> = db!(tx, |c| flows::table
        .filter(flows::id.eq(id))
        .filter(flows::realm_id.eq(realm))
        .filter(flows::browser_digest.eq(browser_digest))
        .select(FlowRow::as_select())
        .first(c)
        .optional())?;
    row.map(Flow::try_from).transpose()
}

/// Stores a flow one step further. `false`: another tab was faster, and the row count says so.
///
/// # Errors
/// The database fails.
pub fn advance(tx: &mut Tx<'_>, flow: &mut Flow) -> Result<bool, StoreError> {
    let before = flow.step;
    flow.step = before.saturating_add(1);
    let row = row(flow)?;
    let changed = db!(tx, |c| diesel::update(
        flows::table
            .filter(flows::id.eq(&flow.id))
            .filter(flows::step.eq(before))
            .filter(flows::finished_at.is_null())
    )
    .set(&row)
    .execute(c))?;
    Ok(changed == 1)
}

/// Gives a browser another cookie: all its flows go with it, and remember the one before. `false`: there is none.
///
/// # Errors
/// The database fails.
pub fn rebind(tx: &mut Tx<'_>, from: &str, to: &str) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let changed = db!(tx, |c| diesel::update(
        flows::table.filter(flows::browser_digest.eq(from))
    )
    .set((
        flows::browser_digest.eq(to),
        flows::former_digest.eq(from),
        flows::rebound_at.eq(now),
    ))
    .execute(c))?;
    Ok(changed > 0)
}

/// The flow of that handle, if it belonged to this browser by the cookie before its present one. Such a cookie was
/// perhaps planted (threat V107): it leads nobody into the flow.
///
/// # Errors
/// The database fails.
pub fn of_former(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &str,
    former_digest: &str,
) -> Result<Option<Flow>, StoreError> {
    let row: Option<FlowRow> = db!(tx, |c| flows::table
        .filter(flows::id.eq(id))
        .filter(flows::realm_id.eq(realm))
        .filter(flows::former_digest.eq(former_digest))
        .select(FlowRow::as_select())
        .first(c)
        .optional())?;
    row.map(Flow::try_from).transpose()
}

/// Takes the one time that a form may come once more by the cookie before, if that was given up since; `false`: it was
/// taken, or that is longer ago.
///
/// # Errors
/// The database fails.
pub fn take_once_more(
    tx: &mut Tx<'_>,
    (id, former_digest): (&str, &str),
    since: Timestamp,
) -> Result<bool, StoreError> {
    let changed = db!(tx, |c| diesel::update(
        flows::table
            .filter(flows::id.eq(id))
            .filter(flows::former_digest.eq(former_digest))
            .filter(flows::rebound_at.gt(since))
    )
    .set(flows::rebound_at.eq(None::<Timestamp>))
    .execute(c))?;
    Ok(changed == 1)
}

/// Takes from every parked flow of a person what was proved in it, in whichever browser: a session of theirs was
/// ended, and no tab that was left open brings one back (threat V108). Such a flow begins anew with the sign-in page,
/// and its step moves on, so that a request that holds it loses. A flow whose only proof is a link stays: it signs
/// nobody in, and ends with its link.
///
/// # Errors
/// The database fails.
pub fn forget_person(tx: &mut Tx<'_>, user: &UserId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        flows::table
            .filter(flows::user_id.eq(user))
            .filter(flows::finished_at.is_null())
            .filter(flows::proof_amr.is_null().or(flows::proof_amr.ne(BY_LINK)))
    )
    .set((&NOBODY, flows::step.eq(flows::step + 1)))
    .execute(c))?;
    Ok(())
}

/// The same for every flow of one browser, whoever has proved something in it.
///
/// # Errors
/// The database fails.
pub fn forget_browser(tx: &mut Tx<'_>, browser_digest: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        flows::table
            .filter(flows::browser_digest.eq(browser_digest))
            .filter(flows::user_id.is_not_null())
            .filter(flows::finished_at.is_null())
            .filter(flows::proof_amr.is_null().or(flows::proof_amr.ne(BY_LINK)))
    )
    .set((&NOBODY, flows::step.eq(flows::step + 1)))
    .execute(c))?;
    Ok(())
}

/// The same where a person takes a browser over in `flow`: what others have proved in it, and what `before` has,
/// whose session was the browser's.
///
/// # Errors
/// The database fails.
pub fn forget_others(
    tx: &mut Tx<'_>,
    flow: &Flow,
    (user, before): (&UserId, Option<&UserId>),
) -> Result<(), StoreError> {
    let before = before.filter(|before| *before != user);
    db!(tx, |c| diesel::update(
        flows::table
            .filter(flows::id.ne(&flow.id))
            .filter(
                flows::browser_digest
                    .eq(&flow.browser_digest)
                    .and(flows::user_id.ne(user))
                    .or(flows::user_id.eq(before))
            )
            .filter(flows::finished_at.is_null())
            .filter(flows::proof_amr.is_null().or(flows::proof_amr.ne(BY_LINK)))
    )
    .set((&NOBODY, flows::step.eq(flows::step + 1)))
    .execute(c))?;
    Ok(())
}

/// What a flow is in which nobody has proved anything: what was typed and agreed to is gone as well.
#[derive(AsChangeset)]
#[diesel(table_name = flows, treat_none_as_null = true)]
struct Nobody {
    user_id: Option<UserId>,
    proved_at: Option<Timestamp>,
    proof_amr: Option<String>,
    proof_epoch: Option<AuthEpoch>,
    session_id: Option<SessionId>,
    flash: Option<String>,
    remember_me: bool,
    consented: bool,
}

const NOBODY: Nobody = Nobody {
    user_id: None,
    proved_at: None,
    proof_amr: None,
    proof_epoch: None,
    session_id: None,
    flash: None,
    remember_me: false,
    consented: false,
};
