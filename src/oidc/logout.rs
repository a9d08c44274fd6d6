//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0): asks before it signs anybody out, unless the
//! application proves by an ID token of this very session that it may. A client that posts a refresh token is no
//! browser, and is answered by `logout_by_token`.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};

use super::catalog::RealmConfig;
use super::context::{Peer, Reader};
use super::engine::Engine;
use super::form::Form;
use super::issue::verify_hint;
use super::logout_by_token;
use super::remembered;
use super::show::{Face, Reply, store_failed};
use super::steps::Browser;
use super::texts;
use super::token::form_of;
use crate::client::{Client, redirect};
use crate::flow;
use crate::kernel::sha256_base64;
use crate::session::{self, Session};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user;
use crate::web::cookie::Cookies;
use crate::web::headers::same_origin;
use crate::web::pages::Logout;
use crate::web::texts::Text;

/// `GET …/protocol/openid-connect/logout`.
pub async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let form = Form::parse(request.query_string().as_bytes());
    answer(
        &request,
        realm.into_inner(),
        form,
        engine.into_inner(),
        false,
    )
    .await
}

/// `POST …/protocol/openid-connect/logout`: the same by a form, and the confirmation of our own page.
pub async fn post(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    match form_of(&request, &body) {
        Ok(form) if form.has("refresh_token") => {
            let (realm, engine) = (realm.into_inner(), engine.into_inner());
            return logout_by_token::answer(&request, realm, form, engine).await;
        }
        Err(error) if Form::parse(&body).has("refresh_token") => return error.response(),
        Ok(_) | Err(_) => {}
    }
    let posted = Form::posted(request.content_type(), &body);
    let confirmed = posted.has("confirmLogout") && same_origin(&request, &engine.public_url);
    // Our own page posts its button and token, and what the application asked for stays in the query.
    let form = if confirmed {
        posted.over(Form::parse(request.query_string().as_bytes()))
    } else {
        posted
    };
    answer(
        &request,
        realm.into_inner(),
        form,
        engine.into_inner(),
        confirmed,
    )
    .await
}

