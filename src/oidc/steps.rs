//! The steps of a browser below `login-actions/`: every POST changes something and answers 303 to a GET, every GET
//! asks the dispatcher and shows what it says.
//!
//! The flow is found by the handle in the form or the query, and only together with its browser's cookie (threat
//! V003); the path and its `execution` are labels that scripted browsers choose by, and decide nothing.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use super::authorize::start;
use super::catalog::RealmConfig;
use super::context::{Peer, Reader};
use super::engine::Engine;
use super::form::Form;
use super::mailed_code;
use super::next::{self, Next, Scene, SessionCookie};
use super::reply::reply;
use super::show::{Face, Reply, store_failed};
use super::{once_more, sign_in, submit};
use crate::client::Client;
use crate::flow::{AuthorizationRequest, Flash, Flow, ResponseMode, rows};
use crate::kernel::sha256_base64;
use crate::login::device;
use crate::store::{StoreError, Tx};
use crate::web::cookie::Cookies;
use crate::web::headers::same_origin;
use crate::web::texts::Text;

/// What the browser brought, readable once the realm, and with it the cookies' names, is known.
#[derive(Clone)]
pub struct Browser {
    cookies: Vec<(String, String)>,
}

impl Browser {
    /// Reads the cookies of a request.
    pub fn new(request: &HttpRequest) -> Self {
        let cookies = request.cookies().map(|cookies| {
            cookies
                .iter()
                .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
                .collect()
        });
        Self {
            cookies: cookies.unwrap_or_default(),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.get_up_to(128, name)
    }

    fn get_up_to(&self, longest: usize, name: &str) -> Option<String> {
        let found = self
            .cookies
            .iter()
            .find(|(known, value)| known == name && !value.is_empty() && value.len() <= longest);
        found.map(|(_, value)| value.clone())
    }

    /// The cookies of links, by what stands after `link_` in their names, oldest first as browsers send them.
    pub(super) fn links(&self, cookies: &Cookies) -> Vec<(String, String)> {
        let prefix = cookies.name("link_");
        let of_links = self.cookies.iter().filter_map(|(name, value)| {
            let handle = name.strip_prefix(&prefix)?;
            Some((handle.to_owned(), value.clone()))
        });
        of_links.collect()
    }

    /// The browser's flow id.
    pub fn id(&self, cookies: &Cookies) -> Option<String> {
        self.get(&cookies.name("flow"))
    }

    /// The browser's session secret.
    pub fn session(&self, cookies: &Cookies) -> Option<String> {
        self.get(&cookies.name("sid"))
    }

    /// What brings the browser's session back once that secret is gone.
    pub fn remember(&self, cookies: &Cookies) -> Option<String> {
        self.get(&cookies.name("remember"))
    }

    /// The marks of the people who have signed in with this browser.
    pub fn devices(&self, cookies: &Cookies) -> Option<String> {
        self.get_up_to(device::LONGEST, &cookies.name("device"))
    }

    /// This browser as if it had brought another session secret.
    pub(super) fn with_session(&self, cookies: &Cookies, secret: &str) -> Self {
        let name = cookies.name("sid");
        let mut brought = self.clone();
        brought.cookies.retain(|(known, _)| *known != name);
        brought.cookies.push((name, secret.to_owned()));
        brought
    }
}

/// One visit to a step.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) realm: String,
    pub(super) query: Form,
    pub(super) form: Form,
    pub(super) browser: Browser,
    pub(super) peer: Peer,
    pub(super) reader: Reader,
}

impl Visit {
    pub(super) fn read(request: &HttpRequest, realm: String, body: &[u8], engine: &Engine) -> Self {
        Self {
            realm,
            query: Form::parse(request.query_string().as_bytes()),
            form: Form::posted(request.content_type(), body),
            browser: Browser::new(request),
            peer: Peer::of(request, engine),
            reader: Reader::of(request),
        }
    }
}

/// Where a reply is given: a page may be shown in place only where its URL can be reloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// At the authorization endpoint: the sign-in page may be shown here.
    Authorize,
    /// At `login-actions/authenticate`.
    Authenticate,
    /// At `login-actions/required-action`.
    RequiredAction,
    /// After a POST, or where a flow begins that no application has asked for: nothing is shown here.
    Elsewhere,
}

/// A flow in hand, with what surrounds it.
pub(super) struct Stage {
    pub(super) config: Arc<RealmConfig>,
    pub(super) client: Arc<Client>,
    pub(super) face: Face,
    pub(super) cookies: Cookies,
    pub(super) flow: Flow,
}

