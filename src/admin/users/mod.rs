//! People: lists, one person, and everything below `/users/{user}`.

pub mod actions;
pub mod audience;
pub mod change;
pub mod cohort;
pub mod fields;
pub mod gate;
pub mod notices;
pub mod password;
pub mod roles;
pub mod sessions;

use serde_json::{Value, json};

use self::actions::{Plan, Wanted};
use super::ask::{Ask, Page};
use super::call::{Context, Outcome, Reply, joined};
use super::error::AdminError;
use super::links;
use super::representation::user::{Access, SHAPE, UserRepresentation};
use super::representation::value;
use crate::oidc::provision;
use crate::user::audience::Audience;
use crate::user::search;
use crate::user::{self, User};

/// How many people a list has where the caller does not say.
const DEFAULT_MAX: i64 = 100;

/// Shows these people as a list.
///
/// # Errors
/// The database fails.
pub fn show_list(
    context: &mut Context<'_, '_>,
    users: &[User],
    brief: bool,
) -> Result<Value, AdminError> {
    let now = context.tx.now()?;
    let access = Access::Listed {
        manage: context.has("manage-users"),
    };
    let details = search::details(context.tx, users)?;
    let mut shown = Vec::with_capacity(users.len());
    for user in users {
        if let Some(details) = details.get(&user.id) {
            shown.push(value(&UserRepresentation::of(
                user,
                details,
                (access, brief),
                now,
            ))?);
        }
    }
    Ok(Value::Array(shown))
}

/// `GET /users`.
///
/// # Errors
/// The caller may not, or the query makes no sense.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["query-users", "view-users", "manage-users"])?;
    let Page { first, max } = ask.page(Some(DEFAULT_MAX))?;
    if context.require(&["view-users", "manage-users"]).is_err() {
        return Ok(Reply::Json(json!([])));
    }
    let wanted = audience::of_query(ask)?;
    if max.is_none() && first == 0 {
        return Ok(Reply::Stream("application/json", all));
    }
    let realm = context.config.realm.id.clone();
    let users = search::list(context.tx, &realm, &wanted, (first, max))?;
    let brief = ask.flag("briefRepresentation").unwrap_or(false);
    Ok(Reply::Json(show_list(context, &users, brief)?))
}

/// A portion of everybody, as a part of one JSON list. People who come or go meanwhile are in it or not; nobody is
/// in it twice.
fn all(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    after: Option<&str>,
) -> Result<(String, Option<String>), AdminError> {
    context.require(&["view-users", "manage-users"])?;
    let wanted = audience::of_query(ask)?;
    let realm = context.config.realm.id.clone();
    let users = search::portion(context.tx, &realm, &wanted, after)?;
    let brief = ask.flag("briefRepresentation").unwrap_or(false);
    let shown = show_list(context, &users, brief)?;
    let next = users
        .last()
        .filter(|_| users.len() == search::PORTION)
        .map(|user| user.username.clone());
    let shown = shown.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok((joined(shown, after.is_none(), next.is_none()), next))
}

/// `GET /users/count`.
///
/// # Errors
/// The caller may not, or the query makes no sense.
pub fn count(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["query-users", "view-users", "manage-users"])?;
    // Who may not see people may know how many there are, and not ask by a filter who they are (threat V138).
    let filter = if context.require(&["view-users", "manage-users"]).is_ok() {
        audience::of_query(ask)?
    } else {
        Audience::default()
    };
    let realm = context.config.realm.id.clone();
    Ok(Reply::Json(json!(search::count(
        context.tx, &realm, &filter
    )?)))
}

/// `GET /users/{user}`.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let details = search::details_of(context.tx, &user)?;
    let manage = context.has("manage-users") && context.outranks(&user.id)?;
    let now = context.tx.now()?;
    let shown = UserRepresentation::of(&user, &details, (Access::Single { manage }, false), now);
    Ok(Reply::Json(value(&shown)?))
}

/// What `POST /users` checks before a password is hashed.
///
/// # Errors
/// The caller may not, or the person cannot be made.
pub fn prepare_create(
    context: &mut Context<'_, '_>,
    ask: &Ask,
) -> Result<Option<crate::password::Password>, AdminError> {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-users"])?;
    let user = fields::new_user(context, &sent)?;
    let typed = password::in_body(&sent)?;
    typed
        .map(|typed| password::judged(&context.config.realm, &user, &typed.value))
        .transpose()
}

/// `POST /users`.
///
/// # Errors
/// The caller may not, or the person cannot be made.
pub fn create(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-users"])?;
    let user = fields::new_user(context, &sent)?;
    let wanted = Wanted::read(&sent)?;
    let plan = Plan::make(&context.config.actions, &[], &wanted)?;
    let config = std::sync::Arc::clone(&context.config);
    let defaults = if wanted.names_actions() {
        &[][..]
    } else {
        &config.actions
    };
    provision::create_user(context.tx, &config.realm, &user, defaults)?
        .map_err(fields::conflict)?;
    if let Some(typed) = password::in_body(&sent)? {
        password::store(context, ask, &user.id, &typed)?;
    }
    // Nothing of this is news to somebody who has only just come to be here.
    plan.carry_out(context.tx, &context.engine.entropy, &user.id, None)?;
    notices::warn_if_unsendable(context, &plan);
    links::instruct(context, &user, &sent)?;
    let event = context
        .event("ADMIN_USER_CREATE")
        .user(&user.id)
        .detail("username", user.username.as_str());
    context.record(event)?;
    Ok(Reply::Created(format!(
        "/{}/users/{}",
        config.realm.name, user.id
    )))
}

/// `DELETE /users/{user}`.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn delete(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    let event = context
        .event("ADMIN_USER_DELETE")
        .user(&user.id)
        .detail("username", user.username.as_str());
    user::rows::delete(context.tx, &user.id)?;
    context.record(event)?;
    Ok(Reply::NoContent)
}
