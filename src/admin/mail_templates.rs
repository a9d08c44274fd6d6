//! `/mail-templates`: words of the realm's own for its mails, proved before they are stored, and seen before they are
//! sent.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::json::Shape;
use super::representation::value;
use crate::kernel::ClientUuid;
use crate::mail::LONGEST_NOTE;
use crate::mail::template::rows::{self, Stored};
use crate::mail::template::{self, MOST, Place, Source, Template, Templates, sample};
use crate::web::texts::Locale;

/// What is sent: a template, and what its answer adds to it.
const SHAPE: Shape = Shape {
    name: "MailTemplateRepresentation",
    texts: &["purpose", "client", "locale", "subject", "text", "html"],
    flags: &[],
    numbers: &["changedAt"],
    lists: &[],
    other: &[],
};

/// What is sent to be seen.
const PREVIEW: Shape = Shape {
    name: "MailTemplateRepresentation",
    texts: &["subject", "text", "html", "message"],
    flags: &[],
    numbers: &[],
    lists: &[],
    other: &[],
};

const SEE: [&str; 2] = ["view-realm", "manage-realm"];

/// The message of a preview whose caller sends none.
const MESSAGE: &str =
    "Here stands what an administrator writes to people.\nEach line is a line of its own.";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    purpose: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
    changed_at: i64,
}

fn shown(context: &Context<'_, '_>, stored: &Stored) -> Result<Value, AdminError> {
    let client = stored.place.client.as_ref();
    Ok(value(&Shown {
        purpose: &stored.place.purpose,
        client: client.and_then(|id| context.config.client_id_of(id)),
        locale: stored.place.locale.as_deref(),
        subject: &stored.source.subject,
        text: &stored.source.text,
        html: &stored.source.html,
        changed_at: stored.changed_at.millis(),
    })?)
}

/// What the path and the query name.
fn place(context: &Context<'_, '_>, ask: &Ask) -> Result<(&'static str, Place), AdminError> {
    let purpose = template::purpose_named(ask.path("purpose")).ok_or(AdminError::NotFound(
        "No mail has this purpose; docs/mail-templates.md lists them, pre-registration for one",
    ))?;
    let place = Place {
        purpose: purpose.to_owned(),
        client: ask
            .text("client")
            .map(|id| client(context, id))
            .transpose()?,
        locale: ask
            .text("locale")
            .map(|tag| language(tag).map(|locale| locale.tag().to_owned()))
            .transpose()?,
    };
    Ok((purpose, place))
}

fn client(context: &Context<'_, '_>, client_id: &str) -> Result<ClientUuid, AdminError> {
    let known = context.config.client_named(client_id).cloned();
    known.ok_or_else(|| {
        AdminError::Message(
            "client is the clientId of a client of this realm, or is left out".into(),
        )
    })
}

fn language(tag: &str) -> Result<Locale, AdminError> {
    Locale::from_tag(tag).ok_or_else(|| {
        let tags: Vec<&str> = Locale::all().map(Locale::tag).collect();
        let tags = tags.join(", ");
        AdminError::Message(format!("locale is one of {tags}, or is left out"))
    })
}

const NO_TEMPLATE: AdminError =
    AdminError::NotFound("No mail template is stored here; PUT one, or leave it to the others");

/// `GET /mail-templates`.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, _: &Ask) -> Outcome {
    context.require(&SEE)?;
    let realm = context.config.realm.id.clone();
    let all = rows::all(context.tx, &realm)?;
    let shown: Result<Vec<Value>, AdminError> =
        all.iter().map(|stored| shown(context, stored)).collect();
    Ok(Reply::Json(Value::Array(shown?)))
}

/// `GET /mail-templates/{purpose}?client=CLIENT_ID&locale=TAG`: the template of exactly this place.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&SEE)?;
    let (_, place) = place(context, ask)?;
    let realm = context.config.realm.id.clone();
    let stored = rows::find(context.tx, &realm, &place)?.ok_or(NO_TEMPLATE)?;
    Ok(Reply::Json(shown(context, &stored)?))
}

/// The template in a body, its lines ended as everywhere here.
fn source(sent: &Map<String, Value>) -> Result<Source, AdminError> {
    let part = |name: &str| match sent.get(name).and_then(Value::as_str) {
        Some(text) => Ok(text.replace("\r\n", "\n")),
        None => Err(AdminError::Message(format!(
            "{name} is missing: a template has a subject, a text and an html"
        ))),
    };
    Ok(Source {
        subject: part("subject")?,
        text: part("text")?,
        html: part("html")?,
    })
}

fn compiled(purpose: &str, source: &Source) -> Result<Template, AdminError> {
    Template::compile(purpose, source).map_err(|fault| AdminError::Message(fault.to_string()))
}

