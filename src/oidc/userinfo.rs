//! The userinfo endpoint (OpenID Connect Core 5.3).

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::bearer::{self, Fallen, Standing};
use super::catalog::RealmConfig;
use super::context::{self, JSON};
use super::cors;
use super::engine::Engine;
use super::error::log_failure;
use super::form::Form;
use super::issue::{About, Claims, Target, roles_in_token};
use super::scope::Scope;
use crate::store::{StoreError, Tx};

/// `GET` and `POST …/protocol/openid-connect/userinfo`: the token in the header, or in the form of a POST; never in
/// the query (standards S031).
pub async fn answer(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let realm = realm.into_inner();
    let in_form = || Form::parse(&body).get("access_token").map(str::to_owned);
    let Some(token) = context::bearer(&request).or_else(in_form) else {
        return refusal(&realm, StatusCode::UNAUTHORIZED, None, "Missing token");
    };
    let origin = cors::origin(&request);
    let engine = engine.into_inner();
    let store = engine.store.clone();
    let name = realm.clone();
    let result = store
        .look(move |store| store.read(|tx| claims(tx, &engine, &name, &token, origin.as_deref())))
        .await;
    match result {
        Ok(Ok((body, origin))) => {
            let mut response = HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, JSON))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .body(body);
            cors::allow(&mut response, origin.as_deref());
            response
        }
        Ok(Err(refused)) => match refused {
            Refused::NoRealm => {
                HttpResponse::NotFound().json(json!({ "error": "Realm does not exist" }))
            }
            Refused::Scope => refusal(
                &realm,
                StatusCode::FORBIDDEN,
                Some("insufficient_scope"),
                "Missing openid scope",
            ),
            Refused::Fallen(Fallen::Invalid) => refusal(
                &realm,
                StatusCode::UNAUTHORIZED,
                Some("invalid_token"),
                "Token verification failed",
            ),
            Refused::Fallen(Fallen::Ended | Fallen::Gated(_)) => refusal(
                &realm,
                StatusCode::UNAUTHORIZED,
                Some("invalid_token"),
                "user_session_not_found",
            ),
        },
        Err(error) => {
            log_failure(&error);
            HttpResponse::ServiceUnavailable()
                .insert_header((header::RETRY_AFTER, 2))
                .finish()
        }
    }
}

enum Refused {
    NoRealm,
    Scope,
    Fallen(Fallen),
}

/// The answer's body, and the origin whose scripts may read it.
type Body = (Vec<u8>, Option<String>);

fn claims(
    tx: &mut Tx<'_>,
    engine: &Engine,
    realm: &str,
    token: &str,
    origin: Option<&str>,
) -> Result<Result<Body, Refused>, StoreError> {
    let answered = engine.catalog.answer(tx, realm, |tx, config| {
        let standing = match bearer::judge(tx, config, token)? {
            Ok(standing) => standing,
            Err(fallen) => return Ok((Err(Refused::Fallen(fallen)), None)),
        };
        let body = of_standing(tx, config, &standing, origin)?;
        Ok((body, Some(standing.facts.realm_version)))
    })?;
    Ok(answered.unwrap_or(Err(Refused::NoRealm)))
}

fn of_standing(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    standing: &Standing,
    origin: Option<&str>,
) -> Result<Result<Body, Refused>, StoreError> {
    let scope = Scope::stored(&standing.token.scope);
    if !scope.has("openid") {
        return Ok(Err(Refused::Scope));
    }
    let Some(client) = config.client(tx, &standing.token.client_id)? else {
        return Ok(Err(Refused::Fallen(Fallen::Ended)));
    };
    let user = &standing.facts.user;
    let plan = config.plan(&client, &scope);
    let carried = roles_in_token(tx, config, &plan, &user.id)?;
    let about = About {
        user,
        session: standing.facts.session.as_ref(),
        client_address: None,
        carried: &carried,
    };
    let mut claims = Claims::new();
    claims.set("sub", user.id.as_str());
    claims.append(plan.claims(Target::UserInfo, &about));
    let origin = origin
        .filter(|origin| client.allowed_origins().iter().any(|one| one == origin))
        .map(str::to_owned);
    Ok(Ok((claims.to_json()?, origin)))
}

/// A refusal as RFC 6750 section 3 has it.
fn refusal(
    realm: &str,
    status: StatusCode,
    error: Option<&str>,
    description: &str,
) -> HttpResponse {
    let realm: String = realm
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    let challenge = match error {
        None => format!("Bearer realm=\"{realm}\""),
        Some(error) => format!(
            "Bearer realm=\"{realm}\", error=\"{error}\", error_description=\"{description}\""
        ),
    };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::WWW_AUTHENTICATE, challenge))
        .insert_header((header::CACHE_CONTROL, "no-store"));
    match error {
        None => response.finish(),
        Some(error) => response.json(json!({ "error": error, "error_description": description })),
    }
}
