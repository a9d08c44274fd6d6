//! `GET /users/{user}/gate`: what the gate answers now for each path, asked of the production gate itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::action::gate::{Outstanding, Provenance, Subject, standing};
use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::client;
use crate::kernel::Timestamp;
use crate::session::{self, Session};
use crate::user::User;
use crate::user::waiting::{self, WaitingAction};

/// What the gate says to one path.
enum Answer {
    Cleared,
    Required(Vec<String>),
    Refused(&'static str),
}

impl Answer {
    fn value(&self) -> Value {
        match self {
            Self::Cleared => json!({ "answer": "cleared" }),
            Self::Required(actions) => {
                json!({ "answer": "required_action", "required_actions": actions })
            }
            Self::Refused(why) => json!({ "answer": why }),
        }
    }
}

/// Shows the gate as the person meets it.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let now = context.tx.now()?;
    let realm = context.config.realm.clone();
    let live: Vec<Session> = session::rows::of_user(context.tx, &user.id)?
        .into_iter()
        .filter(|session| session.auth_epoch == user.auth_epoch && session.is_live(&realm, now))
        .collect();
    let paths = if user.service_client.is_some() {
        let answer = answer(context, &user, Provenance::Service)?;
        BTreeMap::from([("client_credentials", answer)])
    } else {
        person(context, &user, live.first(), now)?
    };
    let cleared = paths
        .values()
        .all(|answer| !matches!(answer, Answer::Required(_)));
    let paths: Map<String, Value> = paths
        .iter()
        .map(|(path, answer)| ((*path).to_owned(), answer.value()))
        .collect();
    let waiting: Vec<Value> = waiting::of_user(context.tx, &user.id)?
        .iter()
        .map(show)
        .collect();
    let until = if live.is_empty() {
        None
    } else {
        Some(now.plus_seconds(longest_lifespan(context)?).millis())
    };
    Ok(Reply::Json(json!({
        "userId": user.id.as_str(),
        "cleared": cleared,
        "paths": paths,
        "waiting": waiting,
        "notBefore": user.not_before.seconds(),
        "jwtsValidUntil": until,
    })))
}

/// Every path by which something could be issued to, or read by, a person.
fn person(
    context: &mut Context<'_, '_>,
    user: &User,
    session: Option<&Session>,
    now: Timestamp,
) -> Result<BTreeMap<&'static str, Answer>, AdminError> {
    let epoch = user.auth_epoch.clone();
    let browser = Provenance::Proof {
        epoch: epoch.clone(),
    };
    let password = Provenance::Password {
        epoch: epoch.clone(),
    };
    let mut paths = BTreeMap::new();
    paths.insert("browser", answer(context, user, browser)?);
    paths.insert("password", answer(context, user, password.clone())?);
    let silent = session.map(|session| Provenance::Session {
        session: session.id.clone(),
        interactive: false,
    });
    let of_token = |epoch| {
        session.map(|session| Provenance::Token {
            session: session.id.clone(),
            epoch,
            issued_at: now,
        })
    };
    let in_session = [
        ("prompt_none", silent),
        ("authorization_code", of_token(Some(epoch.clone()))),
        ("refresh_token", of_token(Some(epoch))),
        ("userinfo", of_token(None)),
        ("introspection", of_token(None)),
        ("admin", of_token(None)),
        ("account", of_token(None)),
    ];
    for (path, provenance) in in_session {
        let shown = match provenance {
            Some(provenance) => answer(context, user, provenance)?,
            None => without_session(context, user, password.clone())?,
        };
        paths.insert(path, shown);
    }
    Ok(paths)
}

/// Nothing can ride on a session that is not there; a gate that is shut is still said to be.
fn without_session(
    context: &mut Context<'_, '_>,
    user: &User,
    password: Provenance,
) -> Result<Answer, AdminError> {
    Ok(match answer(context, user, password)? {
        Answer::Cleared => Answer::Refused("no_session"),
        other => other,
    })
}

fn answer(
    context: &mut Context<'_, '_>,
    user: &User,
    provenance: Provenance,
) -> Result<Answer, AdminError> {
    let subject = Subject {
        realm: context.config.realm.id.clone(),
        user: user.id.clone(),
        provenance,
    };
    Ok(match standing(context.tx, &subject)? {
        Ok(_) => Answer::Cleared,
        Err(Outstanding::Actions(waiting)) => Answer::Required(waiting.actions),
        Err(Outstanding::Unknown) => Answer::Refused("unknown"),
        Err(Outstanding::RealmDisabled) => Answer::Refused("realm_disabled"),
        Err(Outstanding::Disabled) => Answer::Refused("disabled"),
        Err(Outstanding::Locked) => Answer::Refused("locked"),
        Err(Outstanding::Stale) => Answer::Refused("stale"),
        Err(Outstanding::SessionEnded) => Answer::Refused("session_ended"),
    })
}

fn show(row: &WaitingAction) -> Value {
    json!({
        "action": row.action,
        "source": row.source,
        "reason": row.reason,
        "since": row.since.millis(),
        "dueAt": row.due_at.millis(),
        "resetProof": row.reset_proof.as_str(),
    })
}

/// The longest that an access token of this realm lives, whichever client it was issued to.
fn longest_lifespan(context: &mut Context<'_, '_>) -> Result<i64, AdminError> {
    let realm = context.config.realm.clone();
    let of_clients = client::rows::all(context.tx, &realm.id)?
        .iter()
        .filter_map(client::Client::access_token_lifespan)
        .max();
    Ok(realm
        .settings
        .access_token_lifespan
        .max(of_clients.unwrap_or(0)))
}
