//! Clients: listed, made, shown, changed, deleted.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::approval;
use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::client_checks;
use super::error::AdminError;
use super::json::{MASK, texts};
use super::powers::{keeps_powers, managed_realm};
use super::representation::client::{SHAPE, lay_over, show};
use super::representation::client_scope::read_mappers;
use super::users::fields::{flag_of, text_of};
use crate::client::redirect::origin;
use crate::client::{self, Client, ClientSettings};
use crate::kernel::{ClientScopeId, ClientUuid};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::provision;
use crate::realm::valid_name;
use crate::scope::{self, RealmDefault};
use crate::user;

/// Clients that a realm cannot be without.
const BUILT_IN: [&str; 5] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    "security-admin-console",
];
/// The scope of clients that act for themselves.
const SERVICE_ACCOUNT_SCOPE: &str = "service_account";
/// When the secret was made, as Keycloak says it.
const SECRET_TIME: &str = "client.secret.creation.time";

/// The path's client, as stored.
///
/// # Errors
/// The realm has none of that id.
pub fn find(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Client, AdminError> {
    let id = ClientUuid::new(ask.path("client"));
    let realm = context.config.realm.id.clone();
    client::rows::by_id(context.tx, &realm, &id)?
        .ok_or(AdminError::NotFound("Could not find client"))
}

/// The path's client, to be changed: not one whose service account has powers that the caller lacks, for who holds
/// the client holds them, and not those by which administrators come (threat V136).
///
/// # Errors
/// The caller may not, or the realm has none of that id.
pub fn find_to_change(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Client, AdminError> {
    context.require(&["manage-clients"])?;
    let client = find(context, ask)?;
    if !approval::may_change(context, &client) {
        return Err(AdminError::Forbidden);
    }
    if let Some(account) = user::rows::service_account(context.tx, &client.id)?
        && !context.outranks(&account.id)?
    {
        return Err(AdminError::Forbidden);
    }
    Ok(client)
}

/// `GET /clients`.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["query-clients", "view-clients", "manage-clients"])?;
    let page = ask.page(None)?;
    if context
        .require(&["view-clients", "manage-clients"])
        .is_err()
    {
        return Ok(Reply::Json(json!([])));
    }
    let wanted = ask.text("clientId");
    let search = ask.flag("search").unwrap_or(false);
    let fits = |client: &Client| match wanted {
        None => true,
        Some(text) if search => client
            .client_id
            .to_lowercase()
            .contains(&text.to_lowercase()),
        Some(text) => client.client_id == text,
    };
    let config = Arc::clone(&context.config);
    let manage = context.has("manage-clients");
    let all = client::rows::all(context.tx, &config.realm.id)?;
    let shown = page
        .of(all.iter().filter(|client| fits(client)))
        .map(|client| Ok(show(&config, client, manage)?))
        .collect::<Result<Vec<Value>, AdminError>>()?;
    Ok(Reply::Json(Value::Array(shown)))
}

/// `GET /clients/{client}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-clients", "manage-clients"])?;
    let client = find(context, ask)?;
    let manage = context.has("manage-clients");
    Ok(Reply::Json(show(&context.config, &client, manage)?))
}

/// `POST /clients`.
///
/// # Errors
/// The caller may not, or the client cannot be made.
pub fn create(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-clients"])?;
    let config = Arc::clone(&context.config);
    let now = context.tx.now()?;
    let fresh = || context.engine.entropy.uuid(now);
    let id = match text_of(&sent, "id") {
        Some(id) if valid_name(id) => ClientUuid::new(id),
        Some(_) => return Err(AdminError::invalid_input("Invalid id")),
        None => ClientUuid::new(fresh()),
    };
    let client_id = text_of(&sent, "clientId").map_or_else(fresh, str::to_owned);
    client_checks::client_id(&config, &client_id)?;
    let mut settings = lay_over(&ClientSettings::default(), &sent)?;
    derive_origins(&mut settings, &sent);
    client_checks::settings(&client_id, &settings, &context.engine.public_url)?;
    settings
        .attributes
        .insert("realm_client".into(), "false".into());
    approval::note(context, None, &mut settings, &sent);
    let secret = new_secret(context, &mut settings, &sent)?;
    let mappers = match sent.get("protocolMappers") {
        Some(sent) => read_mappers(sent.clone(), |_| fresh())?,
        None => Vec::new(),
    };
    let scopes = |field: &str, kind| match sent.get(field).and_then(texts) {
        Some(names) => scopes_named(&config, &names),
        None => realm_scopes(&config, kind),
    };
    let mut client = Client {
        id,
        realm_id: config.realm.id.clone(),
        client_id,
        enabled: flag_of(&sent, "enabled").unwrap_or(true),
        secret_digest: None,
        default_scopes: scopes("defaultClientScopes", RealmDefault::Default),
        optional_scopes: scopes("optionalClientScopes", RealmDefault::Optional),
        settings,
        mappers,
    };
    fit_service_scope(&config, &mut client);
    let tools = context.tools();
    let stored =
        provision::create_client(context.tx, tools, &config.realm, &client, secret.as_deref())?;
    if !stored {
        let text = format!("Client {} already exists", client.client_id);
        return Err(AdminError::Conflict(text));
    }
    changed(context, "ADMIN_CLIENT_CREATE", &client)?;
    Ok(Reply::Created(format!(
        "/{}/clients/{}",
        config.realm.name, client.id
    )))
}

