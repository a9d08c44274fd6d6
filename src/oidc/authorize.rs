//! The authorization endpoint (OpenID Connect Core 3.1.2): checks a request, parks it, and asks the dispatcher.
//!
//! An error goes to the application only after client and redirect URI were verified; before that it is a page.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::catalog::RealmConfig;
use super::context::{Peer, Reader};
use super::engine::Engine;
use super::form::{Fault, Form};
use super::issue::verify_hint;
use super::next::SessionCookie;
use super::remembered;
use super::reply::reply;
use super::scope::Scope;
use super::show::{Face, Reply, store_failed};
use super::steps::{self, Browser, Where};
use super::texts;
use crate::client::Client;
use crate::flow::{AuthorizationRequest, Flow, ResponseMode};
use crate::kernel::sha256_base64;
use crate::store::{StoreError, Tx};
use crate::user;
use crate::web::cookie::Cookies;
use crate::web::texts::Text;

/// The longest `state`, `nonce` and `scope` (reliability H014), in bytes.
const LONGEST: usize = 2048;

/// `GET …/protocol/openid-connect/auth`.
pub async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let form = Form::parse(request.query_string().as_bytes());
    answer(&request, realm.into_inner(), form, engine.into_inner()).await
}

/// `POST …/protocol/openid-connect/auth`: the same parameters in a form.
pub async fn post(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    answer(
        &request,
        realm.into_inner(),
        Form::parse(&body),
        engine.into_inner(),
    )
    .await
}

async fn answer(
    request: &HttpRequest,
    realm: String,
    form: Form,
    engine: Arc<Engine>,
) -> HttpResponse {
    let visit = Visit {
        reader: Reader::of(request),
        browser: Browser::new(request),
        peer: Peer::of(request, &engine),
        form,
        realm,
    };
    let store = engine.store.clone();
    let reader = visit.reader.clone();
    let shared = Arc::clone(&engine);
    let result = store
        .run(move |store| store.tx(|tx| visit.authorize(tx, &shared)))
        .await;
    match result {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

struct Visit {
    realm: String,
    form: Form,
    browser: Browser,
    peer: Peer,
    reader: Reader,
}

/// A request that goes back to the application with an error.
struct Failure {
    error: &'static str,
    description: Option<String>,
}

impl Failure {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            error,
            description: Some(description.into()),
        }
    }

    fn bare(error: &'static str) -> Self {
        Self {
            error,
            description: None,
        }
    }
}

impl Visit {
    fn authorize(&self, tx: &mut Tx<'_>, engine: &Engine) -> Result<Reply, StoreError> {
        let languages = (self.form.get("ui_locales"), &self.reader);
        let Some(config) = engine.catalog.current(tx, &self.realm)? else {
            let face = Face::plain(engine, &self.reader);
            return Ok(face.error(
                engine,
                StatusCode::NOT_FOUND,
                Text::key("realm-not-found"),
                None,
            ));
        };
        let face = Face::of(engine, &config, languages);
        let refuse = |status, text| Ok(face.error(engine, status, text, None));
        if !config.realm.enabled {
            return refuse(StatusCode::BAD_REQUEST, Text::plain("Realm not enabled"));
        }
        let faulty = self.form.faulty();
        let Some(client_id) = self
            .form
            .get("client_id")
            .filter(|_| faulty != Some("client_id"))
        else {
            return refuse(StatusCode::BAD_REQUEST, Text::key("invalid-request"));
        };
        let Some(client) = config.client(tx, client_id)? else {
            return refuse(StatusCode::BAD_REQUEST, Text::key("client-not-found"));
        };
        if !client.enabled {
            return refuse(StatusCode::BAD_REQUEST, Text::key("client-disabled"));
        }
        if client.settings.bearer_only {
            return refuse(StatusCode::FORBIDDEN, Text::key("client-bearer-only"));
        }
        if !client.speaks_openid() {
            let text = Text::plain("Wrong client protocol.");
            return refuse(StatusCode::BAD_REQUEST, text);
        }
        let uri = self
            .form
            .get("redirect_uri")
            .filter(|_| faulty != Some("redirect_uri"))
            .filter(|uri| client.redirects_to(uri, &engine.public_url));
        let Some(redirect_uri) = uri else {
            let back = client.home(&engine.public_url);
            return Ok(face.error(
                engine,
                StatusCode::BAD_REQUEST,
                texts::parameter("redirect_uri"),
                back.as_deref(),
            ));
        };
        if self
            .form
            .get("max_age")
            .is_some_and(|text| text.parse::<i64>().is_err())
        {
            return refuse(StatusCode::BAD_REQUEST, Text::key("invalid-request"));
        }
        match self.check(&config, &client, redirect_uri) {
            Ok(request) => self.park(tx, (engine, &config, &client), &face, request),
            Err(failure) => {
                let mode = response_mode(&self.form).unwrap_or(ResponseMode::Query);
                let state = self.form.get("state").filter(|_| faulty != Some("state"));
                Ok(respond_error(
                    &face,
                    engine,
                    &config,
                    (redirect_uri, mode, client.display_name()),
                    state,
                    &failure,
                ))
            }
        }
    }

