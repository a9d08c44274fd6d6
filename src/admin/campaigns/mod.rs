//! `/campaigns`: mailings made, watched and steered; delivery reports.

pub mod recipients;
pub mod request;

use serde_json::{Value, json};

use super::ask::Ask;
use super::call::{Context, Outcome, Reply};
use super::error::AdminError;
use super::representation::value;
use super::users::cohort::order;
use crate::campaign::orders::{self, Ordered, Resent};
use crate::campaign::samples::{self, SampleError};
use crate::campaign::{Campaign, bounce, funnel, rows};
use crate::user;
use crate::user::search;

impl From<SampleError> for AdminError {
    fn from(error: SampleError) -> Self {
        match error {
            SampleError::Store(error) => error.into(),
            SampleError::NoRoute(_) | SampleError::Render(_) => {
                Self::Unsendable(format!("Failed to send email: {error}"))
            }
        }
    }
}

/// `POST /campaigns`: 202 with the id; with `dryRun` 200 with the number of people and three rendered mails.
///
/// # Errors
/// The caller may not, or the request makes no sense.
pub fn create(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&request::SHAPE)?;
    context.require(&["manage-users"])?;
    let mut wanted = request::read(context, &sent)?;
    let config = std::sync::Arc::clone(&context.config);
    let realm = &config.realm;
    // Nobody is written to whose powers the caller lacks, as with every other change of a person.
    wanted.settings.audience.without_roles = order::beyond(&config, &context.caller.powers);
    wanted.settings.author = Some(context.caller.user.clone());
    if !context.engine.mailer.is_configured(realm) {
        return Err(AdminError::Unsendable(
            "Failed to send email: the realm has no smtpServer; set one before mailing anybody"
                .into(),
        ));
    }
    if wanted.dry_run {
        let issuer = context.engine.issuer(&realm.name);
        let total = search::count(context.tx, &realm.id, &wanted.settings.audience)?;
        let engine = context.engine;
        let samples = samples::render(
            context.tx,
            &engine.mailer,
            (realm, &issuer),
            (wanted.kind, &wanted.settings),
        )?;
        return Ok(Reply::Json(json!({ "total": total, "samples": samples })));
    }
    let entropy = context.engine.entropy;
    let campaign = orders::create(
        context.tx,
        &entropy,
        &realm.id,
        (&wanted.name, wanted.kind, wanted.settings),
    )?;
    audit(context, &campaign, "ADMIN_CAMPAIGN_CREATE")?;
    let path = format!("/{}/campaigns/{}", realm.name, campaign.id);
    Ok(Reply::Accepted(path, json!({ "id": campaign.id })))
}

fn audit(
    context: &mut Context<'_, '_>,
    campaign: &Campaign,
    kind: &'static str,
) -> Result<(), AdminError> {
    let event = context
        .event(kind)
        .detail("campaign", campaign.id.as_str())
        .detail("name", campaign.name.as_str())
        .detail("kind", campaign.kind.as_str());
    context.record(event)
}

fn find(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Campaign, AdminError> {
    let found = rows::by_id(context.tx, ask.path("campaign"))?;
    found
        .filter(|campaign| campaign.realm_id == context.config.realm.id)
        .ok_or(AdminError::NotFound("Campaign not found"))
}

/// `GET /campaigns`: the newest first.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    let page = ask.page(Some(100))?;
    let realm = context.config.realm.id.clone();
    let mut shown = Vec::new();
    for campaign in rows::list(context.tx, &realm, (page.first, page.max))? {
        shown.push(value(&funnel::show(context.tx, &campaign)?)?);
    }
    Ok(Reply::Json(Value::Array(shown)))
}

/// `GET /campaigns/{campaign}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    let campaign = find(context, ask)?;
    Ok(Reply::Json(value(&funnel::show(context.tx, &campaign)?)?))
}