/// `PUT /clients/{client}`: partial.
///
/// # Errors
/// The caller may not, there is none, or a value cannot be.
pub fn update(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    let before = find_to_change(context, ask)?;
    let config = Arc::clone(&context.config);
    let mut after = before.clone();
    after.settings = lay_over(&before.settings, &sent)?;
    approval::note(context, Some(&before.settings), &mut after.settings, &sent);
    derive_origins(&mut after.settings, &sent);
    if let Some(enabled) = flag_of(&sent, "enabled") {
        after.enabled = enabled;
    }
    if let Some(client_id) = text_of(&sent, "clientId").filter(|id| *id != before.client_id) {
        if keeps_powers(&config, &before) || BUILT_IN.contains(&before.client_id.as_str()) {
            return Err(AdminError::Forbidden);
        }
        client_checks::client_id(&config, client_id)?;
        client_id.clone_into(&mut after.client_id);
    }
    client_checks::settings(
        &after.client_id,
        &after.settings,
        &context.engine.public_url,
    )?;
    store_secret(context, &mut after, &sent)?;
    fit_service_scope(&config, &mut after);
    client::rows::update(context.tx, &after)?;
    client::rows::set_scopes(context.tx, &after)?;
    if let Some(mappers) = sent.get("protocolMappers") {
        replace_mappers(context, &before, mappers)?;
    }
    keep_service_account(context, &before, &after)?;
    changed(context, "ADMIN_CLIENT_UPDATE", &after)?;
    Ok(Reply::NoContent)
}

/// `DELETE /clients/{client}`.
///
/// # Errors
/// The caller may not, there is none, or the realm cannot be without it.
pub fn delete(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let client = find_to_change(context, ask)?;
    if managed_realm(&context.config, &client.client_id).is_some() {
        return Err(AdminError::Forbidden);
    }
    if BUILT_IN.contains(&client.client_id.as_str()) {
        return Err(AdminError::Invalid {
            error: "invalid_request",
            description: "Could not delete client".into(),
        });
    }
    client::rows::delete(context.tx, &client.id)?;
    changed(context, "ADMIN_CLIENT_DELETE", &client)?;
    Ok(Reply::NoContent)
}

/// Records a change of a client and lets caches know.
///
/// # Errors
/// The database fails.
pub fn changed(
    context: &mut Context<'_, '_>,
    kind: &'static str,
    client: &Client,
) -> Result<(), AdminError> {
    let event = context
        .event(kind)
        .detail("client_id", client.client_id.as_str())
        .detail("client", client.id.as_str());
    context.record(event)?;
    context.touch()
}

/// Where redirect URIs come without web origins, their own origins are meant.
fn derive_origins(settings: &mut ClientSettings, sent: &Map<String, Value>) {
    let given = sent.contains_key("webOrigins") || !sent.contains_key("redirectUris");
    if given || !settings.web_origins.is_empty() {
        return;
    }
    let mut origins: Vec<String> = settings
        .redirect_uris
        .iter()
        .filter_map(|uri| origin(uri))
        .collect();
    origins.sort();
    origins.dedup();
    settings.web_origins = origins;
}

