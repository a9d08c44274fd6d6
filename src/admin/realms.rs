//! Realms: listed, made, shown, changed, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::representation::object;
use super::representation::realm::{IMPORTED, SHAPE, lay_over, settings_of, show, show_brief};
use super::smtp;
use super::users::fields::{flag_of, number_of, text_of};
use crate::client;
use crate::kernel::{RealmId, Timestamp};
use crate::mail::pause;
use crate::oidc::catalog::RealmConfig;
use crate::oidc::provision::{
    self, MANAGEMENT_ROLES, MASTER, default_role_name, management_client,
};
use crate::realm::{self, Realm, RealmSettings, valid_name};
use crate::role;
use crate::store::corrupt;
use crate::user;

/// Seeing a realm's full settings.
const SEE: [&str; 2] = ["view-realm", "manage-realm"];

/// `GET /admin/realms`: those over which the caller has any power.
///
/// # Errors
/// The caller has no power at all.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    if context.caller.powers.is_empty() {
        return Err(AdminError::Forbidden);
    }
    let brief = ask.flag("briefRepresentation").unwrap_or(false);
    let mut shown = Vec::new();
    for realm in realm::rows::all(context.tx)? {
        let powers = &context.caller.powers;
        if !powers.any_of(&realm.name) {
            continue;
        }
        let sees = SEE.iter().any(|role| powers.has(&realm.name, role));
        let found = context.engine.catalog.current(context.tx, &realm.name)?;
        if let Some(config) = found {
            shown.push(if !sees {
                json!({ "realm": realm.name })
            } else if brief {
                brief_entry(&realm)
            } else {
                show(&config)?
            });
        }
    }
    Ok(Reply::Json(Value::Array(shown)))
}

fn brief_entry(realm: &Realm) -> Value {
    let mut entry = Map::new();
    entry.insert("id".into(), json!(realm.id.as_str()));
    entry.insert("realm".into(), json!(realm.name));
    if let Some(name) = &realm.settings.display_name {
        entry.insert("displayName".into(), json!(name));
    }
    entry.insert("enabled".into(), json!(realm.enabled));
    Value::Object(entry)
}

/// `GET /admin/realms/{realm}`.
///
/// # Errors
/// The caller has no power over it that shows anything.
pub fn get(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    if context.require(&SEE).is_ok() {
        return Ok(Reply::Json(show(&context.config)?));
    }
    let others: Vec<&str> = MANAGEMENT_ROLES
        .into_iter()
        .filter(|role| *role != "impersonation")
        .collect();
    context.require(&others)?;
    Ok(Reply::Json(show_brief(&context.config)))
}

/// `POST /admin/realms`.
///
/// # Errors
/// The caller may not, or the realm cannot be made.
pub fn create(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    if !context.caller.powers.creates_realms() {
        return Err(AdminError::Forbidden);
    }
    refuse_import(&sent)?;
    let name = text_of(&sent, "realm").unwrap_or_default();
    check_name(name)?;
    let id = match text_of(&sent, "id") {
        Some(id) if valid_name(id) => RealmId::new(id),
        Some(_) => return Err(AdminError::Message("Invalid id".into())),
        None => {
            let now = context.tx.now()?;
            RealmId::new(context.engine.entropy.uuid(now))
        }
    };
    refuse_taken_client(context, name)?;
    let fresh = fresh_settings()?;
    let settings = new_settings(context, &id, &fresh, &sent)?;
    let enabled = flag_of(&sent, "enabled").unwrap_or(false);
    let tools = context.tools();
    let realm = provision::create_realm(
        context.tx,
        tools,
        (Some(id), name, enabled),
        object(&settings)?,
    )?
    .ok_or_else(|| AdminError::Conflict(format!("Realm {name} already exists")))?;
    hand_to_maker(context, &realm)?;
    context.touched();
    let event = context
        .event("ADMIN_REALM_CREATE")
        .detail("realm", realm.name.as_str());
    context.record(event)?;
    Ok(Reply::Created(format!("/{}", realm.name)))
}