async fn answer(
    request: &HttpRequest,
    realm: String,
    form: Form,
    engine: Arc<Engine>,
    confirmed: bool,
) -> HttpResponse {
    let reader = Reader::of(request);
    let visit = Visit {
        browser: Browser::new(request),
        peer: Peer::of(request, &engine),
        reader: reader.clone(),
        form,
        realm,
        confirmed,
    };
    let shared = Arc::clone(&engine);
    match engine
        .store
        .run(move |store| store.tx(|tx| visit.logout(tx, &shared)))
        .await
    {
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
    confirmed: bool,
}

/// What the application asked for, as far as it holds.
struct Asked {
    client: Option<Arc<Client>>,
    /// The session that the hint names.
    hinted: Option<Session>,
    had_hint: bool,
    target: Option<String>,
}

impl Visit {
    fn logout(&self, tx: &mut Tx<'_>, engine: &Engine) -> Result<Reply, StoreError> {
        let Some(config) = engine.catalog.current(tx, &self.realm)? else {
            let face = Face::plain(engine, &self.reader);
            return Ok(face.error(
                engine,
                StatusCode::NOT_FOUND,
                Text::key("realm-not-found"),
                None,
            ));
        };
        let face = Face::of(engine, &config, (self.form.get("ui_locales"), &self.reader));
        if !config.realm.enabled {
            let text = Text::plain("Realm not enabled");
            return Ok(face.error(engine, StatusCode::BAD_REQUEST, text, None));
        }
        let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
        let asked = match self.asked(tx, engine, &config)? {
            Ok(asked) => asked,
            Err(text) => return Ok(face.error(engine, StatusCode::BAD_REQUEST, text, None)),
        };
        let (cookie, current) = self.current(tx, &config, &cookies)?;
        let token = cookie
            .as_deref()
            .map(|secret| form_token(engine, secret))
            .unwrap_or_default();
        let confirmed = self.confirmed && !token.is_empty() && same(self.form.text("flow"), &token);
        let proven = match (&asked.hinted, &current) {
            (Some(hinted), Some(current)) => hinted.id == current.id,
            // No cookie of ours, or the session behind it is over: the hint alone ends what it names.
            (_, None) => asked.had_hint,
            (None, Some(_)) => false,
        };
        // Whoever confirms without a session has nothing left to end, and hears so instead of being asked again.
        let idle = !asked.had_hint && asked.target.is_none() && !self.confirmed;
        if current.is_some() && !(confirmed || proven) || current.is_none() && idle {
            let account = match &current {
                Some(session) => user::rows::by_id(tx, &session.user_id)?.map(|user| user.username),
                None => None,
            };
            let page = Logout {
                action: self.again(&config),
                flow: token,
                account,
            };
            let back = asked.target.as_deref().and_then(redirect::csp_source);
            return Ok(face.page_to(engine, &page, back));
        }
        for session in current.iter().chain(asked.hinted.iter()) {
            end(tx, engine, &config, session, (None, &self.peer))?;
        }
        if let Some(browser) = self.browser.id(&cookies) {
            // Whoever is told to have signed out has, in every tab of this browser.
            flow::rows::forget_browser(tx, &sha256_base64(browser.as_bytes()))?;
        }
        let mut reply = match &asked.target {
            Some(target) => self.leave(&face, engine, target, &asked),
            None => face.message(engine, "signed-out-title", "signed-out"),
        };
        reply.clear_session = cookie.is_some();
        Ok(reply.cookies(&cookies))
    }

    /// What the browser brought, and the session behind it: also one that it has forgotten and would bring back.
    fn current(
        &self,
        tx: &mut Tx<'_>,
        config: &RealmConfig,
        cookies: &Cookies,
    ) -> Result<(Option<String>, Option<Session>), StoreError> {
        let own = self.browser.session(cookies);
        if let Some(secret) = &own {
            let digest = sha256_base64(secret.as_bytes());
            let session = session::rows::by_cookie(tx, &config.realm.id, &digest)?;
            if session.is_some() {
                return Ok((own, session));
            }
        }
        let Some(secret) = self.browser.remember(cookies) else {
            return Ok((own, None));
        };
        let found = remembered::find(tx, &config.realm, &secret)?;
        let session =
            found.and_then(|(session, stored)| stored.used_at.is_none().then_some(session));
        Ok((Some(secret), session))
    }

    /// Checks client, hint and redirect URI. The redirect happens only to a registered URI of a known client.
    fn asked(
        &self,
        tx: &mut Tx<'_>,
        engine: &Engine,
        config: &Arc<RealmConfig>,
    ) -> Result<Result<Asked, Text>, StoreError> {
        let now = tx.now()?;
        let hint = match self.form.get("id_token_hint") {
            Some(text) => match verify_hint(config, text, now) {
                Some(token) => Some(token),
                None => return Ok(Err(texts::parameter("id_token_hint"))),
            },
            None => None,
        };
        let named = self.form.get("client_id");
        if let (Some(hint), Some(named)) = (&hint, named)
            && hint.client_id != named
        {
            return Ok(Err(texts::parameter("id_token_hint")));
        }
        let client = match hint.as_ref().map(|hint| hint.client_id.as_str()).or(named) {
            Some(client_id) => config.client(tx, client_id)?,
            None => None,
        };
        let hinted = match hint.as_ref().and_then(|hint| hint.session.as_ref()) {
            Some(sid) => session::rows::by_id(tx, sid)?.filter(|session| {
                hint.as_ref()
                    .is_some_and(|hint| hint.user == session.user_id)
            }),
            None => None,
        };
        let target = match self.form.get("post_logout_redirect_uri") {
            None => None,
            Some(uri) => {
                let Some(client) = &client else {
                    return Ok(Err(
                        Text::key("missing-parameters").with("name", "id_token_hint")
                    ));
                };
                // A client may be switched off because somebody else has its domain now.
                if !client.enabled {
                    return Ok(Err(Text::key("client-disabled")));
                }
                if !registered(client, uri, &engine.public_url) {
                    return Ok(Err(Text::key("invalid-redirect-uri")));
                }
                Some(uri.to_owned())
            }
        };
        Ok(Ok(Asked {
            had_hint: hint.is_some(),
            client,
            hinted,
            target,
        }))
    }

    /// This request once more, for the form of the confirmation page.
    fn again(&self, config: &RealmConfig) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in [
            "client_id",
            "post_logout_redirect_uri",
            "state",
            "ui_locales",
        ] {
            if let Some(value) = self.form.get(name) {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        let separator = if query.is_empty() { "" } else { "?" };
        format!(
            "{}/protocol/openid-connect/logout{separator}{query}",
            config.issuer
        )
    }

    fn leave(&self, face: &Face, engine: &Engine, target: &str, asked: &Asked) -> Reply {
        let mut parameters = Vec::new();
        if let Some(state) = self.form.get("state") {
            parameters.push(("state", state));
        }
        let app = asked
            .client
            .as_ref()
            .map_or("", |client| client.display_name());
        if parameters.is_empty() {
            return Reply::see_other(target.to_owned());
        }
        face.respond(
            engine,
            (target, crate::flow::ResponseMode::Query, app),
            &parameters,
        )
    }
}

/// Ends a session with all that was issued in it, and what its person has proved in flows that are not over.
/// `client_id` is the client that wished it by itself.
pub(super) fn end(
    tx: &mut Tx<'_>,
    engine: &Engine,
    config: &RealmConfig,
    session: &Session,
    (client_id, peer): (Option<&str>, &Peer),
) -> Result<(), StoreError> {
    if !session::rows::delete(tx, &session.id)? {
        return Ok(());
    }
    flow::rows::forget_person(tx, &session.user_id)?;
    let now = tx.now()?;
    let mut event = Event::new(&config.realm.id, "LOGOUT")
        .user(&session.user_id)
        .session(&session.id)
        .from(&peer.ip_address);
    event.client_id = client_id.map(str::to_owned);
    events::record(tx, &engine.entropy, now, event)
}

/// Whether the client has registered the URI for this purpose: attribute `post.logout.redirect.uris`, entries joined
/// by `##`, `+` for the redirect URIs.
fn registered(client: &Client, uri: &str, public_url: &str) -> bool {
    if client.settings.bearer_only || !client.speaks_openid() {
        return false;
    }
    let root = client.settings.root_url.as_deref();
    let by_login = || redirect::matches(&client.settings.redirect_uris, uri, root, public_url);
    match client.attribute("post.logout.redirect.uris") {
        None => by_login(),
        Some(list) => list.split("##").any(|entry| match entry {
            "+" => by_login(),
            "-" => false,
            entry => redirect::matches(&[entry.to_owned()], uri, root, public_url),
        }),
    }
}

/// The token of the account's forms and of the confirmation, bound to the session's cookie.
pub(super) fn form_token(engine: &Engine, secret: &str) -> String {
    let mac = engine.keyring.digest("logout-form", secret.as_bytes());
    sha256_base64(&mac)
}

/// Whether a token is that one, in a time that does not tell how much of it is right.
pub(super) fn same(one: &str, two: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), two.as_bytes()).is_ok()
}
