//! The page for a forgotten password: asks for a name, and answers everybody alike.
//!
//! Nothing here knows whether there is such a person: the wish is stored, and fulfilled later by [`run`].

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::show::{Face, Reply, store_failed};
use super::sign_in::foreign;
use super::steps::Visit;
use crate::link::requests::{self, Request};
use crate::store::{StoreError, Tx};
use crate::web::headers::same_origin;
use crate::web::pages::{ForgotPassword, Href};
use crate::web::texts::Text;

/// How often waiting wishes are looked for.
const POLL: Duration = Duration::from_millis(500);

/// The address of the page, for the sign-in page of a flow.
pub(super) fn url(config: &RealmConfig, client_id: Option<&str>, flow: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(client_id) = client_id {
        query.append_pair("client_id", client_id);
    }
    if let Some(flow) = flow {
        query.append_pair("tab_id", flow);
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "{}/login-actions/reset-credentials{mark}{query}",
        config.issuer
    )
}

/// `GET …/login-actions/reset-credentials`.
pub(super) async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let engine = engine.into_inner();
    let visit = Visit::read(&request, realm.into_inner(), b"", &engine);
    let reader = visit.reader.clone();
    let shared = Arc::clone(&engine);
    let reply = engine
        .store
        .run(move |store| {
            store.read(|tx| {
                let (config, face) = match allowed(tx, &shared, &visit)? {
                    Ok(found) => found,
                    Err(reply) => return Ok(reply),
                };
                Ok::<_, StoreError>(show(&shared, &visit, (&config, &face)))
            })
        })
        .await;
    match reply {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// `POST …/login-actions/reset-credentials`: stores the wish of whoever it is.
pub(super) async fn post(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let engine = engine.into_inner();
    let visit = Visit::read(&request, realm.into_inner(), &body, &engine);
    if !same_origin(&request, &engine.public_url) {
        return foreign(&engine, &visit);
    }
    let reader = visit.reader.clone();
    let shared = Arc::clone(&engine);
    let reply = engine
        .store
        .run(move |store| store.tx(|tx| wish(tx, &shared, &visit)))
        .await;
    match reply {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// The realm, if it lets people set a password that they have forgotten.
fn allowed(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
) -> Result<Result<(Arc<RealmConfig>, Face), Reply>, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        let face = Face::plain(engine, &visit.reader);
        let text = Text::key("realm-not-found");
        return Ok(Err(face.error(engine, StatusCode::NOT_FOUND, text, None)));
    };
    let face = Face::of(engine, &config, (None, &visit.reader));
    if !config.realm.enabled {
        let text = Text::plain("Realm not enabled");
        return Ok(Err(face.error(engine, StatusCode::BAD_REQUEST, text, None)));
    }
    if !config.realm.settings.reset_password_allowed {
        let text = Text::key("reset-not-allowed");
        return Ok(Err(face.error(engine, StatusCode::BAD_REQUEST, text, None)));
    }
    Ok(Ok((config, face)))
}

fn show(engine: &Engine, visit: &Visit, (config, face): (&RealmConfig, &Face)) -> Reply {
    if visit.query.has("sent") {
        return face.message(engine, "forgot-sent-title", "forgot-sent");
    }
    let flow = visit.query.get("tab_id");
    let client_id = visit.query.get("client_id");
    let back = flow.and_then(|flow| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", client_id.unwrap_or_default())
            .append_pair("tab_id", flow)
            .finish();
        Href::to(&format!(
            "{}/login-actions/authenticate?{query}",
            config.issuer
        ))
    });
    let page = ForgotPassword {
        action: url(config, client_id, flow),
        back,
    };
    face.page(engine, &page, None)
}

fn wish(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Reply, StoreError> {
    let (config, face) = match allowed(tx, engine, visit)? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let client_id = visit.query.get("client_id");
    let login: String = visit
        .form
        .text("username")
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(255)
        .collect();
    let here = url(&config, client_id, visit.query.get("tab_id"));
    if login.is_empty() {
        return Ok(Reply::see_other(here));
    }
    let request = Request {
        login,
        locale: face.locale.tag().to_owned(),
        client_id: client_id.map(|id| id.chars().take(255).collect()),
    };
    let network = visit.peer.network();
    let from = (&config.realm.id, network.as_str());
    requests::enqueue(tx, engine.mailer.tools(), from, &request)?;
    Ok(Reply::see_other(format!(
        "{}?sent=1",
        url(&config, None, None)
    )))
}

/// Fulfils what was asked for, for as long as the server runs.
pub async fn run(engine: web::Data<Engine>) {
    let mut every = tokio::time::interval(POLL);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let shared = engine.clone();
        let worked = engine
            .store
            .run(move |store| {
                if !store.read(requests::is_any)? {
                    return Ok::<_, StoreError>(0);
                }
                store.tx(|tx| requests::work(tx, shared.mailer.tools()))
            })
            .await;
        match worked {
            Ok(0) => {}
            Ok(_) => engine.mailer.wake(),
            Err(error) => tracing::warn!(%error, "forgotten passwords wait"),
        }
    }
}