fn ordered(
    context: &mut Context<'_, '_>,
    campaign: &Campaign,
    (outcome, kind): (Option<Ordered>, &'static str),
) -> Outcome {
    match outcome {
        Some(Ordered::Done) => {
            audit(context, campaign, kind)?;
            Ok(Reply::NoContent)
        }
        Some(Ordered::NotNow(state)) => Err(AdminError::Conflict(format!(
            "The campaign is {}",
            state.as_str()
        ))),
        None => Err(AdminError::NotFound("Campaign not found")),
    }
}

/// `POST /campaigns/{campaign}/pause`.
///
/// # Errors
/// The caller may not, there is none, or it is over.
pub fn pause(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let campaign = find(context, ask)?;
    let done = orders::pause(context.tx, &campaign.id, "administrator")?;
    ordered(context, &campaign, (done, "ADMIN_CAMPAIGN_PAUSE"))
}

/// `POST /campaigns/{campaign}/resume`; while the realm's mail rests the server is tried at once.
///
/// # Errors
/// The caller may not, there is none, or neither it nor the realm's mail rests.
pub fn resume(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let campaign = find(context, ask)?;
    let done = orders::resume(context.tx, &campaign.id)?;
    ordered(context, &campaign, (done, "ADMIN_CAMPAIGN_RESUME"))
}

/// `POST /campaigns/{campaign}/cancel`; with `?revokeLinks=true` the links that nobody has used end too, also
/// when everybody was mailed, but for those of people whose powers the caller lacks.
///
/// # Errors
/// The caller may not, there is none, or it is over and its links are not meant.
pub fn cancel(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let campaign = find(context, ask)?;
    let revoke = ask.switch("revokeLinks")?.unwrap_or(false);
    let beyond = order::beyond(&context.config, &context.caller.powers);
    let done = orders::cancel_for(context.tx, &campaign.id, (revoke, &beyond))?;
    ordered(context, &campaign, (done, "ADMIN_CAMPAIGN_CANCEL"))
}

/// `POST /campaigns/{campaign}/resend-in-doubt`.
///
/// # Errors
/// The caller may not, there is none, or it was cancelled.
pub fn resend_in_doubt(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let campaign = find(context, ask)?;
    let count = match orders::resend_in_doubt(context.tx, &campaign.id)? {
        Some(Resent::Mails(count)) => count,
        Some(Resent::Cancelled) => {
            return Err(AdminError::Conflict(
                "The campaign is cancelled, and nothing of it is sent any more: mail these people by a new campaign"
                    .into(),
            ));
        }
        None => return Err(AdminError::NotFound("Campaign not found")),
    };
    audit(context, &campaign, "ADMIN_CAMPAIGN_RESEND")?;
    Ok(Reply::Json(json!({ "count": count })))
}

/// `POST /campaigns/{campaign}/test-send`: mails the caller, and nobody else.
///
/// # Errors
/// The caller may not or has no address, or there is no such campaign.
pub fn test_send(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let campaign = find(context, ask)?;
    let id = context.caller.user.clone();
    let caller = user::rows::by_id(context.tx, &id)?.ok_or(AdminError::Unauthorized)?;
    let config = std::sync::Arc::clone(&context.config);
    let issuer = context.engine.issuer(&config.realm.name);
    let engine = context.engine;
    let mail = samples::test_send(
        context.tx,
        engine.mailer.tools(),
        (&config.realm, &issuer),
        (campaign.kind, &campaign.settings),
        &caller,
    )?;
    if mail.is_none() {
        return Err(AdminError::Message(
            "User email missing: a test goes to your own address; add one to your account".into(),
        ));
    }
    audit(context, &campaign, "ADMIN_CAMPAIGN_TEST")?;
    Ok(Reply::NoContent)
}

/// `POST /mail/bounces`: a delivery report, as the mail server made it.
///
/// # Errors
/// The caller may not, or it is none.
pub fn bounces(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let report = bounce::read(ask.raw()?).ok_or_else(|| {
        AdminError::Bad(
            "Not a delivery report (RFC 3464): post the whole message that came back, headers first".into(),
        )
    })?;
    let realm = context.config.realm.id.clone();
    let engine = context.engine;
    let host = engine.mailer.host();
    let count = bounce::note(context.tx, &engine.entropy, (&realm, host), &report)?;
    Ok(Reply::Json(
        json!({ "count": count, "failed": report.failed }),
    ))
}
