//! What the pages of actions and consent submit.
//!
//! The flow decides which action is submitted, never the URL. A submit changes facts; whether the action is done
//! is the gate's to say, when the dispatcher asks it again.

use std::sync::Arc;

use super::by_link::done as by_link;
use super::consent;
use super::engine::Engine;
use super::new_password;
use super::next::{Act, Next, SessionCookie, window_end};
use super::reply;
use super::show::Reply;
use super::steps::{self, Stage, Visit, Where};
use crate::action::kinds::{terms, update_password, update_profile, verify_email};
use crate::flow::{Flash, Flow, rows};
use crate::link;
use crate::store::dialect::{Lock, lock_user};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::rows::Conflict;
use crate::user::{self, User, waiting};

/// What a first look at a submit found out.
enum First {
    Answered(Box<Reply>),
    NewPassword(Arc<new_password::Old>),
}

/// Handles a submit.
pub(super) async fn submit(engine: Arc<Engine>, visit: Visit) -> Result<Reply, StoreError> {
    let first = {
        let (engine, visit) = (Arc::clone(&engine), visit.clone());
        engine
            .store
            .clone()
            .run(move |store| store.tx(|tx| look(tx, &engine, &visit)))
            .await?
    };
    let old = match first {
        First::Answered(reply) => return Ok(*reply),
        First::NewPassword(old) => old,
    };
    let judged = new_password::judge(&engine, &visit.form, &old).await?;
    engine
        .store
        .clone()
        .run(move |store| store.tx(|tx| set_password(tx, &engine, &visit, &judged)))
        .await
}

/// The flow at its present step, if the submit is of that step.
fn at_step(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
) -> Result<Result<(Stage, Next, SessionCookie), Reply>, StoreError> {
    let posted = visit.form.text("flow");
    let mut stage = match steps::stage(tx, engine, visit, Flow::handle_of(posted))? {
        Ok(stage) => stage,
        Err(reply) => return Ok(Err(reply)),
    };
    if !stage.flow.accepts(&engine.keyring, posted) {
        return Ok(Err(steps::go_on(
            tx,
            engine,
            visit,
            (&mut stage, Where::Elsewhere),
        )?));
    }
    // Of thousands who send a password by one link, one changes the person's row: whoever comes later need not wait for it.
    let used = match stage.flow.open_link() {
        Some(id) => link::with_user(tx, &stage.config.realm.id, id)?
            .is_some_and(|(link, _)| link.committed_at.is_some()),
        None => false,
    };
    if let Some(user) = stage.flow.user_id.as_ref().filter(|_| !used) {
        // Locked for writing before the gate locks it for reading: two submits that upgraded would wait for each other.
        lock_user(tx, user, Lock::Update)?;
    }
    let with = (engine, &stage.config, &stage.client);
    let (next, cookie) = steps::decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    Ok(Ok((stage, next, cookie)))
}

fn look(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<First, StoreError> {
    let answered = |reply| Ok(First::Answered(Box::new(reply)));
    let (mut stage, next, cookie) = match at_step(tx, engine, visit)? {
        Ok(step) => step,
        Err(reply) => return answered(reply),
    };
    match next {
        Next::Act(act) if act.action == update_password::NAME => {
            let old = new_password::Old::load(tx, &stage.config, &act.waiting.user)?;
            Ok(First::NewPassword(Arc::new(old)))
        }
        Next::Act(act) => {
            let done = act_submitted(tx, engine, (visit, &mut stage), &act)?;
            answered(done)
        }
        Next::Consent { scopes } => {
            if visit.form.has("cancel") || !visit.form.has("accept") {
                return answered(reply::decline(tx, engine, &mut stage)?);
            }
            let now = tx.now()?;
            if let Some(user) = stage.flow.user_id.clone() {
                consent::give(tx, &user, &stage.client.id, &scopes, now)?;
                record(tx, engine, (visit, &stage), ("GRANT_CONSENT", &user))?;
            }
            stage.flow.consented = true;
            answered(again(tx, engine, visit, stage)?)
        }
        other => {
            note_stopped(tx, engine, (visit, &stage), &other)?;
            answered(steps::finish(
                tx,
                engine,
                &mut stage,
                (other, cookie),
                None,
            )?)
        }
    }
}

/// Records that somebody who was switched off, locked or deleted at the gate has submitted (threat V004).
fn note_stopped(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &Stage),
    next: &Next,
) -> Result<(), StoreError> {
    let error = match next {
        Next::Stopped("account-disabled") => "user_disabled",
        Next::Stopped("redirect-uri") => "invalid_redirect_uri",
        Next::Stopped(_) => "user_not_found",
        _ => return Ok(()),
    };
    let now = tx.now()?;
    let mut event = Event::new(&stage.config.realm.id, "LOGIN_ERROR")
        .client(&stage.client.client_id)
        .from(&visit.peer.ip_address)
        .error(error);
    if let Some(user) = &stage.flow.user_id {
        event = event.user(user);
    }
    events::record(tx, &engine.entropy, now, event)
}

/// Asks the dispatcher after something was done.
fn again(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    mut stage: Stage,
) -> Result<Reply, StoreError> {
    stage.flow.flash = None;
    let with = (engine, &stage.config, &stage.client);
    let decided = steps::decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    steps::finish(tx, engine, &mut stage, decided, None)
}

/// Shows the page again with what is wrong.
pub(super) fn refuse(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (stage, flash): (&mut Stage, Flash),
) -> Result<Reply, StoreError> {
    stage.flow.flash = Some(flash);
    rows::advance(tx, &mut stage.flow)?;
    steps::go_on(tx, engine, visit, (stage, Where::Elsewhere))
}

