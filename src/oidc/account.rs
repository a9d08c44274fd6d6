//! The plain account page: who is signed in, and signing out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::authorize::start;
use super::by_link::leading_to;
use super::context::authorization;
use super::engine::Engine;
use super::logout;
use super::show::{Face, Reply, store_failed};
use super::steps::{Visit, Where};
use crate::action::gate::{Provenance, Subject, standing};
use crate::kernel::sha256_base64;
use crate::session;
use crate::store::{StoreError, Tx};
use crate::web::cookie::Cookies;
use crate::web::pages::Account;
use crate::web::texts::Text;

/// `GET …/account/`: the page, or signing in first.
pub(super) async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    if authorization(&request).is_some() {
        // The page is for browsers; nothing here takes a token.
        return HttpResponse::Unauthorized().json(json!({ "error": "HTTP 401 Unauthorized" }));
    }
    let engine = engine.into_inner();
    let visit = Visit::read(&request, realm.into_inner(), b"", &engine);
    let reader = visit.reader.clone();
    let shared = std::sync::Arc::clone(&engine);
    let reply = engine
        .store
        .run(move |store| store.tx(|tx| show(tx, &shared, &visit)))
        .await;
    match reply {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

fn show(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Reply, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        let face = Face::plain(engine, &visit.reader);
        let text = Text::key("realm-not-found");
        return Ok(face.error(engine, StatusCode::NOT_FOUND, text, None));
    };
    let face = Face::of(engine, &config, (None, &visit.reader));
    let client = config
        .client(tx, "account")?
        .filter(|client| client.enabled);
    let Some(client) = client.filter(|_| config.realm.enabled) else {
        let text = Text::key("client-disabled");
        return Ok(face.error(engine, StatusCode::BAD_REQUEST, text, None));
    };
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    if let Some(secret) = visit.browser.session(&cookies) {
        let digest = sha256_base64(secret.as_bytes());
        let now = tx.now()?;
        let session = session::rows::by_cookie(tx, &config.realm.id, &digest)?
            .filter(|session| session.is_live(&config.realm, now));
        if let Some(session) = session {
            let subject = Subject {
                realm: config.realm.id.clone(),
                user: session.user_id,
                provenance: Provenance::Session {
                    session: session.id,
                    interactive: true,
                },
            };
            if let Ok(facts) = standing(tx, &subject)? {
                let page = Account {
                    sign_out: format!("{}/protocol/openid-connect/logout", config.issuer),
                    flow: logout::form_token(engine, &secret),
                    name: facts.user.full_name().unwrap_or_default(),
                    username: facts.user.username,
                    email: facts.user.email,
                };
                return Ok(face.page(engine, &page, None));
            }
        }
    }
    let here = format!("{}/account/", config.issuer);
    start(
        tx,
        (engine, &config, &client),
        &visit.browser,
        (&visit.peer, &face),
        (leading_to(here), true, Where::Elsewhere),
    )
}
