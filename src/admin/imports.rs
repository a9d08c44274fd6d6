//! `/user-imports`: files of people, taken in as they arrive and worked by whatever node is free.
//!
//! The file is stored in sealed pieces before anybody is told of the job; then the job is as safe as its database.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::ask::{Ask, Page};
use super::authors;
use super::call::{Call, Context, Outcome, Reply};
use super::error::AdminError;
use super::import_options;
use crate::import::jobs::{self, Job, NewJob, Source};
use crate::import::lease;
use crate::import::upload::{self, LONGEST_KEY, PIECE, Upload};
use crate::import::verdicts::{self, State, Verdict};
use crate::import::{Format, Options};
use crate::kernel::{ImportId, UserId};
use crate::oidc::engine::Engine;
use crate::web::spreadsheet;

/// How many verdicts a portion of a long list has.
const PORTION: i64 = 1000;
/// How many things a list has where the caller does not say.
const DEFAULT_MAX: i64 = 100;

/// What a request says before its file comes.
struct Order {
    options: Options,
    key: Option<String>,
    /// The job that the key stands for already.
    earlier: Option<Job>,
}

/// `POST /user-imports`.
pub async fn post(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(engine) = request
        .app_data::<web::Data<Engine>>()
        .map(|engine| Arc::clone(engine))
    else {
        return AdminError::Store.response();
    };
    let call = Call::bare(&request, &engine);
    let headers = Headers::of(&request);
    match receive(&call, &engine, headers, payload).await {
        Ok((path, id)) => HttpResponse::Accepted()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::LOCATION, format!("{}{path}", engine.public_url)))
            .json(json!({ "id": id.as_str() })),
        Err(error) => error.response(),
    }
}

/// The headers that say how a file is meant.
struct Headers {
    content_type: String,
    key: Option<Result<String, AdminError>>,
}

impl Headers {
    fn of(request: &HttpRequest) -> Self {
        let text = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap_or("\u{fffd}").to_owned())
        };
        let key = text("Idempotency-Key").map(|key| {
            let key = key.trim().trim_matches('"').to_owned();
            let fits = !key.is_empty()
                && key.len() <= LONGEST_KEY
                && key.chars().all(|c| c.is_ascii_graphic());
            if fits {
                Ok(key)
            } else {
                Err(AdminError::Bad(
                    "Idempotency-Key must be 1 to 255 visible ASCII characters".into(),
                ))
            }
        });
        Self {
            content_type: text("Content-Type").unwrap_or_default(),
            key,
        }
    }

    /// The format that the media type stands for; `None` where the file has to tell.
    fn format(&self) -> Result<Option<Format>, AdminError> {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "text/csv" => Ok(Some(Format::Csv)),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Ok(Some(Format::Ndjson))
            }
            "application/json"
            | "application/gzip"
            | "application/x-gzip"
            | "application/octet-stream" => Ok(None),
            _ => Err(AdminError::MediaType),
        }
    }
}

async fn receive(
    call: &Call,
    engine: &Arc<Engine>,
    headers: Headers,
    payload: web::Payload,
) -> Result<(String, ImportId), AdminError> {
    let id = ImportId::new(engine.entropy.random_uuid());
    // The caller is judged before a byte of the file is read.
    let (order, realm, upload) = {
        let id = id.clone();
        call.within(move |context, ask| {
            context.require(&["manage-users"])?;
            let order = read(context, ask, headers)?;
            let realm = context.config.realm.clone();
            let author = context.caller.user.as_str().to_owned();
            let new = NewJob {
                id: &id,
                realm_id: &realm.id,
                source: Source::Upload,
                author: &author,
                options: &order.options,
                digest: None,
            };
            let upload = Upload::begin(context.tx, &new)?;
            Ok((order, realm, upload))
        })
        .await?
    };
    let path = |id: &ImportId| format!("/admin/realms/{}/user-imports/{id}", realm.name);
    let upload = match stored(engine, upload, payload).await {
        Ok(upload) => upload,
        Err(error) => {
            forget(engine, &id).await;
            return Err(error);
        }
    };
    if let Some(earlier) = &order.earlier {
        forget(engine, &id).await;
        return same(earlier, &order.options, &upload.digest())
            .map(|()| (path(&earlier.id), earlier.id.clone()));
    }
    let options = order.options.clone();
    let queued = call
        .within(move |context, _| {
            context.require(&["manage-users"])?;
            if let Some(key) = &order.key
                && let Some(earlier) = jobs::by_key(context.tx, &context.config.realm.id, key)?
            {
                return Ok(Some((earlier, upload.digest())));
            }
            upload.queue(context.tx, order.key.as_deref())?;
            let event = context
                .event("ADMIN_USERS_IMPORT")
                .detail("import", upload.id().as_str())
                .detail("dry_run", order.options.dry_run);
            context.record(event)?;
            Ok(None)
        })
        .await;
    match queued {
        Ok(None) => Ok((path(&id), id)),
        Ok(Some((earlier, digest))) => {
            forget(engine, &id).await;
            same(&earlier, &options, &digest).map(|()| (path(&earlier.id), earlier.id))
        }
        Err(error) => {
            forget(engine, &id).await;
            Err(error)
        }
    }
}

