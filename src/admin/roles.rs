//! Roles of the realm and of its clients: made, shown, changed, deleted.
//!
//! A role can be reached by its name below the realm or a client, and by its id. A role that is itself a power
//! keeps its name; who may edit which is in [`editable`].

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::json::text;
use super::powers::{is_power, managed_realm};
use super::representation::role::{RoleRepresentation, SHAPE};
use super::representation::value;
use super::users::fields::attributes;
use crate::kernel::{ClientUuid, RoleId};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::provision::{MANAGEMENT_ROLES, default_role_name};
use crate::role::{self, Role};
use crate::user::audience::Audience;
use crate::user::search;

/// Where roles of a path live.
pub enum Container {
    /// In the realm.
    Realm,
    /// In this client.
    Client(ClientUuid),
}

impl Container {
    /// The container that the path names.
    ///
    /// # Errors
    /// The realm has no such client.
    pub fn of(config: &RealmConfig, ask: &Ask) -> Result<Self, AdminError> {
        let Some(id) = ask.named("client") else {
            return Ok(Self::Realm);
        };
        let id = ClientUuid::new(id);
        match config.client_id_of(&id) {
            Some(_) => Ok(Self::Client(id)),
            None => Err(AdminError::NotFound("Could not find client")),
        }
    }

    fn client(&self) -> Option<&ClientUuid> {
        match self {
            Self::Realm => None,
            Self::Client(id) => Some(id),
        }
    }
}

/// What a caller wants with roles.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To see them.
    See,
    /// To change them.
    Change,
}

/// Refuses callers who may not do that with roles of a client, or of the realm.
///
/// # Errors
/// The caller has none of the roles that open it.
pub fn permit(
    context: &Context<'_, '_>,
    of_client: bool,
    purpose: Purpose,
) -> Result<(), AdminError> {
    match (of_client, purpose) {
        (true, Purpose::See) => context.require(&["view-clients", "manage-clients"]),
        (true, Purpose::Change) => context.require(&["manage-clients"]),
        (false, Purpose::See) => context.require(&["view-realm", "manage-realm"]),
        (false, Purpose::Change) => context.require(&["manage-realm"]),
    }
}

/// The role that the path names, permitted for the purpose.
///
/// # Errors
/// The caller may not, or there is none.
pub fn find(context: &Context<'_, '_>, ask: &Ask, purpose: Purpose) -> Result<Role, AdminError> {
    let config = &context.config;
    if let Some(id) = ask.named("role_id") {
        if permit(context, false, purpose).is_err() && permit(context, true, purpose).is_err() {
            return Err(AdminError::Forbidden);
        }
        let role = config
            .roles
            .get(&RoleId::new(id))
            .ok_or(AdminError::NotFound("Could not find role with id"))?;
        permit(context, role.client.is_some(), purpose)?;
        return Ok(role.clone());
    }
    permit(context, ask.named("client").is_some(), purpose)?;
    let container = Container::of(config, ask)?;
    config
        .roles
        .named(container.client(), ask.path("role"))
        .cloned()
        .ok_or(AdminError::NotFound("Could not find role"))
}

/// Refuses to edit a role that holds powers which the caller lacks.
///
/// # Errors
/// The caller lacks one of them.
pub fn editable(context: &Context<'_, '_>, role: &Role) -> Result<(), AdminError> {
    context.may_hand_out([&role.id])
}

/// Shows roles by name.
///
/// # Errors
/// Never: roles are JSON.
pub fn show_all<'a>(
    config: &'a RealmConfig,
    roles: impl Iterator<Item = &'a Role>,
    brief: bool,
) -> Result<Value, AdminError> {
    let mut roles: Vec<&Role> = roles.collect();
    roles.sort_by(|one, two| one.name.cmp(&two.name));
    let shown: Vec<RoleRepresentation<'_>> = roles
        .into_iter()
        .map(|role| RoleRepresentation::of(config, role, brief))
        .collect();
    Ok(value(&shown)?)
}

