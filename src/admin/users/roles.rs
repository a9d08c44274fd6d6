//! The roles mapped to a person. Nobody hands out, or takes away, a power that they do not hold themselves.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::admin::json::text;
use crate::admin::representation::role::{RoleRepresentation, SHAPE};
use crate::admin::representation::value;
use crate::admin::roles::show_all;
use crate::kernel::{ClientUuid, RoleId};
use crate::oidc::catalog::RealmConfig;
use crate::role::{self, Role};
use crate::user::{self, User};

/// The container that the path names: the realm, or one of its clients.
fn container(context: &Context<'_, '_>, ask: &Ask) -> Result<Option<ClientUuid>, AdminError> {
    let Some(id) = ask.named("client") else {
        return Ok(None);
    };
    let id = ClientUuid::new(id);
    match context.config.client_id_of(&id) {
        Some(_) => Ok(Some(id)),
        None => Err(AdminError::NotFound("Client not found")),
    }
}

/// The roles of a body, each named by id and name, of this container.
fn sent_roles(
    config: &RealmConfig,
    container: Option<&ClientUuid>,
    body: Value,
) -> Result<Vec<RoleId>, AdminError> {
    let Value::Array(list) = body else {
        return Err(AdminError::wrong_type("roles"));
    };
    list.into_iter()
        .map(|one| {
            let sent = SHAPE.read(one)?;
            let of = |name: &str| sent.get(name).and_then(text);
            of("id")
                .and_then(|id| config.roles.get(&RoleId::new(id)))
                .filter(|role| role.client.as_ref() == container)
                .filter(|role| of("name").as_deref() == Some(role.name.as_str()))
                .map(|role| role.id.clone())
                .ok_or(AdminError::NotFound("Role not found"))
        })
        .collect()
}

fn mapped(context: &mut Context<'_, '_>, user: &User) -> Result<Vec<RoleId>, AdminError> {
    Ok(role::rows::of_user(context.tx, &user.id)?)
}

/// `GET /users/{user}/role-mappings`.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn all(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let ids = mapped(context, &user)?;
    let config = std::sync::Arc::clone(&context.config);
    let roles: Vec<&Role> = ids.iter().filter_map(|id| config.roles.get(id)).collect();
    let show = |of: Option<&ClientUuid>| -> Result<Vec<Value>, AdminError> {
        roles
            .iter()
            .filter(|role| role.client.as_ref() == of)
            .map(|role| Ok(value(&RoleRepresentation::of(&config, role, true))?))
            .collect()
    };
    let mut answer = Map::new();
    let of_realm = show(None)?;
    if !of_realm.is_empty() {
        answer.insert("realmMappings".into(), Value::Array(of_realm));
    }
    let clients: BTreeSet<&ClientUuid> = roles
        .iter()
        .filter_map(|role| role.client.as_ref())
        .collect();
    let mut of_clients = Map::new();
    for id in clients {
        let client = config.client_id_of(id).unwrap_or_default();
        let mappings = show(Some(id))?;
        of_clients.insert(
            client.to_owned(),
            json!({ "id": id.as_str(), "client": client, "mappings": mappings }),
        );
    }
    if !of_clients.is_empty() {
        answer.insert("clientMappings".into(), Value::Object(of_clients));
    }
    Ok(Reply::Json(Value::Object(answer)))
}

/// `GET /users/{user}/role-mappings/realm`, `…/clients/{client}`.
///
/// # Errors
/// The caller may not, or there is no such user or client.
pub fn direct(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    listed(context, ask, |_, ids| ids.iter().cloned().collect())
}

/// `…/composite`: with everything inside them.
///
/// # Errors
/// The caller may not, or there is no such user or client.
pub fn effective(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    listed(context, ask, |config, ids| {
        config.roles.closure(ids).into_iter().cloned().collect()
    })
}

/// `…/available`: those that the caller could still hand out.
///
/// # Errors
/// The caller may not, or there is no such user or client.
pub fn available(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let powers = context.caller.powers.clone();
    listed(context, ask, move |config, ids| {
        let grantable = |role: &&Role| {
            !ids.contains(&role.id)
                && crate::admin::powers::Powers::closed(config, [&role.id]).within(&powers)
        };
        let free = config.roles.iter().filter(grantable);
        free.map(|role| role.id.clone()).collect()
    })
}

fn listed(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    choose: impl FnOnce(&RealmConfig, &[RoleId]) -> BTreeSet<RoleId>,
) -> Outcome {
    let user = context.seen_user(ask)?;
    let container = container(context, ask)?;
    let ids = mapped(context, &user)?;
    let config = &context.config;
    let chosen = choose(config, &ids);
    let roles = chosen
        .iter()
        .filter_map(|id| config.roles.get(id))
        .filter(|role| role.client == container);
    let brief = ask.flag("briefRepresentation").unwrap_or(true);
    Ok(Reply::Json(show_all(config, roles, brief)?))
}

/// `POST /users/{user}/role-mappings/…`.
///
/// # Errors
/// The caller may not, lacks a power inside a role, or there is no such user, client or role.
pub fn add(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let body = ask.json()?;
    let user = context.managed_user(ask)?;
    let container = container(context, ask)?;
    let roles = sent_roles(&context.config, container.as_ref(), body)?;
    context.may_hand_out(&roles)?;
    for id in &roles {
        role::rows::assign(context.tx, &user.id, id)?;
    }
    changed(context, &user, "ADMIN_ROLE_MAPPING_CREATE", &roles)
}

/// `DELETE /users/{user}/role-mappings/…`; without a body, all of them.
///
/// # Errors
/// The caller may not, lacks a power inside a role, or there is no such user, client or role.
pub fn remove(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let body = ask.json_if_any()?;
    let user = context.managed_user(ask)?;
    let container = container(context, ask)?;
    let roles = match body {
        Some(body) => sent_roles(&context.config, container.as_ref(), body)?,
        None => {
            let of_container = |id: &RoleId| {
                let role = context.config.roles.get(id);
                role.is_some_and(|role| role.client == container)
            };
            let ids = role::rows::of_user(context.tx, &user.id)?;
            ids.into_iter().filter(of_container).collect()
        }
    };
    context.may_hand_out(&roles)?;
    for id in &roles {
        role::rows::unassign(context.tx, &user.id, id)?;
    }
    changed(context, &user, "ADMIN_ROLE_MAPPING_DELETE", &roles)
}

/// Writes the person's row too: what a mint under way has read of the roles must not outlive the change.
fn changed(
    context: &mut Context<'_, '_>,
    user: &User,
    kind: &'static str,
    roles: &[RoleId],
) -> Outcome {
    user::rows::touch_gate(context.tx, &user.id)?;
    let names: Vec<&str> = roles
        .iter()
        .filter_map(|id| context.config.roles.get(id))
        .map(|role| role.name.as_str())
        .collect();
    let event = context.event(kind).user(&user.id).detail("roles", names);
    context.record(event)?;
    Ok(Reply::NoContent)
}