/// A key stands for one file and one way of importing it.
fn same(earlier: &Job, options: &Options, digest: &str) -> Result<(), AdminError> {
    let meant = |options: &Options| Options {
        roles: None,
        ..options.clone()
    };
    if earlier.digest.as_deref() == Some(digest) && meant(&earlier.options) == meant(options) {
        Ok(())
    } else {
        Err(AdminError::Conflict(
            "This Idempotency-Key was used for another import".into(),
        ))
    }
}

fn read(context: &mut Context<'_, '_>, ask: &Ask, headers: Headers) -> Result<Order, AdminError> {
    let options = import_options::read(context, ask, headers.format()?)?;
    let key = headers.key.transpose()?;
    let earlier = match &key {
        Some(key) => jobs::by_key(context.tx, &context.config.realm.id, key)?,
        None => None,
    };
    Ok(Order {
        options,
        key,
        earlier,
    })
}

/// Stores a body as it comes, piece by piece.
async fn stored(
    engine: &Arc<Engine>,
    mut upload: Upload,
    mut payload: web::Payload,
) -> Result<Upload, AdminError> {
    let mut piece: Vec<u8> = Vec::new();
    let mut any = false;
    while let Some(part) = payload.next().await {
        let part = part.map_err(|_| AdminError::Bad("The file did not come to its end".into()))?;
        any |= !part.is_empty();
        piece.extend_from_slice(&part);
        if piece.len() >= PIECE {
            upload = put(engine, upload, std::mem::take(&mut piece)).await?;
        }
    }
    if !any {
        return Err(AdminError::Bad("The body is empty: send a file".into()));
    }
    if !piece.is_empty() {
        upload = put(engine, upload, piece).await?;
    }
    Ok(upload)
}

async fn put(
    engine: &Arc<Engine>,
    mut upload: Upload,
    piece: Vec<u8>,
) -> Result<Upload, AdminError> {
    let with = Arc::clone(engine);
    engine
        .store
        .run(move |store| {
            let piece = zeroize::Zeroizing::new(piece);
            store.tx(|tx| upload.put(tx, (&with.keyring, &with.entropy), &piece))?;
            Ok::<_, AdminError>(upload)
        })
        .await
}

/// Forgets a job that nobody was told of. What fails here is cleaned up within the hour.
async fn forget(engine: &Arc<Engine>, id: &ImportId) {
    let id = id.clone();
    let forgotten = engine
        .store
        .run(move |store| store.tx(|tx| upload::forget(tx, &id)))
        .await;
    if let Err(error) = forgotten {
        crate::oidc::error::log_failure(&error);
    }
}

/// The path's job.
fn found(context: &mut Context<'_, '_>, ask: &Ask) -> Result<Job, AdminError> {
    context.require(&["manage-users"])?;
    let id = ImportId::new(ask.path("import"));
    let realm = context.config.realm.id.clone();
    jobs::in_realm(context.tx, &realm, &id)?
        .filter(|job| job.state != jobs::State::Receiving)
        .ok_or(AdminError::NotFound("Import not found"))
}

/// `GET /user-imports`: newest first.
///
/// # Errors
/// The caller may not.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["manage-users"])?;
    let Page { first, max } = ask.page(Some(DEFAULT_MAX))?;
    let realm = context.config.realm.id.clone();
    let jobs = jobs::list(context.tx, &realm, (first, max.unwrap_or(i64::MAX)))?;
    Ok(Reply::Json(jobs.iter().map(shown).collect()))
}

/// `GET /user-imports/{import}`.
///
/// # Errors
/// The caller may not, or there is none.
pub fn get(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let job = found(context, ask)?;
    Ok(Reply::Json(shown(&job)))
}

fn shown(job: &Job) -> Value {
    let counts = &job.counts;
    let mut shown = json!({
        "id": job.id.as_str(),
        "state": job.state.as_str(),
        "dryRun": job.options.dry_run,
        "total": job.total,
        "done": counts.done,
        "accepted": counts.accepted,
        "updated": counts.updated,
        "skipped": counts.skipped,
        "rejected": counts.rejected,
        "noted": counts.noted,
        "createdAt": job.created_at.millis(),
    });
    if let Value::Object(fields) = &mut shown {
        if let Some(error) = &job.error {
            fields.insert("error".into(), json!(error));
        }
        if let Some(campaign) = &job.campaign {
            fields.insert("campaign".into(), json!(campaign));
        }
        if let Some(finished) = job.finished_at {
            fields.insert("finishedAt".into(), json!(finished.millis()));
        }
    }
    shown
}

