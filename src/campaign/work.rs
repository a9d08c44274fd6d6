//! Carries mailings on: on every node, in short transactions, one mailing at a time.
//!
//! A transaction locks the mailing's row, so two nodes never work on the same one; it writes recipients, links and
//! mails together, so a node that dies in the middle has done nothing. A node that slept finds the row's time moved
//! on. There is no other lease.

use std::sync::Arc;
use std::time::Duration;

use super::audience;
use super::deeds;
use super::orders;
use super::recipients;
use super::rows::{self, Campaign, State};
use super::settings::{Kind, Person};
use crate::kernel::{Timestamp, UserId};
use crate::link::{self, LinkId, MailWords, Sender};
use crate::mail::outbox::batch;
use crate::mail::{Tools, pace};
use crate::oidc::engine::Engine;
use crate::realm::{self, Realm};
use crate::store::{Store, StoreError, Tx, dialect};
use crate::user::{self, User, credential, waiting};

/// How often a node looks for work.
const POLL: Duration = Duration::from_millis(200);
/// So many people are handed over in one transaction: few enough that a sign-in waits for milliseconds, and that a busy
/// machine does not hold the mailing for long.
const AT_ONCE: i64 = 25;
/// Microseconds until a mailing with nothing to do is looked at again.
const SOON: i64 = 200_000;
/// The fewest outcomes by which a bounce rate is judged.
const SAMPLE: i64 = 20;
/// Seconds after its end for which a mailing with mails in doubt is looked at.
const LATE: i64 = 3600;
/// Seconds in a day.
const DAY: i64 = 24 * 3600;

