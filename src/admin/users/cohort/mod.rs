//! `POST /users/required-actions`: actions set on, or taken from, everybody whom an audience finds.
//!
//! Up to [`AT_ONCE`] people are done within the call; more become a job that any node carries on ([`work`]). Either
//! way the work is an [`Order`], done by [`chunk`], kept in [`rows`] with what was before, told by [`tell`], and can be
//! undone.
//! Leaves out the caller and the last administrator who is not gated, unless they are named by id; never touches
//! somebody whose powers the caller lacks.

pub mod chunk;
pub mod cleaner;
pub mod order;
pub mod rows;
pub mod tell;
mod undo;
pub mod work;

use serde_json::{Value, json};

use self::order::{Author, Order, Task, Tells};
use self::rows::{Job, State};
use super::actions::{Manner, Plan};
use super::audience::{self, canonical_or_same};
use super::fields::{flag_of, text_of};
use super::notices;
use crate::action::assign::assignable;
use crate::admin::ask::Ask;
use crate::admin::authors;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::admin::json::{Shape, texts};
use crate::kernel::Timestamp;
use crate::user::search;

/// So many people are done within the call.
pub const AT_ONCE: i64 = 100;

/// The fields of the request.
const REQUEST: Shape = Shape {
    name: "RequiredActionsRequest",
    texts: &["resetProof", "reason"],
    flags: &["compromised", "revokeSessions", "dryRun"],
    numbers: &["dueAt"],
    lists: &["add", "remove"],
    other: &["filter"],
};

/// Sets and takes actions; with `dryRun` only counts.
///
/// # Errors
/// The caller may not, or the request makes no sense.
pub fn post(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&REQUEST)?;
    context.require(&["manage-users"])?;
    let list = |name: &str| sent.get(name).and_then(texts).unwrap_or_default();
    let (add, remove) = (list("add"), list("remove"));
    if add.is_empty() && remove.is_empty() {
        return Err(AdminError::Bad("add or remove must name an action".into()));
    }
    let add: Vec<String> = assignable(&context.config.actions, &add)?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let plan = Plan {
        set: add,
        take: remove.iter().map(|name| canonical_or_same(name)).collect(),
        manner: Manner::read(&sent)?,
    };
    if plan.set.iter().any(|name| plan.take.contains(name)) {
        return Err(AdminError::Bad(
            "An action cannot be added and removed at once".into(),
        ));
    }
    notices::warn_if_unsendable(context, &plan);
    let filter = sent
        .get("filter")
        .ok_or_else(|| AdminError::Bad("filter is missing".into()))?;
    let mut audience = audience::of_body(filter)?;
    // Who is made after the order was given is not meant by it.
    audience.made_until = Some(context.tx.now()?);
    let order = Order {
        task: Task::Change(plan),
        audience,
        author: author(context),
        beyond: order::beyond(&context.config, &context.caller.powers),
        reason: text_of(&sent, "reason").map(str::to_owned),
        tells: Tells::Everybody,
    };
    refuse_the_powerful_by_name(context, &order)?;
    begin(context, order, flag_of(&sent, "dryRun").unwrap_or(false))
}

fn author(context: &Context<'_, '_>) -> Author {
    Author::Administrator {
        realm: context.caller.home.realm.name.clone(),
        user: context.caller.user.clone(),
        client_id: context.caller.client_id.clone(),
        ip_address: context.peer().ip_address.clone(),
    }
}

/// Whoever names somebody by id whom they may not touch is told so; a filter passes over them.
fn refuse_the_powerful_by_name(
    context: &mut Context<'_, '_>,
    order: &Order,
) -> Result<(), AdminError> {
    if order.audience.ids.is_none() || order.beyond.is_empty() {
        return Ok(());
    }
    let mut powerful = order.audience.clone();
    powerful.roles = Some(order.beyond.clone());
    let realm = context.config.realm.id.clone();
    if search::count(context.tx, &realm, &powerful)? > 0 {
        return Err(AdminError::Forbidden);
    }
    Ok(())
}

/// Counts; does it where they are few, and makes a job where they are many.
fn begin(context: &mut Context<'_, '_>, order: Order, dry_run: bool) -> Outcome {
    let realm = context.config.realm.id.clone();
    let config = std::sync::Arc::clone(&context.config);
    let all = search::count(context.tx, &realm, &order.audience)?;
    let audience = order::spared(context.tx, &config, &order)?;
    let count = search::count(context.tx, &realm, &audience)?;
    let skipped = all.saturating_sub(count);
    if dry_run {
        return Ok(Reply::Json(json!({ "count": count, "skipped": skipped })));
    }
    let now = context.tx.now()?;
    let mut job = Job::new(
        &context.engine.entropy,
        &realm,
        order,
        (count, skipped),
        now,
    );
    rows::insert(context.tx, &job)?;
    let event = job
        .order
        .event(&realm, "ADMIN_USERS_REQUIRED_ACTIONS", &job.id);
    context.record(event.detail("count", count))?;
    if count > AT_ONCE {
        let path = format!("/{}/jobs/{}", config.realm.name, job.id);
        return Ok(Reply::Accepted(
            path,
            json!({ "id": job.id, "count": count, "skipped": skipped }),
        ));
    }
    let engine = context.engine;
    while let Some(next) = chunk::next(context.tx, engine, &config, &job)? {
        job.place = next.place;
        job.done = job.done.saturating_add(next.done);
    }
    job.state = State::Done;
    job.finished_at = Some(now);
    rows::update(context.tx, &job)?;
    // The first of them hear of it as it becomes true.
    tell::step(context.tx, engine, &job.id)?;
    Ok(Reply::Json(
        json!({ "id": job.id, "count": job.done, "skipped": skipped }),
    ))
}

