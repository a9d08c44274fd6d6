//! Realms in SQL.

use diesel::prelude::*;
use serde_json::{Map, Value};

use super::{Realm, RealmSettings, RequiredActionConfig, bounds};
use crate::kernel::{RealmId, Timestamp};
use crate::store::schema::{realm_required_actions, realms};
use crate::store::{StoreError, Tx, corrupt, db};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = realms)]
struct RealmRow {
    id: RealmId,
    name: String,
    enabled: bool,
    verify_email: bool,
    not_before: Timestamp,
    version: i64,
    settings: String,
    created_at: Timestamp,
}

impl TryFrom<RealmRow> for Realm {
    type Error = StoreError;

    fn try_from(row: RealmRow) -> Result<Self, StoreError> {
        let settings = stored_settings(&row.settings)
            .map_err(|cause| corrupt("realms", "settings", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            name: row.name,
            enabled: row.enabled,
            not_before: row.not_before,
            version: row.version,
            settings,
        })
    }
}

fn stored_settings(text: &str) -> Result<RealmSettings, serde_json::Error> {
    let mut settings: Map<String, Value> = serde_json::from_str(text)?;
    bounds::mend(&mut settings);
    serde_json::from_value(Value::Object(settings))
}

fn settings_json(realm: &Realm) -> Result<String, StoreError> {
    serde_json::to_string(&realm.settings)
        .map_err(|cause| corrupt("realms", "settings", &realm.id, cause))
}

/// The realm of that name.
///
/// # Errors
/// The database fails.
pub fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<Realm>, StoreError> {
    let row: Option<RealmRow> = db!(tx, |c| realms::table
        .filter(realms::name.eq(name))
        .select(RealmRow::as_select())
        .first(c)
        .optional())?;
    row.map(Realm::try_from).transpose()
}

/// The realm of that id.
///
/// # Errors
/// The database fails.
pub fn by_id(tx: &mut Tx<'_>, id: &RealmId) -> Result<Option<Realm>, StoreError> {
    let row: Option<RealmRow> = db!(tx, |c| realms::table
        .filter(realms::id.eq(id))
        .select(RealmRow::as_select())
        .first(c)
        .optional())?;
    row.map(Realm::try_from).transpose()
}

/// Every realm, by name.
///
/// # Errors
/// The database fails.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Realm>, StoreError> {
    let rows: Vec<RealmRow> = db!(tx, |c| realms::table
        .order(realms::name)
        .select(RealmRow::as_select())
        .load(c))?;
    rows.into_iter().map(Realm::try_from).collect()
}

/// Id and version of the realm of that name: all that a cache needs to know whether it is current.
///
/// # Errors
/// The database fails.
pub fn version(tx: &mut Tx<'_>, name: &str) -> Result<Option<(RealmId, i64)>, StoreError> {
    db!(tx, |c| realms::table
        .filter(realms::name.eq(name))
        .select((realms::id, realms::version))
        .first(c)
        .optional())
}

/// The version of the realm of that id.
///
/// # Errors
/// The database fails.
pub fn version_of(tx: &mut Tx<'_>, id: &RealmId) -> Result<Option<i64>, StoreError> {
    db!(tx, |c| realms::table
        .filter(realms::id.eq(id))
        .select(realms::version)
        .first(c)
        .optional())
}

/// Name and version of every realm.
///
/// # Errors
/// The database fails.
pub fn versions(tx: &mut Tx<'_>) -> Result<Vec<(String, RealmId, i64)>, StoreError> {
    db!(tx, |c| realms::table
        .select((realms::name, realms::id, realms::version))
        .load(c))
}

