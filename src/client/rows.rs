//! Clients in SQL.

use diesel::prelude::*;

use super::{Client, ClientSettings};
use crate::kernel::{ClientScopeId, ClientUuid, RealmId, Timestamp};
use crate::scope;
use crate::store::schema::{client_scope_assignments, clients};
use crate::store::{StoreError, Tx, corrupt, db};

#[derive(Queryable, Selectable)]
#[diesel(table_name = clients)]
struct ClientRow {
    id: ClientUuid,
    realm_id: RealmId,
    client_id: String,
    enabled: bool,
    secret_digest: Option<String>,
    settings: String,
}

fn complete(tx: &mut Tx<'_>, row: ClientRow) -> Result<Client, StoreError> {
    let settings: ClientSettings = serde_json::from_str(&row.settings)
        .map_err(|cause| corrupt("clients", "settings", &row.id, cause))?;
    let assigned: Vec<(ClientScopeId, bool)> = db!(tx, |c| client_scope_assignments::table
        .filter(client_scope_assignments::client_uuid.eq(&row.id))
        .select((
            client_scope_assignments::client_scope_id,
            client_scope_assignments::optional
        ))
        .load(c))?;
    let (optional, default): (Vec<_>, Vec<_>) =
        assigned.into_iter().partition(|(_, optional)| *optional);
    let mappers = scope::rows::mappers_of_client(tx, &row.id)?;
    Ok(Client {
        id: row.id,
        realm_id: row.realm_id,
        client_id: row.client_id,
        enabled: row.enabled,
        secret_digest: row.secret_digest,
        settings,
        default_scopes: default.into_iter().map(|(id, _)| id).collect(),
        optional_scopes: optional.into_iter().map(|(id, _)| id).collect(),
        mappers,
    })
}

/// The realm's client with that `client_id`.
///
/// # Errors
/// The database fails.
pub fn by_client_id(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    client_id: &str,
) -> Result<Option<Client>, StoreError> {
    let row: Option<ClientRow> = db!(tx, |c| clients::table
        .filter(clients::realm_id.eq(realm))
        .filter(clients::client_id.eq(client_id))
        .select(ClientRow::as_select())
        .first(c)
        .optional())?;
    row.map(|row| complete(tx, row)).transpose()
}

/// The realm's client with that id.
///
/// # Errors
/// The database fails.
pub fn by_id(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &ClientUuid,
) -> Result<Option<Client>, StoreError> {
    let row: Option<ClientRow> = db!(tx, |c| clients::table
        .filter(clients::realm_id.eq(realm))
        .filter(clients::id.eq(id))
        .select(ClientRow::as_select())
        .first(c)
        .optional())?;
    row.map(|row| complete(tx, row)).transpose()
}

/// Id and `client_id` of every client of the realm, and whether it is enabled.
///
/// # Errors
/// The database fails.
pub fn names(
    tx: &mut Tx<'_>,
    realm: &RealmId,
) -> Result<Vec<(ClientUuid, String, bool)>, StoreError> {
    db!(tx, |c| clients::table
        .filter(clients::realm_id.eq(realm))
        .order(clients::client_id)
        .select((clients::id, clients::client_id, clients::enabled))
        .load(c))
}

/// Every client of the realm, by `client_id`.
///
/// # Errors
/// The database fails.
pub fn all(tx: &mut Tx<'_>, realm: &RealmId) -> Result<Vec<Client>, StoreError> {
    let rows: Vec<ClientRow> = db!(tx, |c| clients::table
        .filter(clients::realm_id.eq(realm))
        .order(clients::client_id)
        .select(ClientRow::as_select())
        .load(c))?;
    rows.into_iter().map(|row| complete(tx, row)).collect()
}

/// A client's secret as it is stored: sealed to be shown again, digested to be compared.
pub struct StoredSecret {
    /// Sealed under the master key with the row's place.
    pub sealed: Vec<u8>,
    /// A keyed digest.
    pub digest: String,
}

/// Stores a new client with its scopes. `Ok(false)` when the `client_id` is taken.
///
/// # Errors
/// The database fails.
pub fn insert(
    tx: &mut Tx<'_>,
    client: &Client,
    secret: Option<&StoredSecret>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let settings = json(client)?;
    let inserted = db!(tx, |c| diesel::insert_into(clients::table)
        .values((
            clients::id.eq(&client.id),
            clients::realm_id.eq(&client.realm_id),
            clients::client_id.eq(&client.client_id),
            clients::enabled.eq(client.enabled),
            clients::secret_sealed.eq(secret.map(|secret| &secret.sealed)),
            clients::secret_digest.eq(secret.map(|secret| &secret.digest)),
            clients::settings.eq(&settings),
            clients::created_at.eq(now),
        ))
        .on_conflict((clients::realm_id, clients::client_id))
        .do_nothing()
        .execute(c))?;
    if inserted == 0 {
        return Ok(false);
    }
    set_scopes(tx, client)?;
    Ok(true)
}

fn json(client: &Client) -> Result<String, StoreError> {
    serde_json::to_string(&client.settings)
        .map_err(|cause| corrupt("clients", "settings", &client.id, cause))
}

/// Stores a changed client; its secret stays.
///
/// # Errors
/// The database fails; a taken `client_id` is a unique violation.
pub fn update(tx: &mut Tx<'_>, client: &Client) -> Result<(), StoreError> {
    let settings = json(client)?;
    db!(tx, |c| diesel::update(
        clients::table.filter(clients::id.eq(&client.id))
    )
    .set((
        clients::client_id.eq(&client.client_id),
        clients::enabled.eq(client.enabled),
        clients::settings.eq(&settings),
    ))
    .execute(c))?;
    Ok(())
}

/// Stores which scopes a client has.
///
/// # Errors
/// The database fails.
pub fn set_scopes(tx: &mut Tx<'_>, client: &Client) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        client_scope_assignments::table
            .filter(client_scope_assignments::client_uuid.eq(&client.id))
    )
    .execute(c))?;
    let assigned = client
        .default_scopes
        .iter()
        .map(|id| (id, false))
        .chain(client.optional_scopes.iter().map(|id| (id, true)));
    for (id, optional) in assigned {
        db!(tx, |c| diesel::insert_into(client_scope_assignments::table)
            .values((
                client_scope_assignments::client_uuid.eq(&client.id),
                client_scope_assignments::client_scope_id.eq(id),
                client_scope_assignments::optional.eq(optional),
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
    }
    Ok(())
}

/// Stores another secret.
///
/// # Errors
/// The database fails.
pub fn set_secret(
    tx: &mut Tx<'_>,
    id: &ClientUuid,
    secret: Option<&StoredSecret>,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        clients::table.filter(clients::id.eq(id))
    )
    .set((
        clients::secret_sealed.eq(secret.map(|secret| &secret.sealed)),
        clients::secret_digest.eq(secret.map(|secret| &secret.digest)),
    ))
    .execute(c))?;
    Ok(())
}

/// The sealed secret.
///
/// # Errors
/// The database fails.
pub fn sealed_secret(tx: &mut Tx<'_>, id: &ClientUuid) -> Result<Option<Vec<u8>>, StoreError> {
    let sealed: Option<Option<Vec<u8>>> = db!(tx, |c| clients::table
        .filter(clients::id.eq(id))
        .select(clients::secret_sealed)
        .first(c)
        .optional())?;
    Ok(sealed.flatten())
}

/// Deletes a client with everything issued to it.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, id: &ClientUuid) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        clients::table.filter(clients::id.eq(id))
    )
    .execute(c))?;
    Ok(())
}
