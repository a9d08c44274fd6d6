//! `/mails`: what became of single mails, and those in doubt sent again.
//!
//! What a mail says is never shown: the state, the words of the mail server, and the `Message-ID` by which the mail
//! server's own log knows it.

use serde_json::{Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply, joined};
use super::error::AdminError;
use crate::campaign::doubt;
use crate::kernel::{Timestamp, UserId};
use crate::mail::OutboxId;
use crate::mail::outbox::{self, Entry};
use crate::user::audience::MailState;

/// So many are shown in one portion.
const PORTION: i64 = 500;

/// `GET /mails`: the newest first; of one `state`, and of one `user`, where these are given.
///
/// # Errors
/// The caller may not, or `state` names nothing.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    let page = ask.page(Some(100))?;
    let Some(max) = page.max else {
        wanted(ask)?;
        return Ok(Reply::Stream("application/json", all));
    };
    let mails = portion(context, ask, None, page.first.saturating_add(max))?;
    let first = usize::try_from(page.first).unwrap_or(usize::MAX);
    let shown = mails.iter().skip(first).map(|mail| show(context, mail));
    Ok(Reply::Json(shown.collect()))
}

fn all(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    after: Option<&str>,
) -> Result<(String, Option<String>), AdminError> {
    context.require(&["view-users", "manage-users"])?;
    let mails = portion(context, ask, after, PORTION)?;
    let full = i64::try_from(mails.len()).unwrap_or(i64::MAX) == PORTION;
    let next = mails.last().filter(|_| full);
    let next = next.map(|mail| mail.id.as_str().to_owned());
    let shown: Vec<Value> = mails.iter().map(|mail| show(context, mail)).collect();
    Ok((joined(&shown, after.is_none(), next.is_none()), next))
}

/// The states that are asked for, as they are stored; `None` is all.
fn wanted(ask: &Ask) -> Result<Option<&'static [&'static str]>, AdminError> {
    let Some(text) = ask.text("state") else {
        return Ok(None);
    };
    match MailState::parse(text) {
        None | Some(MailState::None) => Err(AdminError::Bad(format!(
            "Unknown state {text:.64}: one of {}",
            MailState::words().join(", ").trim_end_matches(", none")
        ))),
        Some(state) => Ok(Some(state.stored())),
    }
}

fn portion(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<Entry>, AdminError> {
    let states = wanted(ask)?;
    let user = ask.text("user").map(UserId::new);
    let realm = context.config.realm.id.clone();
    let which = (states, user.as_ref());
    Ok(outbox::list(context.tx, &realm, which, (before, limit))?)
}

fn show(context: &Context<'_, '_>, mail: &Entry) -> Value {
    json!({
        "id": mail.id.as_str(),
        "messageId": context.engine.mailer.message_id(&mail.id),
        "userId": mail.user_id.as_ref().map(UserId::as_str),
        "email": mail.recipient,
        "purpose": mail.template,
        "state": MailState::word_of(mail.state.as_str()),
        "reason": mail.last_error,
        "attempts": mail.attempts,
        "campaign": mail.batch,
        "createdAt": mail.created_at.millis(),
        "expiresAt": mail.expires_at.millis(),
        "settledAt": mail.settled_at.map(Timestamp::millis),
    })
}

/// `POST /mails/{mail}/resend`: the same mail again, with the same `Message-ID` and the same link.
///
/// # Errors
/// The caller may not, the person holds powers that the caller lacks, there is no such mail, or it is not in doubt.
pub fn resend(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let realm = context.config.realm.id.clone();
    let id = OutboxId::new(ask.path("mail"));
    let resent = doubt::resend(context.tx, &realm, &id)?;
    let mail = resent
        .ok_or(AdminError::NotFound("Mail not found"))?
        .map_err(|why| AdminError::Conflict(format!("The mail is not sent again: {why}")))?;
    let mut event = context
        .event("ADMIN_MAIL_RESEND")
        .detail("mail", mail.id.as_str())
        .detail("purpose", mail.template.as_str());
    if let Some(user) = &mail.user_id {
        if !context.outranks(user)? {
            return Err(AdminError::Forbidden);
        }
        event = event.user(user);
    }
    if let Some(batch) = &mail.batch {
        event = event.detail("campaign", batch.as_str());
    }
    context.record(event)?;
    context.engine.mailer.wake();
    Ok(Reply::NoContent)
}