/// `POST /user-imports/{import}/cancel`: what is stored stays; nothing more is.
///
/// # Errors
/// The caller may not, there is none, or it is over.
pub fn cancel(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let job = found(context, ask)?;
    let over_http = job.options.roles.is_some();
    let author = over_http.then(|| UserId::new(job.author.as_str()));
    authors::may_stop(context, author.as_ref())?;
    if !lease::cancel(context.tx, &job.realm_id, &job.id)? {
        return Err(AdminError::Conflict("The import is over already".into()));
    }
    let event = context
        .event("ADMIN_USERS_IMPORT_CANCEL")
        .detail("import", job.id.as_str());
    context.record(event)?;
    Ok(Reply::NoContent)
}

/// `GET /user-imports/{import}/rows`: one verdict per row, as JSON or as CSV.
///
/// # Errors
/// The caller may not, there is none, or `state` is no state.
pub fn rows(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    found(context, ask)?;
    state_of(ask)?;
    ask.page(Some(DEFAULT_MAX))?;
    Ok(if ask.wants_csv {
        Reply::Stream(spreadsheet::CSV, csv_portion)
    } else {
        Reply::Stream("application/json", json_portion)
    })
}

fn state_of(ask: &Ask) -> Result<Option<State>, AdminError> {
    ask.text("state")
        .map(|text| {
            State::parse(text).ok_or_else(|| {
                AdminError::Bad(format!(
                    "Unknown state {text:.32}: accepted, updated, skipped or rejected"
                ))
            })
        })
        .transpose()
}

/// The verdicts of one portion, whether it is the first, and the place of the next.
fn portion(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    place: Option<&str>,
) -> Result<(Vec<Verdict>, Option<String>), AdminError> {
    let job = found(context, ask)?;
    let Page { first, max } = ask.page(Some(DEFAULT_MAX))?;
    // After which row, and how many are still wanted; -1 for all.
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let (after, left) = match place.and_then(|place| place.split_once(' ')) {
        Some((after, left)) => (number(after), number(left)),
        None => (0, max.unwrap_or(-1)),
    };
    let skip = if place.is_none() { first } else { 0 };
    let limit = if left < 0 { PORTION } else { left.min(PORTION) };
    let verdicts = verdicts::list(context.tx, &job.id, state_of(ask)?, after, (skip, limit))?;
    let count = i64::try_from(verdicts.len()).unwrap_or(0);
    let left = if left < 0 {
        left
    } else {
        left.saturating_sub(count)
    };
    let next = verdicts
        .last()
        .filter(|_| count == limit && left != 0)
        .map(|last| format!("{} {left}", last.number));
    Ok((verdicts, next))
}

fn json_portion(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    place: Option<&str>,
) -> Result<(String, Option<String>), AdminError> {
    let (verdicts, next) = portion(context, ask, place)?;
    let mut text = String::from(if place.is_none() { "[" } else { "" });
    for (index, verdict) in verdicts.iter().enumerate() {
        if index > 0 || place.is_some() {
            text.push(',');
        }
        text.push_str(&verdict_json(verdict).to_string());
    }
    if next.is_none() {
        text.push(']');
    }
    Ok((text, next))
}

fn verdict_json(verdict: &Verdict) -> Value {
    let mut shown = json!({
        "row": verdict.number, "line": verdict.line, "state": verdict.state.as_str(),
    });
    if let Value::Object(fields) = &mut shown {
        if let Some(user) = &verdict.user {
            fields.insert("userId".into(), json!(user.as_str()));
        }
        if let Some(problem) = &verdict.problem {
            if let Some(field) = &problem.field {
                fields.insert("field".into(), json!(field));
            }
            fields.insert("reason".into(), json!(problem.reason));
        }
    }
    shown
}

fn csv_portion(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    place: Option<&str>,
) -> Result<(String, Option<String>), AdminError> {
    let (verdicts, next) = portion(context, ask, place)?;
    let mut text = if place.is_none() {
        spreadsheet::row(["row", "line", "state", "userId", "field", "reason"])
    } else {
        String::new()
    };
    for verdict in &verdicts {
        let problem = verdict.problem.as_ref();
        text.push_str(&spreadsheet::row([
            verdict.number.to_string().as_str(),
            verdict.line.to_string().as_str(),
            verdict.state.as_str(),
            verdict.user.as_ref().map_or("", |user| user.as_str()),
            problem
                .and_then(|problem| problem.field.as_deref())
                .unwrap_or_default(),
            problem.map_or("", |problem| problem.reason.as_str()),
        ]));
    }
    Ok((text, next))
}
