//! New clients and people of a realm, and the passwords that administrators choose for them.

use std::collections::BTreeMap;

use serde_json::Map;

use super::{Tools, default_role_name};
use crate::action::assign::{self, Setting};
use crate::action::kinds::update_password;
use crate::client::rows::StoredSecret;
use crate::client::{self, Client};
use crate::kernel::{ClientUuid, CredentialId, Entropy, RealmId, Timestamp, UserId};
use crate::oidc::client_auth::secret_digest;
use crate::realm::{self, Realm, RequiredActionConfig};
use crate::role;
use crate::scope;
use crate::store::dialect::{Lock, lock_user};
use crate::store::{StoreError, Tx};
use crate::user::credential::{self, StoredPassword};
use crate::user::rows::Conflict;
use crate::user::{self, AuthEpoch, User};

/// Where a client's sealed secret lies.
fn secret_place(realm: &RealmId, client: &ClientUuid) -> String {
    format!("clients/secret_sealed/{client}/{realm}")
}

/// A client's secret in its two stored forms.
///
/// # Errors
/// The master key fails.
pub fn store_secret(
    tools: Tools<'_>,
    realm: &RealmId,
    client: &ClientUuid,
    secret: &str,
) -> Result<StoredSecret, StoreError> {
    let fill = |out: &mut [u8]| tools.entropy.fill(out);
    let sealed = tools
        .keyring
        .seal(secret.as_bytes(), &secret_place(realm, client), &fill)
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    Ok(StoredSecret {
        sealed,
        digest: secret_digest(tools.keyring, client.as_str(), secret),
    })
}

/// A client's secret, opened to be shown to who may see it.
///
/// # Errors
/// The database or the master key fails.
pub fn reveal_secret(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &RealmId,
    client: &ClientUuid,
) -> Result<Option<String>, StoreError> {
    let Some(sealed) = client::rows::sealed_secret(tx, client)? else {
        return Ok(None);
    };
    let opened = tools
        .keyring
        .open(&sealed, &secret_place(realm, client))
        .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
    Ok(Some(String::from_utf8_lossy(&opened).into_owned()))
}

/// Stores a new client of a realm, with its service account where it has one. `false` when the `client_id` is taken.
///
/// # Errors
/// The database fails.
pub fn create_client(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    client: &Client,
    secret: Option<&str>,
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let stored = secret
        .map(|secret| store_secret(tools, &realm.id, &client.id, secret))
        .transpose()?;
    if !client::rows::insert(tx, client, stored.as_ref(), now)? {
        return Ok(false);
    }
    for mapper in &client.mappers {
        scope::rows::insert_client_mapper(tx, &realm.id, &client.id, mapper)?;
    }
    ensure_service_account(tx, tools, realm, client)?;
    realm::rows::touch(tx, &realm.id)?;
    Ok(true)
}

/// Makes the service account of a client that shall have one: a user row without password and actions.
///
/// # Errors
/// The database fails.
pub fn ensure_service_account(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    client: &Client,
) -> Result<(), StoreError> {
    if !client.settings.service_accounts_enabled
        || user::rows::service_account(tx, &client.id)?.is_some()
    {
        return Ok(());
    }
    let mut account = blank_user(
        tx,
        tools,
        realm,
        &format!("service-account-{}", client.client_id.to_lowercase()),
    )?;
    account.service_client = Some(client.id.clone());
    if user::rows::insert(tx, &account, false)?.is_ok() {
        give_default_role(tx, realm, &account.id)?;
    }
    Ok(())
}

/// A user with nothing but a name, to be filled in and stored by [`create_user`].
///
/// # Errors
/// The database's clock fails.
pub fn blank_user(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    username: &str,
) -> Result<User, StoreError> {
    let now = tx.now()?;
    Ok(User {
        id: UserId::new(tools.entropy.uuid(now)),
        realm_id: realm.id.clone(),
        username: username.to_owned(),
        email: None,
        email_verified: false,
        first_name: None,
        last_name: None,
        enabled: true,
        auth_epoch: AuthEpoch::new(tools.entropy.random_uuid()),
        not_before: Timestamp::from_micros(0),
        locked_until: None,
        service_client: None,
        attributes: BTreeMap::new(),
        extra: Map::new(),
        created_at: now,
    })
}

/// Stores a new person with the realm's default role and, unless `actions` says which, its default actions.
///
/// # Errors
/// The database fails.
pub fn create_user(
    tx: &mut Tx<'_>,
    realm: &Realm,
    user: &User,
    default_actions: &[RequiredActionConfig],
) -> Result<Result<(), Conflict>, StoreError> {
    let unique_email = !realm.settings.duplicate_emails_allowed;
    if let Err(conflict) = user::rows::insert(tx, user, unique_email)? {
        return Ok(Err(conflict));
    }
    give_default_role(tx, realm, &user.id)?;
    for action in default_actions
        .iter()
        .filter(|action| action.enabled && action.default_action)
    {
        assign::set(tx, &user.id, &action.alias, &Setting::by("default"))?;
    }
    Ok(Ok(()))
}

fn give_default_role(tx: &mut Tx<'_>, realm: &Realm, user: &UserId) -> Result<(), StoreError> {
    let role = role::rows::of_realm_named(tx, &realm.id, &default_role_name(&realm.name))?;
    match role {
        Some(role) => role::rows::assign(tx, user, &role),
        None => Ok(()),
    }
}

/// Sets a password that an administrator has chosen. Everything older ends.
///
/// A temporary one gates, and dies by itself; another one takes a waiting `UPDATE_PASSWORD`.
///
/// # Errors
/// The database fails.
pub fn set_password_by_admin(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    realm: &Realm,
    user: &UserId,
    (hash, label, temporary): (&str, Option<&str>, bool),
) -> Result<(), StoreError> {
    lock_user(tx, user, Lock::Update)?;
    let now = tx.now()?;
    let expires_at = realm
        .temporary_password_lifespan()
        .filter(|_| temporary)
        .map(|seconds| now.plus_seconds(seconds));
    let password = StoredPassword {
        id: CredentialId::new(entropy.uuid(now)),
        secret: hash.to_owned(),
        label: label.map(str::to_owned),
        expires_at,
        created_at: now,
        imported_digest: None,
    };
    credential::set_password(tx, user, &password)?;
    if temporary {
        assign::set(
            tx,
            user,
            update_password::NAME,
            &Setting::by("temporary-password"),
        )?;
    } else {
        assign::waive(tx, user, update_password::NAME, entropy)?;
    }
    assign::end_everything(tx, user, entropy)
}
