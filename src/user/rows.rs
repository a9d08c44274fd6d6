//! Users in SQL.
//!
//! Invariant: whoever changes a fact that the gate reads also writes the user's row ([`touch_gate`]), because the
//! mint locks that row; nothing on the way to the mint writes it.

use diesel::prelude::*;

use super::name::name_key;
use super::{AuthEpoch, User};
use crate::kernel::{ClientUuid, RealmId, Timestamp, UserId};
use crate::store::schema::{login_names, user_activity, users};
use crate::store::{StoreError, Tx, corrupt, db};

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
pub(super) struct UserRow {
    id: UserId,
    realm_id: RealmId,
    username: String,
    email: Option<String>,
    email_verified: bool,
    first_name: Option<String>,
    last_name: Option<String>,
    enabled: bool,
    auth_epoch: AuthEpoch,
    not_before: Timestamp,
    locked_until: Option<Timestamp>,
    service_client: Option<ClientUuid>,
    attributes: String,
    extra: String,
    created_at: Timestamp,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let attributes = serde_json::from_str(&row.attributes)
            .map_err(|cause| corrupt("users", "attributes", &row.id, cause))?;
        let extra = serde_json::from_str(&row.extra)
            .map_err(|cause| corrupt("users", "extra", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            username: row.username,
            email: row.email,
            email_verified: row.email_verified,
            first_name: row.first_name,
            last_name: row.last_name,
            enabled: row.enabled,
            auth_epoch: row.auth_epoch,
            not_before: row.not_before,
            locked_until: row.locked_until,
            service_client: row.service_client,
            attributes,
            extra,
            created_at: row.created_at,
        })
    }
}

/// The user of that id, in whatever realm: the caller compares the realm, or uses [`in_realm`].
///
/// # Errors
/// The database fails.
pub fn by_id(tx: &mut Tx<'_>, id: &UserId) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = db!(tx, |c| users::table
        .filter(users::id.eq(id))
        .select(UserRow::as_select())
        .first(c)
        .optional())?;
    row.map(User::try_from).transpose()
}

/// The realm's user of that id.
///
/// # Errors
/// The database fails.
pub fn in_realm(tx: &mut Tx<'_>, realm: &RealmId, id: &UserId) -> Result<Option<User>, StoreError> {
    Ok(by_id(tx, id)?.filter(|user| user.realm_id == *realm))
}

/// The realm's user whom this user name or address names.
///
/// # Errors
/// The database fails.
pub fn by_login(tx: &mut Tx<'_>, realm: &RealmId, login: &str) -> Result<Option<User>, StoreError> {
    let key = name_key(login);
    let row: Option<UserRow> = db!(tx, |c| login_names::table
        .inner_join(users::table.on(users::id.eq(login_names::user_id)))
        .filter(login_names::realm_id.eq(realm))
        .filter(login_names::name_key.eq(&key))
        .select(UserRow::as_select())
        .first(c)
        .optional())?;
    row.map(User::try_from).transpose()
}

/// The id of the user that is a client's service account.
///
/// # Errors
/// The database fails.
pub fn service_account_id(
    tx: &mut Tx<'_>,
    client: &ClientUuid,
) -> Result<Option<UserId>, StoreError> {
    db!(tx, |c| users::table
        .filter(users::service_client.eq(client))
        .select(users::id)
        .first(c)
        .optional())
}

/// The user that is a client's service account.
///
/// # Errors
/// The database fails.
pub fn service_account(tx: &mut Tx<'_>, client: &ClientUuid) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = db!(tx, |c| users::table
        .filter(users::service_client.eq(client))
        .select(UserRow::as_select())
        .first(c)
        .optional())?;
    row.map(User::try_from).transpose()
}

/// Why a user could not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another user signs in by that user name (or has it as address).
    Username,
    /// Another user has that address (or signs in by it).
    Email,
}

