//! Sessions in SQL.

use diesel::prelude::*;

use super::{SEEN_EVERY, Session, SessionKind};
use crate::kernel::{ClientUuid, RealmId, SessionId, Timestamp, UserId};
use crate::realm::Realm;
use crate::store::schema::{client_sessions, realms, sessions};
use crate::store::{StoreError, Tx, corrupt, db};
use crate::user::AuthEpoch;

/// A session's row, for queries that join it.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions)]
pub struct SessionRow {
    id: SessionId,
    realm_id: RealmId,
    user_id: UserId,
    auth_epoch: AuthEpoch,
    kind: String,
    amr: String,
    remember_me: bool,
    auth_time: Timestamp,
    started_at: Timestamp,
    last_seen_at: Timestamp,
    ip_address: String,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let kind = SessionKind::parse(&row.kind)
            .ok_or_else(|| corrupt("sessions", "kind", &row.id, &row.kind))?;
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            user_id: row.user_id,
            auth_epoch: row.auth_epoch,
            kind,
            amr: row.amr.split_whitespace().map(str::to_owned).collect(),
            remember_me: row.remember_me,
            auth_time: row.auth_time,
            started_at: row.started_at,
            last_seen_at: row.last_seen_at,
            ip_address: row.ip_address,
        })
    }
}

/// Stores a new session; `cookie_digest` is that of its cookie, if a browser holds it.
///
/// # Errors
/// The database fails.
pub fn insert(
    tx: &mut Tx<'_>,
    session: &Session,
    cookie_digest: Option<&str>,
) -> Result<(), StoreError> {
    let row = SessionRow {
        id: session.id.clone(),
        realm_id: session.realm_id.clone(),
        user_id: session.user_id.clone(),
        auth_epoch: session.auth_epoch.clone(),
        kind: session.kind.as_str().to_owned(),
        amr: session.amr.join(" "),
        remember_me: session.remember_me,
        auth_time: session.auth_time,
        started_at: session.started_at,
        last_seen_at: session.last_seen_at,
        ip_address: session.ip_address.clone(),
    };
    db!(tx, |c| diesel::insert_into(sessions::table)
        .values((&row, sessions::cookie_digest.eq(cookie_digest)))
        .execute(c))?;
    Ok(())
}

/// The session of that public id.
///
/// # Errors
/// The database fails.
pub fn by_id(tx: &mut Tx<'_>, id: &SessionId) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = db!(tx, |c| sessions::table
        .filter(sessions::id.eq(id))
        .select(SessionRow::as_select())
        .first(c)
        .optional())?;
    row.map(Session::try_from).transpose()
}

/// The session whose cookie has that digest.
///
/// # Errors
/// The database fails.
pub fn by_cookie(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    digest: &str,
) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = db!(tx, |c| sessions::table
        .filter(sessions::cookie_digest.eq(digest))
        .filter(sessions::realm_id.eq(realm))
        .select(SessionRow::as_select())
        .first(c)
        .optional())?;
    row.map(Session::try_from).transpose()
}

/// The user's sessions, newest first.
///
/// # Errors
/// The database fails.
pub fn of_user(tx: &mut Tx<'_>, user: &UserId) -> Result<Vec<Session>, StoreError> {
    let rows: Vec<SessionRow> = db!(tx, |c| sessions::table
        .filter(sessions::user_id.eq(user))
        .order(sessions::started_at.desc())
        .select(SessionRow::as_select())
        .load(c))?;
    rows.into_iter().map(Session::try_from).collect()
}

/// Notes use of the session, unless that was done within the last minute.
///
/// # Errors
/// The database fails.
pub fn seen(tx: &mut Tx<'_>, session: &Session, now: Timestamp) -> Result<(), StoreError> {
    if now.seconds_since(session.last_seen_at) < SEEN_EVERY {
        return Ok(());
    }
    db!(tx, |c| diesel::update(
        sessions::table.filter(sessions::id.eq(&session.id))
    )
    .set(sessions::last_seen_at.eq(now))
    .execute(c))?;
    Ok(())
}

/// Gives the session another cookie and a fresh proof: after re-authentication.
///
/// # Errors
/// The database fails.
pub fn renew(tx: &mut Tx<'_>, session: &Session, cookie_digest: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        sessions::table.filter(sessions::id.eq(&session.id))
    )
    .set((
        sessions::cookie_digest.eq(cookie_digest),
        sessions::amr.eq(session.amr.join(" ")),
        sessions::auth_time.eq(session.auth_time),
        sessions::last_seen_at.eq(session.last_seen_at),
        sessions::remember_me.eq(session.remember_me),
    ))
    .execute(c))?;
    Ok(())
}

/// Ends a session with all that was issued in it; the row count tells whether it was there.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, id: &SessionId) -> Result<bool, StoreError> {
    let deleted = db!(tx, |c| diesel::delete(
        sessions::table.filter(sessions::id.eq(id))
    )
    .execute(c))?;
    Ok(deleted == 1)
}

/// Ends all sessions of a user; answers how many.
///
/// # Errors
/// The database fails.
pub fn delete_of_user(tx: &mut Tx<'_>, user: &UserId) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::delete(
        sessions::table.filter(sessions::user_id.eq(user))
    )
    .execute(c))
}