/// `GET …/roles`.
///
/// # Errors
/// The caller may not, or there is no such client.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let of_client = ask.named("client").is_some();
    if of_client || context.require(&["manage-identity-providers"]).is_err() {
        permit(context, of_client, Purpose::See)?;
    }
    let config = &context.config;
    let container = Container::of(config, ask)?;
    let search = ask.text("search").map(str::to_lowercase);
    let mut roles: Vec<&Role> = config
        .roles
        .iter()
        .filter(|role| role.client.as_ref() == container.client())
        .filter(|role| {
            let in_name = |text: &String| role.name.to_lowercase().contains(text);
            search.as_ref().is_none_or(in_name)
        })
        .collect();
    roles.sort_by(|one, two| one.name.cmp(&two.name));
    let brief = ask.flag("briefRepresentation").unwrap_or(true);
    let page = ask.page(None)?;
    Ok(Reply::Json(show_all(
        config,
        page.of(roles.into_iter()),
        brief,
    )?))
}

/// `GET …/roles/{role}`, `GET /roles-by-id/{role_id}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let role = find(context, ask, Purpose::See)?;
    let shown = RoleRepresentation::of(&context.config, &role, false);
    Ok(Reply::Json(value(&shown)?))
}

/// `POST …/roles`.
///
/// # Errors
/// The caller may not, or the name is missing or taken.
pub fn create(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    permit(context, ask.named("client").is_some(), Purpose::Change)?;
    let config = std::sync::Arc::clone(&context.config);
    let container = Container::of(&config, ask)?;
    refuse_new_power(context, &container)?;
    let now = context.tx.now()?;
    let role = Role {
        id: RoleId::new(context.engine.entropy.uuid(now)),
        client: container.client().cloned(),
        name: name_of(&sent)?,
        description: sent.get("description").and_then(text),
        attributes: attributes_of(&sent)?.unwrap_or_default(),
    };
    let inside = composites_of(&config, &sent)?;
    context.may_hand_out(&inside)?;
    if !role::rows::insert(context.tx, &config.realm.id, &role)? {
        let text = format!("Role with name {} already exists", role.name);
        return Err(AdminError::Conflict(text));
    }
    for child in &inside {
        role::rows::add_composite(context.tx, &role.id, child)?;
    }
    changed(context, "ADMIN_ROLE_CREATE", &role)?;
    let name = utf8_percent_encode(&role.name, NON_ALPHANUMERIC);
    let realm = &config.realm.name;
    Ok(Reply::Created(match &container {
        Container::Realm => format!("/{realm}/roles/{name}"),
        Container::Client(id) => format!("/{realm}/clients/{id}/roles/{name}"),
    }))
}

/// `PUT …/roles/{role}`, `PUT /roles-by-id/{role_id}`.
///
/// # Errors
/// The caller may not, there is none, or the name is missing or taken.
pub fn update(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    let before = find(context, ask, Purpose::Change)?;
    editable(context, &before)?;
    let name = name_of(&sent)?;
    let fixed = is_power(&context.config, &before) || is_default(&context.config, &before);
    if fixed && name != before.name {
        return Err(AdminError::Forbidden);
    }
    let after = Role {
        name,
        description: sent.get("description").and_then(text),
        attributes: attributes_of(&sent)?.unwrap_or_else(|| before.attributes.clone()),
        ..before
    };
    role::rows::update(context.tx, &after)?;
    changed(context, "ADMIN_ROLE_UPDATE", &after)?;
    Ok(Reply::NoContent)
}

