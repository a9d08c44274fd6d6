//! What can be looked at: signing keys, events, wrong passwords.

use chrono::{Days, NaiveDate, NaiveTime};
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use crate::kernel::{Timestamp, UserId};
use crate::oidc::issue::KeyState;
use crate::session::throttle;
use crate::store::event_types;
use crate::store::events::{self, Recorded, Wanted};
use crate::user;

/// How many events a list has where the caller does not say.
const DEFAULT_MAX: i64 = 100;

/// `GET /keys`: public halves and states.
///
/// # Errors
/// The caller may not.
pub fn keys(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&["view-realm", "manage-realm"])?;
    let mut active = Map::new();
    let mut keys = Vec::new();
    for key in context.config.keys.iter() {
        let algorithm = key.key.algorithm().as_str();
        let jwk = key.key.public_jwk();
        let kid = jwk.get("kid").cloned().unwrap_or(Value::Null);
        if key.state == KeyState::Active {
            active.entry(algorithm).or_insert_with(|| kid.clone());
        }
        keys.push(json!({
            "providerId": kid,
            "providerPriority": 100,
            "kid": kid,
            "status": key.state.as_str().to_uppercase(),
            "type": jwk.get("kty").cloned().unwrap_or(Value::Null),
            "algorithm": algorithm,
            "use": "SIG",
        }));
    }
    Ok(Reply::Json(json!({ "active": active, "keys": keys })))
}

/// `GET /events`: newest first unless `direction` is `asc`; by `type`, `user`, `client`, `ipAddress`, `dateFrom` and
/// `dateTo`, both days included.
///
/// # Errors
/// The caller may not, or a filter means nothing.
pub fn events(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-events", "manage-events"])?;
    let page = ask.page(Some(DEFAULT_MAX))?;
    let wanted = wanted(ask)?;
    let realm = context.config.realm.id.clone();
    let max = page.max.unwrap_or(i64::MAX);
    let found = events::list(context.tx, &realm, &wanted, (page.first, max))?;
    let shown: Vec<Value> = found.iter().map(|event| show(&realm, event)).collect();
    Ok(Reply::Json(Value::Array(shown)))
}

fn wanted(ask: &Ask) -> Result<Wanted, AdminError> {
    let kinds: Vec<String> = ask.texts("type").map(str::to_owned).collect();
    if let Some(unknown) = kinds.iter().find(|kind| !event_types::is_known(kind)) {
        return Err(AdminError::Bad(format!(
            "Unknown type {unknown:.64}: the types are those of events, like LOGIN_ERROR or GATE_OPENED"
        )));
    }
    let ascending = match ask.text("direction") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(other) => {
            return Err(AdminError::Bad(format!(
                "Unknown direction {other:.64}: asc or desc"
            )));
        }
    };
    Ok(Wanted {
        kinds,
        user: ask.text("user").map(UserId::new),
        client: ask.text("client").map(str::to_owned),
        ip_address: ask.text("ipAddress").map(str::to_owned),
        from: time(ask, "dateFrom", 0)?,
        until: time(ask, "dateTo", 1)?,
        ascending,
    })
}

/// The time that a day (UTC) begins, so many days later, or that many milliseconds since 1970 are, which for the end
/// of a range are in it.
fn time(ask: &Ask, name: &str, later: u64) -> Result<Option<Timestamp>, AdminError> {
    let Some(text) = ask.text(name) else {
        return Ok(None);
    };
    let millis = match text.parse::<i64>() {
        Ok(millis) => Some(millis.saturating_add(i64::from(later > 0))),
        Err(_) => NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .and_then(|day| day.checked_add_days(Days::new(later)))
            .map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()),
    };
    millis.map(Timestamp::from_millis).map(Some).ok_or_else(|| {
        AdminError::Bad(format!(
            "Invalid value for '{name}', expected format is yyyy-MM-dd or an Epoch timestamp"
        ))
    })
}

fn show(realm: &crate::kernel::RealmId, event: &Recorded) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), json!(event.id));
    shown.insert("time".into(), json!(event.at.millis()));
    shown.insert("type".into(), json!(event.kind));
    shown.insert("realmId".into(), json!(realm.as_str()));
    let texts = [
        ("clientId", &event.client_id),
        ("userId", &event.user_id),
        ("sessionId", &event.session_id),
        ("ipAddress", &event.ip_address),
        ("error", &event.error),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            shown.insert(name.into(), json!(text));
        }
    }
    let details: Value = serde_json::from_str(&event.details).unwrap_or_else(|_| json!({}));
    shown.insert("details".into(), details);
    Value::Object(shown)
}

/// `GET /events/config`.
///
/// # Errors
/// The caller may not.
pub fn events_config(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&["view-events", "manage-events"])?;
    let settings = &context.config.realm.settings;
    let rest = |name: &str, default: Value| settings.rest.get(name).cloned().unwrap_or(default);
    Ok(Reply::Json(json!({
        "eventsEnabled": settings.events_enabled,
        "eventsListeners": rest("eventsListeners", json!([])),
        "enabledEventTypes": rest("enabledEventTypes", json!([])),
        "adminEventsEnabled": rest("adminEventsEnabled", json!(false)),
        "adminEventsDetailsEnabled": rest("adminEventsDetailsEnabled", json!(false)),
    })))
}

/// `GET /attack-detection/brute-force/users/{user}`: an unknown user has no failures.
///
/// # Errors
/// The caller may not.
pub fn failures(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    let name = throttle_name(context, ask);
    let now = context.tx.now()?;
    let state = throttle::state(context.tx, &name)?;
    let locked = match context.user(ask) {
        Ok(user) => user.locked_until.is_some_and(|until| now < until),
        Err(AdminError::NotFound(_)) => false,
        Err(other) => return Err(other),
    };
    let (failures, since, until) =
        state.unwrap_or((0, Timestamp::from_micros(0), Timestamp::from_micros(0)));
    Ok(Reply::Json(json!({
        "failedLoginNotBefore": until.seconds(),
        "numFailures": failures,
        "numTemporaryLockouts": 0,
        "disabled": locked || now < until,
        "numSecondaryAuthFailures": 0,
        "lastIPFailure": "n/a",
        "lastFailure": since.millis(),
    })))
}

/// `DELETE /attack-detection/brute-force/users/{user}`: lets the person try again.
///
/// # Errors
/// The caller may not.
pub fn forgive(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let user = match context.managed_user(ask) {
        Ok(user) => user,
        Err(AdminError::NotFound(_)) => return Ok(Reply::NoContent),
        Err(other) => return Err(other),
    };
    let name = throttle_name(context, ask);
    throttle::reset(context.tx, &name)?;
    user::rows::set_locked_until(context.tx, &user.id, None)?;
    let event = context.event("ADMIN_USER_UNLOCK").user(&user.id);
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// The throttle that counts a person's wrong passwords.
fn throttle_name(context: &Context<'_, '_>, ask: &Ask) -> String {
    crate::login::password::user_throttle(&context.config.realm.id, ask.path("user"))
}