pub(super) fn record(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &Stage),
    (kind, user): (&'static str, &crate::kernel::UserId),
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let event = Event::new(&stage.config.realm.id, kind)
        .user(user)
        .client(&stage.client.client_id)
        .from(&visit.peer.ip_address);
    events::record(tx, &engine.entropy, now, event)
}

fn act_submitted(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    act: &Act,
) -> Result<Reply, StoreError> {
    let user = &act.waiting.user;
    // Held before anything is written: whoever takes the link back at this moment waits, and finds it used.
    if let Some(link) = stage.flow.open_link()
        && !link::rows::hold(tx, link, (&user.id, &user.auth_epoch))?
    {
        return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
    }
    match act.action.as_str() {
        terms::NAME => {
            if !visit.form.has("accept") {
                return reply::decline(tx, engine, stage);
            }
            let now = tx.now()?;
            let mut changed = user.clone();
            changed.attributes.insert(
                "terms_and_conditions".to_owned(),
                vec![now.seconds().to_string()],
            );
            if store(tx, stage, &changed)?.is_err() {
                return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
            }
            completed(tx, engine, (visit, stage), (act, "CUSTOM_REQUIRED_ACTION"))
        }
        update_profile::NAME => super::profile::submitted(tx, engine, (visit, stage), act),
        verify_email::NAME => super::mailed_code::submitted(tx, engine, (visit, stage), act),
        _ => steps::go_on(tx, engine, visit, (stage, Where::Elsewhere)),
    }
}

/// What an action asks for was stored: it waits no longer, neither on the person nor on the link that asked for it.
pub(super) fn completed(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (act, kind): (&Act, &'static str),
) -> Result<Reply, StoreError> {
    let user = &act.waiting.user;
    waiting::remove(tx, &user.id, &act.action)?;
    record(tx, engine, (visit, stage), (kind, &user.id))?;
    match stage.flow.open_link().cloned() {
        Some(link) => by_link::action(tx, engine, (visit, stage), (&link, act)),
        None => done(tx, engine, visit, stage),
    }
}

/// An action was done: if it was the last one, the gate is passed.
pub(super) fn done(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    stage: &mut Stage,
) -> Result<Reply, StoreError> {
    stage.flow.flash = None;
    let with = (engine, &stage.config, &stage.client);
    let decided = steps::decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    if let (false, Some(user)) = (
        matches!(decided.0, Next::Act(_)),
        stage.flow.user_id.clone(),
    ) {
        record(tx, engine, (visit, stage), ("GATE_PASSED", &user))?;
        metrics::counter!("idp_gate_passed_total").increment(1);
    }
    steps::finish(tx, engine, stage, decided, None)
}

pub(super) fn store(
    tx: &mut Tx<'_>,
    stage: &Stage,
    changed: &User,
) -> Result<Result<(), Conflict>, StoreError> {
    user::rows::update(
        tx,
        changed,
        !stage.config.realm.settings.duplicate_emails_allowed,
    )
}

/// The new password: everything is asked again with the user's row locked, and then changed in one transaction.
fn set_password(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    judged: &new_password::Judged,
) -> Result<Reply, StoreError> {
    let (mut stage, next, cookie) = match at_step(tx, engine, visit)? {
        Ok(step) => step,
        Err(reply) => return Ok(reply),
    };
    let Next::Act(act) = next else {
        note_stopped(tx, engine, (visit, &stage), &next)?;
        return steps::finish(tx, engine, &mut stage, (next, cookie), None);
    };
    if act.action != update_password::NAME {
        return steps::go_on(tx, engine, visit, (&mut stage, Where::Elsewhere));
    }
    let hash = match &judged.hash {
        Ok(hash) => hash,
        Err(flash) => return refuse(tx, engine, visit, (&mut stage, flash.clone())),
    };
    let user = act.waiting.user.clone();
    // The clock is read after the lock was waited for: a submit that waited across the end of the window is late.
    let now = tx.now()?;
    let in_time = stage
        .flow
        .proof
        .as_ref()
        .is_some_and(|proof| now < window_end(&stage.config, proof));
    let link = stage.flow.open_link().cloned();
    let demanded = link.is_some() || new_password::is_demanded(tx, &user)?;
    let unchanged = new_password::is_unchanged(tx, &user, &judged.old_credential)?;
    if !in_time || !demanded || !unchanged {
        return steps::go_on(tx, engine, visit, (&mut stage, Where::Elsewhere));
    }
    // The link ends in the statement that asks whether it lives; of all who come at once, one goes on.
    let link = match &link {
        Some(id) => match by_link::commit(tx, id, &user)? {
            Some(link) => Some(link),
            None => return steps::go_on(tx, engine, visit, (&mut stage, Where::Elsewhere)),
        },
        None => None,
    };
    let epoch = new_password::store(tx, &engine.entropy, &user.id, hash)?;
    if let Some(proof) = &mut stage.flow.proof {
        proof.epoch = epoch;
    }
    if let Some(link) = &link {
        by_link::password_set(tx, engine, (visit, &mut stage), (link, &user))?;
    }
    stage.flow.session_id = None;
    stage.flow.flash = None;
    let browser = steps::rebind(tx, engine, &mut stage.flow)?;
    record(tx, engine, (visit, &stage), ("UPDATE_PASSWORD", &user.id))?;
    super::notices::password_changed(tx, engine, &stage, &user)?;
    let with = (engine, &stage.config, &stage.client);
    let decided = steps::decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    if !matches!(decided.0, Next::Act(_)) {
        record(tx, engine, (visit, &stage), ("GATE_PASSED", &user.id))?;
        metrics::counter!("idp_gate_passed_total").increment(1);
    }
    steps::finish(tx, engine, &mut stage, decided, browser)
}
