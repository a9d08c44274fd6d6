//! The routes of the protocol engine below `/realms/{realm}`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::engine::Engine;
use super::show::brand_css;
use super::{authorize, cors, introspect, logout, revoke, steps, token, userinfo};
use crate::store::StoreError;
use crate::web::pages::{icon, stylesheet};

/// Forms of the protocol are small (reliability H014).
const FORM_LIMIT: usize = 16 * 1024;

/// Mounts everything.
pub fn configure(config: &mut web::ServiceConfig) {
    let oidc = "/realms/{realm}/protocol/openid-connect";
    let steps_at = "/realms/{realm}/login-actions";
    let at = |base: &str, path: &str| {
        web::resource(format!("{base}/{path}")).app_data(web::PayloadConfig::new(FORM_LIMIT))
    };
    config
        .service(
            web::resource("/realms/{realm}/.well-known/openid-configuration")
                .route(web::get().to(discovery)),
        )
        .service(
            web::resource("/.well-known/oauth-authorization-server/realms/{realm}")
                .route(web::get().to(discovery)),
        )
        .service(
            web::resource("/realms/{realm}/.well-known/oauth-authorization-server")
                .route(web::get().to(discovery)),
        )
        .service(at(oidc, "certs").route(web::get().to(certs)))
        .service(
            at(oidc, "auth")
                .route(web::get().to(authorize::get))
                .route(web::post().to(authorize::post)),
        )
        .service(
            at(oidc, "token")
                .route(web::post().to(token::post))
                .route(web::method(actix_web::http::Method::OPTIONS).to(preflight)),
        )
        .service(
            at(oidc, "userinfo")
                .route(web::get().to(userinfo::answer))
                .route(web::post().to(userinfo::answer))
                .route(web::method(actix_web::http::Method::OPTIONS).to(preflight)),
        )
        .service(at(oidc, "token/introspect").route(web::post().to(introspect::post)))
        .service(
            at(oidc, "revoke")
                .route(web::post().to(revoke::post))
                .route(web::method(actix_web::http::Method::OPTIONS).to(preflight)),
        )
        .service(
            at(oidc, "logout")
                .route(web::get().to(logout::get))
                .route(web::post().to(logout::post)),
        )
        .service(
            at(steps_at, "authenticate")
                .route(web::get().to(steps::get_authenticate))
                .route(web::post().to(steps::post_authenticate)),
        )
        .service(
            at(steps_at, "required-action")
                .route(web::get().to(steps::get_required_action))
                .route(web::post().to(steps::post_required_action)),
        )
        .service(web::resource("/realms/{realm}/resources/brand.css").route(web::get().to(brand)))
        .service(
            web::resource(stylesheet().0).route(
                web::get().to(|| async { asset("text/css; charset=utf-8", stylesheet().1) }),
            ),
        )
        .service(
            web::resource(icon().0)
                .route(web::get().to(|| async { asset("image/svg+xml", icon().1) })),
        );
}

fn asset(kind: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(body)
}

async fn preflight(request: HttpRequest) -> HttpResponse {
    cors::preflight(&request)
}

/// A public document: from memory where the realm is known, so that it is there when the database is not.
async fn document(
    engine: &web::Data<Engine>,
    realm: String,
    pick: fn(&super::catalog::RealmConfig) -> std::sync::Arc<str>,
) -> HttpResponse {
    let known = match engine.catalog.cached(&realm) {
        Some(config) => Ok(Some(config)),
        None => {
            let shared = engine.clone().into_inner();
            engine
                .store
                .run(move |store| store.read(|tx| shared.catalog.current(tx, &realm)))
                .await
        }
    };
    match known {
        Ok(Some(config)) if config.realm.enabled => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .insert_header((
                header::CACHE_CONTROL,
                "public, max-age=300, must-revalidate",
            ))
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .body(actix_web::web::Bytes::copy_from_slice(
                pick(&config).as_bytes(),
            )),
        Ok(Some(_)) => HttpResponse::NotFound().json(json!({ "error": "Realm does not exist" })),
        Ok(None) => HttpResponse::NotFound().json(json!({ "error": "Realm does not exist" })),
        Err(error) => {
            let error: StoreError = error;
            super::error::log_failure(&error);
            HttpResponse::ServiceUnavailable()
                .insert_header((header::RETRY_AFTER, 2))
                .finish()
        }
    }
}

async fn discovery(realm: web::Path<String>, engine: web::Data<Engine>) -> HttpResponse {
    document(&engine, realm.into_inner(), |config| {
        config.discovery.clone()
    })
    .await
}

async fn certs(realm: web::Path<String>, engine: web::Data<Engine>) -> HttpResponse {
    document(&engine, realm.into_inner(), |config| config.jwks.clone()).await
}

async fn brand(realm: web::Path<String>, engine: web::Data<Engine>) -> HttpResponse {
    let css = engine
        .catalog
        .cached(&realm)
        .and_then(|config| brand_css(&config.realm));
    match css {
        Some(css) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/css; charset=utf-8"))
            .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
            .body(css),
        None => HttpResponse::NotFound().finish(),
    }
}
