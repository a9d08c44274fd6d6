//! Token revocation (RFC 7009): a client ends its own tokens; 200 whether or not there was one.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::bearer;
use super::client_auth::{self, Presented};
use super::context::{Peer, authorization};
use super::cors;
use super::engine::Engine;
use super::error::TokenError;
use super::form::Form;
use super::issue::{refresh, verify_ours};
use super::token::form_of;
use crate::store::{StoreError, Tx};

/// `POST …/protocol/openid-connect/revoke`.
pub async fn post(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let form = match form_of(&request, &body) {
        Ok(form) => form,
        Err(error) => return error.response(),
    };
    let (authorization, peer, origin) = (
        authorization(&request),
        Peer::of(&request, &engine),
        cors::origin(&request),
    );
    let engine = engine.into_inner();
    let store = engine.store.clone();
    let realm = realm.into_inner();
    let answer = store
        .run(move |store| {
            let asked = origin.as_deref();
            let answer = store.tx(|tx| {
                revoke(
                    tx,
                    &engine,
                    (&realm, authorization.as_deref(), asked),
                    &form,
                )
            })?;
            match answer {
                Ok(answer) => Ok::<_, StoreError>(Ok(answer)),
                Err(error) => {
                    let sent = (authorization.as_deref(), &form);
                    client_auth::counted(store, (&realm, &peer.network()), sent, error).map(Err)
                }
            }
        })
        .await;
    match answer {
        Ok(Ok(origin)) => {
            let mut response = HttpResponse::Ok()
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish();
            cors::allow(&mut response, origin.as_deref());
            response
        }
        Ok(Err(error)) => error.response(),
        Err(error) => TokenError::from(error).response(),
    }
}

fn revoke(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (realm, authorization, origin): (&str, Option<&str>, Option<&str>),
    form: &Form,
) -> Result<Result<Option<String>, TokenError>, StoreError> {
    let Some(config) = engine.catalog.current(tx, realm)? else {
        return Ok(Err(TokenError::NoRealm));
    };
    if !config.realm.enabled {
        return Ok(Err(TokenError::RealmDisabled));
    }
    let presented = match Presented::read(authorization, form) {
        Ok(presented) => presented,
        Err(error) => return Ok(Err(error)),
    };
    let caller = match presented.authenticate(tx, &config, &engine.keyring)? {
        Ok(caller) => caller,
        Err(error) => return Ok(Err(error)),
    };
    let Some(token) = form.get("token") else {
        return Ok(Err(TokenError::Missing("token")));
    };
    if let Some(stored) = refresh::find(tx, &config.realm.id, token)? {
        // With the refresh token goes the whole grant, its access tokens included (RFC 7009 section 2.1).
        if stored.client_uuid == caller.id {
            refresh::end_family(tx, &stored.session_id, &stored.client_uuid)?;
        }
    } else {
        let now = tx.now()?;
        if let Some(ours) = verify_ours(&config, token, "Bearer", now, false)
            && ours.client_id == caller.client_id
        {
            bearer::revoke(tx, &ours.jti, ours.expires_at)?;
        }
    }
    let allowed = origin.filter(|origin| caller.allowed_origins().iter().any(|one| one == origin));
    Ok(Ok(allowed.map(str::to_owned)))
}
