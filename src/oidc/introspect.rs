//! Token introspection (RFC 7662): by the client a token was issued to, or one that its `aud` names.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::bearer;
use super::catalog::RealmConfig;
use super::client_auth::{self, Presented};
use super::context::{Peer, authorization};
use super::engine::Engine;
use super::error::TokenError;
use super::form::Form;
use super::issue::refresh;
use super::token::form_of;
use crate::action::gate::{Provenance, Subject, standing};
use crate::client::Client;
use crate::store::{StoreError, Tx};

/// `POST …/protocol/openid-connect/token/introspect`.
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
    let (authorization, peer) = (authorization(&request), Peer::of(&request, &engine));
    let engine = engine.into_inner();
    let store = engine.store.clone();
    let realm = realm.into_inner();
    let call = Arc::new((form, realm, authorization));
    let looking = Arc::clone(&call);
    let mut answer = store
        .look(move |store| {
            let (form, realm, authorization) = &*looking;
            store.read(|tx| introspect(tx, &engine, (realm, authorization.as_deref()), form))
        })
        .await;
    if let Ok(Err(error)) = answer {
        answer = store
            .run(move |store| {
                let (form, realm, authorization) = &*call;
                let sent = (authorization.as_deref(), form);
                client_auth::counted(store, (realm, &peer.network()), sent, error).map(Err)
            })
            .await;
    }
    match answer {
        Ok(Ok(body)) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(body),
        Ok(Err(error)) => error.response(),
        Err(error) => TokenError::from(error).response(),
    }
}

fn introspect(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (realm, authorization): (&str, Option<&str>),
    form: &Form,
) -> Result<Result<Value, TokenError>, StoreError> {
    let answered = engine.catalog.answer(tx, realm, |tx, config| {
        with_configuration(tx, (engine, config), authorization, form)
    })?;
    Ok(answered.unwrap_or(Err(TokenError::NoRealm)))
}

/// The answer, and the version of the realm that it saw, if it saw one.
type Answered = (Result<Value, TokenError>, Option<i64>);

fn with_configuration(
    tx: &mut Tx<'_>,
    (engine, config): (&Engine, &RealmConfig),
    authorization: Option<&str>,
    form: &Form,
) -> Result<Answered, StoreError> {
    let refused = |error| Ok((Err(error), None));
    if !config.realm.enabled {
        return refused(TokenError::RealmDisabled);
    }
    let presented = match Presented::read(authorization, form) {
        Ok(presented) => presented,
        Err(error) => return refused(error),
    };
    let caller = match presented.authenticate(tx, config, &engine.keyring)? {
        Ok(caller) if !caller.settings.public_client => caller,
        Ok(_) => return refused(TokenError::InvalidClient(false)),
        Err(error) => return refused(error),
    };
    let Some(token) = form.get("token") else {
        return refused(TokenError::Missing("token"));
    };
    let inactive = json!({ "active": false });
    if let Ok(standing) = bearer::judge(tx, config, token)? {
        let version = Some(standing.facts.realm_version);
        let mut claims = standing.token.claims();
        if !concerns(&claims, &caller) {
            return Ok((Ok(inactive), version));
        }
        claims.remove("auth_epoch");
        claims.remove("grant_id");
        claims.insert("username".into(), json!(standing.facts.user.username));
        claims.insert("token_type".into(), json!("Bearer"));
        claims.insert("active".into(), json!(true));
        return Ok((Ok(Value::Object(claims)), version));
    }
    let of_refresh_token = refresh_token(tx, config, &caller, token)?;
    Ok((Ok(of_refresh_token.unwrap_or(inactive)), None))
}

/// Whether the caller may hear about a token.
fn concerns(claims: &Map<String, Value>, caller: &Client) -> bool {
    let is_caller = |value: &Value| *value == caller.client_id.as_str();
    let audience = claims.get("aud").is_some_and(|aud| match aud {
        Value::Array(list) => list.iter().any(is_caller),
        one => is_caller(one),
    });
    audience || claims.get("azp").is_some_and(is_caller)
}

fn refresh_token(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    caller: &Client,
    token: &str,
) -> Result<Option<Value>, StoreError> {
    let found = refresh::find_hanging(tx, &config.realm.id, token)?;
    let Some((stored, session, grant)) = found else {
        return Ok(None);
    };
    if stored.client_uuid != caller.id || stored.used_at.is_some() {
        return Ok(None);
    }
    let now = tx.now()?;
    if !session.is_live(&config.realm, now)
        || grant.as_ref() != Some(&stored.grant_id)
        || stored.issued_at.seconds() < caller.settings.not_before
    {
        return Ok(None);
    }
    let provenance = Provenance::Token {
        session: stored.session_id.clone(),
        epoch: Some(stored.auth_epoch.clone()),
        issued_at: stored.issued_at,
    };
    let subject = Subject {
        realm: config.realm.id.clone(),
        user: stored.user_id.clone(),
        provenance,
    };
    Ok(standing(tx, &subject)?.ok().map(|facts| {
        json!({
            "exp": stored.expires_at.seconds(), "iat": stored.issued_at.seconds(), "iss": config.issuer,
            "sub": stored.user_id, "typ": "Refresh", "azp": caller.client_id, "client_id": caller.client_id,
            "sid": stored.session_id, "scope": stored.scope, "username": facts.user.username, "active": true,
        })
    }))
}