/// The secret of a client that shall have one and got none.
fn new_secret(
    context: &mut Context<'_, '_>,
    settings: &mut ClientSettings,
    sent: &Map<String, Value>,
) -> Result<Option<String>, AdminError> {
    if settings.public_client {
        return Ok(None);
    }
    let given = text_of(sent, "secret").filter(|secret| !secret.is_empty() && *secret != MASK);
    if let Some(secret) = given {
        return Ok(Some(secret.to_owned()));
    }
    if settings.client_authenticator_type != client::BY_SECRET {
        return Ok(None);
    }
    stamp(context, settings)?;
    Ok(Some(context.engine.entropy.token()))
}

/// Notes when a secret was made.
///
/// # Errors
/// The database's clock fails.
pub fn stamp(
    context: &mut Context<'_, '_>,
    settings: &mut ClientSettings,
) -> Result<(), AdminError> {
    let now = context.tx.now()?.seconds().to_string();
    settings.attributes.insert(SECRET_TIME.into(), now);
    Ok(())
}

/// Stores a secret that was sent, makes one where a client has become confidential, drops a public client's.
fn store_secret(
    context: &mut Context<'_, '_>,
    client: &mut Client,
    sent: &Map<String, Value>,
) -> Result<(), AdminError> {
    if client.settings.public_client {
        client.settings.attributes.remove(SECRET_TIME);
        client::rows::set_secret(context.tx, &client.id, None)?;
        return Ok(());
    }
    let given = text_of(sent, "secret").is_some_and(|secret| !secret.is_empty() && secret != MASK);
    if !given && client.secret_digest.is_some() {
        return Ok(());
    }
    if let Some(secret) = new_secret(context, &mut client.settings, sent)? {
        let tools = context.tools();
        let stored = provision::store_secret(tools, &client.realm_id, &client.id, &secret)?;
        client::rows::set_secret(context.tx, &client.id, Some(&stored))?;
    }
    Ok(())
}

fn scopes_named(config: &RealmConfig, names: &[String]) -> Vec<ClientScopeId> {
    let scopes = config.scopes.values();
    scopes
        .filter(|scope| names.contains(&scope.name))
        .map(|scope| scope.id.clone())
        .collect()
}

fn realm_scopes(config: &RealmConfig, kind: RealmDefault) -> Vec<ClientScopeId> {
    let scopes = config.scopes.values();
    scopes
        .filter(|scope| scope.realm_default == kind)
        .map(|scope| scope.id.clone())
        .collect()
}

/// Clients that act for themselves have the scope that says so in their tokens, others have not.
fn fit_service_scope(config: &RealmConfig, client: &mut Client) {
    let Some(scope) = config
        .scopes
        .values()
        .find(|scope| scope.name == SERVICE_ACCOUNT_SCOPE)
    else {
        return;
    };
    client.default_scopes.retain(|id| *id != scope.id);
    if client.settings.service_accounts_enabled {
        client.optional_scopes.retain(|id| *id != scope.id);
        client.default_scopes.push(scope.id.clone());
    }
}

fn replace_mappers(
    context: &mut Context<'_, '_>,
    client: &Client,
    sent: &Value,
) -> Result<(), AdminError> {
    let now = context.tx.now()?;
    let entropy = context.engine.entropy;
    let keep = |id: &&str| client.mappers.iter().any(|mapper| mapper.id == *id);
    let id_for = |id: Option<&str>| {
        id.filter(keep)
            .map_or_else(|| entropy.uuid(now), str::to_owned)
    };
    let mappers = read_mappers(sent.clone(), id_for)?;
    scope::rows::delete_client_mappers(context.tx, &client.id)?;
    for mapper in &mappers {
        scope::rows::insert_client_mapper(context.tx, &client.realm_id, &client.id, mapper)?;
    }
    Ok(())
}

/// The service account comes, goes and is named with its client.
fn keep_service_account(
    context: &mut Context<'_, '_>,
    before: &Client,
    after: &Client,
) -> Result<(), AdminError> {
    let account = user::rows::service_account(context.tx, &after.id)?;
    match account {
        Some(account) if !after.settings.service_accounts_enabled => {
            user::rows::delete(context.tx, &account.id)?;
        }
        Some(mut account) if before.client_id != after.client_id => {
            account.username = format!("service-account-{}", after.client_id.to_lowercase());
            user::rows::update(context.tx, &account, false)?
                .map_err(super::users::fields::conflict)?;
        }
        Some(_) => {}
        None => {
            let (tools, realm) = (context.tools(), context.config.realm.clone());
            provision::ensure_service_account(context.tx, tools, &realm, after)?;
        }
    }
    Ok(())
}
