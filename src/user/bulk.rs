//! Many people at once: each table written with statements of many rows. Used by imports
//! and orders.
//!
//! Nothing here looks before it writes: the caller has found the names free in the same transaction, and a unique
//! violation says that somebody else took one meanwhile, so that the whole transaction is to be tried again.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::credential::StoredPassword;
use super::name::name_key;
use super::rows::{UserRow, json, login_keys};
use super::waiting::WaitingAction;
use super::{AuthEpoch, User};
use crate::kernel::{ClientUuid, CredentialId, RealmId, RoleId, Timestamp, UserId};
use crate::store::dialect::ROWS;
use crate::store::schema::{
    credentials, former_addresses, login_names, required_actions, user_roles, users,
};
use crate::store::{StoreError, Tx, db};

#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
struct NewUser<'a> {
    id: &'a UserId,
    realm_id: &'a RealmId,
    username: &'a str,
    username_key: String,
    email: Option<&'a str>,
    email_key: Option<String>,
    email_verified: bool,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    enabled: bool,
    auth_epoch: &'a AuthEpoch,
    gate_version: i64,
    not_before: Timestamp,
    locked_until: Option<Timestamp>,
    service_client: Option<&'a ClientUuid>,
    attributes: String,
    extra: String,
    created_at: Timestamp,
}

#[derive(Insertable)]
#[diesel(table_name = login_names, treat_none_as_default_value = false)]
struct NewName<'a> {
    realm_id: &'a RealmId,
    name_key: String,
    user_id: &'a UserId,
}

/// Stores new people with the names by which they sign in.
///
/// # Errors
/// The database fails; a unique violation where an id or a name is taken.
pub fn insert(tx: &mut Tx<'_>, people: &[User], unique_email: bool) -> Result<(), StoreError> {
    for part in people.chunks(ROWS) {
        let mut rows = Vec::with_capacity(part.len());
        let mut names = Vec::with_capacity(part.len().saturating_mul(2));
        for user in part {
            let (attributes, extra) = json(user)?;
            rows.push(NewUser {
                id: &user.id,
                realm_id: &user.realm_id,
                username: &user.username,
                username_key: name_key(&user.username),
                email: user.email.as_deref(),
                email_key: user.email.as_deref().map(name_key),
                email_verified: user.email_verified,
                first_name: user.first_name.as_deref(),
                last_name: user.last_name.as_deref(),
                enabled: user.enabled,
                auth_epoch: &user.auth_epoch,
                gate_version: 0,
                not_before: user.not_before,
                locked_until: user.locked_until,
                service_client: user.service_client.as_ref(),
                attributes,
                extra,
                created_at: user.created_at,
            });
            names.extend(
                login_keys(user, unique_email)
                    .into_iter()
                    .map(|(key, _)| NewName {
                        realm_id: &user.realm_id,
                        name_key: key,
                        user_id: &user.id,
                    }),
            );
        }
        // In one order for everybody: two who want the same names wait for each other in turn, not in a ring.
        names.sort_by(|one, two| one.name_key.cmp(&two.name_key));
        db!(tx, |c| diesel::insert_into(users::table)
            .values(&rows)
            .execute(c))?;
        db!(tx, |c| diesel::insert_into(login_names::table)
            .values(&names)
            .execute(c))?;
    }
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = credentials, treat_none_as_default_value = false)]
struct NewPassword<'a> {
    id: &'a CredentialId,
    user_id: &'a UserId,
    kind: &'static str,
    label: Option<&'a str>,
    secret: &'a str,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    imported_digest: Option<&'a str>,
}

/// Stores the passwords of new people.
///
/// # Errors
/// The database fails.
pub fn insert_passwords(
    tx: &mut Tx<'_>,
    passwords: &[(UserId, StoredPassword)],
) -> Result<(), StoreError> {
    for part in passwords.chunks(ROWS) {
        let rows: Vec<NewPassword<'_>> = part
            .iter()
            .map(|(user_id, password)| NewPassword {
                id: &password.id,
                user_id,
                kind: "password",
                label: password.label.as_deref(),
                secret: &password.secret,
                expires_at: password.expires_at,
                created_at: password.created_at,
                imported_digest: password.imported_digest.as_deref(),
            })
            .collect();
        db!(tx, |c| diesel::insert_into(credentials::table)
            .values(&rows)
            .execute(c))?;
    }
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = required_actions, treat_none_as_default_value = false)]
struct NewAction<'a> {
    user_id: &'a UserId,
    action: &'a str,
    source: &'a str,
    reason: Option<&'a str>,
    since: Timestamp,
    due_at: Timestamp,
    reset_proof: &'static str,
    set_by_job: Option<&'a str>,
}