/// Stores a new user. Of several that want one name at once, one gets it and the others a [`Conflict`].
///
/// # Errors
/// The database fails.
pub fn insert(
    tx: &mut Tx<'_>,
    user: &User,
    unique_email: bool,
) -> Result<Result<(), Conflict>, StoreError> {
    if let Some(conflict) = conflict(tx, user, unique_email)? {
        return Ok(Err(conflict));
    }
    let (attributes, extra) = json(user)?;
    let inserted = db!(tx, |c| diesel::insert_into(users::table)
        .values((
            (
                users::id.eq(&user.id),
                users::realm_id.eq(&user.realm_id),
                users::username.eq(&user.username),
                users::username_key.eq(name_key(&user.username)),
                users::email.eq(&user.email),
                users::email_key.eq(user.email.as_deref().map(name_key)),
                users::email_verified.eq(user.email_verified),
                users::first_name.eq(&user.first_name),
                users::last_name.eq(&user.last_name),
                users::enabled.eq(user.enabled),
            ),
            (
                users::auth_epoch.eq(&user.auth_epoch),
                users::gate_version.eq(0),
                users::not_before.eq(user.not_before),
                users::locked_until.eq(user.locked_until),
                users::service_client.eq(&user.service_client),
                users::attributes.eq(&attributes),
                users::extra.eq(&extra),
                users::created_at.eq(user.created_at),
            ),
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    if inserted == 0 {
        return Ok(Err(Conflict::Username));
    }
    let claimed = claim_login_names(tx, user, unique_email)?;
    if claimed.is_err() {
        // A refusal commits, so what was written before it goes.
        delete(tx, &user.id)?;
    }
    Ok(claimed)
}

/// Stores changed facts of a user, whose row the caller has locked. The epoch is not among them.
///
/// # Errors
/// The database fails.
pub fn update(
    tx: &mut Tx<'_>,
    user: &User,
    unique_email: bool,
) -> Result<Result<(), Conflict>, StoreError> {
    if let Some(conflict) = conflict(tx, user, unique_email)? {
        return Ok(Err(conflict));
    }
    let (attributes, extra) = json(user)?;
    // Whoever has the names can take the row's: the row's user name is always among the names.
    if let Err(conflict) = claim_login_names(tx, user, unique_email)? {
        return Ok(Err(conflict));
    }
    let keys: Vec<String> = login_keys(user, unique_email)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    db!(tx, |c| diesel::delete(
        login_names::table
            .filter(login_names::user_id.eq(&user.id))
            .filter(login_names::name_key.ne_all(&keys))
    )
    .execute(c))?;
    db!(tx, |c| diesel::update(
        users::table.filter(users::id.eq(&user.id))
    )
    .set((
        users::username.eq(&user.username),
        users::username_key.eq(name_key(&user.username)),
        users::email.eq(&user.email),
        users::email_key.eq(user.email.as_deref().map(name_key)),
        users::email_verified.eq(user.email_verified),
        users::first_name.eq(&user.first_name),
        users::last_name.eq(&user.last_name),
        users::enabled.eq(user.enabled),
        users::not_before.eq(user.not_before),
        users::locked_until.eq(user.locked_until),
        users::attributes.eq(&attributes),
        users::extra.eq(&extra),
        users::gate_version.eq(users::gate_version + 1),
    ))
    .execute(c))?;
    Ok(Ok(()))
}

pub(super) fn json(user: &User) -> Result<(String, String), StoreError> {
    let attributes = serde_json::to_string(&user.attributes)
        .map_err(|cause| corrupt("users", "attributes", &user.id, cause))?;
    let extra = serde_json::to_string(&user.extra)
        .map_err(|cause| corrupt("users", "extra", &user.id, cause))?;
    Ok((attributes, extra))
}

/// The names by which the user signs in, each with the conflict that a taken one is.
pub(super) fn login_keys(user: &User, unique_email: bool) -> Vec<(String, Conflict)> {
    let mut keys = vec![(name_key(&user.username), Conflict::Username)];
    if user.service_client.is_some() {
        return keys;
    }
    if let Some(email) = user.email.as_deref().filter(|_| unique_email) {
        keys.push((name_key(email), Conflict::Email));
    }
    keys.dedup_by(|one, two| one.0 == two.0);
    keys
}

fn conflict(
    tx: &mut Tx<'_>,
    user: &User,
    unique_email: bool,
) -> Result<Option<Conflict>, StoreError> {
    for (key, conflict) in login_keys(user, unique_email) {
        if name_owner(tx, user, &key)?.is_some_and(|owner| owner != user.id) {
            return Ok(Some(conflict));
        }
    }
    Ok(None)
}

/// Who signs in by that name in the user's realm.
fn name_owner(tx: &mut Tx<'_>, user: &User, key: &str) -> Result<Option<UserId>, StoreError> {
    db!(tx, |c| login_names::table
        .filter(login_names::realm_id.eq(&user.realm_id))
        .filter(login_names::name_key.eq(key))
        .select(login_names::user_id)
        .first(c)
        .optional())
}

/// Takes the user's names, or none of them. An insert that meets another one waits until that has ended.
fn claim_login_names(
    tx: &mut Tx<'_>,
    user: &User,
    unique_email: bool,
) -> Result<Result<(), Conflict>, StoreError> {
    let mut keys = login_keys(user, unique_email);
    // In one order for everybody: two who want the same two names wait for each other in turn, not in a ring.
    keys.sort_by(|one, two| one.0.cmp(&two.0));
    let mut claimed = Vec::new();
    for (key, conflict) in keys {
        let inserted = db!(tx, |c| diesel::insert_into(login_names::table)
            .values((
                login_names::realm_id.eq(&user.realm_id),
                login_names::name_key.eq(&key),
                login_names::user_id.eq(&user.id),
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
        if inserted == 1 {
            claimed.push(key);
        } else if name_owner(tx, user, &key)?.as_ref() != Some(&user.id) {
            db!(tx, |c| diesel::delete(
                login_names::table
                    .filter(login_names::realm_id.eq(&user.realm_id))
                    .filter(login_names::name_key.eq_any(&claimed))
            )
            .execute(c))?;
            return Ok(Err(conflict));
        }
    }
    Ok(Ok(()))
}

/// Gives the user a new epoch: every session, token, code and link from before is dead with this one UPDATE.
///
/// # Errors
/// The database fails.
pub fn bump_epoch(tx: &mut Tx<'_>, id: &UserId, epoch: &AuthEpoch) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table.filter(users::id.eq(id))
    )
    .set((
        users::auth_epoch.eq(epoch),
        users::gate_version.eq(users::gate_version + 1)
    ))
    .execute(c))?;
    Ok(())
}

/// Writes the user's row because a fact of the gate beside it changes, so that the mint's lock sees it.
///
/// # Errors
/// The database fails.
pub fn touch_gate(tx: &mut Tx<'_>, id: &UserId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table.filter(users::id.eq(id))
    )
    .set(users::gate_version.eq(users::gate_version + 1))
    .execute(c))?;
    Ok(())
}

/// Locks the user until then, or unlocks.
///
/// # Errors
/// The database fails.
pub fn set_locked_until(
    tx: &mut Tx<'_>,
    id: &UserId,
    until: Option<Timestamp>,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        users::table.filter(users::id.eq(id))
    )
    .set((
        users::locked_until.eq(until),
        users::gate_version.eq(users::gate_version + 1)
    ))
    .execute(c))?;
    Ok(())
}

/// Deletes the user with everything of theirs.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, id: &UserId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        users::table.filter(users::id.eq(id))
    )
    .execute(c))?;
    Ok(())
}

/// Notes a sign-in. Lies beside the user's row, which the mint has locked.
///
/// # Errors
/// The database fails.
pub fn note_sign_in(tx: &mut Tx<'_>, user: &UserId, now: Timestamp) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(user_activity::table)
        .values((
            user_activity::user_id.eq(user),
            user_activity::last_sign_in.eq(now)
        ))
        .on_conflict(user_activity::user_id)
        .do_update()
        .set(user_activity::last_sign_in.eq(now))
        .execute(c))?;
    Ok(())
}

/// When the user last signed in.
///
/// # Errors
/// The database fails.
pub fn last_sign_in(tx: &mut Tx<'_>, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
    db!(tx, |c| user_activity::table
        .filter(user_activity::user_id.eq(user))
        .select(user_activity::last_sign_in)
        .first(c)
        .optional())
}
