//! The sign-in page's submit: name and password, counted, verified outside any transaction, and concluded in one.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::by_link;
use super::engine::Engine;
use super::next::Next;
use super::once_more;
use super::reply::step_url;
use super::show::{Face, Reply, store_failed};
use super::steps::{Stage, Visit, Where, decide, finish, go_on, rebind, stage};
use super::token;
use crate::flow::{Flash, Flow, FlowProof, rows};
use crate::login::password::{self, Attempt, Proved, Refusal};
use crate::password::PasswordHash;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::name::name_key;
use crate::web::cookie::Cookies;
use crate::web::headers::same_origin;
use crate::web::texts::Text;

/// A form that was not posted by a page of ours.
pub(super) fn foreign(engine: &Engine, visit: &Visit) -> HttpResponse {
    let face = Face::plain(engine, &visit.reader);
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
    let reader = visit.reader.clone();
    let judged = match authenticate(Arc::clone(&engine), visit.clone()).await {
        Ok(reply) => once_more::judged(Arc::clone(&engine), visit, reply).await,
        Err(error) => Err(error),
    };
    match judged {
        Ok(reply) => reply.into_response(),
        Err(error) => store_failed(&engine, &reader, &error),
    }
}

/// What the first transaction of a sign-in found out.
enum Begun {
    Answered(Box<Reply>),
    Try(Box<Attempt>, String),
}

/// Judges a name and a password in the flow that the form names.
pub(super) async fn authenticate(engine: Arc<Engine>, visit: Visit) -> Result<Reply, StoreError> {
    let shown = visit.form.text("username").trim().to_owned();
    // A browser that somebody has signed in with waits by itself: whoever crowds a name does not keep its owner out.
    let door = name_key(&shown) + &marks(&engine, &visit).unwrap_or_default();
    let from = visit.peer.network();
    let Some(_turn) = engine.turnstile.enter(&visit.realm, &door, &from).await else {
        return Err(StoreError::Busy);
    };
    let begun = {
        let (engine, visit) = (Arc::clone(&engine), visit.clone());
        engine
            .store
            .clone()
            .run(move |store| store.tx(|tx| begin(tx, &engine, &visit)))
            .await?
    };
    let (attempt, username) = match begun {
        Begun::Answered(reply) => return Ok(*reply),
        Begun::Try(attempt, username) => (attempt, username),
    };
    let checked = match token::check(&engine, visit.form.text("password"), attempt.stored()).await {
        Ok(checked) => checked,
        Err(_) => {
            let store = engine.store.clone();
            store
                .run(move |store| store.tx(|tx| password::give_back(tx, &attempt)))
                .await?;
            return Err(StoreError::Busy);
        }
    };
    let shared = Arc::clone(&engine);
    engine
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
        .await
}

/// The device marks that the browser brought, looked at by nobody yet.
fn marks(engine: &Engine, visit: &Visit) -> Option<String> {
    let config = engine.catalog.cached(&visit.realm)?;
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    visit.browser.devices(&cookies)
}

fn begin(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Begun, StoreError> {
    let posted = visit.form.text("flow");
    let mut stage = match stage(tx, engine, visit, Flow::handle_of(posted))? {
        Ok(stage) => stage,
        Err(reply) => return Ok(Begun::Answered(Box::new(reply))),
    };
    let answered = |reply| Ok(Begun::Answered(Box::new(reply)));
    if !stage.flow.accepts(&engine.keyring, posted) {
        return answered(stale(tx, engine, visit, &mut stage)?);
    }
    let typed = visit.form.text("username").trim();
    let mut username: String = typed.chars().take(255).collect();
    // Who names himself is judged by what he typed, whoever has signed in meanwhile in another tab.
    if username.is_empty() || stage.flow.proof.is_some() || stage.flow.finished_at.is_some() {
        let with = (engine, &stage.config, &stage.client);
        let (next, cookie) = decide(
            tx,
            with,
            &visit.browser,
            (&visit.peer, true),
            &mut stage.flow,
        )?;
        let Next::SignIn { again } = next else {
            return answered(finish(tx, engine, &mut stage, (next, cookie), None)?);
        };
        username = again.unwrap_or(username);
    }
    let origin = visit.peer.origin(&stage.client.client_id);
    let marks = visit.browser.devices(&stage.cookies);
    let marks = marks.as_deref().map(|marks| (&*engine.keyring, marks));
    let attempt = password::begin(tx, &stage.config.realm, &username, &origin, marks)?;
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
        return stale(tx, engine, visit, &mut stage);
    }
    match proved {
        Ok(proved) => signed_in(tx, engine, visit, (&mut stage, proved)),
        Err(refusal) => {
            let forgot = stage.config.realm.settings.reset_password_allowed;
            let key = match refusal {
                Refusal::Wrong => "invalid-username-or-password",
                Refusal::Disabled => "account-disabled",
                Refusal::TemporaryExpired if forgot => "temporary-password-expired-forgot",
                Refusal::TemporaryExpired => "temporary-password-expired",
                Refusal::MailboxOnly if forgot => "password-by-mail-only-forgot",
                Refusal::MailboxOnly => "password-by-mail-only",
            };
            stage.flow.flash = Some(Flash::error("", key).tried_by(&username));
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

/// A form of a step gone by: it leads to the flow's present one, or is judged by itself.
fn stale(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    stage: &mut Stage,
) -> Result<Reply, StoreError> {
    let mut reply = go_on(tx, engine, visit, (stage, Where::Elsewhere))?;
    reply.overtaken = true;
    Ok(reply)
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
    if browser.is_none() {
        // The same form, sent twice at once: the other one was faster.
        let late = (&*stage.config, &stage.face);
        return Ok(once_more::overtaken(engine, late, None));
    }
    if let Some(mut reply) = by_link::address::after_sign_in(tx, engine, (visit, stage))? {
        reply.browser = browser;
        return Ok(reply);
    }
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
