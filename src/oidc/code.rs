//! Authorization codes: one redemption, a minute long, bound to client, redirect URI and PKCE.
//!
//! A code holds a subject and an epoch, never a decision: redeeming it asks the gate again.

use diesel::prelude::*;

use crate::action::gate::Cleared;
use crate::flow::AuthorizationRequest;
use crate::kernel::{ClientUuid, Entropy, RealmId, SessionId, Timestamp, UserId, sha256_base64};
use crate::store::schema::codes;
use crate::store::{StoreError, Tx, corrupt, db};
use crate::user::AuthEpoch;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = codes)]
struct CodeRow {
    digest: String,
    realm_id: RealmId,
    client_uuid: ClientUuid,
    user_id: UserId,
    session_id: SessionId,
    auth_epoch: AuthEpoch,
    request: String,
    used_at: Option<Timestamp>,
    expires_at: Timestamp,
}

/// A stored code.
#[derive(Debug, Clone)]
pub struct Code {
    /// The client it was issued to.
    pub client: ClientUuid,
    /// Whose it is.
    pub user: UserId,
    /// The session it was issued in.
    pub session: SessionId,
    /// The user's epoch at its issue.
    pub epoch: AuthEpoch,
    /// The authorization request that it answers.
    pub request: AuthorizationRequest,
    /// When it was redeemed.
    pub used_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it is found by.
    pub digest: String,
}

/// Issues a code to whom the gate has cleared, in the session it was cleared with. `None` without a session.
///
/// # Errors
/// The database fails.
pub fn issue<'tx>(
    tx: &mut Tx<'tx>,
    cleared: Cleared<'tx>,
    client: &ClientUuid,
    request: &AuthorizationRequest,
    (lifespan, entropy): (i64, &Entropy),
) -> Result<Option<String>, StoreError> {
    let Some(session) = cleared.session() else {
        return Ok(None);
    };
    let code = format!("{}.{}", entropy.token(), session.id);
    let digest = sha256_base64(code.as_bytes());
    let row = CodeRow {
        realm_id: session.realm_id.clone(),
        client_uuid: client.clone(),
        user_id: cleared.user().id.clone(),
        session_id: session.id.clone(),
        auth_epoch: cleared.user().auth_epoch.clone(),
        request: serde_json::to_string(request)
            .map_err(|cause| corrupt("codes", "request", &digest, cause))?,
        used_at: None,
        expires_at: cleared.now().plus_seconds(lifespan),
        digest,
    };
    db!(tx, |c| diesel::insert_into(codes::table)
        .values(&row)
        .execute(c))?;
    Ok(Some(code))
}

/// The stored code of that text.
///
/// # Errors
/// The database fails.
pub fn find(tx: &mut Tx<'_>, realm: &RealmId, code: &str) -> Result<Option<Code>, StoreError> {
    let digest = sha256_base64(code.as_bytes());
    let row: Option<CodeRow> = db!(tx, |c| codes::table
        .filter(codes::digest.eq(&digest))
        .filter(codes::realm_id.eq(realm))
        .select(CodeRow::as_select())
        .first(c)
        .optional())?;
    row.map(|row| {
        let request = serde_json::from_str(&row.request)
            .map_err(|cause| corrupt("codes", "request", &row.digest, cause))?;
        Ok(Code {
            client: row.client_uuid,
            user: row.user_id,
            session: row.session_id,
            epoch: row.auth_epoch,
            request,
            used_at: row.used_at,
            expires_at: row.expires_at,
            digest: row.digest,
        })
    })
    .transpose()
}

/// Notes where the tokens of a redeemed code hang, if not in the session it was issued in: a replay ends them there.
///
/// # Errors
/// The database fails.
pub fn moved(tx: &mut Tx<'_>, digest: &str, session: &SessionId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        codes::table.filter(codes::digest.eq(digest))
    )
    .set(codes::session_id.eq(session))
    .execute(c))?;
    Ok(())
}

/// Redeems: one statement whose row count decides who was first.
///
/// # Errors
/// The database fails.
pub fn redeem(tx: &mut Tx<'_>, code: &Code, now: Timestamp) -> Result<bool, StoreError> {
    let redeemed = db!(tx, |c| diesel::update(
        codes::table
            .filter(codes::digest.eq(&code.digest))
            .filter(codes::used_at.is_null())
    )
    .set(codes::used_at.eq(now))
    .execute(c))?;
    Ok(redeemed == 1)
}
