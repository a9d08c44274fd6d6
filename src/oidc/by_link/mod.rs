//! One-time links in the browser: arriving, the page with one button, the press.
//!
//! ```text
//! GET  login-actions/link/{token}   writes nothing; a sealed cookie, and on to the handle
//! GET  login-actions/link?h=…       writes nothing; what the link is, and one button
//! POST login-actions/link           the press: parks a flow whose proof is the link
//! ```
//!
//! Mail scanners fetch links, some with scripts on; so nothing that a GET or HEAD does counts (threat V037), and the
//! link is used up only by what is typed at the gate. From the press on a link is a flow like any other: the
//! dispatcher and the gate decide, and [`done`] ends the link with the new password. The link of a notice alone
//! ([`not_me`]) is used up by its press, for it opens nothing.

pub(super) mod address;
mod code;
pub(super) mod done;
mod handle;
mod not_me;
mod press;

pub(super) use press::{ACCOUNT, leading_to};

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::show::{Face, Reply, store_failed};
use super::sign_in::foreign;
use super::steps::Visit;
use crate::kernel::{RealmId, sha256_base64};
use crate::link::token::Presented;
use crate::link::{self, Link, LinkId, Purpose, State};
use crate::session;
use crate::store::{StoreError, Tx};
use crate::user::name::masked;
use crate::user::{self, User};
use crate::web::cookie::Cookies;
use crate::web::headers::same_origin;
use crate::web::pages::{LinkExpired, Message, OpenLink};
use crate::web::texts::Text;

/// What surrounds a visit, once the realm is known.
pub(super) struct Place {
    config: Arc<RealmConfig>,
    face: Face,
    cookies: Cookies,
}

/// Why an opened link leads nowhere any more.
pub(super) fn why_over(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    link: &LinkId,
) -> Result<&'static str, StoreError> {
    let Some((link, user)) = link::with_user(tx, realm, link)? else {
        return Ok("link-unknown");
    };
    let now = tx.now()?;
    Ok(match link.state(&user, now) {
        State::Committed => "link-used",
        State::Superseded => "link-superseded",
        State::Expired => "link-expired-open-again",
        State::Revoked => "link-revoked",
        State::Created | State::Sent | State::Opened => "link-window-over",
    })
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
    if !config.realm.enabled {
        let text = Text::plain("Realm not enabled");
        return Ok(Err(face.error(engine, StatusCode::BAD_REQUEST, text, None)));
    }
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    Ok(Ok(Place {
        config,
        face,
        cookies,
    }))
}

/// `GET` and `HEAD …/login-actions/link/{token}`: the token leaves the address bar, and nothing else happens.
pub(super) async fn arrive(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let (realm, token) = path.into_inner();
    let visit = Visit::read(&request, realm, b"", &engine);
    read(engine.into_inner(), visit, move |tx, engine, visit| {
        let place = match place(tx, engine, visit)? {
            Ok(place) => place,
            Err(reply) => return Ok(reply),
        };
        match Presented::parse(&token) {
            Some(token) => place.lead_to(engine, visit, &token),
            None => Ok(place.over(engine, "link-unknown")),
        }
    })
    .await
}

/// `GET` and `HEAD …/login-actions/link`: with a handle the link's page, without one the page for the typed code.
pub(super) async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let visit = Visit::read(&request, realm.into_inner(), b"", &engine);
    read(engine.into_inner(), visit, |tx, engine, visit| {
        let place = match place(tx, engine, visit)? {
            Ok(place) => place,
            Err(reply) => return Ok(reply),
        };
        match visit.query.get("h") {
            Some(handle) => show(tx, engine, visit, (&place, handle)),
            None => Ok(code::page(engine, visit, &place)),
        }
    })
    .await
}

