//! Passwords set by administrators, and the credentials of a person.

use serde_json::{Map, Value, json};

use super::fields::{flag_of, text_of};
use super::notices;
use crate::action::kinds::update_password;
use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::admin::representation::user::{CREDENTIAL, SHAPE};
use crate::kernel::{CredentialId, UserId};
use crate::oidc::provision;
use crate::password::{self, Origin, Password, PasswordPolicy};
use crate::realm::Realm;
use crate::user::credential;
use crate::user::waiting;
use crate::user::{self, User};

/// A password in a request.
pub struct Typed {
    /// The plain text.
    pub value: String,
    /// Whether the person has to change it at once.
    pub temporary: bool,
    /// What the person calls it.
    pub label: Option<String>,
}

fn read(sent: &Map<String, Value>) -> Result<Typed, AdminError> {
    let Some(value) = text_of(sent, "value") else {
        return Err(AdminError::Bad("No password provided".into()));
    };
    if value.trim().is_empty() {
        return Err(AdminError::Bad("Empty password not allowed".into()));
    }
    Ok(Typed {
        value: value.to_owned(),
        temporary: flag_of(sent, "temporary").unwrap_or(false),
        label: text_of(sent, "userLabel").map(str::to_owned),
    })
}

/// The password among the `credentials` of a user representation.
///
/// # Errors
/// Another kind of credential, more than one password, or an empty one.
pub fn in_body(sent: &Map<String, Value>) -> Result<Option<Typed>, AdminError> {
    let Some(credentials) = sent.get("credentials") else {
        return Ok(None);
    };
    let list = credentials
        .as_array()
        .ok_or_else(|| AdminError::wrong_type("credentials"))?;
    let mut found = None;
    for one in list {
        let credential = CREDENTIAL.read(one.clone())?;
        let kind = text_of(&credential, "type").unwrap_or("password");
        if kind != "password" {
            return Err(AdminError::Bad(format!(
                "A credential of type {kind:.64} cannot be set here"
            )));
        }
        if found.replace(read(&credential)?).is_some() {
            return Err(AdminError::Bad("More than one password".into()));
        }
    }
    Ok(found)
}

/// The password, if the realm's policy lets administrators set it; without a policy they may set any.
///
/// # Errors
/// The first rule that it breaks, in Keycloak's words.
pub fn judged(realm: &Realm, user: &User, typed: &str) -> Result<Password, AdminError> {
    let password = Password::parse(typed).map_err(|error| AdminError::Bad(error.to_string()))?;
    let policy = realm.settings.password_policy.as_deref().unwrap_or("");
    let policy =
        PasswordPolicy::parse(policy).map_err(|error| AdminError::Message(error.to_string()))?;
    let context = password::Context {
        username: &user.username,
        email: user.email.as_deref(),
        first_name: user.first_name.as_deref(),
        last_name: user.last_name.as_deref(),
        realm: &realm.name,
    };
    match policy.check(&password, &context, Origin::Administrator, false) {
        Ok(()) => Ok(password),
        Err(broken) => {
            Err(broken
                .first()
                .map_or(AdminError::Bad("Invalid password".into()), |rule| {
                    AdminError::Invalid {
                        error: rule.keycloak_name(),
                        description: rule.english(),
                    }
                }))
        }
    }
}

/// Stores the hash that was made of the request's password.
///
/// # Errors
/// The database fails, or a temporary password cannot gate because the realm has switched the action off.
pub fn store(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    user: &UserId,
    typed: &Typed,
) -> Result<(), AdminError> {
    let hash = ask.hash.as_deref().ok_or(AdminError::Store)?;
    if typed.temporary {
        let action = [update_password::NAME.to_owned()];
        crate::action::assign::assignable(&context.config.actions, &action)?;
    }
    let realm = context.config.realm.clone();
    provision::set_password_by_admin(
        context.tx,
        &context.engine.entropy,
        &realm,
        user,
        (hash, typed.label.as_deref(), typed.temporary),
    )?;
    Ok(())
}

fn sent_credential(ask: &Ask) -> Result<Typed, AdminError> {
    match ask.json_if_any()? {
        Some(body) => read(&CREDENTIAL.read(body)?),
        None => Err(AdminError::Bad("No password provided".into())),
    }
}