/// Stores a new realm. `Ok(false)` when the name is taken.
///
/// # Errors
/// The database fails.
pub fn insert(tx: &mut Tx<'_>, realm: &Realm, now: Timestamp) -> Result<bool, StoreError> {
    let row = RealmRow {
        id: realm.id.clone(),
        name: realm.name.clone(),
        enabled: realm.enabled,
        verify_email: realm.settings.verify_email,
        not_before: realm.not_before,
        version: realm.version,
        settings: settings_json(realm)?,
        created_at: now,
    };
    let inserted = db!(tx, |c| diesel::insert_into(realms::table)
        .values(&row)
        .on_conflict(realms::name)
        .do_nothing()
        .execute(c))?;
    Ok(inserted == 1)
}

/// Stores the changed realm and raises its version.
///
/// # Errors
/// The database fails; a taken name is a unique violation.
pub fn update(tx: &mut Tx<'_>, realm: &Realm) -> Result<(), StoreError> {
    let settings = settings_json(realm)?;
    db!(tx, |c| diesel::update(
        realms::table.filter(realms::id.eq(&realm.id))
    )
    .set((
        realms::name.eq(&realm.name),
        realms::enabled.eq(realm.enabled),
        realms::verify_email.eq(realm.settings.verify_email),
        realms::not_before.eq(realm.not_before),
        realms::settings.eq(&settings),
        realms::version.eq(realms::version + 1),
    ))
    .execute(c))?;
    Ok(())
}

/// Raises the realm's version: called by whatever changes its clients, roles, scopes, keys or actions.
///
/// # Errors
/// The database fails.
pub fn touch(tx: &mut Tx<'_>, realm: &RealmId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        realms::table.filter(realms::id.eq(realm))
    )
    .set(realms::version.eq(realms::version + 1))
    .execute(c))?;
    Ok(())
}

/// Deletes the realm with everything in it.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, realm: &RealmId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        realms::table.filter(realms::id.eq(realm))
    )
    .execute(c))?;
    Ok(())
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = realm_required_actions)]
struct ActionRow {
    realm_id: RealmId,
    alias: String,
    name: String,
    enabled: bool,
    default_action: bool,
    priority: i64,
    config: String,
}

/// The realm's required actions in its order.
///
/// # Errors
/// The database fails.
pub fn required_actions(
    tx: &mut Tx<'_>,
    realm: &RealmId,
) -> Result<Vec<RequiredActionConfig>, StoreError> {
    let rows: Vec<ActionRow> = db!(tx, |c| realm_required_actions::table
        .filter(realm_required_actions::realm_id.eq(realm))
        .order((
            realm_required_actions::priority,
            realm_required_actions::alias
        ))
        .select(ActionRow::as_select())
        .load(c))?;
    rows.into_iter()
        .map(|row| {
            let config: Map<String, Value> = serde_json::from_str(&row.config)
                .map_err(|cause| corrupt("realm_required_actions", "config", &row.alias, cause))?;
            Ok(RequiredActionConfig {
                alias: row.alias,
                name: row.name,
                enabled: row.enabled,
                default_action: row.default_action,
                priority: row.priority,
                config,
            })
        })
        .collect()
}

/// Stores the configuration of one action, new or changed, and raises the realm's version.
///
/// # Errors
/// The database fails.
pub fn put_required_action(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    action: &RequiredActionConfig,
) -> Result<(), StoreError> {
    let row = ActionRow {
        realm_id: realm.clone(),
        alias: action.alias.clone(),
        name: action.name.clone(),
        enabled: action.enabled,
        default_action: action.default_action,
        priority: action.priority,
        config: Value::Object(action.config.clone()).to_string(),
    };
    db!(tx, |c| diesel::insert_into(realm_required_actions::table)
        .values(&row)
        .on_conflict((
            realm_required_actions::realm_id,
            realm_required_actions::alias
        ))
        .do_update()
        .set((
            realm_required_actions::name.eq(&row.name),
            realm_required_actions::enabled.eq(row.enabled),
            realm_required_actions::default_action.eq(row.default_action),
            realm_required_actions::priority.eq(row.priority),
            realm_required_actions::config.eq(&row.config),
        ))
        .execute(c))?;
    touch(tx, realm)
}
