//! Links that an administrator sends, hands out, looks at and takes back.
//!
//! `execute-actions-email` and its kin keep Keycloak's parameters, errors and lifetimes. A link in an answer is as good
//! as the account that it opens, so it needs the role `impersonation` and every power that the person has, and is
//! refused where there is a password to be taken over.

use serde_json::{Map, Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::json::{Shape, texts};
use super::users::fields::{flag_of, number_of, text_of};
use crate::action::assign::{self, Setting, assignable};
use crate::action::canonical;
use crate::action::kinds::update_password;
use crate::client::{self, redirect};
use crate::kernel::{Timestamp, UserId};
use crate::link::{self, LONGEST_LIFESPAN, Link, LinkId, NewLink, Purpose, Refused, Sender};
use crate::mail::LONGEST_NOTE;
use crate::user::User;

/// Where a link leads, and for how long.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The application.
    pub client_id: Option<String>,
    /// Where in it.
    pub redirect_uri: Option<String>,
    /// Seconds from the hand-over.
    pub lifespan: Option<i64>,
}

/// Looks whether a target can be, in Keycloak's words.
///
/// # Errors
/// An unknown or disabled client, a redirect URI without one or not of it, or a lifetime of nothing.
pub fn check(context: &mut Context<'_, '_>, target: &Target) -> Result<(), AdminError> {
    let refused = |text: &str| Err(AdminError::Message(text.to_owned()));
    if target.lifespan.is_some_and(|seconds| seconds < 1) {
        return Err(AdminError::Bad("lifespan must be at least 1 second".into()));
    }
    if target
        .lifespan
        .is_some_and(|seconds| seconds > LONGEST_LIFESPAN)
    {
        return Err(AdminError::Bad(format!(
            "lifespan must be at most {LONGEST_LIFESPAN} seconds, which is a year"
        )));
    }
    let Some(client_id) = &target.client_id else {
        return match target.redirect_uri {
            Some(_) => refused("Client id missing"),
            None => Ok(()),
        };
    };
    let realm = context.config.realm.id.clone();
    let Some(client) = client::rows::by_client_id(context.tx, &realm, client_id)? else {
        return refused("Client doesn't exist");
    };
    if !client.enabled {
        return refused("Client is not enabled");
    }
    let root = client.settings.root_url.as_deref();
    let uris = &client.settings.redirect_uris;
    let public = &context.engine.public_url;
    match &target.redirect_uri {
        Some(uri) if !redirect::matches(uris, uri, root, public) => {
            refused("Invalid redirect uri.")
        }
        _ => Ok(()),
    }
}

