//! A decision of the dispatcher as a reply to the browser: shown where its page belongs, else a redirect there.

use std::sync::Arc;

use actix_web::http::StatusCode;

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::next::{Next, SessionCookie};
use super::screens;
use super::show::{Face, Reply};
use super::steps::{Stage, Where};
use super::texts;
use crate::client::Client;
use crate::flow::{Flow, ResponseMode, rows};
use crate::store::{StoreError, Tx};
use crate::web::texts::Text;

/// The label of the consent page in a step's URL.
const CONSENT: &str = "OAUTH_GRANT";

/// The URL of a step.
pub(super) fn step_url(
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
            if flow.request.kc_action {
                parameters.push(("kc_action_status", "error"));
            }
            parameters.push(("code", code.as_str()));
            face.respond(engine, target(flow, client), &parameters)
        }
        Next::Done | Next::Finished if flow.leads_on() => {
            face.onwards(engine, &flow.request.redirect_uri)
        }
        Next::Done => face.message(engine, "all-done-title", "all-done"),
        Next::LinkOver(key) => {
            let sign_in = format!("{}/account/", config.issuer);
            face.message_to(
                engine,
                ("link-over-title", key),
                Some(("sign-in", &sign_in)),
            )
        }
        Next::Refused(error) => refused(engine, config, face, (flow, client), error),
        Next::Stopped("account-disabled") => face.error(
            engine,
            StatusCode::BAD_REQUEST,
            Text::key("account-disabled"),
            None,
        ),
        Next::Stopped("redirect-uri") => unregistered(engine, face),
        Next::Stopped(_) => {
            face.expired(engine, config, client.home(&engine.public_url).as_deref())
        }
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

/// An error to the application, unless it has lost its address since the flow was parked.
fn refused(
    engine: &Engine,
    config: &RealmConfig,
    face: &Face,
    (flow, client): (&Flow, &Client),
    error: &'static str,
) -> Reply {
    if !client.redirects_to(&flow.request.redirect_uri, &engine.public_url) {
        return unregistered(engine, face);
    }
    let mut parameters = vec![("error", error)];
    if let Some(state) = &flow.request.state {
        parameters.push(("state", state.as_str()));
    }
    parameters.push(("iss", config.issuer.as_str()));
    face.respond(engine, target(flow, client), &parameters)
}

/// The application is not at this address any more: nothing goes there.
fn unregistered(engine: &Engine, face: &Face) -> Reply {
    let text = texts::parameter("redirect_uri");
    face.error(engine, StatusCode::BAD_REQUEST, text, None)
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