    /// The parameters that the application is told about.
    fn check(
        &self,
        config: &RealmConfig,
        client: &Client,
        redirect_uri: &str,
    ) -> Result<AuthorizationRequest, Failure> {
        let form = &self.form;
        let invalid =
            |name: &str| Failure::new("invalid_request", format!("Invalid parameter: {name}"));
        if let Some(fault) = form.fault() {
            let why = match fault {
                Fault::Twice => "duplicated parameter",
                Fault::Nul => "A parameter holds the character U+0000",
            };
            return Err(Failure::new("invalid_request", why));
        }
        if form.has("request") {
            return Err(Failure::bare("request_not_supported"));
        }
        if form.has("request_uri") {
            return Err(Failure::bare("request_uri_not_supported"));
        }
        let response_mode = response_mode(form).ok_or_else(|| invalid("response_mode"))?;
        match form.get("response_type") {
            None => {
                return Err(Failure::new(
                    "invalid_request",
                    "Missing parameter: response_type",
                ));
            }
            Some("code") => {}
            Some(_) => return Err(Failure::bare("unsupported_response_type")),
        }
        if !client.settings.standard_flow_enabled {
            return Err(Failure::new(
                "unauthorized_client",
                "Client is not allowed to initiate browser login with given response_type. \
                 Standard flow is disabled for the client.",
            ));
        }
        for name in ["state", "nonce", "scope"] {
            if form.get(name).is_some_and(|text| text.len() > LONGEST) {
                return Err(invalid(name));
            }
        }
        let scope = Scope::parse(config, client, form.get("scope").unwrap_or_default())
            .map_err(|error| Failure::new("invalid_scope", error.to_string()))?;
        let code_challenge = pkce(form, client)?;
        let prompts: Vec<&str> = form
            .get("prompt")
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect();
        if prompts.contains(&"none") && prompts.len() > 1 {
            return Err(invalid("prompt"));
        }
        Ok(AuthorizationRequest {
            redirect_uri: redirect_uri.to_owned(),
            scope: scope.to_text(),
            state: form.get("state").map(str::to_owned),
            nonce: form.get("nonce").map(str::to_owned),
            code_challenge,
            response_mode,
            prompt_login: prompts.contains(&"login"),
            prompt_consent: prompts.contains(&"consent"),
            max_age: form
                .get("max_age")
                .and_then(|text| text.parse::<i64>().ok())
                .map(|age| age.max(0)),
            login_hint: form
                .get("login_hint")
                .map(|hint| hint.chars().take(255).collect()),
            ui_locales: form
                .get("ui_locales")
                .map(|tags| tags.chars().take(255).collect()),
            hinted_user: None,
            kc_action: form.get("kc_action").is_some(),
        })
    }

    /// Whom the `id_token_hint` names. One that is no ID token of this realm says nothing, as in Keycloak.
    fn read_hint(
        &self,
        tx: &mut Tx<'_>,
        config: &RealmConfig,
        request: &mut AuthorizationRequest,
    ) -> Result<(), StoreError> {
        let now = tx.now()?;
        let hint = self.form.get("id_token_hint");
        let Some(hint) = hint.and_then(|text| verify_hint(config, text, now)) else {
            return Ok(());
        };
        if request.login_hint.is_none() {
            request.login_hint = user::rows::by_id(tx, &hint.user)?.map(|user| user.username);
        }
        request.hinted_user = Some(hint.user);
        Ok(())
    }

    /// Parks the request and lets the dispatcher decide; only a flow that needs a page is stored.
    fn park(
        &self,
        tx: &mut Tx<'_>,
        (engine, config, client): (&Engine, &Arc<RealmConfig>, &Arc<Client>),
        face: &Face,
        mut request: AuthorizationRequest,
    ) -> Result<Reply, StoreError> {
        self.read_hint(tx, config, &mut request)?;
        let interactive = self.form.get("prompt") != Some("none");
        start(
            tx,
            (engine, config, client),
            &self.browser,
            (&self.peer, face),
            (request, interactive, Where::Authorize),
        )
    }
}

