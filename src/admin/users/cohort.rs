//! `POST /users/required-actions`: actions set on, or taken from, everybody whom a filter finds.
//!
//! Leaves out the caller and the last administrator who is not gated, unless they are named by id; never touches
//! somebody whose powers the caller lacks.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::actions::{Manner, Plan};
use super::fields::{flag_of, text_of};
use super::{canonical_or_same, notices, read_status};
use crate::action::assign::assignable;
use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::admin::json::{Shape, texts};
use crate::admin::powers::Powers;
use crate::kernel::{RoleId, UserId};
use crate::oidc::notices::Reach;
use crate::user::User;
use crate::user::search::{self, Filter};

/// The fields of the request.
const REQUEST: Shape = Shape {
    name: "RequiredActionsRequest",
    texts: &["resetProof", "reason"],
    flags: &["compromised", "revokeSessions", "dryRun"],
    numbers: &["dueAt"],
    lists: &["add", "remove"],
    other: &["filter"],
};

/// The fields of its filter.
const FILTER: Shape = Shape {
    name: "UserFilter",
    texts: &[
        "search",
        "username",
        "email",
        "firstName",
        "lastName",
        "pendingAction",
        "status",
    ],
    flags: &["exact", "enabled", "emailVerified", "neverSignedIn"],
    numbers: &[],
    lists: &["ids", "usernames"],
    other: &["attributes"],
};

/// Sets and takes actions; with `dryRun` only counts.
///
/// # Errors
/// The caller may not, or the request makes no sense.
pub fn post(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&REQUEST)?;
    context.require(&["manage-users"])?;
    let list = |name: &str| sent.get(name).and_then(texts).unwrap_or_default();
    let (add, remove) = (list("add"), list("remove"));
    if add.is_empty() && remove.is_empty() {
        return Err(AdminError::Bad("add or remove must name an action".into()));
    }
    let add: Vec<String> = assignable(&context.config.actions, &add)?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let plan = Plan {
        set: add,
        take: remove.iter().map(|name| canonical_or_same(name)).collect(),
        manner: Manner::read(&sent)?,
    };
    if plan.set.iter().any(|name| plan.take.contains(name)) {
        return Err(AdminError::Bad(
            "An action cannot be added and removed at once".into(),
        ));
    }
    let (people, skipped) = chosen(context, &sent, &plan)?;
    if !flag_of(&sent, "dryRun").unwrap_or(false) {
        for user in &people {
            let done = plan.carry_out(context, &user.id)?;
            notices::of_actions(context, user, &done, Reach::Many)?;
        }
        let event = context
            .event("ADMIN_USERS_REQUIRED_ACTIONS")
            .detail("count", people.len())
            .detail("set", plan.set.clone())
            .detail("taken", plan.take.clone())
            .detail("reason", text_of(&sent, "reason").unwrap_or_default());
        context.record(event)?;
        for user in &people {
            let event = context
                .event("ADMIN_USER_REQUIRED_ACTIONS")
                .user(&user.id)
                .detail("set", plan.set.clone())
                .detail("taken", plan.take.clone());
            context.record(event)?;
        }
    }
    Ok(Reply::Json(
        json!({ "count": people.len(), "skipped": skipped }),
    ))
}

/// Whom it concerns, and how many were left out.
fn chosen(
    context: &mut Context<'_, '_>,
    sent: &Map<String, Value>,
    plan: &Plan,
) -> Result<(Vec<User>, usize), AdminError> {
    let filter = sent
        .get("filter")
        .ok_or_else(|| AdminError::Bad("filter is missing".into()))?;
    let filter = FILTER.read(filter.clone())?;
    let named: BTreeSet<String> = filter
        .get("ids")
        .and_then(texts)
        .unwrap_or_default()
        .into_iter()
        .collect();
    let realm = context.config.realm.id.clone();
    let wanted = read_filter(&filter)?;
    let names = filter.get("usernames").and_then(texts);
    let mut found = search::list(context.tx, &realm, &wanted, (0, None))?;
    if let Some(names) = names {
        let keys: BTreeSet<String> = names
            .iter()
            .map(|name| crate::user::name::name_key(name))
            .collect();
        found.retain(|user| keys.contains(&crate::user::name::name_key(&user.username)));
    }
    let total = found.len();
    let mut people = Vec::with_capacity(total);
    for user in found {
        let by_id = named.contains(user.id.as_str());
        let caller = user.id == context.caller.user;
        if context.outranks(&user.id)? {
            if by_id || !caller {
                people.push(user);
            }
        } else if by_id {
            return Err(AdminError::Forbidden);
        }
    }
    if !plan.set.is_empty() {
        spare_last_administrator(context, &mut people, &named)?;
    }
    let skipped = total.saturating_sub(people.len());
    Ok((people, skipped))
}

fn read_filter(sent: &Map<String, Value>) -> Result<Filter, AdminError> {
    let owned = |name: &str| {
        text_of(sent, name)
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    };
    let attributes = match sent.get("attributes") {
        None => Vec::new(),
        Some(attributes) => super::fields::attributes(attributes)?
            .into_iter()
            .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)))
            .collect(),
    };
    Ok(Filter {
        search: owned("search"),
        username: owned("username"),
        email: owned("email"),
        first_name: owned("firstName"),
        last_name: owned("lastName"),
        exact: flag_of(sent, "exact").unwrap_or(false),
        enabled: flag_of(sent, "enabled"),
        email_verified: flag_of(sent, "emailVerified"),
        never_signed_in: flag_of(sent, "neverSignedIn"),
        pending_action: owned("pendingAction").map(|name| canonical_or_same(&name)),
        status: text_of(sent, "status").map(read_status).transpose()?,
        ids: sent
            .get("ids")
            .and_then(texts)
            .map(|ids| ids.into_iter().map(UserId::new).collect()),
        attributes,
        roles: None,
    })
}

/// Takes one administrator out of the list if otherwise no administrator were left who is not gated.
fn spare_last_administrator(
    context: &mut Context<'_, '_>,
    people: &mut Vec<User>,
    named: &BTreeSet<String>,
) -> Result<(), AdminError> {
    let free = free_administrators(context)?;
    let hit = |user: &User| free.contains(&user.id);
    let all_hit = free
        .iter()
        .all(|id| people.iter().any(|user| user.id == *id));
    if !all_hit {
        return Ok(());
    }
    if let Some(spared) = people
        .iter()
        .position(|user| hit(user) && !named.contains(user.id.as_str()))
    {
        people.remove(spared);
    }
    Ok(())
}

/// The people of this realm who manage its people and are not gated.
fn free_administrators(context: &mut Context<'_, '_>) -> Result<BTreeSet<UserId>, AdminError> {
    let config = std::sync::Arc::clone(&context.config);
    let manages =
        |id: &RoleId| Powers::closed(&config, [id]).has(&config.realm.name, "manage-users");
    let roles: Vec<RoleId> = config
        .roles
        .iter()
        .map(|role| role.id.clone())
        .filter(manages)
        .collect();
    let filter = Filter {
        enabled: Some(true),
        roles: Some(roles),
        ..Filter::default()
    };
    let administrators = search::list(context.tx, &config.realm.id, &filter, (0, None))?;
    let details = search::details(context.tx, &administrators)?;
    Ok(administrators
        .into_iter()
        .filter(|user| {
            details
                .get(&user.id)
                .is_some_and(|of| of.waiting.is_empty())
        })
        .map(|user| user.id)
        .collect())
}