/// The target of a query string.
fn target(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Target, AdminError> {
    let lifespan = ask
        .text("lifespan")
        .map(|text| {
            text.parse()
                .map_err(|_| AdminError::NotFound("HTTP 404 Not Found"))
        })
        .transpose()?;
    let target = Target {
        client_id: ask.text("client_id").map(str::to_owned),
        redirect_uri: ask.text("redirect_uri").map(str::to_owned),
        lifespan,
    };
    check(context, &target)?;
    Ok(target)
}

/// A person who can be written to.
fn addressee(context: &mut Context<'_, '_>, ask: &Ask) -> Result<User, AdminError> {
    let user = context.managed_user(ask)?;
    reachable(&user)?;
    Ok(user)
}

fn reachable(user: &User) -> Result<(), AdminError> {
    if user.email.is_none() {
        return Err(AdminError::Message("User email missing".into()));
    }
    if !user.enabled {
        return Err(AdminError::Message("User is disabled".into()));
    }
    Ok(())
}

fn refused(refused: Refused) -> AdminError {
    match refused {
        Refused::NoUser => AdminError::NotFound("User not found"),
        Refused::Disabled => AdminError::Message("User is disabled".into()),
        Refused::NoAddress => AdminError::Message("User email missing".into()),
        Refused::HasPassword => AdminError::Conflict(
            "User has a password already: a link for them can only be mailed, so that nobody takes the account over"
                .into(),
        ),
        Refused::Service => AdminError::Bad("A service account gets no mail".into()),
    }
}

/// Mails a link.
fn mail(
    context: &mut Context<'_, '_>,
    (user, purpose): (&User, Purpose),
    (actions, target): (Vec<String>, Target),
    message: Option<String>,
) -> Result<(), AdminError> {
    let config = std::sync::Arc::clone(&context.config);
    if !context.engine.mailer.is_configured(&config.realm) {
        return Err(AdminError::Unsendable(match purpose {
            Purpose::VerifyEmail => "Failed to send verify email".to_owned(),
            _ => "Failed to send execute actions email: Invalid sender address 'null'. Set an smtpServer for the realm."
                .to_owned(),
        }));
    }
    let new = NewLink {
        actions,
        client_id: target.client_id,
        redirect_uri: target.redirect_uri,
        lifespan: target.lifespan,
        message,
        ..NewLink::of(&config.realm, &user.id, purpose, Sender::Administrator)
    };
    let tools = context.engine.mailer.tools();
    let created = link::create(context.tx, tools, &new)?.map_err(refused)?;
    let event = context
        .event("ADMIN_LINK_SEND")
        .user(&user.id)
        .detail("purpose", purpose.as_str())
        .detail("link", created.id.as_str());
    context.record(event)?;
    context.engine.mailer.wake();
    Ok(())
}

/// `PUT /users/{user}/execute-actions-email`; with `persist=true` the actions wait on the person as well.
///
/// # Errors
/// The caller may not, the person cannot be written to, or an action cannot be assigned.
pub fn execute_actions(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = addressee(context, ask)?;
    let wanted = match ask.json_if_any()? {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => texts(&list).ok_or(AdminError::Invalid {
            error: "unknown_error",
            description: "Cannot parse the JSON".to_owned(),
        })?,
    };
    if wanted.iter().any(|name| canonical(name).is_none()) {
        return Err(AdminError::Message(
            "Provided invalid required actions".into(),
        ));
    }
    let actions: Vec<String> = assignable(&context.config.actions, &wanted)?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let target = target(context, ask)?;
    if ask.switch("persist")? == Some(true) {
        for action in &actions {
            assign::set_missing(context.tx, &user.id, action, &Setting::by("admin"))?;
        }
    }
    mail(context, (&user, Purpose::Actions), (actions, target), None)?;
    Ok(Reply::NoContent)
}

/// `PUT /users/{user}/reset-password-email`: Keycloak's older word for one of its actions.
///
/// # Errors
/// The caller may not, or the person cannot be written to.
pub fn reset_password(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = addressee(context, ask)?;
    let target = target(context, ask)?;
    let actions = vec![update_password::NAME.to_owned()];
    mail(context, (&user, Purpose::Actions), (actions, target), None)?;
    Ok(Reply::NoContent)
}

/// `PUT /users/{user}/send-verify-email`.
///
/// # Errors
/// The caller may not, or the person cannot be written to.
pub fn verify_email(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = addressee(context, ask)?;
    let target = target(context, ask)?;
    mail(
        context,
        (&user, Purpose::VerifyEmail),
        (Vec::new(), target),
        None,
    )?;
    Ok(Reply::NoContent)
}

/// The fields of a pre-registration.
const PRE_REGISTRATION: Shape = Shape {
    name: "PreRegistrationRequest",
    texts: &["message", "client_id", "redirect_uri"],
    flags: &["send"],
    numbers: &["lifespan"],
    lists: &[],
    other: &[],
};

/// `POST /users/{user}/pre-registration`: mails a link to set the first password, or with `send: false` answers it.
///
/// # Errors
/// The caller may not, the person cannot be written to, or for an answer: has a password.
pub fn pre_register(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.managed_user(ask)?;
    let sent: Map<String, Value> = match ask.json_if_any()? {
        Some(body) => PRE_REGISTRATION.read(body)?,
        None => Map::new(),
    };
    let target = Target {
        client_id: text_of(&sent, "client_id").map(str::to_owned),
        redirect_uri: text_of(&sent, "redirect_uri").map(str::to_owned),
        lifespan: number_of(&sent, "lifespan"),
    };
    check(context, &target)?;
    if flag_of(&sent, "send").unwrap_or(true) {
        let message = message_of(&sent)?;
        reachable(&user)?;
        let what = (&user, Purpose::PreRegistration);
        mail(context, what, (Vec::new(), target), message)?;
        return Ok(Reply::NoContent);
    }
    context.require(&["impersonation"])?;
    let config = std::sync::Arc::clone(&context.config);
    let issuer = context.engine.issuer(&config.realm.name);
    let new = NewLink {
        client_id: target.client_id,
        redirect_uri: target.redirect_uri,
        lifespan: target.lifespan,
        ..NewLink::of(
            &config.realm,
            &user.id,
            Purpose::PreRegistration,
            Sender::Administrator,
        )
    };
    let tools = context.engine.mailer.tools();
    let shown = link::reveal(context.tx, tools, &issuer, &new)?.map_err(refused)?;
    let event = context
        .event("ADMIN_LINK_REVEAL")
        .user(&user.id)
        .detail("link", shown.id.as_str());
    context.record(event)?;
    Ok(Reply::Json(json!({
        "id": shown.id.as_str(),
        "link": shown.link,
        "code": shown.code,
        "expiresAt": shown.expires_at.millis(),
    })))
}

fn message_of(sent: &Map<String, Value>) -> Result<Option<String>, AdminError> {
    let message = text_of(sent, "message").filter(|text| !text.trim().is_empty());
    if message.is_some_and(|text| text.len() > LONGEST_NOTE) {
        return Err(AdminError::Bad("message is longer than 10 KiB".into()));
    }
    Ok(message.map(str::to_owned))
}

/// Whether a user representation asks for a mail to its person.
pub fn wants_instructions(sent: &Map<String, Value>) -> bool {
    ["preRegistration", "sendInstructions"]
        .into_iter()
        .any(|name| flag_of(sent, name) == Some(true))
}

/// Mails a new person where and how to sign in, with a link to set a password and never a password: one mail.
///
/// # Errors
/// The person cannot be written to.
pub fn instruct(
    context: &mut Context<'_, '_>,
    user: &User,
    sent: &Map<String, Value>,
) -> Result<(), AdminError> {
    if !wants_instructions(sent) {
        return Ok(());
    }
    reachable(user)?;
    let message = message_of(sent)?;
    let what = (user, Purpose::PreRegistration);
    mail(context, what, (Vec::new(), Target::default()), message)
}

/// `GET /users/{user}/links`, the newest first. Nothing of it opens anything.
///
/// # Errors
/// The caller may not, or there is no such user.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let user = context.seen_user(ask)?;
    let now = context.tx.now()?;
    let links = link::of_user(context.tx, &user.id)?;
    Ok(Reply::Json(
        links.iter().map(|link| show(link, &user, now)).collect(),
    ))
}