/// `PUT /mail-templates/{purpose}?client=CLIENT_ID&locale=TAG`.
///
/// # Errors
/// The caller may not, or the template is not one that can be sent.
pub fn put(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-realm"])?;
    let (purpose, place) = place(context, ask)?;
    let said = |name: &str| sent.get(name).and_then(Value::as_str);
    let elsewhere = said("purpose").is_some_and(|said| said != purpose)
        || said("client").is_some_and(|said| Some(said) != ask.text("client"))
        || said("locale").is_some_and(|said| Some(said) != ask.text("locale"));
    if elsewhere {
        return Err(AdminError::Message(
            "purpose, client and locale of the body differ from those of the URL: the URL says where it is stored"
                .into(),
        ));
    }
    let source = source(&sent)?;
    compiled(purpose, &source)?;
    let id = context.config.realm.id.clone();
    // Before it is counted: whoever puts one at the same time waits here.
    context.touch()?;
    let is_new = rows::find(context.tx, &id, &place)?.is_none();
    if is_new && rows::count(context.tx, &id)? >= MOST {
        return Err(AdminError::Message(format!(
            "A realm has at most {MOST} mail templates: delete one first"
        )));
    }
    rows::put(context.tx, &id, (&place, &source))?;
    record(context, ask, "ADMIN_MAIL_TEMPLATE_UPDATE")?;
    Ok(Reply::NoContent)
}

/// `DELETE /mail-templates/{purpose}?client=CLIENT_ID&locale=TAG`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn delete(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-realm"])?;
    let (_, place) = place(context, ask)?;
    let id = context.config.realm.id.clone();
    context.touch()?;
    if !rows::delete(context.tx, &id, &place)? {
        return Err(NO_TEMPLATE);
    }
    record(context, ask, "ADMIN_MAIL_TEMPLATE_DELETE")?;
    Ok(Reply::NoContent)
}

fn record(context: &mut Context<'_, '_>, ask: &Ask, kind: &'static str) -> Result<(), AdminError> {
    let event = context
        .event(kind)
        .detail("purpose", ask.path("purpose"))
        .detail("client", ask.text("client"))
        .detail("locale", ask.text("locale"));
    context.record(event)
}

/// `POST /mail-templates/{purpose}/preview?client=CLIENT_ID&locale=TAG`: the mail that would be sent with the template
/// of the body or, without one, with the one that is chosen now, to somebody made up.
///
/// # Errors
/// The caller may not, or the template is not one that can be sent.
pub fn preview(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = match ask.json_if_any()? {
        Some(body) => PREVIEW.read(body)?,
        None => Map::new(),
    };
    context.require(&SEE)?;
    let (purpose, place) = place(context, ask)?;
    let config = std::sync::Arc::clone(&context.config);
    let message = sent.get("message").and_then(Value::as_str);
    if message.is_some_and(|message| message.len() > LONGEST_NOTE) {
        return Err(AdminError::Message("message is longer than 10 KiB".into()));
    }
    let default = config.realm.settings.default_locale.as_deref();
    let locale = place
        .locale
        .as_deref()
        .or(default)
        .and_then(Locale::from_tag);
    let locale = locale.unwrap_or(Locale::ENGLISH);
    let written = ["subject", "text", "html"]
        .iter()
        .any(|name| sent.contains_key(*name));
    let template = if written {
        Some(std::sync::Arc::new(compiled(purpose, &source(&sent)?)?))
    } else {
        let all = Templates::load(context.tx, &config.realm)?;
        all.choose(purpose, place.client.as_ref(), locale)
    };
    let name = match &place.client {
        Some(id) => {
            let app = crate::client::rows::by_id(context.tx, &config.realm.id, id)?;
            app.map(|app| app.display_name().to_owned())
        }
        None => None,
    };
    let issuer = context.engine.issuer(&config.realm.name);
    let about = sample::About {
        issuer: &issuer,
        client: place.client.zip(name.as_deref()),
        message: message
            .or_else(|| template::carries_message(purpose).then_some(MESSAGE))
            .filter(|message| !message.trim().is_empty())
            .map(str::to_owned),
        now: context.tx.now()?,
    };
    let content = sample::content(purpose, about).ok_or(NO_TEMPLATE)?;
    let words = context.engine.mailer.sample(
        &config.realm,
        &content,
        (template.as_deref(), &sample::person()),
        (locale, sample::CODE_SECONDS),
    );
    let words = words.map_err(|error| AdminError::Message(error.to_string()))?;
    Ok(Reply::Json(json!({
        "subject": words.subject.trim_start_matches("[TEST] "),
        "text": words.text,
        "html": words.html,
    })))
}