/// `GET /jobs`: the newest hundred.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    let page = ask.page(Some(100))?;
    let realm = context.config.realm.id.clone();
    let jobs = rows::list(context.tx, &realm, (page.first, page.max))?;
    Ok(Reply::Json(jobs.iter().map(show).collect()))
}

/// `GET /jobs/{job}`.
///
/// # Errors
/// The caller may not, or there is no such job.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    Ok(Reply::Json(show(&find(context, ask)?)))
}

/// `POST /jobs/{job}/cancel`: what is done stays done; undoing it is another call.
///
/// # Errors
/// The caller may not, or not stop its author; there is no such job, or it has ended.
pub fn cancel(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let job = find(context, ask)?;
    authors::may_stop(context, job.order.author.user())?;
    if !rows::cancel(context.tx, &job.id)? {
        return Err(AdminError::Conflict(format!(
            "The job is {} and cannot be cancelled; undo takes back what it did",
            job.state.as_str()
        )));
    }
    let event = context
        .event("ADMIN_JOB_CANCEL")
        .detail("job", job.id.as_str());
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// `POST /jobs/{job}/undo`: puts back what waited before, where nobody has asked for something else since.
///
/// # Errors
/// The caller may not, there is no such job, it still runs, or it was undone already.
pub fn undo(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let undone = find(context, ask)?;
    let now = context.tx.now()?;
    if !cleaner::is_kept(&undone, now) {
        return Err(AdminError::Conflict(
            "What was before this order is kept for 90 days after its end, which are over: order the opposite".into(),
        ));
    }
    let Task::Change(plan) = undone.order.task.clone() else {
        return Err(AdminError::Bad(
            "An undo cannot be undone: order the change again".into(),
        ));
    };
    if matches!(undone.state, State::Queued | State::Running) {
        return Err(AdminError::Conflict(
            "The job still runs: cancel it first".into(),
        ));
    }
    let mut audience = undone.order.audience.clone();
    audience.without_ids.clear();
    let order = Order {
        task: Task::Undo {
            job: undone.id.clone(),
            plan,
        },
        audience,
        author: author(context),
        beyond: order::beyond(&context.config, &context.caller.powers),
        reason: ask.query("reason").map(str::to_owned),
        tells: Tells::Everybody,
    };
    let realm = context.config.realm.id.clone();
    let count = rows::count_people(context.tx, &order.task)?;
    let mut job = Job::new(&context.engine.entropy, &realm, order, (count, 0), now);
    if !rows::begin_undo(context.tx, &undone, &job.id)? {
        return Err(AdminError::Conflict(
            "This order was undone already, or its undo still runs: what waits now was asked for by others. Order the change that you want".into(),
        ));
    }
    rows::insert(context.tx, &job)?;
    let event = job
        .order
        .event(&realm, "ADMIN_USERS_REQUIRED_ACTIONS_UNDO", &job.id);
    context.record(event.detail("count", count))?;
    if count > AT_ONCE {
        let path = format!("/{}/jobs/{}", context.config.realm.name, job.id);
        return Ok(Reply::Accepted(
            path,
            json!({ "id": job.id, "count": count }),
        ));
    }
    let (engine, config) = (context.engine, std::sync::Arc::clone(&context.config));
    while let Some(next) = chunk::next(context.tx, engine, &config, &job)? {
        job.place = next.place;
        job.done = job.done.saturating_add(next.done);
    }
    job.state = State::Done;
    job.finished_at = Some(now);
    rows::update(context.tx, &job)?;
    tell::step(context.tx, engine, &job.id)?;
    Ok(Reply::Json(json!({ "id": job.id, "count": job.done })))
}

fn find(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Job, AdminError> {
    let realm = context.config.realm.id.clone();
    rows::by_id(context.tx, &realm, ask.path("job"))?.ok_or(AdminError::NotFound("Job not found"))
}

fn show(job: &Job) -> Value {
    let mut shown = json!({
        "id": job.id,
        "kind": job.order.task.name(),
        "state": job.state.as_str(),
        "total": job.total,
        "done": job.done,
        "skipped": job.skipped,
        "reason": job.order.reason,
        "createdAt": job.created_at.millis(),
        "finishedAt": job.finished_at.map(Timestamp::millis),
        "error": job.error,
    });
    if let (Task::Undo { job, .. }, Some(fields)) = (&job.order.task, shown.as_object_mut()) {
        fields.insert("undoes".into(), json!(job));
    }
    if let (Some(by), Some(fields)) = (&job.undone_by, shown.as_object_mut()) {
        fields.insert("undoneBy".into(), json!(by));
    }
    shown
}
