//! One call of the admin API: read from the request, judged, carried out and answered in one transaction.
//!
//! Handlers are plain functions of a [`Context`] and an [`Ask`]; only this file knows about HTTP, threads and
//! passwords that have to be hashed before the transaction begins.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Route, web};
use serde_json::Value;

use super::ask::Ask;
use super::caller::{self, Caller};
use super::error::AdminError;
use super::json::LARGEST;
use super::powers::Powers;
use crate::kernel::{RoleId, UserId};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::context::{Peer, bearer};
use crate::oidc::engine::Engine;
use crate::oidc::provision::Tools;
use crate::password::{Password, Salt};
use crate::realm;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::{self, User};

/// What a handler answers.
pub type Outcome = Result<Reply, AdminError>;
/// A handler.
pub type Handler = for<'a, 'tx> fn(&mut Context<'a, 'tx>, &Ask) -> Outcome;
/// What comes before a handler that sets a password: the checks, and the password to hash.
pub type Prepare =
    for<'a, 'tx> fn(&mut Context<'a, 'tx>, &Ask) -> Result<Option<Password>, AdminError>;

/// An answer.
pub enum Reply {
    /// 200 with a body.
    Json(Value),
    /// 201 with the path of what was made, below `/admin/realms`.
    Created(String),
    /// 202 with a body, and the path of the work that was begun, below `/admin/realms`.
    Accepted(String, Value),
    /// 200 with a body that is made portion by portion.
    Stream(&'static str, Portion),
    /// 204.
    NoContent,
}

/// Makes the portion of a long body that comes after a place, which is `None` at the start, and says the next place,
/// or `None` at the end. Each portion is a call of its own: a caller who may no longer look gets no more of it.
pub type Portion = for<'a, 'tx, 'p> fn(
    &mut Context<'a, 'tx>,
    &Ask,
    Option<&'p str>,
) -> Result<(String, Option<String>), AdminError>;

/// A portion of a JSON list as text: with its bracket where it is the first or the last one.
pub fn joined(values: &[Value], first: bool, last: bool) -> String {
    let mut text = String::from(if first { "[" } else { "" });
    for (place, value) in values.iter().enumerate() {
        if place > 0 || !first {
            text.push(',');
        }
        text.push_str(&value.to_string());
    }
    if last {
        text.push(']');
    }
    text
}

/// What a handler works with.
pub struct Context<'a, 'tx> {
    /// The transaction.
    pub tx: &'a mut Tx<'tx>,
    /// The engine.
    pub engine: &'a Engine,
    /// The realm of the path; the caller's own where the path names none.
    pub config: Arc<RealmConfig>,
    /// Who calls.
    pub caller: Caller,
    peer: &'a Peer,
    configuration_changed: bool,
}

impl<'a> Context<'a, '_> {
    /// Whether the caller has this management role of the path's realm.
    pub fn has(&self, role: &str) -> bool {
        self.caller.powers.has(&self.config.realm.name, role)
    }

    /// The other end of the call.
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// Refuses callers that have none of these management roles.
    ///
    /// # Errors
    /// The caller has none of them.
    pub fn require(&self, roles: &[&str]) -> Result<(), AdminError> {
        if roles.iter().any(|role| self.has(role)) {
            Ok(())
        } else {
            Err(AdminError::Forbidden)
        }
    }

    /// Refuses to hand out roles that hold powers which the caller lacks (threat V136).
    ///
    /// # Errors
    /// The caller lacks a power inside one of them.
    pub fn may_hand_out<'r>(
        &self,
        roles: impl IntoIterator<Item = &'r RoleId>,
    ) -> Result<(), AdminError> {
        let roles: Vec<&RoleId> = roles.into_iter().collect();
        if Powers::closed(&self.config, roles).within(&self.caller.powers) {
            Ok(())
        } else {
            Err(AdminError::Forbidden)
        }
    }

    /// Whether the caller has every power of the user, so that taking them over gains nothing (threat V137).
    ///
    /// # Errors
    /// The database fails.
    pub fn outranks(&mut self, user: &UserId) -> Result<bool, AdminError> {
        let powers = caller::powers_of(self.tx, &self.config, user)?;
        Ok(powers.within(&self.caller.powers))
    }

    /// The path's user.
    ///
    /// # Errors
    /// The realm has none of that id.
    pub fn user(&mut self, ask: &Ask) -> Result<User, AdminError> {
        let id = UserId::new(ask.path("user"));
        user::rows::in_realm(self.tx, &self.config.realm.id, &id)?
            .ok_or(AdminError::NotFound("User not found"))
    }

    /// The path's user, to be seen.
    ///
    /// # Errors
    /// The caller may not see users, or there is none.
    pub fn seen_user(&mut self, ask: &Ask) -> Result<User, AdminError> {
        self.require(&["view-users", "manage-users"])?;
        self.user(ask)
    }

    /// The path's user, to be changed.
    ///
    /// # Errors
    /// The caller may not change users, not this one, or there is none.
    pub fn managed_user(&mut self, ask: &Ask) -> Result<User, AdminError> {
        self.require(&["manage-users"])?;
        let user = self.user(ask)?;
        if self.outranks(&user.id)? {
            Ok(user)
        } else {
            Err(AdminError::Forbidden)
        }
    }

    /// What provisioning works with.
    pub fn tools(&self) -> Tools<'a> {
        Tools {
            keyring: &self.engine.keyring,
            entropy: &self.engine.entropy,
        }
    }

    /// An event of the path's realm that names the caller as its author.
    pub fn event(&self, kind: &'static str) -> Event {
        Event::new(&self.config.realm.id, kind)
            .client(&self.caller.client_id)
            .from(&self.peer.ip_address)
            .detail("admin", self.caller.user.as_str())
            .detail("admin_realm", self.caller.home.realm.name.as_str())
    }

    /// Records an event in the call's transaction.
    ///
    /// # Errors
    /// The database fails.
    pub fn record(&mut self, event: Event) -> Result<(), AdminError> {
        let now = self.tx.now()?;
        events::record(self.tx, &self.engine.entropy, now, event)?;
        Ok(())
    }

    /// Says that the realm's configuration has changed: caches look again as soon as the call is committed.
    ///
    /// # Errors
    /// The database fails.
    pub fn touch(&mut self) -> Result<(), AdminError> {
        realm::rows::touch(self.tx, &self.config.realm.id)?;
        self.configuration_changed = true;
        Ok(())
    }

    /// Says the same where the change itself has raised the version.
    pub fn touched(&mut self) {
        self.configuration_changed = true;
    }
}

