//! Groups and who belongs to them. A group gives no role yet, so that belonging to one is no power.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ask::{Ask, Page};
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::json::Shape;
use super::users::fields::{attributes, text_of};
use crate::group::{self, Group, GroupTree};
use crate::kernel::GroupId;

/// The fields of a group.
const SHAPE: Shape = Shape {
    name: "GroupRepresentation",
    texts: &["id", "name", "path", "parentId", "description"],
    flags: &[],
    numbers: &["subGroupCount"],
    lists: &["realmRoles"],
    other: &["attributes", "clientRoles", "subGroups", "access"],
};

/// What may see groups. Who has `query-groups` alone may ask, and is answered an empty list, as by Keycloak (threat
/// V138).
const SEE: [&str; 2] = ["view-users", "manage-users"];

fn tree(context: &mut Context<'_, '_>) -> Result<GroupTree, AdminError> {
    let realm = context.config.realm.id.clone();
    Ok(group::rows::tree(context.tx, &realm)?)
}

/// The path's group, with all others of the realm.
fn found(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    text: &'static str,
) -> Result<(GroupTree, Group), AdminError> {
    let tree = tree(context)?;
    let group = tree
        .get(&GroupId::new(ask.path("group")))
        .cloned()
        .ok_or(AdminError::NotFound(text))?;
    Ok((tree, group))
}

fn shown(tree: &GroupTree, group: &Group, full: bool) -> Value {
    let mut shown = json!({
        "id": group.id.as_str(), "name": group.name, "path": tree.path(&group.id), "subGroups": [],
    });
    if let Value::Object(fields) = &mut shown {
        if let Some(parent) = &group.parent {
            fields.insert("parentId".into(), json!(parent.as_str()));
        }
        if full {
            fields.insert("attributes".into(), json!(group.attributes));
            fields.insert("realmRoles".into(), json!([]));
            fields.insert("clientRoles".into(), json!({}));
        }
    }
    shown
}

fn with_access(mut shown: Value, tree: &GroupTree, group: &Group, manage: bool) -> Value {
    if let Value::Object(fields) = &mut shown {
        let inside = tree.inside(Some(&group.id)).len();
        fields.insert("subGroupCount".into(), json!(inside));
        fields.insert(
            "access".into(),
            json!({
                "view": true, "viewMembers": true, "manageMembers": manage, "manage": manage,
                "manageMembership": manage,
            }),
        );
    }
    shown
}

/// Those of the groups whose names have the text of `search` in them, one page of them.
fn page<'a>(groups: Vec<&'a Group>, ask: &Ask) -> Result<Vec<&'a Group>, AdminError> {
    let search = ask.text("search").unwrap_or_default().to_lowercase();
    let fits = |group: &&Group| group.name.to_lowercase().contains(&search);
    let page: Page = ask.page(None)?;
    Ok(page.of(groups.into_iter().filter(fits)).collect())
}

/// `GET /groups`, and `GET /groups/{group}/children`.
///
/// # Errors
/// The caller may not, or there is no such group.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    if context.require(&SEE).is_err() {
        context.require(&["query-groups"])?;
        return Ok(Reply::Json(json!([])));
    }
    let (tree, parent) = match ask.named("group") {
        Some(_) => {
            let (tree, group) = found(context, ask, "Could not find group by id")?;
            (tree, Some(group.id))
        }
        None => (tree(context)?, None),
    };
    let full = ask.flag("briefRepresentation") == Some(false);
    let manage = context.has("manage-users");
    let groups = page(tree.inside(parent.as_ref()), ask)?;
    let list = groups
        .into_iter()
        .map(|group| with_access(shown(&tree, group, full), &tree, group, manage))
        .collect();
    Ok(Reply::Json(list))
}

/// `GET /groups/{group}`.
///
/// # Errors
/// The caller may not, or there is no such group.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&SEE)?;
    let (tree, group) = found(context, ask, "Could not find group by id")?;
    let manage = context.has("manage-users");
    let shown = shown(&tree, &group, true);
    Ok(Reply::Json(with_access(shown, &tree, &group, manage)))
}

/// `POST /groups`, and `POST /groups/{group}/children`.
///
/// # Errors
/// The caller may not, the name cannot be, or is taken.
pub fn create(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-users"])?;
    let parent = match ask.named("group") {
        Some(_) => Some(found(context, ask, "Could not find group by id")?.1.id),
        None => None,
    };
    let name = text_of(&sent, "name").map(str::trim).unwrap_or_default();
    if name.is_empty() {
        return Err(AdminError::Message("Group name is missing".into()));
    }
    // One name, whatever slashes are in it.
    let names = group::names_of(&group::path_of([name]))
        .map_err(|error| AdminError::Message(error.to_string()))?;
    let now = context.tx.now()?;
    let group = Group {
        id: GroupId::new(context.engine.entropy.uuid(now)),
        parent,
        name: names.concat(),
        attributes: sent
            .get("attributes")
            .map_or(Ok(BTreeMap::new()), attributes)?,
    };
    let realm = context.config.realm.clone();
    if !group::rows::insert(context.tx, &realm.id, &group, now)? {
        let kind = if group.parent.is_some() {
            "Sibling"
        } else {
            "Top level"
        };
        return Err(AdminError::Conflict(format!(
            "{kind} group named '{name}' already exists."
        )));
    }
    let event = context
        .event("ADMIN_GROUP_CREATE")
        .detail("group", group.id.as_str());
    context.record(event)?;
    Ok(Reply::Created(format!(
        "/{}/groups/{}",
        realm.name, group.id
    )))
}

/// `GET /users/{user}/groups`.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn of_user(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let tree = tree(context)?;
    let ids = group::rows::of_user(context.tx, &user.id)?;
    let mut groups: Vec<&Group> = ids.iter().filter_map(|id| tree.get(id)).collect();
    groups.sort_by(|one, two| one.name.cmp(&two.name));
    let full = ask.flag("briefRepresentation") == Some(false);
    let list = page(groups, ask)?
        .into_iter()
        .map(|group| shown(&tree, group, full))
        .collect();
    Ok(Reply::Json(list))
}

/// `GET /users/{user}/groups/count`.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn count_of_user(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let ids = group::rows::of_user(context.tx, &user.id)?;
    Ok(Reply::Json(json!({ "count": ids.len() })))
}

/// `PUT /users/{user}/groups/{group}`.
///
/// # Errors
/// The caller may not, or there is no such user or group.
pub fn join(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    let (_, group) = found(context, ask, "Group not found")?;
    group::rows::join(context.tx, &user.id, &group.id)?;
    let event = context
        .event("ADMIN_USER_GROUP_JOIN")
        .user(&user.id)
        .detail("group", group.id.as_str());
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// `DELETE /users/{user}/groups/{group}`.
///
/// # Errors
/// The caller may not, or there is no such user or group.
pub fn leave(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    let (_, group) = found(context, ask, "Group not found")?;
    if group::rows::leave(context.tx, &user.id, &group.id)? {
        let event = context
            .event("ADMIN_USER_GROUP_LEAVE")
            .user(&user.id)
            .detail("group", group.id.as_str());
        context.record(event)?;
    }
    Ok(Reply::NoContent)
}