/// `GET …/login-actions/authenticate`.
pub async fn get_authenticate(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    show(
        &request,
        realm.into_inner(),
        engine.into_inner(),
        Where::Authenticate,
    )
    .await
}

/// `GET …/login-actions/required-action`; without a flow it starts one that ends on a page.
pub async fn get_required_action(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    show(
        &request,
        realm.into_inner(),
        engine.into_inner(),
        Where::RequiredAction,
    )
    .await
}

async fn show(
    request: &HttpRequest,
    realm: String,
    engine: Arc<Engine>,
    at: Where,
) -> HttpResponse {
    let visit = Visit::read(request, realm, b"", &engine);
    let reader = visit.reader.clone();
    let shared = Arc::clone(&engine);
    let result = engine
        .store
        .run(move |store| {
            let reply = store.tx(|tx| {
                if at == Where::RequiredAction && visit.query.get("tab_id").is_none() {
                    return begin_without_application(tx, &shared, &visit);
                }
                let mut stage = match stage(tx, &shared, &visit, visit.query.get("tab_id"))? {
                    Ok(stage) => stage,
                    Err(reply) => return Ok(reply),
                };
                go_on(tx, &shared, &visit, (&mut stage, at))
            })?;
            if let Some(whom) = &reply.mail_code {
                store.tx(|tx| mailed_code::greet(tx, &shared, (&whom.0, whom.1)))?;
                shared.mailer.wake();
            }
            Ok(reply)
        })
        .await;
    match result {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// The flow that a visit names, if it is this browser's; else the page that says how to go on.
pub(super) fn stage(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    handle: Option<&str>,
) -> Result<Result<Stage, Reply>, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        let face = Face::plain(engine, &visit.reader);
        return Ok(Err(face.error(
            engine,
            StatusCode::NOT_FOUND,
            Text::key("realm-not-found"),
            None,
        )));
    };
    let plain = Face::of(engine, &config, (None, &visit.reader));
    if !config.realm.enabled {
        return Ok(Err(plain.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::plain("Realm not enabled"),
            None,
        )));
    }
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    let Some(browser) = visit.browser.id(&cookies) else {
        return Ok(Err(plain.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("cookie-not-found"),
            None,
        )));
    };
    let digest = sha256_base64(browser.as_bytes());
    let found = match handle {
        Some(handle) => rows::of_browser(tx, &config.realm.id, handle, &digest)?,
        None => None,
    };
    let now = tx.now()?;
    let Some(flow) = found.filter(|flow| now < flow.expires_at) else {
        return Ok(Err(once_more::late(
            tx,
            engine,
            (&config, &plain),
            (handle, &digest),
        )?));
    };
    let client = config
        .client_by_id(tx, &flow.client_id)?
        .filter(|client| client.enabled);
    let Some(client) = client else {
        return Ok(Err(plain.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("client-disabled"),
            None,
        )));
    };
    let languages = (flow.request.ui_locales.as_deref(), &visit.reader);
    let face = Face::of(engine, &config, languages);
    Ok(Ok(Stage {
        config,
        client,
        face,
        cookies,
        flow,
    }))
}

/// Asks the dispatcher.
pub(super) fn decide(
    tx: &mut Tx<'_>,
    (engine, config, client): (&Engine, &Arc<RealmConfig>, &Arc<Client>),
    browser: &Browser,
    (peer, interactive): (&Peer, bool),
    flow: &mut Flow,
) -> Result<(Next, SessionCookie), StoreError> {
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    let session_cookie = browser.session(&cookies);
    let device_cookie = browser.devices(&cookies);
    let scene = Scene {
        engine,
        config,
        client,
        session_cookie: session_cookie.as_deref(),
        device_cookie: device_cookie.as_deref(),
        ip_address: &peer.ip_address,
        interactive,
    };
    next::next(tx, &scene, flow)
}