/// A request, read.
#[derive(Clone)]
pub struct Call {
    engine: Arc<Engine>,
    token: Option<String>,
    peer: Peer,
    ask: Ask,
}

impl FromRequest for Call {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let body = web::Bytes::from_request(&request, payload);
        Box::pin(async move {
            let engine = request
                .app_data::<web::Data<Engine>>()
                .map(|engine| Arc::clone(engine))
                .ok_or_else(|| actix_web::error::ErrorInternalServerError("no engine"))?;
            // The size is the only thing that can be wrong with reading bytes that a client sends to its end.
            let body = body.await.ok();
            Ok(Self {
                token: bearer(&request),
                peer: Peer::of(&request, &engine),
                ask: Ask::of(&request, body),
                engine,
            })
        })
    }
}

impl Call {
    /// A call whose body its handler reads by itself.
    pub fn bare(request: &HttpRequest, engine: &Arc<Engine>) -> Self {
        Self {
            token: bearer(request),
            peer: Peer::of(request, engine),
            ask: Ask::of(request, None),
            engine: Arc::clone(engine),
        }
    }

    /// The engine that the call is made to.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Does work in a write transaction, after the caller has been judged in it.
    ///
    /// # Errors
    /// The caller's token does not stand, and whatever the work answers.
    pub async fn within<R: Send + 'static>(
        &self,
        work: impl for<'a, 'tx> FnOnce(&mut Context<'a, 'tx>, &Ask) -> Result<R, AdminError>
        + Send
        + 'static,
    ) -> Result<R, AdminError> {
        let Self {
            engine,
            token,
            peer,
            ask,
        } = self.clone();
        let store = engine.store.clone();
        store
            .run(move |store| {
                store.tx(|tx| {
                    let mut context = enter(tx, &engine, (token.as_deref(), &peer), &ask)?;
                    work(&mut context, &ask)
                })
            })
            .await
    }

    /// Runs a handler to its answer.
    async fn run(self, handler: Handler) -> HttpResponse {
        let engine = Arc::clone(&self.engine);
        let again = self.clone();
        match self.transact(handler).await {
            Ok(Reply::Stream(kind, portion)) => again.stream(kind, portion),
            Ok(reply) => answer(&engine, reply),
            Err(error) => error.response(),
        }
    }

    /// Sends a long body as it is made. What goes wrong in the middle ends the connection, so that nobody takes a
    /// part for the whole.
    fn stream(self, kind: &'static str, portion: Portion) -> HttpResponse {
        let first: Option<Option<String>> = Some(None);
        let portions =
            futures_util::stream::try_unfold((self, first), move |(call, place)| async move {
                let Some(place) = place else {
                    return Ok::<_, std::io::Error>(None);
                };
                match call.portion(portion, place).await {
                    Ok((text, next)) => {
                        let next = next.map(Some);
                        Ok(Some((web::Bytes::from(text), (call, next))))
                    }
                    Err(error) => Err(std::io::Error::other(format!(
                        "a list ends early: {}",
                        error.response().status()
                    ))),
                }
            });
        HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .content_type(kind)
            .streaming(portions)
    }

    async fn portion(
        &self,
        portion: Portion,
        place: Option<String>,
    ) -> Result<(String, Option<String>), AdminError> {
        let call = self.clone();
        let store = self.engine.store.clone();
        store
            .run(move |store| {
                store.read(|tx| {
                    let token = call.token.as_deref();
                    let mut context = enter(tx, &call.engine, (token, &call.peer), &call.ask)?;
                    portion(&mut context, &call.ask, place.as_deref())
                })
            })
            .await
    }

    /// Runs the checks, hashes the password that they found, and runs the handler.
    async fn run_with_password(self, prepare: Prepare, handler: Handler) -> HttpResponse {
        match self.hashed(prepare).await {
            Ok(call) => call.run(handler).await,
            Err(error) => error.response(),
        }
    }

    async fn hashed(mut self, prepare: Prepare) -> Result<Self, AdminError> {
        let (engine, ask) = (Arc::clone(&self.engine), self.ask.clone());
        let (token, peer) = (self.token.clone(), self.peer.clone());
        let store = engine.store.clone();
        let found = store
            .run(move |store| {
                store.read(|tx| {
                    let mut context = enter(tx, &engine, (token.as_deref(), &peer), &ask)?;
                    prepare(&mut context, &ask)
                })
            })
            .await?;
        if let Some(password) = found {
            let engine = &self.engine;
            let salt = Salt::new(|out: &mut [u8]| engine.entropy.fill(out));
            let hash = engine
                .hasher
                .hash(password, salt)
                .await
                .map_err(|busy| AdminError::Busy(busy.retry_after.as_secs().max(1)))?;
            self.ask.hash = Some(hash.as_str().to_owned());
        }
        Ok(self)
    }

    async fn transact(self, handler: Handler) -> Result<Reply, AdminError> {
        let Self {
            engine,
            token,
            peer,
            ask,
        } = self;
        let reading = ask.method == Method::GET;
        let store = engine.store.clone();
        store
            .run(move |store| {
                let work = |tx: &mut Tx<'_>| -> Result<(Reply, bool), AdminError> {
                    let mut context = enter(tx, &engine, (token.as_deref(), &peer), &ask)?;
                    let reply = handler(&mut context, &ask)?;
                    Ok((reply, context.configuration_changed))
                };
                let (reply, changed) = if reading {
                    store.read(work)?
                } else {
                    store.tx(work)?
                };
                if changed {
                    let refreshed: Result<(), StoreError> = engine.refresh_catalog();
                    // The change is committed; every cache looks again by itself within a second.
                    if let Err(error) = refreshed {
                        crate::oidc::error::log_failure(&error);
                    }
                }
                Ok(reply)
            })
            .await
    }
}

