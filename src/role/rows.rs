//! Roles in SQL.

use diesel::prelude::*;

use super::{Role, RoleGraph};
use crate::kernel::{ClientUuid, RealmId, RoleId, UserId};
use crate::store::schema::{role_composites, roles, scope_mappings, user_roles};
use crate::store::{StoreError, Tx, corrupt, db};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = roles)]
struct RoleRow {
    id: RoleId,
    realm_id: RealmId,
    client_uuid: Option<ClientUuid>,
    container_id: String,
    name: String,
    description: Option<String>,
    attributes: String,
}

/// All roles of the realm, with composites.
///
/// # Errors
/// The database fails.
pub fn graph(tx: &mut Tx<'_>, realm: &RealmId) -> Result<RoleGraph, StoreError> {
    let rows: Vec<RoleRow> = db!(tx, |c| roles::table
        .filter(roles::realm_id.eq(realm))
        .select(RoleRow::as_select())
        .load(c))?;
    let composites: Vec<(RoleId, RoleId)> = db!(tx, |c| role_composites::table
        .inner_join(roles::table.on(roles::id.eq(role_composites::parent_id)))
        .filter(roles::realm_id.eq(realm))
        .select((role_composites::parent_id, role_composites::child_id))
        .load(c))?;
    let roles = rows
        .into_iter()
        .map(|row| {
            let attributes = serde_json::from_str(&row.attributes)
                .map_err(|cause| corrupt("roles", "attributes", &row.id, cause))?;
            Ok(Role {
                id: row.id,
                client: row.client_uuid,
                name: row.name,
                description: row.description,
                attributes,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(RoleGraph::new(roles, composites))
}

/// The id of the role that the realm itself, none of its clients, has under that name.
///
/// # Errors
/// The database fails.
pub fn of_realm_named(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    name: &str,
) -> Result<Option<RoleId>, StoreError> {
    db!(tx, |c| roles::table
        .filter(roles::realm_id.eq(realm))
        .filter(roles::client_uuid.is_null())
        .filter(roles::name.eq(name))
        .select(roles::id)
        .first(c)
        .optional())
}

/// Stores a new role. `Ok(false)` when its realm or client has one of that name.
///
/// # Errors
/// The database fails.
pub fn insert(tx: &mut Tx<'_>, realm: &RealmId, role: &Role) -> Result<bool, StoreError> {
    let row = RoleRow {
        id: role.id.clone(),
        realm_id: realm.clone(),
        client_uuid: role.client.clone(),
        container_id: role
            .client
            .as_ref()
            .map_or(realm.as_str(), ClientUuid::as_str)
            .to_owned(),
        name: role.name.clone(),
        description: role.description.clone(),
        attributes: json(role)?,
    };
    let inserted = db!(tx, |c| diesel::insert_into(roles::table)
        .values(&row)
        .on_conflict((roles::container_id, roles::name))
        .do_nothing()
        .execute(c))?;
    Ok(inserted == 1)
}

fn json(role: &Role) -> Result<String, StoreError> {
    serde_json::to_string(&role.attributes)
        .map_err(|cause| corrupt("roles", "attributes", &role.id, cause))
}

/// Stores name, description and attributes of a role.
///
/// # Errors
/// The database fails; a taken name is a unique violation.
pub fn update(tx: &mut Tx<'_>, role: &Role) -> Result<(), StoreError> {
    let attributes = json(role)?;
    db!(tx, |c| diesel::update(
        roles::table.filter(roles::id.eq(&role.id))
    )
    .set((
        roles::name.eq(&role.name),
        roles::description.eq(&role.description),
        roles::attributes.eq(&attributes),
    ))
    .execute(c))?;
    Ok(())
}

/// Deletes a role and every mapping to it.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, id: &RoleId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        roles::table.filter(roles::id.eq(id))
    )
    .execute(c))?;
    Ok(())
}

/// Puts `child` into the composite `parent`.
///
/// # Errors
/// The database fails.
pub fn add_composite(tx: &mut Tx<'_>, parent: &RoleId, child: &RoleId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(role_composites::table)
        .values((
            role_composites::parent_id.eq(parent),
            role_composites::child_id.eq(child)
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// Takes `child` out of the composite `parent`.
///
/// # Errors
/// The database fails.
pub fn remove_composite(
    tx: &mut Tx<'_>,
    parent: &RoleId,
    child: &RoleId,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        role_composites::table
            .filter(role_composites::parent_id.eq(parent))
            .filter(role_composites::child_id.eq(child))
    )
    .execute(c))?;
    Ok(())
}

/// The roles mapped to a user directly.
///
/// # Errors
/// The database fails.
pub fn of_user(tx: &mut Tx<'_>, user: &UserId) -> Result<Vec<RoleId>, StoreError> {
    db!(tx, |c| user_roles::table
        .filter(user_roles::user_id.eq(user))
        .select(user_roles::role_id)
        .load(c))
}

/// The users to whom a role is mapped directly.
///
/// # Errors
/// The database fails.
pub fn users_with(tx: &mut Tx<'_>, role: &RoleId) -> Result<Vec<UserId>, StoreError> {
    db!(tx, |c| user_roles::table
        .filter(user_roles::role_id.eq(role))
        .order(user_roles::user_id)
        .select(user_roles::user_id)
        .load(c))
}

/// Maps a role to a user.
///
/// # Errors
/// The database fails.
pub fn assign(tx: &mut Tx<'_>, user: &UserId, role: &RoleId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(user_roles::table)
        .values((user_roles::user_id.eq(user), user_roles::role_id.eq(role)))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// Takes a role from a user.
///
/// # Errors
/// The database fails.
pub fn unassign(tx: &mut Tx<'_>, user: &UserId, role: &RoleId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        user_roles::table
            .filter(user_roles::user_id.eq(user))
            .filter(user_roles::role_id.eq(role))
    )
    .execute(c))?;
    Ok(())
}

/// Every (owner, role) of the realm by which a client or client scope limits the roles in tokens.
///
/// # Errors
/// The database fails.
pub fn scope_mappings(
    tx: &mut Tx<'_>,
    realm: &RealmId,
) -> Result<Vec<(String, RoleId)>, StoreError> {
    db!(tx, |c| scope_mappings::table
        .filter(scope_mappings::realm_id.eq(realm))
        .select((scope_mappings::owner_id, scope_mappings::role_id))
        .load(c))
}

/// Lets tokens of the client or client scope `owner` carry the role.
///
/// # Errors
/// The database fails.
pub fn add_scope_mapping(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    owner: &str,
    role: &RoleId,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(scope_mappings::table)
        .values((
            scope_mappings::owner_id.eq(owner),
            scope_mappings::role_id.eq(role),
            scope_mappings::realm_id.eq(realm)
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}
