//! Consent: what a person has allowed a client, and what still has to be asked (OpenID Connect Core 3.1.2.4).

use diesel::prelude::*;

use super::catalog::RealmConfig;
use super::scope::Scope;
use crate::client::{Client, redirect};
use crate::flow::Flow;
use crate::kernel::{ClientUuid, Timestamp, UserId};
use crate::store::schema::consents;
use crate::store::{StoreError, Tx, db};
use crate::user::User;

/// The names of the client scopes to ask for; `None` when nothing has to be asked.
///
/// # Errors
/// The database fails.
pub fn missing(
    tx: &mut Tx<'_>,
    (config, client): (&RealmConfig, &Client),
    user: &User,
    (scope, flow): (&Scope, &Flow),
) -> Result<Option<Vec<String>>, StoreError> {
    if flow.consented || !(client.settings.consent_required || flow.request.prompt_consent) {
        return Ok(None);
    }
    let asked: Vec<String> = scope
        .client_scopes(config, client)
        .into_iter()
        .filter(|scope| scope.on_consent_screen())
        .map(|scope| scope.name.clone())
        .collect();
    // An app on this machine, or behind a scheme that any app may claim, is asked about each time (RFC 8252 8.6).
    let native = client.settings.public_client && redirect::is_native(&flow.request.redirect_uri);
    if flow.request.prompt_consent || native {
        return Ok(Some(asked));
    }
    let given = given(tx, &user.id, &client.id)?;
    let all_given = given.is_some_and(|given| asked.iter().all(|name| given.contains(name)));
    Ok((!all_given).then_some(asked))
}

/// Whether what the person has allowed still covers this scope, where the client has to ask at all. Consent that was
/// taken back ends what was granted under it (threat V082).
///
/// # Errors
/// The database fails.
pub fn still_given(
    tx: &mut Tx<'_>,
    (config, client): (&RealmConfig, &Client),
    user: &UserId,
    scope: &Scope,
) -> Result<bool, StoreError> {
    if !client.settings.consent_required {
        return Ok(true);
    }
    let given = given(tx, user, &client.id)?.unwrap_or_default();
    Ok(scope
        .client_scopes(config, client)
        .into_iter()
        .filter(|scope| scope.on_consent_screen())
        .all(|scope| given.contains(&scope.name)))
}

/// The names of the client scopes that the person has allowed the client.
///
/// # Errors
/// The database fails.
pub fn given(
    tx: &mut Tx<'_>,
    user: &UserId,
    client: &ClientUuid,
) -> Result<Option<Vec<String>>, StoreError> {
    let scopes: Option<String> = db!(tx, |c| consents::table
        .filter(consents::user_id.eq(user))
        .filter(consents::client_uuid.eq(client))
        .select(consents::scopes)
        .first(c)
        .optional())?;
    Ok(scopes.map(|scopes| scopes.split(' ').map(str::to_owned).collect()))
}

/// Remembers what the person has allowed, beside what was allowed before.
///
/// # Errors
/// The database fails.
pub fn give(
    tx: &mut Tx<'_>,
    user: &UserId,
    client: &ClientUuid,
    scopes: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut all = given(tx, user, client)?.unwrap_or_default();
    for scope in scopes {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    let text = all.join(" ");
    db!(tx, |c| diesel::insert_into(consents::table)
        .values((
            consents::user_id.eq(user),
            consents::client_uuid.eq(client),
            consents::scopes.eq(&text),
            consents::created_at.eq(now),
            consents::updated_at.eq(now),
        ))
        .on_conflict((consents::user_id, consents::client_uuid))
        .do_update()
        .set((consents::scopes.eq(&text), consents::updated_at.eq(now)))
        .execute(c))?;
    Ok(())
}
