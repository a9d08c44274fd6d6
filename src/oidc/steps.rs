//! The steps of a browser below `login-actions/`: every POST changes something and answers 303 to a GET, every GET
//! asks the dispatcher and shows what it says.
//!
//! The flow is found by the handle in the form or the query, and only together with its browser's cookie (threat
//! V003); the path and its `execution` are labels that scripted browsers choose by, and decide nothing.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use super::authorize::{language, start};
use super::catalog::RealmConfig;
use super::context::Peer;
use super::engine::Engine;
use super::form::Form;
use super::next::{self, Next, Scene, SessionCookie};
use super::show::{Face, Reply, store_failed};
use super::{mailed_code, screens};
use super::{submit, token};
use crate::client::Client;
use crate::flow::{AuthorizationRequest, Flash, Flow, FlowProof, ResponseMode, rows};
use crate::kernel::sha256_base64;
use crate::login::password::{self, Attempt, Proved, Refusal};
use crate::password::PasswordHash;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::name::name_key;
use crate::web::cookie::Cookies;
use crate::web::headers::same_origin;
use crate::web::texts::Text;

/// The label of the consent page in a step's URL.
const CONSENT: &str = "OAUTH_GRANT";

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
        let found = self
            .cookies
            .iter()
            .find(|(known, value)| known == name && !value.is_empty() && value.len() <= 128);
        found.map(|(_, value)| value.clone())
    }

    /// The browser's flow id.
    pub fn id(&self, cookies: &Cookies) -> Option<String> {
        self.get(&cookies.name("flow"))
    }

    /// The browser's session secret.
    pub fn session(&self, cookies: &Cookies) -> Option<String> {
        self.get(&cookies.name("sid"))
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
    pub(super) accept_language: Option<String>,
}

impl Visit {
    fn read(request: &HttpRequest, realm: String, body: &[u8], engine: &Engine) -> Self {
        Self {
            realm,
            query: Form::parse(request.query_string().as_bytes()),
            form: Form::posted(request.content_type(), body),
            browser: Browser::new(request),
            peer: Peer::of(request, engine),
            accept_language: language(request),
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
    /// After a POST: nothing is shown here.
    Posted,
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
    let accept_language = visit.accept_language.clone();
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
        Err(error) => store_failed(&engine, accept_language.as_deref(), &error),
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
        let face = Face::plain(engine, visit.accept_language.as_deref());
        return Ok(Err(face.error(
            engine,
            StatusCode::NOT_FOUND,
            Text::key("realm-not-found"),
            None,
        )));
    };
    let plain = Face::of(engine, &config, (None, visit.accept_language.as_deref()));
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
        return Ok(Err(plain.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("action-expired"),
            None,
        )));
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
    let languages = (
        flow.request.ui_locales.as_deref(),
        visit.accept_language.as_deref(),
    );
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
    let scene = Scene {
        engine,
        config,
        client,
        session_cookie: session_cookie.as_deref(),
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

/// The URL of a step.
fn step_url(
    config: &RealmConfig,
    client: &Client,
    flow: &Flow,
    (page, execution): (&str, Option<&str>),
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(execution) = execution {
        query.append_pair("execution", execution);
    }
    query
        .append_pair("client_id", &client.client_id)
        .append_pair("tab_id", &flow.id);
    format!("{}/login-actions/{page}?{}", config.issuer, query.finish())
}

/// A decision as a reply: shown here if this is its place, else by a redirect to its place.
pub(super) fn reply(
    engine: &Engine,
    (config, client): (&RealmConfig, &Arc<Client>),
    face: &Face,
    flow: &Flow,
    (next, session): (Next, SessionCookie),
    at: Where,
) -> Reply {
    let to = |page: (&str, Option<&str>)| step_url(config, client, flow, page);
    let set = (engine, config, &**client, face);
    let mut reply = match next {
        Next::SignIn { again } => {
            if at == Where::Authorize || at == Where::Authenticate {
                screens::sign_in(set, flow, again, to(("authenticate", None)))
            } else {
                Reply::see_other(to(("authenticate", None)))
            }
        }
        Next::Act(act) => {
            let url = to(("required-action", Some(&act.action)));
            if at == Where::RequiredAction {
                screens::action(set, flow, &act, url)
            } else {
                Reply::see_other(url)
            }
        }
        Next::Consent { scopes } => {
            let url = to(("required-action", Some(CONSENT)));
            if at == Where::RequiredAction {
                screens::consent(set, flow, &scopes, url)
            } else {
                Reply::see_other(url)
            }
        }
        Next::Code(code) => {
            let mut parameters = Vec::new();
            if let Some(state) = &flow.request.state {
                parameters.push(("state", state.as_str()));
            }
            if let Some(session) = &flow.session_id {
                parameters.push(("session_state", session.as_str()));
            }
            parameters.push(("iss", config.issuer.as_str()));
            parameters.push(("code", code.as_str()));
            face.respond(engine, target(flow, client), &parameters)
        }
        Next::Done => face.message(engine, "all-done-title", "all-done"),
        Next::Refused(error) => refused(engine, config, face, (flow, client), error),
        Next::Stopped("account-disabled") => face.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("account-disabled"),
            None,
        ),
        Next::Stopped(_) => face.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("action-expired"),
            None,
        ),
        Next::Finished => face.message(engine, "already-done-title", "already-done"),
    };
    reply.session = session;
    reply
}

