//! What is inside a composite role. Whoever holds the outer one gets the inner ones, so both sides are looked at.

use serde_json::Value;

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::json::text;
use super::representation::role::SHAPE;
use super::roles::{Purpose, changed, editable, find, show_all};
use crate::kernel::{ClientUuid, RoleId};
use crate::role::{self, Role};

/// `GET …/composites`, `…/composites/realm`, `…/composites/clients/{inner_client}`.
///
/// # Errors
/// The caller may not, or there is no such role or client.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    show(context, ask, |_| true)
}

/// `GET …/composites/realm`.
///
/// # Errors
/// As for [`list`].
pub fn of_realm(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    show(context, ask, |role| role.client.is_none())
}

/// `GET …/composites/clients/{inner_client}`.
///
/// # Errors
/// As for [`list`].
pub fn of_client(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let id = ClientUuid::new(ask.path("inner_client"));
    if context.config.client_id_of(&id).is_none() {
        return Err(AdminError::NotFound("Could not find client"));
    }
    show(context, ask, |role| role.client.as_ref() == Some(&id))
}

fn show(context: &Context<'_, '_>, ask: &Ask, wanted: impl Fn(&Role) -> bool) -> Outcome {
    let outer = find(context, ask, Purpose::See)?;
    let inside = context.config.roles.children(&outer.id);
    let shown = show_all(&context.config, inside.filter(|role| wanted(role)), true)?;
    Ok(Reply::Json(shown))
}

/// The roles of a body, by id.
fn sent_roles(context: &Context<'_, '_>, ask: &Ask) -> Result<Vec<RoleId>, AdminError> {
    let Value::Array(list) = ask.json()? else {
        return Err(AdminError::wrong_type("roles"));
    };
    list.into_iter()
        .map(|one| {
            let sent = SHAPE.read(one)?;
            let id = sent.get("id").and_then(text).map(RoleId::new);
            id.filter(|id| context.config.roles.get(id).is_some())
                .ok_or(AdminError::NotFound("Could not find composite role"))
        })
        .collect()
}

/// `POST …/composites`.
///
/// # Errors
/// The caller may not, lacks a power on either side, or there is no such role.
pub fn add(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let inner = sent_roles(context, ask)?;
    let outer = find(context, ask, Purpose::Change)?;
    editable(context, &outer)?;
    context.may_hand_out(&inner)?;
    for id in &inner {
        role::rows::add_composite(context.tx, &outer.id, id)?;
    }
    changed(context, "ADMIN_ROLE_COMPOSITE_CREATE", &outer)?;
    Ok(Reply::NoContent)
}

/// `DELETE …/composites`.
///
/// # Errors
/// As for [`add`].
pub fn remove(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let inner = sent_roles(context, ask)?;
    let outer = find(context, ask, Purpose::Change)?;
    editable(context, &outer)?;
    context.may_hand_out(&inner)?;
    for id in &inner {
        role::rows::remove_composite(context.tx, &outer.id, id)?;
    }
    changed(context, "ADMIN_ROLE_COMPOSITE_DELETE", &outer)?;
    Ok(Reply::NoContent)
}