/// Starts a flow for a request, at whatever step the dispatcher says: shown here if this is its place.
pub(super) fn start(
    tx: &mut Tx<'_>,
    (engine, config, client): (&Engine, &Arc<RealmConfig>, &Arc<Client>),
    browser: &Browser,
    (peer, face): (&Peer, &Face),
    (request, interactive, at): (AuthorizationRequest, bool, Where),
) -> Result<Reply, StoreError> {
    let now = tx.now()?;
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    let known = browser.id(&cookies);
    let id = known.unwrap_or_else(|| engine.entropy.token());
    let mut flow = Flow {
        id: engine.entropy.short_id(),
        realm_id: config.realm.id.clone(),
        client_id: client.id.clone(),
        browser_digest: sha256_base64(id.as_bytes()),
        request,
        step: 0,
        user_id: None,
        proof: None,
        remember_me: false,
        session_id: None,
        link_id: None,
        consented: false,
        flash: None,
        finished_at: None,
        created_at: now,
        expires_at: now.plus_seconds(config.realm.settings.access_code_lifespan_login),
    };
    let with = (engine, &**config, &cookies);
    let brought = remembered::bring_back(tx, with, browser, &peer.ip_address)?;
    let known = match &brought {
        SessionCookie::Set(secret, _) => &browser.with_session(&cookies, secret),
        SessionCookie::Keep => browser,
    };
    let mut decided = steps::decide(
        tx,
        (engine, config, client),
        known,
        (peer, interactive),
        &mut flow,
    )?;
    if matches!(decided.1, SessionCookie::Keep) {
        decided.1 = brought;
    }
    if flow.finished_at.is_none() && interactive {
        crate::flow::rows::insert(tx, &flow)?;
    }
    let mut reply = reply(engine, (config, client), face, &flow, decided, at);
    // Sent each time: a browser that is in use is known for half an hour more.
    reply.browser = Some(id);
    Ok(reply.cookies(&cookies))
}

fn respond_error(
    face: &Face,
    engine: &Engine,
    config: &RealmConfig,
    target: (&str, ResponseMode, &str),
    state: Option<&str>,
    failure: &Failure,
) -> Reply {
    let mut parameters = vec![("error", failure.error)];
    if let Some(description) = &failure.description {
        parameters.push(("error_description", description));
    }
    if let Some(state) = state {
        parameters.push(("state", state));
    }
    parameters.push(("iss", &config.issuer));
    face.respond(engine, target, &parameters)
}

fn response_mode(form: &Form) -> Option<ResponseMode> {
    match form.get("response_mode") {
        None | Some("query") => Some(ResponseMode::Query),
        Some("fragment") => Some(ResponseMode::Fragment),
        Some("form_post") => Some(ResponseMode::FormPost),
        Some(_) => None,
    }
}

/// PKCE: S256 or nothing, and nothing only where the client may (RFC 7636 section 4.3, standards S006, S008).
fn pkce(form: &Form, client: &Client) -> Result<Option<String>, Failure> {
    let missing =
        |name: &str| Failure::new("invalid_request", format!("Missing parameter: {name}"));
    let invalid =
        |text: &str| Failure::new("invalid_request", format!("Invalid parameter: {text}"));
    match (
        form.get("code_challenge"),
        form.get("code_challenge_method"),
    ) {
        (None, None) if client.requires_pkce() => Err(missing("code_challenge_method")),
        (None, None) => {
            if client.settings.public_client {
                tracing::warn!(
                    client = client.client_id,
                    "a public client signs people in without PKCE, by its attribute insecure.pkce.optional"
                );
            }
            Ok(None)
        }
        (None, Some(_)) => Err(missing("code_challenge")),
        (Some(challenge), Some("S256")) => {
            let base64url = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if challenge.len() == 43 && challenge.chars().all(base64url) {
                Ok(Some(challenge.to_owned()))
            } else {
                Err(invalid("code_challenge"))
            }
        }
        (Some(_), None | Some("plain")) if client.requires_pkce() => Err(invalid(
            "code challenge method is not matching the configured one",
        )),
        (Some(_), _) => Err(invalid("code_challenge_method")),
    }
}
