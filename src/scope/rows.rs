//! Client scopes and mappers in SQL.

use std::collections::HashMap;

use diesel::prelude::*;

use super::{ClientScope, Mapper, RealmDefault};
use crate::kernel::{ClientScopeId, ClientUuid, RealmId};
use crate::store::schema::{client_scopes, protocol_mappers};
use crate::store::{StoreError, Tx, corrupt, db};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = client_scopes)]
struct ScopeRow {
    id: ClientScopeId,
    realm_id: RealmId,
    name: String,
    description: Option<String>,
    protocol: String,
    attributes: String,
    realm_default: String,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = protocol_mappers)]
struct MapperRow {
    id: String,
    realm_id: RealmId,
    client_scope_id: Option<ClientScopeId>,
    client_uuid: Option<ClientUuid>,
    name: String,
    protocol: String,
    protocol_mapper: String,
    config: String,
}

impl TryFrom<MapperRow> for Mapper {
    type Error = StoreError;

    fn try_from(row: MapperRow) -> Result<Self, StoreError> {
        let config = serde_json::from_str(&row.config)
            .map_err(|cause| corrupt("protocol_mappers", "config", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            name: row.name,
            protocol: row.protocol,
            protocol_mapper: row.protocol_mapper,
            config,
        })
    }
}

/// All client scopes of the realm with their mappers, by name.
///
/// # Errors
/// The database fails.
pub fn all(tx: &mut Tx<'_>, realm: &RealmId) -> Result<Vec<ClientScope>, StoreError> {
    let rows: Vec<ScopeRow> = db!(tx, |c| client_scopes::table
        .filter(client_scopes::realm_id.eq(realm))
        .order(client_scopes::name)
        .select(ScopeRow::as_select())
        .load(c))?;
    let mapper_rows: Vec<MapperRow> = db!(tx, |c| protocol_mappers::table
        .filter(protocol_mappers::realm_id.eq(realm))
        .filter(protocol_mappers::client_scope_id.is_not_null())
        .order(protocol_mappers::id)
        .select(MapperRow::as_select())
        .load(c))?;
    let mut mappers: HashMap<ClientScopeId, Vec<Mapper>> = HashMap::new();
    for row in mapper_rows {
        if let Some(scope) = row.client_scope_id.clone() {
            mappers.entry(scope).or_default().push(row.try_into()?);
        }
    }
    rows.into_iter()
        .map(|row| {
            let attributes = serde_json::from_str(&row.attributes)
                .map_err(|cause| corrupt("client_scopes", "attributes", &row.id, cause))?;
            let realm_default = RealmDefault::parse(&row.realm_default).ok_or_else(|| {
                corrupt(
                    "client_scopes",
                    "realm_default",
                    &row.id,
                    &row.realm_default,
                )
            })?;
            Ok(ClientScope {
                mappers: mappers.remove(&row.id).unwrap_or_default(),
                id: row.id,
                name: row.name,
                description: row.description,
                protocol: row.protocol,
                attributes,
                realm_default,
            })
        })
        .collect()
}

/// Stores a new client scope with its mappers.
///
/// # Errors
/// The database fails; a taken name is a unique violation.
pub fn insert(tx: &mut Tx<'_>, realm: &RealmId, scope: &ClientScope) -> Result<(), StoreError> {
    let row = ScopeRow {
        id: scope.id.clone(),
        realm_id: realm.clone(),
        name: scope.name.clone(),
        description: scope.description.clone(),
        protocol: scope.protocol.clone(),
        attributes: serde_json::to_string(&scope.attributes)
            .map_err(|cause| corrupt("client_scopes", "attributes", &scope.id, cause))?,
        realm_default: scope.realm_default.as_str().to_owned(),
    };
    db!(tx, |c| diesel::insert_into(client_scopes::table)
        .values(&row)
        .execute(c))?;
    for mapper in &scope.mappers {
        insert_mapper(tx, realm, Some(&scope.id), None, mapper)?;
    }
    Ok(())
}

/// Stores a new mapper of a client.
///
/// # Errors
/// The database fails.
pub fn insert_client_mapper(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    client: &ClientUuid,
    mapper: &Mapper,
) -> Result<(), StoreError> {
    insert_mapper(tx, realm, None, Some(client), mapper)
}

fn insert_mapper(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    scope: Option<&ClientScopeId>,
    client: Option<&ClientUuid>,
    mapper: &Mapper,
) -> Result<(), StoreError> {
    let row = MapperRow {
        id: mapper.id.clone(),
        realm_id: realm.clone(),
        client_scope_id: scope.cloned(),
        client_uuid: client.cloned(),
        name: mapper.name.clone(),
        protocol: mapper.protocol.clone(),
        protocol_mapper: mapper.protocol_mapper.clone(),
        config: serde_json::to_string(&mapper.config)
            .map_err(|cause| corrupt("protocol_mappers", "config", &mapper.id, cause))?,
    };
    db!(tx, |c| diesel::insert_into(protocol_mappers::table)
        .values(&row)
        .execute(c))?;
    Ok(())
}

/// The client's own mappers.
///
/// # Errors
/// The database fails.
pub fn mappers_of_client(tx: &mut Tx<'_>, client: &ClientUuid) -> Result<Vec<Mapper>, StoreError> {
    let rows: Vec<MapperRow> = db!(tx, |c| protocol_mappers::table
        .filter(protocol_mappers::client_uuid.eq(client))
        .order(protocol_mappers::id)
        .select(MapperRow::as_select())
        .load(c))?;
    rows.into_iter().map(Mapper::try_from).collect()
}

/// Deletes the client's own mappers.
///
/// # Errors
/// The database fails.
pub fn delete_client_mappers(tx: &mut Tx<'_>, client: &ClientUuid) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        protocol_mappers::table.filter(protocol_mappers::client_uuid.eq(client))
    )
    .execute(c))?;
    Ok(())
}
