//! Client scopes of the realm, read.

use serde_json::{Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::representation::client_scope::ClientScopeRepresentation;
use super::representation::value;
use crate::kernel::ClientScopeId;
use crate::scope::{ClientScope, RealmDefault};

fn sorted<'a>(context: &'a Context<'_, '_>) -> Vec<&'a ClientScope> {
    let mut scopes: Vec<&ClientScope> = context.config.scopes.values().collect();
    scopes.sort_by(|one, two| one.name.cmp(&two.name));
    scopes
}

/// `GET /client-scopes`.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&["query-clients", "view-clients", "manage-clients"])?;
    let shown: Vec<ClientScopeRepresentation<'_>> =
        sorted(context).into_iter().map(Into::into).collect();
    Ok(Reply::Json(value(&shown)?))
}

/// `GET /client-scopes/{scope}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-clients", "manage-clients"])?;
    let id = ClientScopeId::new(ask.path("scope"));
    let scope = context
        .config
        .scopes
        .get(&id)
        .ok_or(AdminError::NotFound("Could not find client scope"))?;
    Ok(Reply::Json(value(&ClientScopeRepresentation::from(scope))?))
}

/// `GET /default-default-client-scopes`.
///
/// # Errors
/// The caller may not.
pub fn realm_default(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    of_kind(context, RealmDefault::Default)
}

/// `GET /default-optional-client-scopes`.
///
/// # Errors
/// The caller may not.
pub fn realm_optional(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    of_kind(context, RealmDefault::Optional)
}

fn of_kind(context: &Context<'_, '_>, kind: RealmDefault) -> Outcome {
    context.require(&["view-clients", "manage-clients"])?;
    let shown: Vec<Value> = sorted(context)
        .into_iter()
        .filter(|scope| scope.realm_default == kind)
        .map(|scope| {
            json!({ "id": scope.id.as_str(), "name": scope.name, "protocol": scope.protocol })
        })
        .collect();
    Ok(Reply::Json(Value::Array(shown)))
}