/// Works for as long as the server runs.
pub async fn run(engine: Arc<Engine>) {
    loop {
        match once(&engine, None).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(POLL).await,
            Err(error) => {
                tracing::warn!(%error, "a mailing rests; it goes on in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Works on one mailing alone, for a command that waits for it.
pub async fn only(engine: Arc<Engine>, id: String) {
    loop {
        match once(&engine, Some(id.clone())).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(POLL).await,
            Err(error) => {
                tracing::warn!(%error, "the mailing rests; it goes on in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Does one transaction's work of a mailing whose time has come, of that id where one is given. `false`: there is
/// none.
///
/// # Errors
/// The database fails; nothing was done.
pub async fn once(engine: &Arc<Engine>, id: Option<String>) -> Result<bool, StoreError> {
    let shared = Arc::clone(engine);
    let work = move |store: &Store| {
        if !store.read(rows::is_due)? {
            return Ok(false);
        }
        store.tx(|tx| step(tx, &shared, id.as_deref()))
    };
    let worked: bool = engine.store.run(work).await?;
    if worked {
        engine.mailer.wake();
    }
    Ok(worked)
}

fn step(tx: &mut Tx<'_>, engine: &Engine, id: Option<&str>) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let Some(id) = dialect::lock_due_campaign(tx, now, id)? else {
        return Ok(false);
    };
    let Some(mut campaign) = rows::by_id(tx, &id)? else {
        return Ok(false);
    };
    let Some(realm) = realm::rows::by_id(tx, &campaign.realm_id)? else {
        return Ok(false);
    };
    recipients::reap(tx, &id)?;
    campaign.wake_at = Timestamp::from_micros(now.micros().saturating_add(SOON));
    match campaign.state {
        State::Scheduled => campaign.state = State::Running,
        State::Running => forward(tx, engine, (&realm, &mut campaign), now)?,
        State::Paused => {
            // A mail that was tried and put back while the mailing was being paused.
            batch::hold(tx, &id)?;
            campaign.wake_at = now.plus_seconds(1);
        }
        State::Reminding => remind(tx, engine, (&realm, &mut campaign), now)?,
        State::Done | State::Cancelled => {
            if campaign.state == State::Cancelled {
                batch::cancel(tx, &id, "cancelled")?;
            }
            if batch::open(tx, &id)? == 0 {
                recipients::reap(tx, &id)?;
                pace::clear(tx, &id)?;
                // A node that slept may still say what became of a mail in doubt.
                let ended = campaign.finished_at.unwrap_or(now);
                if now < ended.plus_seconds(LATE) && recipients::any_in_doubt(tx, &id)? {
                    campaign.wake_at = now.plus_seconds(10);
                } else {
                    orders::sleep(&mut campaign);
                }
            }
        }
    }
    rows::update(tx, &campaign)?;
    Ok(true)
}

/// Moves a running mailing on.
fn forward(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (realm, campaign): (&Realm, &mut Campaign),
    now: Timestamp,
) -> Result<(), StoreError> {
    if !campaign.frozen {
        return freeze(tx, engine, campaign, now);
    }
    if stopped_by_bounces(tx, engine, campaign)? {
        return Ok(());
    }
    if let Some(end) = quiet_until(campaign, now) {
        batch::hold(tx, &campaign.id)?;
        campaign.reason = Some("quiet-hours".to_owned());
        // Looked at now and then, for what was on its way when the quiet began.
        campaign.wake_at = end.min(now.plus_seconds(10));
        return Ok(());
    }
    if campaign.reason.take().is_some() {
        batch::release(tx, &campaign.id)?;
    }
    let open = batch::open(tx, &campaign.id)?;
    let room = campaign.settings.window().saturating_sub(open).min(AT_ONCE);
    let next = if room > 0 {
        recipients::next(tx, &campaign.id, room)?
    } else {
        Vec::new()
    };
    for user in &next {
        hand_over(tx, engine, (realm, campaign), user)?;
    }
    if !next.is_empty() {
        // There may be more at once.
        campaign.wake_at = now;
        return Ok(());
    }
    if open == 0 && recipients::next(tx, &campaign.id, 1)?.is_empty() {
        recipients::reap(tx, &campaign.id)?;
        if campaign.settings.remind_after_days.is_some() {
            campaign.state = State::Reminding;
        } else {
            finish(tx, engine, campaign, now)?;
        }
    }
    Ok(())
}

fn finish(
    tx: &mut Tx<'_>,
    engine: &Engine,
    campaign: &mut Campaign,
    now: Timestamp,
) -> Result<(), StoreError> {
    campaign.state = State::Done;
    campaign.finished_at = Some(now);
    orders::note(tx, &engine.entropy, campaign, "CAMPAIGN_DONE")
}

/// Writes down the next part of the audience.
fn freeze(
    tx: &mut Tx<'_>,
    engine: &Engine,
    campaign: &mut Campaign,
    now: Timestamp,
) -> Result<(), StoreError> {
    let started = *campaign.started_at.get_or_insert(now);
    match audience::freeze(tx, campaign, started)? {
        Some(place) => campaign.place = place,
        None => {
            campaign.frozen = true;
            orders::note(tx, &engine.entropy, campaign, "CAMPAIGN_STARTED")?;
        }
    }
    campaign.wake_at = now;
    Ok(())
}

fn quiet_until(campaign: &Campaign, now: Timestamp) -> Option<Timestamp> {
    campaign.settings.quiet_hours.as_ref()?.end_if_now(now)
}

fn bounces_too_much(tx: &mut Tx<'_>, campaign: &Campaign) -> Result<bool, StoreError> {
    let Some(limit) = campaign.settings.stop_at_bounce_rate else {
        return Ok(false);
    };
    let since = campaign.settings.bounces_since;
    let reminders = campaign.state == State::Reminding;
    let (sent, bounced) = recipients::judged(tx, &campaign.id, since, reminders)?;
    let known = sent.saturating_add(bounced);
    #[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
    let rate = bounced as f64 / known.max(1) as f64;
    Ok(known >= SAMPLE && rate >= limit)
}

/// Lets a mailing rest of which too many mails bounce. `false`: it goes on.
fn stopped_by_bounces(
    tx: &mut Tx<'_>,
    engine: &Engine,
    campaign: &mut Campaign,
) -> Result<bool, StoreError> {
    if !bounces_too_much(tx, campaign)? {
        return Ok(false);
    }
    orders::rest(tx, campaign, "bounce-rate")?;
    tracing::warn!(campaign = %campaign.id, "a mailing rests: too many of its mails bounce");
    orders::note(tx, &engine.entropy, campaign, "CAMPAIGN_STOPPED_BY_BOUNCES")?;
    Ok(true)
}

/// Gives somebody a link and a mail, or passes over them.
fn hand_over(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (realm, campaign): (&Realm, &Campaign),
    id: &UserId,
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let key = (campaign.id.as_str(), id);
    let (user, waits) = facts(tx, realm, id)?;
    let person = Person {
        user: user.as_ref(),
        has_password: campaign.kind == Kind::PreRegistration
            && credential::password(tx, id)?.is_some(),
        has_signed_in: user::rows::last_sign_in(tx, id)?.is_some(),
        has_waiting: !waits.is_empty(),
    };
    if let Some(why) = campaign.settings.passes_over(campaign.kind, &person) {
        return recipients::skip(tx, key, why, now);
    }
    let new = campaign
        .settings
        .link((&campaign.id, campaign.kind), (realm, id), &waits);
    match link::create(tx, tools(engine), &new)? {
        Ok(created) => {
            batch::join(
                tx,
                &created.mail,
                &campaign.id,
                campaign.settings.language(),
            )?;
            let address = user.and_then(|user| user.email).unwrap_or_default();
            recipients::handed_over(tx, key, (&created.id, &created.mail, &address), now)
        }
        Err(refused) => recipients::skip(tx, key, &refused.to_string(), now),
    }
}

fn tools(engine: &Engine) -> Tools<'_> {
    Tools {
        keyring: &engine.keyring,
        entropy: &engine.entropy,
    }
}

/// The person as stored now, and what waits on them that this server knows.
fn facts(
    tx: &mut Tx<'_>,
    realm: &Realm,
    id: &UserId,
) -> Result<(Option<User>, Vec<String>), StoreError> {
    let user = user::rows::in_realm(tx, &realm.id, id)?;
    let waits = waiting::of_user(tx, id)?
        .into_iter()
        .filter_map(|row| crate::action::canonical(&row.action))
        .map(str::to_owned)
        .collect();
    Ok((user, waits))
}

/// Reminds those whose time has come; it is over when there is nobody left.
fn remind(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (realm, campaign): (&Realm, &mut Campaign),
    now: Timestamp,
) -> Result<(), StoreError> {
    if stopped_by_bounces(tx, engine, campaign)? {
        return Ok(());
    }
    let days = campaign.settings.remind_after_days.unwrap_or(0);
    if let Some(end) = quiet_until(campaign, now) {
        batch::hold(tx, &campaign.id)?;
        campaign.reason = Some("quiet-hours".to_owned());
        campaign.wake_at = end.min(now.plus_seconds(10));
        return Ok(());
    }
    if campaign.reason.take().is_some() {
        batch::release(tx, &campaign.id)?;
    }
    let before = now.plus_seconds(days.saturating_mul(-DAY));
    let open = batch::open(tx, &campaign.id)?;
    let room = campaign
        .settings
        .window()
        .saturating_sub(open)
        .clamp(0, AT_ONCE);
    let next = recipients::to_remind(tx, &campaign.id, before, room)?;
    for (user, link) in &next {
        remind_one(tx, engine, (realm, campaign), (user, link.as_deref()))?;
    }
    if !next.is_empty() {
        campaign.wake_at = now;
        return Ok(());
    }
    match recipients::first_unreminded(tx, &campaign.id)? {
        Some(_) if open > 0 => {}
        Some(sent) => {
            let due = sent.plus_seconds(days.saturating_mul(DAY));
            campaign.wake_at = due.max(campaign.wake_at);
        }
        None if open == 0 => {
            recipients::reap(tx, &campaign.id)?;
            finish(tx, engine, campaign, now)?;
        }
        None => {}
    }
    Ok(())
}

/// Mails the same link again while it lives, and a fresh one when only time has ended it.
fn remind_one(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (realm, campaign): (&Realm, &Campaign),
    (id, link): (&UserId, Option<&str>),
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let key = (campaign.id.as_str(), id);
    let known = match link {
        Some(link) => link::with_user(tx, &realm.id, &LinkId::new(link))?,
        None => None,
    };
    let came = deeds::of(tx, &campaign.id, std::slice::from_ref(id))?
        .remove(id)
        .unwrap_or_default();
    let Some((link, user)) = known else {
        return recipients::reminded(tx, key, None, now);
    };
    if came.signed_in_at.is_some() || came.password_set_at.is_some() {
        return recipients::reminded(tx, key, None, now);
    }
    let settings = &campaign.settings;
    let words = MailWords {
        message: settings.message.clone(),
        subject: settings.subject.clone(),
        locale: settings.language(),
        bulk: true,
    };
    let mail = match link.state(&user, now) {
        link::State::Expired => {
            let waits = link.actions.clone();
            let new = settings.link((&campaign.id, campaign.kind), (realm, id), &waits);
            let new = link::NewLink {
                sender: Sender::Administrator,
                ..new
            };
            link::create(tx, tools(engine), &new)?
                .ok()
                .map(|created| created.mail)
        }
        _ => link::mail_again(tx, tools(engine), (realm, &link.id), &words)?,
    };
    if let Some(mail) = &mail {
        batch::join(tx, mail, &campaign.id, settings.language())?;
    }
    recipients::reminded(tx, key, mail.as_ref(), now)
}
