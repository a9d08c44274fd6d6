//! `smtpServer` of a realm: its secrets are write-only, and its settings can be tried before they are stored.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::call::{Call, Context};
use super::error::AdminError;
use super::json::{MASK, text};
use crate::kernel::RealmId;
use crate::mail::{Failure, language_of};
use crate::realm::{Realm, smtp};
use crate::user::{self, User, name::parse_email};
use crate::web::texts::Locale;

/// The settings to store for what was sent: new secrets sealed, the mask standing for the stored one.
///
/// # Errors
/// No sender address, or the mask where the secret would go elsewhere than to whom it was given (threat V159).
pub fn settings(
    context: &Context<'_, '_>,
    realm: &RealmId,
    stored: &BTreeMap<String, Value>,
    sent: &Value,
) -> Result<Value, AdminError> {
    let sent = sent
        .as_object()
        .ok_or_else(|| AdminError::wrong_type("smtpServer"))?;
    let mut settings = Map::new();
    for (name, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
        let value = text(value).ok_or_else(|| AdminError::wrong_type("smtpServer"))?;
        settings.insert(name.clone(), Value::String(value));
    }
    if settings.is_empty() {
        return Ok(Value::Object(settings));
    }
    let from = settings.get("from").and_then(Value::as_str);
    if from.is_none_or(|from| parse_email(from).is_err()) {
        return Err(AdminError::Message(format!(
            "Invalid sender address '{}'.",
            from.unwrap_or("null")
        )));
    }
    for field in smtp::SECRETS {
        let secret = settings
            .remove(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .filter(|secret| !secret.is_empty());
        let stored_or_sealed = match secret {
            None => continue,
            Some(mask) if mask == MASK => {
                let same = |name: &&str| settings.get(*name) == stored.get(*name);
                if !goes_to(field).iter().all(same) {
                    return Err(AdminError::Message(format!(
                        "Enter the {field} again: it was given for another server"
                    )));
                }
                stored.get(field).cloned()
            }
            Some(secret) => {
                let tools = context.tools();
                let sealed = smtp::seal(tools.keyring, tools.entropy, (realm, field), &secret)?;
                Some(json!(sealed))
            }
        };
        if let Some(value) = stored_or_sealed {
            settings.insert(field.to_owned(), value);
        }
    }
    Ok(Value::Object(settings))
}

/// The settings that say who gets to see a secret, or what was bought with it.
fn goes_to(secret: &str) -> &'static [&'static str] {
    match secret {
        "authTokenClientSecret" => &["host", "port", "authTokenUrl"],
        _ => &["host", "port"],
    }
}

/// `POST /testSMTPConnection`: sends a mail to the caller's own address by the settings of the body, past the outbox.
/// A caller without an address learns whether the server can be signed in to.
pub async fn test(call: Call) -> HttpResponse {
    match tried(&call).await {
        Ok(()) => HttpResponse::NoContent()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish(),
        Err(error) => error.response(),
    }
}

/// What is tried: the realm with the settings of the body, to whom, and in which language.
struct Trial {
    realm: Realm,
    address: Option<String>,
    locale: Locale,
}

async fn tried(call: &Call) -> Result<(), AdminError> {
    let trial = call.within(read).await?;
    let mailer = &call.engine().mailer;
    let sent = match &trial.address {
        Some(address) => {
            let mail = mailer.try_settings(&trial.realm, address, trial.locale);
            mail.await
        }
        None => mailer.probe(&trial.realm).await,
    };
    sent.map_err(|failure| {
        let why = match failure {
            Failure::Server(_, why)
            | Failure::Later(why)
            | Failure::Refused(why)
            | Failure::Unknown(why) => why,
            Failure::NotPermitted => "it was not sent".to_owned(),
        };
        AdminError::Unsendable(format!("Failed to send email: {why}"))
    })
}

fn read(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Trial, AdminError> {
    context.require(&["manage-realm"])?;
    let mut realm = context.config.realm.clone();
    let stored = &realm.settings.smtp_server;
    let sent = settings(context, &realm.id, stored, &ask.json()?)?;
    realm.settings.smtp_server = match sent {
        Value::Object(settings) => settings.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let caller: Option<User> = user::rows::by_id(context.tx, &context.caller.user)?;
    Ok(Trial {
        locale: caller.as_ref().map_or(Locale::ENGLISH, |caller| {
            language_of(&context.caller.home.realm, caller)
        }),
        address: caller.and_then(|caller| caller.email),
        realm,
    })
}