/// Asks the dispatcher, stores what it changed, and answers.
pub(super) fn go_on(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (stage, at): (&mut Stage, Where),
) -> Result<Reply, StoreError> {
    let before = (
        stage.flow.session_id.clone(),
        stage.flow.proof.is_some(),
        stage.flow.flash.clone(),
    );
    let ended = stage.flow.finished_at.is_some();
    let is_nobodys = stage.flow.user_id.is_none() && stage.flow.flash.is_none();
    // A remembered session comes back without the session's own cookie.
    let may_have_a_session = visit.browser.session(&stage.cookies).is_some()
        || visit.browser.remember(&stage.cookies).is_some();
    if at == Where::Elsewhere && is_nobodys && may_have_a_session {
        // A form that is not looked at any more. Who sent it is perhaps not whose session the browser has by now.
        stage.flow.flash = Some(Flash::notice("re-authenticate").tried_by(""));
    }
    let decided = decide(
        tx,
        (engine, &stage.config, &stage.client),
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    let after = (
        stage.flow.session_id.clone(),
        stage.flow.proof.is_some(),
        stage.flow.flash.clone(),
    );
    let finished = !ended && stage.flow.finished_at.is_some();
    let mut decided = decided;
    if (before != after || finished) && !rows::advance(tx, &mut stage.flow)? {
        // Another tab of this flow was faster; what it did stands.
        decided = (Next::Finished, SessionCookie::Keep);
    }
    let with = (&*stage.config, &stage.client);
    Ok(reply(engine, with, &stage.face, &stage.flow, decided, at).cookies(&stage.cookies))
}

/// `continue_uri`: a flow that begins here and ends on a page.
fn begin_without_application(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
) -> Result<Reply, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        let face = Face::plain(engine, &visit.reader);
        return Ok(face.error(
            engine,
            StatusCode::NOT_FOUND,
            Text::key("realm-not-found"),
            None,
        ));
    };
    let face = Face::of(
        engine,
        &config,
        (visit.query.get("ui_locales"), &visit.reader),
    );
    let client = match visit.query.get("client_id") {
        Some(client_id) => config
            .client(tx, client_id)?
            .filter(|client| client.enabled),
        None => None,
    };
    let Some(client) = client.filter(|_| config.realm.enabled) else {
        return Ok(face.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("client-not-found"),
            None,
        ));
    };
    let request = AuthorizationRequest {
        redirect_uri: String::new(),
        scope: String::new(),
        state: None,
        nonce: None,
        code_challenge: None,
        response_mode: ResponseMode::Page,
        prompt_login: false,
        prompt_consent: false,
        max_age: None,
        login_hint: None,
        ui_locales: visit.query.get("ui_locales").map(str::to_owned),
        hinted_user: None,
        kc_action: false,
    };
    start(
        tx,
        (engine, &config, &client),
        &visit.browser,
        (&visit.peer, &face),
        (request, true, Where::Elsewhere),
    )
}

/// `POST …/login-actions/required-action`: what an action's page, or the consent page, submits.
pub async fn post_required_action(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let engine = engine.into_inner();
    let visit = Visit::read(&request, realm.into_inner(), &body, &engine);
    if !same_origin(&request, &engine.public_url) {
        return sign_in::foreign(&engine, &visit);
    }
    let reader = visit.reader.clone();
    let submitted = match submit::submit(Arc::clone(&engine), visit.clone()).await {
        Ok(reply) => once_more::judged(Arc::clone(&engine), visit, reply).await,
        Err(error) => Err(error),
    };
    match submitted {
        Ok(reply) => {
            engine.mailer.wake();
            reply.into_response()
        }
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// Stores the flow one step on and answers; a slower twin of the same submit gets the page for what is done, unless it
/// brings a proof of its own.
pub(super) fn finish(
    tx: &mut Tx<'_>,
    engine: &Engine,
    stage: &mut Stage,
    (next, cookie): (Next, SessionCookie),
    browser: Option<String>,
) -> Result<Reply, StoreError> {
    let mut decided = (next, cookie);
    let overtaken = !rows::advance(tx, &mut stage.flow)?;
    if overtaken {
        decided = (Next::Finished, SessionCookie::Keep);
    }
    let with = (&*stage.config, &stage.client);
    let mut reply = reply(
        engine,
        with,
        &stage.face,
        &stage.flow,
        decided,
        Where::Elsewhere,
    );
    reply.browser = browser;
    reply.overtaken = overtaken;
    Ok(reply.cookies(&stage.cookies))
}

/// Gives the browser another flow id at a step of privilege (threat V107); all its flows go with it. `None`: another
/// request was faster, and the flow is that one's.
pub(super) fn rebind(
    tx: &mut Tx<'_>,
    engine: &Engine,
    flow: &mut Flow,
) -> Result<Option<String>, StoreError> {
    let id = engine.entropy.token();
    let digest = sha256_base64(id.as_bytes());
    if !rows::rebind(tx, &flow.browser_digest, &digest)? {
        return Ok(None);
    }
    flow.browser_digest = digest;
    Ok(Some(id))
}
