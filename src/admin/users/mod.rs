//! People: lists, one person, and everything below `/users/{user}`.

pub mod actions;
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
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::representation::user::{Access, SHAPE, UserRepresentation};
use super::representation::value;
use crate::kernel::UserId;
use crate::oidc::provision;
use crate::user::search::{self, Filter, Status};
use crate::user::{self, User};

/// How many people a list has where the caller does not say.
const DEFAULT_MAX: i64 = 100;

/// The filter of a query string: `search` rules out the fields by name, as in Keycloak.
///
/// # Errors
/// `status` or `pendingAction` names nothing.
pub fn filter_of(ask: &Ask) -> Result<Filter, AdminError> {
    let owned = |name: &str| ask.text(name).map(str::to_owned);
    let mut filter = Filter {
        enabled: ask.flag("enabled"),
        email_verified: ask.flag("emailVerified"),
        never_signed_in: ask.flag("neverSignedIn"),
        pending_action: owned("pendingAction").map(|name| canonical_or_same(&name)),
        status: ask.text("status").map(read_status).transpose()?,
        exact: ask.flag("exact").unwrap_or(false),
        ..Filter::default()
    };
    match ask.text("search").map(str::trim) {
        Some(search) if search.starts_with("id:") => {
            let ids = search.trim_start_matches("id:").split_whitespace();
            filter.ids = Some(ids.map(UserId::new).collect());
        }
        Some(search) => filter.search = Some(search.to_owned()),
        None => {
            filter.username = owned("username");
            filter.email = owned("email");
            filter.first_name = owned("firstName");
            filter.last_name = owned("lastName");
            filter.attributes = attributes_of(ask.text("q").unwrap_or_default());
        }
    }
    Ok(filter)
}

/// A status by its word.
///
/// # Errors
/// No status has that word.
pub fn read_status(text: &str) -> Result<Status, AdminError> {
    Status::parse(text).ok_or_else(|| AdminError::Bad(format!("Unknown status {text:.64}")))
}

/// An action's one spelling; a name that nothing here knows may still wait on somebody.
pub fn canonical_or_same(name: &str) -> String {
    crate::action::canonical(name).map_or_else(|| name.to_owned(), str::to_owned)
}

/// The pairs of `q=name:value name:"several words"`.
fn attributes_of(q: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = q.trim();
    while let Some((name, after)) = rest.split_once(':') {
        let name = name.rsplit(char::is_whitespace).next().unwrap_or(name);
        let quoted = after
            .strip_prefix('"')
            .and_then(|inner| inner.split_once('"'));
        let (value, after) =
            quoted.unwrap_or_else(|| after.split_once(char::is_whitespace).unwrap_or((after, "")));
        if !name.is_empty() && !value.is_empty() {
            pairs.push((name.to_owned(), value.to_owned()));
        }
        rest = after.trim_start();
    }
    pairs
}

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
    let filter = filter_of(ask)?;
    let realm = context.config.realm.id.clone();
    let users = search::list(context.tx, &realm, &filter, (first, max))?;
    let brief = ask.flag("briefRepresentation").unwrap_or(false);
    Ok(Reply::Json(show_list(context, &users, brief)?))
}

/// `GET /users/count`.
///
/// # Errors
/// The caller may not, or the query makes no sense.
pub fn count(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["query-users", "view-users", "manage-users"])?;
    // Who may not see people may know how many there are, and not ask by a filter who they are (threat V138).
    let filter = if context.require(&["view-users", "manage-users"]).is_ok() {
        filter_of(ask)?
    } else {
        Filter::default()
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
    plan.carry_out(context, &user.id)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_asked_for_by_name_and_value() {
        let pairs = |q: &str| attributes_of(q);
        let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
        assert_eq!(
            pairs("dept:it tier:\"gold class\""),
            [pair("dept", "it"), pair("tier", "gold class")]
        );
        assert_eq!(pairs("tier:gold class"), [pair("tier", "gold")]);
        assert!(pairs("dept").is_empty());
        assert_eq!(pairs("a: b:c"), [pair("b", "c")]);
    }
}
