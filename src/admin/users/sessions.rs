//! The sessions of a person: listed and ended.

use serde_json::{Map, Value, json};

use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::flow;
use crate::kernel::SessionId;
use crate::session::{self, Session, SessionKind};
use crate::user::User;

/// `GET /users/{user}/sessions`.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let now = context.tx.now()?;
    let mut shown = Vec::new();
    for session in session::rows::of_user(context.tx, &user.id)? {
        let stands =
            session.auth_epoch == user.auth_epoch && session.is_live(&context.config.realm, now);
        if stands && session.kind == SessionKind::Online {
            shown.push(show(context, &user, &session)?);
        }
    }
    Ok(Reply::Json(Value::Array(shown)))
}

fn show(
    context: &mut Context<'_, '_>,
    user: &User,
    session: &Session,
) -> Result<Value, AdminError> {
    let mut clients = Map::new();
    for (id, _) in session::rows::clients(context.tx, &session.id)? {
        if let Some(client_id) = context.config.client_id_of(&id) {
            clients.insert(id.as_str().to_owned(), json!(client_id));
        }
    }
    Ok(json!({
        "id": session.id.as_str(),
        "username": user.username,
        "userId": user.id.as_str(),
        "ipAddress": session.ip_address,
        "start": session.started_at.millis(),
        "lastAccess": session.last_seen_at.millis(),
        "rememberMe": session.remember_me,
        "clients": clients,
        "transientUser": false,
    }))
}

/// `POST /users/{user}/logout`: ends every session with what was issued in it.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn logout(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    let ended = session::rows::delete_of_user(context.tx, &user.id)?;
    flow::rows::forget_person(context.tx, &user.id)?;
    let event = context
        .event("ADMIN_USER_LOGOUT")
        .user(&user.id)
        .detail("sessions", ended);
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// `DELETE /sessions/{session}`: ends one.
///
/// # Errors
/// The caller may not, or the realm has no such session.
pub fn delete(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let missing = || AdminError::NotFound("Sesssion not found");
    let id = SessionId::new(ask.path("session"));
    let realm = context.config.realm.id.clone();
    let session = session::rows::by_id(context.tx, &id)?
        .filter(|session| session.realm_id == realm)
        .ok_or_else(missing)?;
    if !context.outranks(&session.user_id)? {
        return Err(AdminError::Forbidden);
    }
    session::rows::delete(context.tx, &id)?;
    flow::rows::forget_person(context.tx, &session.user_id)?;
    let event = context
        .event("ADMIN_SESSION_DELETE")
        .user(&session.user_id)
        .session(&id);
    context.record(event)?;
    Ok(Reply::NoContent)
}