/// Ends every session of these users.
///
/// # Errors
/// The database fails.
pub fn delete_of_users(tx: &mut Tx<'_>, users: &[&UserId]) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::delete(
        sessions::table.filter(sessions::user_id.eq_any(users))
    )
    .execute(c))
}

/// Deletes up to `batch` sessions of a realm that by its present settings ended before `before`, with all that was
/// issued in them; answers how many.
///
/// # Errors
/// The database fails.
pub fn delete_ended(
    tx: &mut Tx<'_>,
    realm: &Realm,
    before: Timestamp,
    batch: usize,
) -> Result<usize, StoreError> {
    let mut deleted: usize = 0;
    for kind in [SessionKind::Online, SessionKind::Offline] {
        for remember_me in [false, true] {
            let (unused_since, started) = cut_offs(realm, kind, remember_me, before);
            let left = batch.saturating_sub(deleted);
            // Written out twice below: between the look and the deletion somebody may have used the session.
            let ids: Vec<SessionId> = db!(tx, |c| sessions::table
                .filter(sessions::realm_id.eq(&realm.id))
                .filter(sessions::kind.eq(kind.as_str()))
                .filter(sessions::remember_me.eq(remember_me))
                .filter(
                    sessions::last_seen_at
                        .lt(unused_since)
                        .or(sessions::started_at.lt(started))
                )
                .select(sessions::id)
                .limit(i64::try_from(left).unwrap_or(i64::MAX))
                .load(c))?;
            let rows = db!(tx, |c| diesel::delete(
                sessions::table.filter(sessions::id.eq_any(&ids)).filter(
                    sessions::last_seen_at
                        .lt(unused_since)
                        .or(sessions::started_at.lt(started))
                )
            )
            .execute(c))?;
            deleted = deleted.saturating_add(rows);
        }
    }
    Ok(deleted)
}

/// What [`Session::expires_at`] says, turned round: a session of this sort that was last used before the first
/// time, or began before the second, had ended by `at`.
fn cut_offs(
    realm: &Realm,
    kind: SessionKind,
    remember_me: bool,
    at: Timestamp,
) -> (Timestamp, Timestamp) {
    match kind {
        SessionKind::Online => {
            let lifespan = realm.session_lifespan(remember_me);
            let idle = lifespan.idle.saturating_add(SEEN_EVERY);
            (at.plus_seconds(-idle), at.plus_seconds(-lifespan.max))
        }
        SessionKind::Offline => {
            let idle = realm
                .settings
                .offline_session_idle_timeout
                .saturating_add(SEEN_EVERY);
            (at.plus_seconds(-idle), Timestamp::from_micros(i64::MIN))
        }
    }
}

/// How many sessions each realm has, by the realm's name.
///
/// # Errors
/// The database fails.
pub fn count_by_realm(tx: &mut Tx<'_>) -> Result<Vec<(String, i64)>, StoreError> {
    db!(tx, |c| realms::table
        .left_join(sessions::table.on(sessions::realm_id.eq(realms::id)))
        .group_by(realms::name)
        .select((realms::name, diesel::dsl::count(sessions::id.nullable())))
        .load(c))
}

/// The grant of a client in a session: a random id that its tokens carry, so that ending the grant ends them.
///
/// # Errors
/// The database fails.
fn grant_id(
    tx: &mut Tx<'_>,
    session: &SessionId,
    client: &ClientUuid,
) -> Result<Option<String>, StoreError> {
    db!(tx, |c| client_sessions::table
        .filter(client_sessions::session_id.eq(session))
        .filter(client_sessions::client_uuid.eq(client))
        .select(client_sessions::grant_id)
        .first(c)
        .optional())
}

/// Joins a client to a session; answers the grant's id, `fresh` unless the client was in it already.
///
/// # Errors
/// The database fails.
pub fn join(
    tx: &mut Tx<'_>,
    session: &SessionId,
    client: &ClientUuid,
    fresh: &str,
    now: Timestamp,
) -> Result<String, StoreError> {
    // Nearly always it is there already, and a look is cheaper than an insert that does nothing.
    if let Some(known) = grant_id(tx, session, client)? {
        return Ok(known);
    }
    db!(tx, |c| diesel::insert_into(client_sessions::table)
        .values((
            client_sessions::session_id.eq(session),
            client_sessions::client_uuid.eq(client),
            client_sessions::grant_id.eq(fresh),
            client_sessions::started_at.eq(now),
        ))
        .on_conflict((client_sessions::session_id, client_sessions::client_uuid))
        .do_nothing()
        .execute(c))?;
    Ok(grant_id(tx, session, client)?.unwrap_or_else(|| fresh.to_owned()))
}

/// Takes a client out of a session: its access tokens are dead at every endpoint of ours.
///
/// # Errors
/// The database fails.
pub fn leave(tx: &mut Tx<'_>, session: &SessionId, client: &ClientUuid) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        client_sessions::table
            .filter(client_sessions::session_id.eq(session))
            .filter(client_sessions::client_uuid.eq(client))
    )
    .execute(c))?;
    Ok(())
}

/// The clients of a session with the time each joined.
///
/// # Errors
/// The database fails.
pub fn clients(
    tx: &mut Tx<'_>,
    session: &SessionId,
) -> Result<Vec<(ClientUuid, Timestamp)>, StoreError> {
    db!(tx, |c| client_sessions::table
        .filter(client_sessions::session_id.eq(session))
        .select((client_sessions::client_uuid, client_sessions::started_at))
        .load(c))
}