/// `PUT /admin/realms/{realm}`: partial; a rename keeps the id and everything bound to it.
///
/// # Errors
/// The caller may not, or a value cannot be.
pub fn update(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-realm"])?;
    let before = context.config.realm.clone();
    let mut after = before.clone();
    after.settings = new_settings(context, &before.id, &before.settings, &sent)?;
    if let Some(enabled) = flag_of(&sent, "enabled") {
        if before.name == MASTER && !enabled {
            return Err(AdminError::Message("Can't disable master realm".into()));
        }
        after.enabled = enabled;
    }
    if let Some(seconds) = number_of(&sent, "notBefore") {
        after.not_before = Timestamp::from_seconds(seconds.max(0));
    }
    let name = text_of(&sent, "realm").unwrap_or(&before.name);
    if name != before.name {
        name.clone_into(&mut after.name);
        rename(context, &before, name)?;
    }
    claim_addresses(context, (&before, &after))?;
    realm::rows::update(context.tx, &after)?;
    if before.settings.smtp_server != after.settings.smtp_server {
        // Mail that rests because of the old settings tries the new ones at once.
        pause::end(context.tx, &before.id)?;
        context.engine.mailer.wake();
    }
    let window = |realm: &Realm| realm.settings.access_code_lifespan_user_action;
    super::users::notices::of_window(context, (window(&before), window(&after)))?;
    context.touched();
    let event = context
        .event("ADMIN_REALM_UPDATE")
        .detail("fields", sent.keys().cloned().collect::<Vec<String>>());
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// Where people may not share addresses any more, everybody signs in by theirs again.
fn claim_addresses(
    context: &mut Context<'_, '_>,
    (before, after): (&Realm, &Realm),
) -> Result<(), AdminError> {
    let shared = |realm: &Realm| realm.settings.duplicate_emails_allowed;
    if !shared(before) || shared(after) {
        return Ok(());
    }
    let taken = user::claims::claim_addresses(context.tx, &before.id)?;
    if taken.is_empty() {
        return Ok(());
    }
    // Whoever manages realms need not see their people.
    let named = match context.require(&["view-users", "manage-users"]) {
        Ok(()) => {
            let some: Vec<&str> = taken.iter().take(10).map(String::as_str).collect();
            format!(" (first: {})", some.join(", "))
        }
        Err(_) => String::new(),
    };
    Err(AdminError::Conflict(format!(
        "duplicateEmailsAllowed cannot be switched off: {} addresses are those of two users, or another user's user \
         name{named}. Change these first",
        taken.len()
    )))
}

/// `DELETE /admin/realms/{realm}`.
///
/// # Errors
/// The caller may not, or it is `master`.
pub fn delete(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&["manage-realm"])?;
    let realm = context.config.realm.clone();
    if realm.name == MASTER {
        return Err(AdminError::Message("Can't remove master realm".into()));
    }
    // The event belongs to the caller's realm, for this one's events go with it; so does a caller of this realm.
    let home = context.caller.home.realm.id.clone();
    realm::rows::delete(context.tx, &realm.id)?;
    if let Some(master) = realm::rows::by_name(context.tx, MASTER)? {
        let name = management_client(&realm.name);
        if let Some(client) = client::rows::by_client_id(context.tx, &master.id, &name)? {
            client::rows::delete(context.tx, &client.id)?;
        }
        realm::rows::touch(context.tx, &master.id)?;
        let mut event = context
            .event("ADMIN_REALM_DELETE")
            .detail("realm", realm.name.as_str());
        event.realm_id = if home == realm.id { master.id } else { home };
        context.record(event)?;
    }
    context.touched();
    Ok(Reply::NoContent)
}

