//! The plain account page: who is signed in, changing the address, and signing out.

pub(super) mod address;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::authorize::start;
use super::by_link::leading_to;
use super::catalog::RealmConfig;
use super::context::authorization;
use super::engine::Engine;
use super::logout;
use super::show::{Face, Reply, store_failed};
use super::steps::{Visit, Where};
use crate::action::gate::{Provenance, Subject, standing};
use crate::client::Client;
use crate::flow::AuthorizationRequest;
use crate::kernel::sha256_base64;
use crate::link;
use crate::role;
use crate::session::{self, Session};
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::web::cookie::Cookies;
use crate::web::pages::{Account, Href};
use crate::web::texts::Text;

/// The client whose flows lead here, and whose roles say what people may change about themselves.
const CLIENT: &str = "account";

/// The role of that client without which nobody changes their own profile, as in Keycloak; everybody has it at first.
const MANAGE: &str = "manage-account";

/// `GET …/account/`: the page, or signing in first.
pub(super) async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    answer(&request, realm.into_inner(), engine, (b"", show)).await
}

/// What answers a visit in one transaction.
type Answer = fn(&mut Tx<'_>, &Engine, &Visit) -> Result<Reply, StoreError>;

async fn answer(
    request: &HttpRequest,
    realm: String,
    engine: web::Data<Engine>,
    (body, answer): (&[u8], Answer),
) -> HttpResponse {
    if authorization(request).is_some() {
        // The pages are for browsers; nothing here takes a token.
        return HttpResponse::Unauthorized().json(json!({ "error": "HTTP 401 Unauthorized" }));
    }
    let engine = engine.into_inner();
    let visit = Visit::read(request, realm, body, &engine);
    let reader = visit.reader.clone();
    let shared = Arc::clone(&engine);
    let reply = engine
        .store
        .run(move |store| store.tx(|tx| answer(tx, &shared, &visit)))
        .await;
    match reply {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// What surrounds a visit to the account, whoever comes.
struct Place {
    config: Arc<RealmConfig>,
    client: Arc<Client>,
    face: Face,
    cookies: Cookies,
}

/// Somebody who is signed in in this browser, and for whom nothing is outstanding at the gate.
struct Visitor {
    /// The session's cookie.
    secret: String,
    session: Session,
    user: User,
}

/// The realm of a visit, or the page that says why there is none.
fn place(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
) -> Result<Result<Place, Reply>, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        let face = Face::plain(engine, &visit.reader);
        let text = Text::key("realm-not-found");
        return Ok(Err(face.error(engine, StatusCode::NOT_FOUND, text, None)));
    };
    let face = Face::of(engine, &config, (None, &visit.reader));
    let client = config.client(tx, CLIENT)?.filter(|client| client.enabled);
    let Some(client) = client.filter(|_| config.realm.enabled) else {
        let text = Text::key("client-disabled");
        return Ok(Err(face.error(engine, StatusCode::BAD_REQUEST, text, None)));
    };
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    Ok(Ok(Place {
        config,
        client,
        face,
        cookies,
    }))
}

impl Place {
    /// The address of the account, or of a page below it.
    fn url(&self, below: &str) -> String {
        format!("{}/account/{below}", self.config.issuer)
    }

    /// Who comes, if the gate has nothing to ask of them.
    fn visitor(&self, tx: &mut Tx<'_>, visit: &Visit) -> Result<Option<Visitor>, StoreError> {
        let Some(secret) = visit.browser.session(&self.cookies) else {
            return Ok(None);
        };
        let realm = &self.config.realm;
        let digest = sha256_base64(secret.as_bytes());
        let now = tx.now()?;
        let session = session::rows::by_cookie(tx, &realm.id, &digest)?
            .filter(|session| session.is_live(realm, now));
        let Some(session) = session else {
            return Ok(None);
        };
        let subject = Subject {
            realm: realm.id.clone(),
            user: session.user_id.clone(),
            provenance: Provenance::Session {
                session: session.id.clone(),
                interactive: true,
            },
        };
        Ok(standing(tx, &subject)?.ok().map(|facts| Visitor {
            secret,
            session,
            user: facts.user,
        }))
    }

    /// Signing in, as far as it is needed, and on to `request`'s address.
    fn sign_in(
        &self,
        tx: &mut Tx<'_>,
        (engine, visit): (&Engine, &Visit),
        request: AuthorizationRequest,
    ) -> Result<Reply, StoreError> {
        start(
            tx,
            (engine, &self.config, &self.client),
            &visit.browser,
            (&visit.peer, &self.face),
            (request, true, Where::Elsewhere),
        )
    }

    /// Whether a person may change their own address: the realm can mail a link, and lets its people manage their
    /// accounts.
    fn may_change_address(
        &self,
        tx: &mut Tx<'_>,
        engine: &Engine,
        user: &User,
    ) -> Result<bool, StoreError> {
        if !engine.mailer.is_configured(&self.config.realm) {
            return Ok(false);
        }
        let roles = &self.config.roles;
        let Some(needed) = roles.named(Some(&self.client.id), MANAGE) else {
            return Ok(false);
        };
        let mapped = role::rows::of_user(tx, &user.id)?;
        Ok(roles.closure(&mapped).contains(&needed.id))
    }
}

fn show(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Reply, StoreError> {
    let place = match place(tx, engine, visit)? {
        Ok(place) => place,
        Err(reply) => return Ok(reply),
    };
    let Some(visitor) = place.visitor(tx, visit)? else {
        let here = leading_to(place.url(""));
        return place.sign_in(tx, (engine, visit), here);
    };
    let user = visitor.user;
    let may_change = place.may_change_address(tx, engine, &user)?;
    let page = Account {
        sign_out: format!("{}/protocol/openid-connect/logout", place.config.issuer),
        flow: logout::form_token(engine, &visitor.secret),
        name: user.full_name().unwrap_or_default(),
        new_email: link::new_address::pending(tx, &user)?,
        change_email: may_change
            .then(|| Href::to(&place.url(address::PAGE)))
            .flatten(),
        username: user.username,
        email: user.email,
    };
    Ok(place.face.page(engine, &page, None))
}