/// `DELETE …/roles/{role}`, `DELETE /roles-by-id/{role_id}`.
///
/// # Errors
/// The caller may not, there is none, or the realm cannot be without it.
pub fn delete(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let role = find(context, ask, Purpose::Change)?;
    if is_default(&context.config, &role) {
        return Err(AdminError::Message(format!(
            "{} is default role of the realm and cannot be removed.",
            role.name
        )));
    }
    editable(context, &role)?;
    if is_power(&context.config, &role) {
        return Err(AdminError::Forbidden);
    }
    role::rows::delete(context.tx, &role.id)?;
    changed(context, "ADMIN_ROLE_DELETE", &role)?;
    Ok(Reply::NoContent)
}

/// `GET …/roles/{role}/users`: to whom it is mapped directly.
///
/// # Errors
/// The caller may not, or there is none.
pub fn users(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    let role = find(context, ask, Purpose::See)?;
    let page = ask.page(Some(100))?;
    let filter = Audience {
        roles: Some(vec![role.id]),
        ..Audience::default()
    };
    let realm = context.config.realm.id.clone();
    let found = search::list(context.tx, &realm, &filter, (page.first, page.max))?;
    let brief = ask.flag("briefRepresentation").unwrap_or(false);
    Ok(Reply::Json(super::users::show_list(
        context, &found, brief,
    )?))
}

/// The realm's default role, which everybody has.
fn is_default(config: &RealmConfig, role: &Role) -> bool {
    role.client.is_none() && role.name == default_role_name(&config.realm.name)
}

/// A new role in a client that keeps powers could be mistaken for one: only for callers who hold them all.
fn refuse_new_power(context: &Context<'_, '_>, container: &Container) -> Result<(), AdminError> {
    let client = container
        .client()
        .and_then(|id| context.config.client_id_of(id));
    let Some(realm) = client.and_then(|client| managed_realm(&context.config, client)) else {
        return Ok(());
    };
    let powers = &context.caller.powers;
    if MANAGEMENT_ROLES.iter().all(|role| powers.has(realm, role)) {
        Ok(())
    } else {
        Err(AdminError::Forbidden)
    }
}

fn name_of(sent: &Map<String, Value>) -> Result<String, AdminError> {
    sent.get("name")
        .and_then(text)
        .filter(|name| !name.trim().is_empty() && name.len() <= 255)
        .ok_or_else(|| AdminError::Bad("role has no name".into()))
}

fn attributes_of(
    sent: &Map<String, Value>,
) -> Result<Option<BTreeMap<String, Vec<String>>>, AdminError> {
    sent.get("attributes").map(attributes).transpose()
}

/// The roles that `composites` of a new role names: `{"realm": [names], "client": {client_id: [names]}}`.
fn composites_of(
    config: &RealmConfig,
    sent: &Map<String, Value>,
) -> Result<Vec<RoleId>, AdminError> {
    let mut found = Vec::new();
    let Some(composites) = sent.get("composites") else {
        return Ok(found);
    };
    let mut take = |client: Option<&ClientUuid>, names: &Value| {
        let names =
            super::json::texts(names).ok_or_else(|| AdminError::wrong_type("composites"))?;
        for name in names {
            let role = config
                .roles
                .named(client, &name)
                .ok_or(AdminError::NotFound("Could not find composite role"))?;
            found.push(role.id.clone());
        }
        Ok::<(), AdminError>(())
    };
    if let Some(names) = composites.get("realm") {
        take(None, names)?;
    }
    let clients = composites.get("client").and_then(Value::as_object);
    for (client_id, names) in clients.into_iter().flatten() {
        let id = config
            .client_named(client_id)
            .ok_or(AdminError::NotFound("Could not find client"))?;
        take(Some(id), names)?;
    }
    Ok(found)
}

/// Records a change of a role and lets caches know.
///
/// # Errors
/// The database fails.
pub fn changed(
    context: &mut Context<'_, '_>,
    kind: &'static str,
    role: &Role,
) -> Result<(), AdminError> {
    let event = context
        .event(kind)
        .detail("role", role.name.as_str())
        .detail("role_id", role.id.as_str());
    context.record(event)?;
    context.touch()
}