fn refuse_import(sent: &Map<String, Value>) -> Result<(), AdminError> {
    let filled = |value: &Value| match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    match IMPORTED
        .iter()
        .find(|name| sent.get(**name).is_some_and(filled))
    {
        Some(name) => Err(AdminError::Message(format!(
            "{name} cannot be made together with the realm: make the realm first"
        ))),
        None => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), AdminError> {
    if name.trim().is_empty() {
        return Err(AdminError::Message("Realm name cannot be empty".into()));
    }
    if valid_name(name) {
        return Ok(());
    }
    let odd = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'));
    Err(AdminError::Bad(odd.map_or_else(
        || "Realm name is not valid".to_owned(),
        |c| format!("Character '{c}' not allowed."),
    )))
}

fn fresh_settings() -> Result<RealmSettings, AdminError> {
    let read = || serde_json::from_value(Value::Object(RealmSettings::default_json()?));
    read().map_err(|cause| corrupt("defaults", "json", "built in", cause).into())
}

/// The settings that come of laying what was sent over these.
fn new_settings(
    context: &Context<'_, '_>,
    id: &RealmId,
    stored: &RealmSettings,
    sent: &Map<String, Value>,
) -> Result<RealmSettings, AdminError> {
    let mut settings = settings_of(sent)?;
    if let Some(server) = sent.get("smtpServer") {
        let server = smtp::settings(context, id, &stored.smtp_server, server)?;
        settings.insert("smtpServer".into(), server);
    }
    lay_over(stored, settings, sent.get("attributes"))
}

/// Who makes a realm manages it, also without being a master of all.
fn hand_to_maker(context: &mut Context<'_, '_>, realm: &Realm) -> Result<(), AdminError> {
    if context.caller.powers.masters_all() {
        return Ok(());
    }
    let home = context.caller.home.realm.id.clone();
    let name = management_client(&realm.name);
    let Some(client) = client::rows::by_client_id(context.tx, &home, &name)? else {
        return Ok(());
    };
    let graph = role::rows::graph(context.tx, &home)?;
    let user = context.caller.user.clone();
    for name in MANAGEMENT_ROLES {
        if let Some(role) = graph.named(Some(&client.id), name) {
            role::rows::assign(context.tx, &user, &role.id)?;
        }
    }
    Ok(())
}

/// A client of master that already has the name under which the new realm's powers would be kept.
fn refuse_taken_client(context: &mut Context<'_, '_>, name: &str) -> Result<(), AdminError> {
    if realm::rows::by_name(context.tx, name)?.is_some() {
        return Err(AdminError::Conflict(format!("Realm {name} already exists")));
    }
    let Some(master) = realm::rows::by_name(context.tx, MASTER)? else {
        return Ok(());
    };
    let taken = client::rows::by_client_id(context.tx, &master.id, &management_client(name))?;
    match taken {
        Some(client) => Err(AdminError::Conflict(format!(
            "Client {} already exists",
            client.client_id
        ))),
        None => Ok(()),
    }
}

/// Renames what carries the realm's name: its powers' client in master, its default role, its built-in clients' URLs.
fn rename(context: &mut Context<'_, '_>, realm: &Realm, name: &str) -> Result<(), AdminError> {
    check_name(name)?;
    if realm.name == MASTER {
        return Err(AdminError::Message("Can't rename master realm".into()));
    }
    if realm::rows::by_name(context.tx, name)?.is_some() {
        return Err(AdminError::Conflict("Realm with same name exists".into()));
    }
    refuse_taken_client(context, name)?;
    if let Some(master) = realm::rows::by_name(context.tx, MASTER)? {
        let old = management_client(&realm.name);
        if let Some(mut client) = client::rows::by_client_id(context.tx, &master.id, &old)? {
            client.client_id = management_client(name);
            client.settings.name = Some(format!("{name} Realm"));
            client::rows::update(context.tx, &client)?;
        }
        realm::rows::touch(context.tx, &master.id)?;
    }
    let config = Arc::clone(&context.config);
    rename_default_role(context, &config, name)?;
    let (old, new) = (&realm.name, name);
    let moved = |url: &str| {
        let paths = [("/realms/", "/"), ("/admin/", "/console/")];
        paths
            .iter()
            .find_map(|(before, after)| {
                let rest = url.strip_prefix(&format!("{before}{old}{after}"))?;
                Some(format!("{before}{new}{after}{rest}"))
            })
            .unwrap_or_else(|| url.to_owned())
    };
    for mut client in client::rows::all(context.tx, &realm.id)? {
        let settings = &mut client.settings;
        settings.base_url = settings.base_url.as_deref().map(moved);
        for uri in &mut settings.redirect_uris {
            *uri = moved(uri);
        }
        client::rows::update(context.tx, &client)?;
    }
    Ok(())
}

/// New people get the default role by its name, so it goes with the realm's.
fn rename_default_role(
    context: &mut Context<'_, '_>,
    config: &RealmConfig,
    name: &str,
) -> Result<(), AdminError> {
    let old = default_role_name(&config.realm.name);
    let new = default_role_name(name);
    if old == new {
        return Ok(());
    }
    if config.roles.named(None, &new).is_some() {
        return Err(AdminError::Conflict(format!(
            "Role with name {new} already exists"
        )));
    }
    if let Some(role) = config.roles.named(None, &old) {
        let mut role = role.clone();
        role.name = new;
        role::rows::update(context.tx, &role)?;
    }
    Ok(())
}

/// The whole server as seen by typed clients when they sign in.
///
/// # Errors
/// The caller has no power at all.
pub fn server_info(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    if context.caller.powers.is_empty() {
        return Err(AdminError::Forbidden);
    }
    let now = context.tx.now()?;
    let empty = || BTreeMap::<String, Value>::new();
    Ok(Reply::Json(json!({
        "systemInfo": { "version": COMPATIBLE_WITH, "serverTime": now.millis().to_string() },
        "profileInfo": { "name": "default", "disabledFeatures": [], "previewFeatures": [], "experimentalFeatures": [] },
        "features": [],
        "themes": empty(),
        "socialProviders": [],
        "identityProviders": [],
        "providers": empty(),
        "protocolMapperTypes": empty(),
        "builtinProtocolMappers": empty(),
        "clientInstallations": empty(),
        "componentTypes": empty(),
        "passwordPolicies": [],
        "enums": empty(),
    })))
}

/// The version of Keycloak whose shapes these are; typed clients choose theirs by it.
const COMPATIBLE_WITH: &str = "26.7.3";