/// Lets a caller in: judged before anything else of the request is looked at.
fn enter<'a, 'tx>(
    tx: &'a mut Tx<'tx>,
    engine: &'a Engine,
    (token, peer): (Option<&str>, &'a Peer),
    ask: &Ask,
) -> Result<Context<'a, 'tx>, AdminError> {
    let caller = caller::identify(tx, engine, token)?;
    let config = match ask.realm() {
        Some(realm) => caller::target(tx, engine, &caller, realm)?,
        None => Arc::clone(&caller.home),
    };
    Ok(Context {
        tx,
        engine,
        config,
        caller,
        peer,
        configuration_changed: false,
    })
}

fn answer(engine: &Engine, reply: Reply) -> HttpResponse {
    let no_store = (header::CACHE_CONTROL, "no-store");
    match reply {
        Reply::Json(body) => HttpResponse::Ok().insert_header(no_store).json(body),
        Reply::Created(path) => HttpResponse::build(StatusCode::CREATED)
            .insert_header(no_store)
            .insert_header((
                header::LOCATION,
                format!("{}/admin/realms{path}", engine.public_url),
            ))
            .finish(),
        Reply::Accepted(path, body) => HttpResponse::Accepted()
            .insert_header(no_store)
            .insert_header((
                header::LOCATION,
                format!("{}/admin/realms{path}", engine.public_url),
            ))
            .json(body),
        // `Call::run` has sent it already.
        Reply::Stream(_, _) | Reply::NoContent => {
            HttpResponse::NoContent().insert_header(no_store).finish()
        }
    }
}

/// A route of `method` to a handler.
pub fn on(method: Method, handler: Handler) -> Route {
    web::method(method).to(move |call: Call| call.run(handler))
}

/// A route of `method` to a handler that may set a password.
pub fn on_with_password(method: Method, prepare: Prepare, handler: Handler) -> Route {
    web::method(method).to(move |call: Call| call.run_with_password(prepare, handler))
}

/// How much of a body is read.
pub fn body_limit() -> web::PayloadConfig {
    web::PayloadConfig::new(LARGEST)
}