fn show(link: &Link, user: &User, now: Timestamp) -> Value {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    json!({
        "id": link.id.as_str(),
        "purpose": link.purpose.as_str(),
        "state": link.state(user, now).as_str(),
        "actions": link.actions,
        "email": link.address,
        "clientId": link.client_id,
        "redirectUri": link.redirect_uri,
        "campaignId": link.campaign_id,
        "automated": link.automated,
        "createdAt": link.created_at.millis(),
        "sentAt": millis(link.sent_at),
        "openedAt": millis(link.opened_at),
        "committedAt": millis(link.committed_at),
        "expiresAt": millis(link.expires_at()),
    })
}

/// `DELETE /links/{link}`, also below its person: takes it back.
///
/// # Errors
/// The caller may not, or there is no such link that lives.
pub fn revoke(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let realm = context.config.realm.id.clone();
    let id = LinkId::new(ask.path("link"));
    let found = link::with_user(context.tx, &realm, &id)?;
    let of_named = |user: &UserId| ask.named("user").is_none_or(|named| named == user.as_str());
    let Some((_, user)) = found.filter(|(_, user)| of_named(&user.id)) else {
        return Err(AdminError::NotFound("Link not found"));
    };
    if !context.outranks(&user.id)? {
        return Err(AdminError::Forbidden);
    }
    if !link::revoke(context.tx, &user.id, &id)? {
        return Err(AdminError::Conflict("The link has ended already".into()));
    }
    let event = context
        .event("ADMIN_LINK_REVOKE")
        .user(&user.id)
        .detail("link", id.as_str());
    context.record(event)?;
    Ok(Reply::NoContent)
}
