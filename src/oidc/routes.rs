//! The routes of the protocol engine below `/realms/{realm}`.

use std::collections::BTreeMap;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};
use serde_json::json;

use super::engine::Engine;
use super::show::brand_css;
use super::{
    account, authorize, by_link, cors, forgotten, introspect, logout, revoke, sign_in, steps,
    token, userinfo,
};
use crate::store::StoreError;
use crate::web::pages::{icon, stylesheet};
use crate::web::request_log::Fixed;

/// Forms of the protocol are small (reliability H014).
const FORM_LIMIT: usize = 16 * 1024;

/// One route: a test walks this table with a gated person's credentials, so a new route is covered by being here.
pub struct Entry {
    /// The method.
    pub method: Method,
    /// The path's pattern.
    pub path: &'static str,
    handler: fn() -> Route,
}

/// Every route of the engine.
pub fn table() -> Vec<Entry> {
    let get = |path, handler| Entry {
        method: Method::GET,
        path,
        handler,
    };
    let post = |path, handler| Entry {
        method: Method::POST,
        path,
        handler,
    };
    let head = |path, handler| Entry {
        method: Method::HEAD,
        path,
        handler,
    };
    let options = |path| Entry {
        method: Method::OPTIONS,
        path,
        handler: || web::method(Method::OPTIONS).to(preflight),
    };
    vec![
        get(REALM, || web::get().to(info)),
        get("/realms/{realm}/.well-known/openid-configuration", || {
            web::get().to(discovery)
        }),
        get(
            "/.well-known/oauth-authorization-server/realms/{realm}",
            || web::get().to(discovery),
        ),
        get(
            "/realms/{realm}/.well-known/oauth-authorization-server",
            || web::get().to(discovery),
        ),
        get("/realms/{realm}/protocol/openid-connect/certs", || {
            web::get().to(certs)
        }),
        get("/realms/{realm}/protocol/openid-connect/auth", || {
            web::get().to(authorize::get)
        }),
        post("/realms/{realm}/protocol/openid-connect/auth", || {
            web::post().to(authorize::post)
        }),
        post("/realms/{realm}/protocol/openid-connect/token", || {
            web::post().to(token::post)
        }),
        options("/realms/{realm}/protocol/openid-connect/token"),
        get("/realms/{realm}/protocol/openid-connect/userinfo", || {
            web::get().to(userinfo::answer)
        }),
        post("/realms/{realm}/protocol/openid-connect/userinfo", || {
            web::post().to(userinfo::answer)
        }),
        options("/realms/{realm}/protocol/openid-connect/userinfo"),
        post(
            "/realms/{realm}/protocol/openid-connect/token/introspect",
            || web::post().to(introspect::post),
        ),
        post("/realms/{realm}/protocol/openid-connect/revoke", || {
            web::post().to(revoke::post)
        }),
        options("/realms/{realm}/protocol/openid-connect/revoke"),
        get("/realms/{realm}/protocol/openid-connect/logout", || {
            web::get().to(logout::get)
        }),
        post("/realms/{realm}/protocol/openid-connect/logout", || {
            web::post().to(logout::post)
        }),
        get("/realms/{realm}/login-actions/authenticate", || {
            web::get().to(steps::get_authenticate)
        }),
        post("/realms/{realm}/login-actions/authenticate", || {
            web::post().to(sign_in::post_authenticate)
        }),
        get("/realms/{realm}/login-actions/required-action", || {
            web::get().to(steps::get_required_action)
        }),
        post("/realms/{realm}/login-actions/required-action", || {
            web::post().to(steps::post_required_action)
        }),
        get("/realms/{realm}/login-actions/link/{token}", || {
            web::get().to(by_link::arrive)
        }),
        head("/realms/{realm}/login-actions/link/{token}", || {
            web::head().to(by_link::arrive)
        }),
        get("/realms/{realm}/login-actions/link", || {
            web::get().to(by_link::get)
        }),
        head("/realms/{realm}/login-actions/link", || {
            web::head().to(by_link::get)
        }),
        post("/realms/{realm}/login-actions/link", || {
            web::post().to(by_link::post)
        }),
        get("/realms/{realm}/login-actions/reset-credentials", || {
            web::get().to(forgotten::get)
        }),
        post("/realms/{realm}/login-actions/reset-credentials", || {
            web::post().to(forgotten::post)
        }),
        get("/realms/{realm}/account/", || web::get().to(account::get)),
        get("/realms/{realm}/account", || web::get().to(account::get)),
        get("/realms/{realm}/account/email", || {
            web::get().to(account::address::get)
        }),
        post("/realms/{realm}/account/email", || {
            web::post().to(account::address::post)
        }),
        get("/realms/{realm}/resources/brand.css", || {
            web::get().to(brand)
        }),
        get(stylesheet().0, || {
            web::get().to(|| async { asset("text/css; charset=utf-8", stylesheet().1) })
        }),
        get(icon().0, || {
            web::get().to(|| async { asset("image/svg+xml", icon().1) })
        }),
    ]
}

/// What every path of a realm begins with.
const REALM: &str = "/realms/{realm}";

/// What the path of a realm begins with, up to its name.
const REALM_PATHS: &str = "/realms/";

/// Mounts everything. A realm's paths lie in one scope, so that the realm is found once and what follows it is
/// compared as plain text.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut by_path: BTreeMap<&'static str, Resource> = BTreeMap::new();
    for entry in table() {
        let resource = by_path.remove(entry.path).unwrap_or_else(|| {
            let below = entry.path.strip_prefix(REALM).unwrap_or(entry.path);
            web::resource(below).app_data(web::PayloadConfig::new(FORM_LIMIT))
        });
        by_path.insert(entry.path, resource.route((entry.handler)()));
    }
    let mut realm = web::scope(REALM);
    for (path, resource) in by_path {
        if path.starts_with(REALM) {
            realm = realm.service(resource);
        } else {
            config.service(resource);
        }
    }
    config.service(realm);
}

/// The routes in which nothing but the realm varies.
pub fn fixed() -> Fixed {
    Fixed::new(
        REALM_PATHS,
        table()
            .iter()
            .filter_map(|entry| Some((entry.path, entry.path.strip_prefix(REALM)?)))
            .filter(|(_, below)| !below.contains('{')),
    )
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
    pick: fn(&super::catalog::RealmConfig) -> web::Bytes,
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
            .body(pick(&config)),
        Ok(Some(_) | None) => {
            HttpResponse::NotFound().json(json!({ "error": "Realm does not exist" }))
        }
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

async fn info(realm: web::Path<String>, engine: web::Data<Engine>) -> HttpResponse {
    document(&engine, realm.into_inner(), |config| config.info.clone()).await
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