fn target<'a>(flow: &'a Flow, client: &'a Client) -> (&'a str, ResponseMode, &'a str) {
    (
        &flow.request.redirect_uri,
        flow.request.response_mode,
        client.display_name(),
    )
}

/// An error to the application.
fn refused(
    engine: &Engine,
    config: &RealmConfig,
    face: &Face,
    (flow, client): (&Flow, &Client),
    error: &'static str,
) -> Reply {
    let mut parameters = vec![("error", error)];
    if let Some(state) = &flow.request.state {
        parameters.push(("state", state.as_str()));
    }
    parameters.push(("iss", config.issuer.as_str()));
    face.respond(engine, target(flow, client), &parameters)
}

/// The person said no: the flow ends with `access_denied`.
pub(super) fn decline(
    tx: &mut Tx<'_>,
    engine: &Engine,
    stage: &mut Stage,
) -> Result<Reply, StoreError> {
    stage.flow.finished_at = Some(tx.now()?);
    if !rows::advance(tx, &mut stage.flow)? {
        return Ok(stage
            .face
            .message(engine, "already-done-title", "already-done"));
    }
    if stage.flow.request.response_mode == ResponseMode::Page {
        return Ok(stage
            .face
            .message(engine, "refused-title", "terms-declined"));
    }
    Ok(refused(
        engine,
        &stage.config,
        &stage.face,
        (&stage.flow, &stage.client),
        "access_denied",
    ))
}

/// `continue_uri`: a flow that begins here and ends on a page.
fn begin_without_application(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
) -> Result<Reply, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        let face = Face::plain(engine, visit.accept_language.as_deref());
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
        (
            visit.query.get("ui_locales"),
            visit.accept_language.as_deref(),
        ),
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
    };
    start(
        tx,
        (engine, &config, &client),
        &visit.browser,
        (&visit.peer, &face),
        (request, true),
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
        return foreign(&engine, &visit);
    }
    let accept_language = visit.accept_language.clone();
    match submit::submit(Arc::clone(&engine), visit).await {
        Ok(reply) => {
            engine.mailer.wake();
            reply.into_response()
        }
        Err(error) => store_failed(&engine, accept_language.as_deref(), &error),
    }
}

/// A form that was not posted by a page of ours.
fn foreign(engine: &Engine, visit: &Visit) -> HttpResponse {
    let face = Face::plain(engine, visit.accept_language.as_deref());
    face.error(
        engine,
        StatusCode::FORBIDDEN,
        Text::key("action-expired"),
        None,
    )
    .into_response()
}

/// `POST …/login-actions/authenticate`: name and password.
pub async fn post_authenticate(
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
    let accept_language = visit.accept_language.clone();
    match authenticate(Arc::clone(&engine), visit).await {
        Ok(response) => response,
        Err(error) => store_failed(&engine, accept_language.as_deref(), &error),
    }
}

/// What the first transaction of a sign-in found out.
enum Begun {
    Answered(Box<Reply>),
    Try(Box<Attempt>, String),
}

async fn authenticate(engine: Arc<Engine>, visit: Visit) -> Result<HttpResponse, StoreError> {
    let shown = visit.form.text("username").trim().to_owned();
    let _turn = engine
        .turnstile
        .enter(&visit.realm, &name_key(&shown))
        .await;
    let begun = {
        let (engine, visit) = (Arc::clone(&engine), visit.clone());
        engine
            .store
            .clone()
            .run(move |store| store.tx(|tx| begin(tx, &engine, &visit)))
            .await?
    };
    let (attempt, username) = match begun {
        Begun::Answered(reply) => return Ok(reply.into_response()),
        Begun::Try(attempt, username) => (attempt, username),
    };
    let checked = match token::check(&engine, visit.form.text("password"), attempt.stored()).await {
        Ok(checked) => checked,
        Err(_) => return Err(StoreError::Busy),
    };
    let shared = Arc::clone(&engine);
    let reply = engine
        .store
        .run(move |store| {
            store.tx(|tx| {
                let rehashed = checked.rehashed.as_ref().map(PasswordHash::as_str);
                conclude(
                    tx,
                    &shared,
                    &visit,
                    (*attempt, username),
                    (checked.matches, rehashed),
                )
            })
        })
        .await?;
    Ok(reply.into_response())
}