/// What `PUT /users/{user}/reset-password` checks before it hashes.
///
/// # Errors
/// The caller may not, or the password cannot be set.
pub fn prepare_reset(
    context: &mut Context<'_, '_>,
    ask: &Ask,
) -> Result<Option<Password>, AdminError> {
    let user = context.managed_user(ask)?;
    let typed = sent_credential(ask)?;
    judged(&context.config.realm, &user, &typed.value).map(Some)
}

/// `PUT /users/{user}/reset-password`: a temporary one gates, another one takes a waiting `UPDATE_PASSWORD`.
///
/// # Errors
/// The caller may not, or the password cannot be set.
pub fn reset(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    if user.service_client.is_some() {
        return Err(AdminError::Bad("A service account has no password".into()));
    }
    let typed = sent_credential(ask)?;
    store(context, ask, &user.id, &typed)?;
    notices::of_password(context, &user, &typed)?;
    let event = context
        .event("ADMIN_USER_RESET_PASSWORD")
        .user(&user.id)
        .detail("temporary", typed.temporary);
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// What `PUT /users/{user}` checks before it hashes a password among its credentials.
///
/// # Errors
/// The caller may not, or the password cannot be set.
pub fn prepare_update(
    context: &mut Context<'_, '_>,
    ask: &Ask,
) -> Result<Option<Password>, AdminError> {
    let sent = ask.object(&SHAPE)?;
    let user = context.managed_user(ask)?;
    let typed = in_body(&sent)?;
    typed
        .map(|typed| judged(&context.config.realm, &user, &typed.value))
        .transpose()
}

/// `GET /users/{user}/credentials`: what there is, never what it is.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let password = credential::password(context.tx, &user.id)?;
    let waiting = waiting::of_user(context.tx, &user.id)?;
    let flagged = waiting
        .iter()
        .any(|row| row.action == update_password::NAME);
    let shown: Vec<Value> = password
        .iter()
        .map(|password| {
            let mut shown = json!({
                "id": password.id.as_str(),
                "type": "password",
                "createdDate": password.created_at.millis(),
                "credentialData": "{\"algorithm\":\"argon2\"}",
            });
            if let (Some(label), Value::Object(shown)) = (&password.label, &mut shown) {
                shown.insert("userLabel".into(), json!(label));
            }
            if let (true, Value::Object(shown)) =
                (flagged && password.expires_at.is_some(), &mut shown)
            {
                shown.insert("temporary".into(), json!(true));
            }
            shown
        })
        .collect();
    Ok(Reply::Json(Value::Array(shown)))
}

/// `DELETE /users/{user}/credentials/{credential}`: ends what was issued by it.
///
/// # Errors
/// The caller may not, or there is no such user or credential.
pub fn delete(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    let id = CredentialId::new(ask.path("credential"));
    if !credential::delete(context.tx, &user.id, &id)? {
        return Err(AdminError::NotFound("Credential not found"));
    }
    user::rows::touch_gate(context.tx, &user.id)?;
    crate::action::assign::end_everything(context.tx, &user.id, &context.engine.entropy)?;
    let event = context.event("ADMIN_USER_CREDENTIAL_DELETE").user(&user.id);
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// `PUT /users/{user}/disable-credential-types`: none of ours can be disabled, as Keycloak's cannot.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn disable_types(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.managed_user(ask)?;
    crate::admin::json::texts(&ask.json()?).ok_or_else(|| AdminError::wrong_type("types"))?;
    Ok(Reply::NoContent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(credentials: &Value) -> Result<Option<(String, bool)>, AdminError> {
        let sent = SHAPE.read(json!({ "credentials": credentials }))?;
        Ok(in_body(&sent)?.map(|typed| (typed.value, typed.temporary)))
    }

    #[test]
    fn one_plain_password_is_read_and_nothing_is_dropped() {
        assert_eq!(found(&json!([])).unwrap(), None);
        assert_eq!(
            found(&json!([{ "value": "pw", "temporary": "true" }])).unwrap(),
            Some(("pw".into(), true))
        );
        for refused in [
            json!([{ "type": "otp", "value": "x" }]),
            json!([{ "type": "password", "value": "  " }]),
            json!([{ "type": "password", "secretData": "{}" }]),
            json!([{ "value": "a" }, { "value": "b" }]),
            json!([{ "value": "a", "nope": 1 }]),
            json!({}),
        ] {
            assert!(found(&refused).is_err(), "{refused}");
        }
    }
}