async fn read(
    engine: Arc<Engine>,
    visit: Visit,
    look: impl FnOnce(&mut Tx<'_>, &Engine, &Visit) -> Result<Reply, StoreError> + Send + 'static,
) -> HttpResponse {
    let reader = visit.reader.clone();
    let shared = Arc::clone(&engine);
    let reply = engine
        .store
        .run(move |store| store.read(|tx| look(tx, &shared, &visit)))
        .await;
    match reply {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// `POST …/login-actions/link`: the button, the wish for a fresh link, or a typed code.
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
        .run(move |store| {
            store.tx(|tx| {
                let place = match place(tx, &shared, &visit)? {
                    Ok(place) => place,
                    Err(reply) => return Ok(reply),
                };
                match visit.form.get("h") {
                    Some(handle) if visit.form.has("renew") => {
                        press::renew(tx, &shared, &visit, (&place, handle))
                    }
                    Some(handle) => press::open(tx, &shared, &visit, (&place, handle)),
                    None => code::submitted(tx, &shared, &visit, &place),
                }
            })
        })
        .await;
    match reply {
        Ok(reply) => {
            engine.mailer.wake();
            reply.into_response()
        }
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

impl Place {
    fn url(&self) -> String {
        format!("{}/login-actions/link", self.config.issuer)
    }

    /// To the page of a token's link, under a handle of its own.
    fn lead_to(
        &self,
        engine: &Engine,
        visit: &Visit,
        token: &Presented,
    ) -> Result<Reply, StoreError> {
        let known = (&visit.browser, &self.cookies);
        let made = handle::make(engine, &self.config.realm.id, known, token)?;
        let mut reply = Reply::see_other(format!("{}?h={}", self.url(), made.handle));
        reply.link = Some(made.cookie);
        reply.drop_links = made.forget;
        Ok(reply.cookies(&self.cookies))
    }

    /// The page for a link that leads nowhere; to sign in is the way on.
    fn over(&self, engine: &Engine, key: &'static str) -> Reply {
        let account = format!("{}/account/", self.config.issuer);
        self.face.message_to(
            engine,
            ("link-over-title", key),
            Some(("sign-in", &account)),
        )
    }

    /// The link behind a handle with its person; else the key of what to say. A link of another realm is as unknown
    /// as one that never was (threat V043).
    fn find(
        &self,
        tx: &mut Tx<'_>,
        engine: &Engine,
        visit: &Visit,
        handle: &str,
    ) -> Result<Result<(Link, User, State), &'static str>, StoreError> {
        let known = (&visit.browser, &self.cookies);
        let Some(token) = handle::token(engine, &self.config.realm.id, known, handle) else {
            return Ok(Err("link-open-again"));
        };
        let Some((link, user)) = link::with_user(tx, &self.config.realm.id, &token.id)? else {
            return Ok(Err("link-unknown"));
        };
        let key = link::keys::by_version(tx, &engine.keyring, link.key_version)?;
        if !token.is_of(&key, &link) {
            return Ok(Err("link-unknown"));
        }
        let now = tx.now()?;
        let state = link.state(&user, now);
        Ok(Ok((link, user, state)))
    }
}

/// What to say of a link that has ended.
fn over_key(state: State) -> &'static str {
    match state {
        State::Committed => "link-used",
        State::Superseded => "link-superseded",
        State::Created | State::Sent | State::Opened | State::Expired | State::Revoked => {
            "link-revoked"
        }
    }
}

/// The page of a link.
fn show(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (place, handle): (&Place, &str),
) -> Result<Reply, StoreError> {
    let (link, user, state) = match place.find(tx, engine, visit, handle)? {
        Ok(found) => found,
        Err(key) => return Ok(place.over(engine, key)),
    };
    if link.purpose == Purpose::NotMe {
        return not_me::show(tx, engine, (place, handle), (&link, &user, state));
    }
    let reply = match state {
        State::Created | State::Sent | State::Opened => {
            let client = match &link.client_id {
                Some(client_id) => place.config.client(tx, client_id)?,
                None => None,
            };
            let page = OpenLink {
                action: place.url(),
                handle: handle.to_owned(),
                lead: lead(&link),
                button: Text::key(match (link.sets_password, link.purpose) {
                    (true, _) => "link-set-password",
                    (false, Purpose::Actions) => "link-go-on",
                    (false, _) => "link-confirm",
                }),
                other: other(tx, visit, place, &user)?.map(|other| {
                    Text::key(other_key(&link))
                        .with("other", other)
                        .with("account", user.username.as_str())
                }),
                account: user.username,
                app: client
                    .filter(|client| client.enabled)
                    .map(|client| client.display_name().to_owned()),
            };
            place.face.page(engine, &page, None)
        }
        State::Expired => expired(engine, visit, (place, handle), &link),
        State::Committed | State::Superseded | State::Revoked => {
            place.over(engine, over_key(state))
        }
    };
    Ok(reply)
}

/// The page of a link whose time is over, which offers a fresh one; and what became of the wish for it, which is a page
/// without that button.
fn expired(engine: &Engine, visit: &Visit, (place, handle): (&Place, &str), link: &Link) -> Reply {
    let address = link
        .address
        .as_deref()
        .filter(|_| link.proves_mailbox())
        .map(masked);
    let (heading, body) = match visit.query.get("renewed") {
        None => {
            let page = LinkExpired {
                action: place.url(),
                handle: handle.to_owned(),
                address,
            };
            return place.face.page(engine, &page, None);
        }
        Some("mailed") => ("link-renewed-title", "link-renewed"),
        Some("soon") => ("link-renewed-title", "link-renewed-lately"),
        Some(_) => ("link-expired-title", "link-not-renewed"),
    };
    let page = Message {
        heading: Text::key(heading),
        body: Text::key(body).with("address", address.unwrap_or_default()),
        link: None,
    };
    place.face.page(engine, &page, None)
}

/// What going on means for somebody else who is signed in here.
fn other_key(link: &Link) -> &'static str {
    match (link.sets_password, link.purpose.is_about_an_address()) {
        (true, _) => "link-other",
        (false, true) => "link-other-address",
        (false, false) => "link-other-actions",
    }
}

/// What will happen, in a sentence.
fn lead(link: &Link) -> Text {
    match (link.purpose, link.sets_password) {
        (Purpose::PreRegistration, _) => Text::key("link-lead-first-password"),
        (_, true) => Text::key("link-lead-new-password"),
        (Purpose::VerifyEmail | Purpose::UpdateEmail, false) => Text::key("link-lead-address")
            .with("address", link.address.as_deref().unwrap_or_default()),
        (_, false) if link.actions.is_empty() => Text::key("link-lead-nothing"),
        (_, false) => Text::key("link-lead-actions"),
    }
}

/// The account that is signed in here, where it is somebody else's.
fn other(
    tx: &mut Tx<'_>,
    visit: &Visit,
    place: &Place,
    person: &User,
) -> Result<Option<String>, StoreError> {
    let Some(secret) = visit.browser.session(&place.cookies) else {
        return Ok(None);
    };
    let realm = &place.config.realm;
    let digest = sha256_base64(secret.as_bytes());
    let now = tx.now()?;
    let session = session::rows::by_cookie(tx, &realm.id, &digest)?
        .filter(|session| session.user_id != person.id && session.is_live(realm, now));
    let Some(session) = session else {
        return Ok(None);
    };
    let user = user::rows::by_id(tx, &session.user_id)?
        .filter(|user| user.auth_epoch == session.auth_epoch);
    Ok(user.map(|user| user.username))
}