fn begin(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Begun, StoreError> {
    let posted = visit.form.text("flow");
    let mut stage = match stage(tx, engine, visit, Flow::handle_of(posted))? {
        Ok(stage) => stage,
        Err(reply) => return Ok(Begun::Answered(Box::new(reply))),
    };
    let answered = |reply| Ok(Begun::Answered(Box::new(reply)));
    if !stage.flow.accepts(&engine.keyring, posted) {
        return answered(go_on(tx, engine, visit, (&mut stage, Where::Posted))?);
    }
    let with = (engine, &stage.config, &stage.client);
    let (next, cookie) = decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    let Next::SignIn { again } = next else {
        // Signed in meanwhile, in another tab: go on from there.
        return answered(finish(tx, engine, &mut stage, (next, cookie), None)?);
    };
    let username = again.unwrap_or_else(|| {
        visit
            .form
            .text("username")
            .trim()
            .chars()
            .take(255)
            .collect()
    });
    let origin = visit.peer.origin(&stage.client.client_id);
    let attempt = password::begin(tx, &stage.config.realm, &username, &origin)?;
    Ok(Begun::Try(Box::new(attempt), username))
}

fn conclude(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (attempt, username): (Attempt, String),
    (matches, rehashed): (bool, Option<&str>),
) -> Result<Reply, StoreError> {
    let posted = visit.form.text("flow");
    let mut stage = match stage(tx, engine, visit, Flow::handle_of(posted))? {
        Ok(stage) => stage,
        Err(reply) => return Ok(reply),
    };
    let origin = visit.peer.origin(&stage.client.client_id);
    let with = (&stage.config.realm, &origin, &engine.entropy);
    let proved = password::conclude(tx, with, attempt, matches, rehashed)?;
    if !stage.flow.accepts(&engine.keyring, posted) {
        return go_on(tx, engine, visit, (&mut stage, Where::Posted));
    }
    match proved {
        Ok(proved) => signed_in(tx, engine, visit, (&mut stage, proved)),
        Err(refusal) => {
            let key = match refusal {
                Refusal::Wrong => "invalid-username-or-password",
                Refusal::Disabled => "account-disabled",
                Refusal::TemporaryExpired | Refusal::MailboxOnly => "temporary-password-expired",
            };
            stage.flow.flash = Some(Flash {
                username,
                ..Flash::error("", key)
            });
            rows::advance(tx, &mut stage.flow)?;
            let url = step_url(
                &stage.config,
                &stage.client,
                &stage.flow,
                ("authenticate", None),
            );
            Ok(Reply::see_other(url).cookies(&stage.cookies))
        }
    }
}

/// The person has proved who he is: the browser gets another flow id, and the dispatcher goes on.
fn signed_in(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (stage, proved): (&mut Stage, Proved),
) -> Result<Reply, StoreError> {
    let flow = &mut stage.flow;
    flow.proof = Some(FlowProof {
        at: proved.at,
        amr: "pwd".to_owned(),
        epoch: proved.epoch,
    });
    flow.user_id = Some(proved.user.id.clone());
    flow.session_id = None;
    flow.remember_me = visit.form.has("rememberMe");
    flow.flash = None;
    let browser = rebind(tx, engine, flow)?;
    let with = (engine, &stage.config, &stage.client);
    let (next, cookie) = decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    if let Next::Act(act) = &next {
        let now = tx.now()?;
        let event = Event::new(&stage.config.realm.id, "GATE_OPENED")
            .user(&proved.user.id)
            .client(&stage.client.client_id)
            .from(&visit.peer.ip_address)
            .detail("required_actions", act.waiting.actions.clone());
        events::record(tx, &engine.entropy, now, event)?;
        metrics::counter!("idp_gate_opened_total").increment(1);
    }
    finish(tx, engine, stage, (next, cookie), browser)
}

/// Stores the flow one step on and answers; a slower twin of the same submit gets the page for what is done.
pub(super) fn finish(
    tx: &mut Tx<'_>,
    engine: &Engine,
    stage: &mut Stage,
    (next, cookie): (Next, SessionCookie),
    browser: Option<String>,
) -> Result<Reply, StoreError> {
    let mut decided = (next, cookie);
    if !rows::advance(tx, &mut stage.flow)? {
        decided = (Next::Finished, SessionCookie::Keep);
    }
    let with = (&*stage.config, &stage.client);
    let mut reply = reply(
        engine,
        with,
        &stage.face,
        &stage.flow,
        decided,
        Where::Posted,
    );
    reply.browser = browser;
    Ok(reply.cookies(&stage.cookies))
}

/// Gives the browser another flow id at a step of privilege (threat V107); all its flows go with it.
pub(super) fn rebind(
    tx: &mut Tx<'_>,
    engine: &Engine,
    flow: &mut Flow,
) -> Result<Option<String>, StoreError> {
    let id = engine.entropy.token();
    let digest = sha256_base64(id.as_bytes());
    rows::rebind(tx, &flow.browser_digest, &digest)?;
    flow.browser_digest = digest;
    Ok(Some(id))
}
