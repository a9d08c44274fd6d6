//! The realm's configuration of required actions: on or off, for everybody new, in which order.
//!
//! Switching one off stops new assignments and frees nobody: the gate never asks this configuration.

use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::json::{flag, number, text};
use super::representation::required_action::{RequiredActionRepresentation, SHAPE};
use super::representation::value;
use crate::realm::{self, RequiredActionConfig};

const SEE: [&str; 3] = ["view-realm", "manage-realm", "query-users"];

fn find(context: &Context<'_, '_>, ask: &Ask) -> Result<RequiredActionConfig, AdminError> {
    context
        .config
        .action(ask.path("alias"))
        .cloned()
        .ok_or(AdminError::NotFound("Failed to find required action"))
}

/// `GET /authentication/required-actions`.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&SEE)?;
    let shown: Vec<RequiredActionRepresentation<'_>> =
        context.config.actions.iter().map(Into::into).collect();
    Ok(Reply::Json(value(&shown)?))
}

/// `GET /authentication/required-actions/{alias}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&SEE)?;
    let action = find(context, ask)?;
    Ok(Reply::Json(value(&RequiredActionRepresentation::from(
        &action,
    ))?))
}

/// `GET /authentication/unregistered-required-actions`: all that this server can carry out are registered.
///
/// # Errors
/// The caller may not.
pub fn unregistered(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&SEE)?;
    Ok(Reply::Json(json!([])))
}

/// `PUT /authentication/required-actions/{alias}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn update(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-realm"])?;
    let mut action = find(context, ask)?;
    lay_over(&mut action, &sent)?;
    store(context, &action)?;
    Ok(Reply::NoContent)
}

fn lay_over(
    action: &mut RequiredActionConfig,
    sent: &Map<String, Value>,
) -> Result<(), AdminError> {
    if sent
        .get("alias")
        .and_then(text)
        .is_some_and(|alias| alias != action.alias)
    {
        return Err(AdminError::Bad("alias cannot be changed".into()));
    }
    if let Some(name) = sent.get("name").and_then(text) {
        action.name = name;
    }
    if let Some(enabled) = sent.get("enabled").and_then(flag) {
        action.enabled = enabled;
    }
    if let Some(default_action) = sent.get("defaultAction").and_then(flag) {
        action.default_action = default_action;
    }
    if let Some(priority) = sent.get("priority").and_then(number) {
        action.priority = priority;
    }
    if let Some(config) = sent.get("config") {
        action.config = config
            .as_object()
            .cloned()
            .ok_or_else(|| AdminError::wrong_type("config"))?;
    }
    Ok(())
}

/// `POST …/{alias}/raise-priority`: before its neighbour.
///
/// # Errors
/// The caller may not, or there is none.
pub fn raise(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    swap(context, ask, |place| place.checked_sub(1))
}

/// `POST …/{alias}/lower-priority`: after its neighbour.
///
/// # Errors
/// The caller may not, or there is none.
pub fn lower(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    swap(context, ask, |place| place.checked_add(1))
}

fn swap(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    neighbour: fn(usize) -> Option<usize>,
) -> Outcome {
    context.require(&["manage-realm"])?;
    let mut action = find(context, ask)?;
    let actions = &context.config.actions;
    let place = actions.iter().position(|one| one.alias == action.alias);
    let other = place.and_then(neighbour).and_then(|at| actions.get(at));
    if let Some(mut other) = other.cloned() {
        std::mem::swap(&mut action.priority, &mut other.priority);
        store(context, &other)?;
        store(context, &action)?;
    }
    Ok(Reply::NoContent)
}

fn store(context: &mut Context<'_, '_>, action: &RequiredActionConfig) -> Result<(), AdminError> {
    let realm = context.config.realm.id.clone();
    realm::rows::put_required_action(context.tx, &realm, action)?;
    context.touched();
    let event = context
        .event("ADMIN_REQUIRED_ACTION_UPDATE")
        .detail("alias", action.alias.as_str())
        .detail("enabled", action.enabled)
        .detail("defaultAction", action.default_action);
    context.record(event)
}