/// Sets actions on new people, on whom nothing waits yet.
///
/// # Errors
/// The database fails.
pub fn insert_actions(
    tx: &mut Tx<'_>,
    actions: &[(UserId, WaitingAction)],
) -> Result<(), StoreError> {
    for part in actions.chunks(ROWS) {
        let rows: Vec<NewAction<'_>> = part
            .iter()
            .map(|(user_id, waiting)| NewAction {
                user_id,
                action: &waiting.action,
                source: &waiting.source,
                reason: waiting.reason.as_deref(),
                since: waiting.since,
                due_at: waiting.due_at,
                reset_proof: waiting.reset_proof.as_str(),
                set_by_job: waiting.set_by_job.as_deref(),
            })
            .collect();
        db!(tx, |c| diesel::insert_into(required_actions::table)
            .values(&rows)
            .execute(c))?;
    }
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = user_roles, treat_none_as_default_value = false)]
struct NewMapping<'a> {
    user_id: &'a UserId,
    role_id: &'a RoleId,
}

/// Maps roles to new people; none of the pairs may be there already.
///
/// # Errors
/// The database fails.
pub fn assign_roles(tx: &mut Tx<'_>, mappings: &[(UserId, RoleId)]) -> Result<(), StoreError> {
    for part in mappings.chunks(ROWS) {
        let rows: Vec<NewMapping<'_>> = part
            .iter()
            .map(|(user_id, role_id)| NewMapping { user_id, role_id })
            .collect();
        db!(tx, |c| diesel::insert_into(user_roles::table)
            .values(&rows)
            .execute(c))?;
    }
    Ok(())
}

/// Who signs in by these names, given as keys.
///
/// # Errors
/// The database fails.
pub fn owners(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    keys: &[&str],
) -> Result<HashMap<String, UserId>, StoreError> {
    let mut found = HashMap::new();
    for part in keys.chunks(ROWS) {
        let rows: Vec<(String, UserId)> = db!(tx, |c| login_names::table
            .filter(login_names::realm_id.eq(realm))
            .filter(login_names::name_key.eq_any(part))
            .select((login_names::name_key, login_names::user_id))
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// The people of these ids, in whatever realm.
///
/// # Errors
/// The database fails.
pub fn by_ids(tx: &mut Tx<'_>, ids: &[&UserId]) -> Result<HashMap<UserId, User>, StoreError> {
    let mut found = HashMap::new();
    for part in ids.chunks(ROWS) {
        let rows: Vec<UserRow> = db!(tx, |c| users::table
            .filter(users::id.eq_any(part))
            .select(UserRow::as_select())
            .load(c))?;
        for row in rows {
            let user = User::try_from(row)?;
            found.insert(user.id.clone(), user);
        }
    }
    Ok(found)
}

/// Former addresses of these people that notices still go to.
///
/// # Errors
/// The database fails.
pub fn former_addresses(
    tx: &mut Tx<'_>,
    ids: &[&UserId],
    now: Timestamp,
) -> Result<HashMap<UserId, Vec<String>>, StoreError> {
    let mut found: HashMap<UserId, Vec<String>> = HashMap::new();
    for part in ids.chunks(ROWS) {
        let rows: Vec<(UserId, String)> = db!(tx, |c| former_addresses::table
            .filter(former_addresses::user_id.eq_any(part))
            .filter(former_addresses::until.gt(now))
            .select((former_addresses::user_id, former_addresses::email))
            .load(c))?;
        for (user, email) in rows {
            found.entry(user).or_default().push(email);
        }
    }
    Ok(found)
}

/// Those of these people who have a password.
///
/// # Errors
/// The database fails.
pub fn with_password(tx: &mut Tx<'_>, ids: &[&UserId]) -> Result<HashSet<UserId>, StoreError> {
    let mut found = HashSet::new();
    for part in ids.chunks(ROWS) {
        let rows: Vec<UserId> = db!(tx, |c| credentials::table
            .filter(credentials::user_id.eq_any(part))
            .filter(credentials::kind.eq("password"))
            .select(credentials::user_id)
            .load(c))?;
        found.extend(rows);
    }
    Ok(found)
}

/// The roles mapped to these people directly.
///
/// # Errors
/// The database fails.
pub fn roles_of(
    tx: &mut Tx<'_>,
    ids: &[&UserId],
) -> Result<HashMap<UserId, Vec<RoleId>>, StoreError> {
    let mut found: HashMap<UserId, Vec<RoleId>> = HashMap::new();
    for part in ids.chunks(ROWS) {
        let rows: Vec<(UserId, RoleId)> = db!(tx, |c| user_roles::table
            .filter(user_roles::user_id.eq_any(part))
            .select((user_roles::user_id, user_roles::role_id))
            .load(c))?;
        for (user, role) in rows {
            found.entry(user).or_default().push(role);
        }
    }
    Ok(found)
}
