//! A client's secret, its service account and its scopes: everything below `/clients/{client}` but its roles.

use serde_json::{Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::clients::{changed, find, find_to_change, stamp};
use super::error::AdminError;
use super::representation::user::{Access, UserRepresentation};
use super::representation::value;
use crate::client::{self, Client};
use crate::kernel::ClientScopeId;
use crate::oidc::provision;
use crate::user::{self, search};

/// `GET /clients/{client}/client-secret`: the one place where a secret is shown, to who may replace it anyway.
///
/// # Errors
/// The caller may not, or there is no such client.
pub fn show(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let client = find_to_change(context, ask)?;
    let tools = context.tools();
    let secret = provision::reveal_secret(context.tx, tools, &client.realm_id, &client.id)?;
    Ok(Reply::Json(match secret {
        Some(secret) => json!({ "type": "secret", "value": secret }),
        None => json!({ "type": "secret" }),
    }))
}

/// `POST /clients/{client}/client-secret`: another secret; the old one is dead at once.
///
/// # Errors
/// The caller may not, there is no such client, or it is public.
pub fn renew(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let mut client = find_to_change(context, ask)?;
    if client.settings.public_client {
        return Err(AdminError::Bad("A public client has no secret".into()));
    }
    let secret = context.engine.entropy.token();
    stamp(context, &mut client.settings)?;
    client::rows::update(context.tx, &client)?;
    let tools = context.tools();
    let stored = provision::store_secret(tools, &client.realm_id, &client.id, &secret)?;
    client::rows::set_secret(context.tx, &client.id, Some(&stored))?;
    changed(context, "ADMIN_CLIENT_SECRET", &client)?;
    Ok(Reply::Json(json!({ "type": "secret", "value": secret })))
}

/// `GET /clients/{client}/service-account-user`.
///
/// # Errors
/// The caller may not, or there is no such client or account.
pub fn service_account(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-clients", "manage-clients"])?;
    let client = find(context, ask)?;
    let Some(account) = user::rows::service_account(context.tx, &client.id)? else {
        return Err(AdminError::Bad(format!(
            "Service account not enabled for the client '{}'",
            client.client_id
        )));
    };
    let details = search::details_of(context.tx, &account)?;
    let manage = context.has("manage-users");
    let now = context.tx.now()?;
    let shown = UserRepresentation::of(&account, &details, (Access::Single { manage }, false), now);
    Ok(Reply::Json(value(&shown)?))
}

/// `GET …/default-client-scopes`.
///
/// # Errors
/// The caller may not, or there is no such client.
pub fn default_scopes(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    list_scopes(context, ask, |client| &client.default_scopes)
}

/// `GET …/optional-client-scopes`.
///
/// # Errors
/// The caller may not, or there is no such client.
pub fn optional_scopes(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    list_scopes(context, ask, |client| &client.optional_scopes)
}

fn list_scopes(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    of: fn(&Client) -> &Vec<ClientScopeId>,
) -> Outcome {
    context.require(&["view-clients", "manage-clients"])?;
    let client = find(context, ask)?;
    let mut shown: Vec<(&str, &str)> = of(&client)
        .iter()
        .filter_map(|id| context.config.scopes.get(id))
        .map(|scope| (scope.name.as_str(), scope.id.as_str()))
        .collect();
    shown.sort_unstable();
    let shown: Vec<Value> = shown
        .into_iter()
        .map(|(name, id)| json!({ "id": id, "name": name }))
        .collect();
    Ok(Reply::Json(Value::Array(shown)))
}

/// `PUT …/default-client-scopes/{scope}`.
///
/// # Errors
/// The caller may not, or there is no such client or scope.
pub fn add_default(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    change_scopes(context, ask, |client, id| {
        if !client.optional_scopes.contains(&id) && !client.default_scopes.contains(&id) {
            client.default_scopes.push(id);
        }
    })
}

/// `PUT …/optional-client-scopes/{scope}`.
///
/// # Errors
/// The caller may not, or there is no such client or scope.
pub fn add_optional(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    change_scopes(context, ask, |client, id| {
        if !client.optional_scopes.contains(&id) && !client.default_scopes.contains(&id) {
            client.optional_scopes.push(id);
        }
    })
}

/// `DELETE …/default-client-scopes/{scope}`.
///
/// # Errors
/// The caller may not, or there is no such client or scope.
pub fn remove_default(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    change_scopes(context, ask, |client, id| {
        client.default_scopes.retain(|one| *one != id);
    })
}

/// `DELETE …/optional-client-scopes/{scope}`.
///
/// # Errors
/// The caller may not, or there is no such client or scope.
pub fn remove_optional(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    change_scopes(context, ask, |client, id| {
        client.optional_scopes.retain(|one| *one != id);
    })
}

fn change_scopes(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    change: impl FnOnce(&mut Client, ClientScopeId),
) -> Outcome {
    let mut client = find_to_change(context, ask)?;
    let id = ClientScopeId::new(ask.path("scope"));
    if !context.config.scopes.contains_key(&id) {
        return Err(AdminError::NotFound("Client scope not found"));
    }
    change(&mut client, id);
    client::rows::set_scopes(context.tx, &client)?;
    changed(context, "ADMIN_CLIENT_SCOPES", &client)?;
    Ok(Reply::NoContent)
}
