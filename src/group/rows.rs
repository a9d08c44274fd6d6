//! Groups and who belongs to them, in SQL.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::{Group, GroupTree};
use crate::kernel::{GroupId, RealmId, Timestamp, UserId};
use crate::store::schema::{groups, user_groups};
use crate::store::{StoreError, Tx, corrupt, db};

#[derive(Queryable, Selectable)]
#[diesel(table_name = groups)]
struct GroupRow {
    id: GroupId,
    parent_id: Option<GroupId>,
    name: String,
    attributes: String,
}

impl TryFrom<GroupRow> for Group {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        let attributes: BTreeMap<String, Vec<String>> = serde_json::from_str(&row.attributes)
            .map_err(|cause| corrupt("groups", "attributes", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            parent: row.parent_id,
            name: row.name,
            attributes,
        })
    }
}

/// All groups of the realm.
///
/// # Errors
/// The database fails.
pub fn tree(tx: &mut Tx<'_>, realm: &RealmId) -> Result<GroupTree, StoreError> {
    let rows: Vec<GroupRow> = db!(tx, |c| groups::table
        .filter(groups::realm_id.eq(realm))
        .select(GroupRow::as_select())
        .load(c))?;
    let groups = rows
        .into_iter()
        .map(Group::try_from)
        .collect::<Result<_, _>>()?;
    Ok(GroupTree::new(groups))
}

/// Stores a new group. `Ok(false)` when its parent has one of that name.
///
/// # Errors
/// The database fails.
pub fn insert(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    group: &Group,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let attributes = serde_json::to_string(&group.attributes)
        .map_err(|cause| corrupt("groups", "attributes", &group.id, cause))?;
    let container = group
        .parent
        .as_ref()
        .map_or(realm.as_str(), GroupId::as_str);
    let inserted = db!(tx, |c| diesel::insert_into(groups::table)
        .values((
            groups::id.eq(&group.id),
            groups::realm_id.eq(realm),
            groups::parent_id.eq(&group.parent),
            groups::container_id.eq(container),
            groups::name.eq(&group.name),
            groups::attributes.eq(&attributes),
            groups::created_at.eq(now),
        ))
        .on_conflict((groups::container_id, groups::name))
        .do_nothing()
        .execute(c))?;
    Ok(inserted == 1)
}

#[derive(Insertable)]
#[diesel(table_name = user_groups, treat_none_as_default_value = false)]
struct MemberRow<'a> {
    user_id: &'a UserId,
    group_id: &'a GroupId,
}

/// Puts a person into a group; who belongs already stays.
///
/// # Errors
/// The database fails.
pub fn join(tx: &mut Tx<'_>, user: &UserId, group: &GroupId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(user_groups::table)
        .values((
            user_groups::user_id.eq(user),
            user_groups::group_id.eq(group)
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}

/// Puts new people into groups with statements of many rows; none of the pairs may be there already.
///
/// # Errors
/// The database fails.
pub fn join_many(tx: &mut Tx<'_>, members: &[(UserId, GroupId)]) -> Result<(), StoreError> {
    for part in members.chunks(crate::store::dialect::ROWS) {
        let rows: Vec<MemberRow<'_>> = part
            .iter()
            .map(|(user_id, group_id)| MemberRow { user_id, group_id })
            .collect();
        db!(tx, |c| diesel::insert_into(user_groups::table)
            .values(&rows)
            .execute(c))?;
    }
    Ok(())
}

/// Takes a person out of a group; answers whether they belonged to it.
///
/// # Errors
/// The database fails.
pub fn leave(tx: &mut Tx<'_>, user: &UserId, group: &GroupId) -> Result<bool, StoreError> {
    let left = db!(tx, |c| diesel::delete(
        user_groups::table
            .filter(user_groups::user_id.eq(user))
            .filter(user_groups::group_id.eq(group))
    )
    .execute(c))?;
    Ok(left == 1)
}

/// The groups that a person belongs to.
///
/// # Errors
/// The database fails.
pub fn of_user(tx: &mut Tx<'_>, user: &UserId) -> Result<Vec<GroupId>, StoreError> {
    db!(tx, |c| user_groups::table
        .filter(user_groups::user_id.eq(user))
        .order(user_groups::group_id)
        .select(user_groups::group_id)
        .load(c))
}
