//! `GET /campaigns/{campaign}/recipients`: who was mailed and what they did, as JSON or as CSV for a spreadsheet.

use serde_json::{Value, json};

use super::find;
use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply, joined};
use crate::admin::error::AdminError;
use crate::campaign::deeds::{self, Deeds};
use crate::campaign::recipients::{self, Recipient};
use crate::kernel::{Timestamp, UserId};
use crate::web::spreadsheet;

/// So many are shown in one portion.
const PORTION: i64 = 500;

/// The list, of one state where `state` is given; `format=csv` is a file.
///
/// # Errors
/// The caller may not, or there is no such campaign.
pub fn list(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    context.require(&["view-users", "manage-users"])?;
    find(context, ask)?;
    Ok(match ask.text("format") {
        Some("csv") => Reply::Stream(spreadsheet::CSV, file),
        None | Some("json") => {
            let page = ask.page(Some(100))?;
            match page.max {
                None => Reply::Stream("application/json", all),
                Some(max) => {
                    let rows = portion(context, ask, None, page.first.saturating_add(max))?.0;
                    let first = usize::try_from(page.first).unwrap_or(0);
                    Reply::Json(rows.iter().skip(first).map(show).collect())
                }
            }
        }
        Some(_) => return Err(AdminError::Bad("format is \"json\" or \"csv\"".into())),
    })
}

type Row = (Recipient, Deeds);

fn portion(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    after: Option<&str>,
    limit: i64,
) -> Result<(Vec<Row>, Option<String>), AdminError> {
    context.require(&["view-users", "manage-users"])?;
    let campaign = find(context, ask)?;
    let states = ask.text("state").map_or(Ok(&[][..]), stored)?;
    let found = recipients::list(
        context.tx,
        &campaign.id,
        states,
        (after.unwrap_or_default(), limit),
    )?;
    let ids: Vec<UserId> = found.iter().map(|row| row.user_id.clone()).collect();
    let mut deeds = deeds::of(context.tx, &campaign.id, &ids)?;
    let full = i64::try_from(found.len()).unwrap_or(i64::MAX) == limit;
    let next = ids.last().filter(|_| full).map(|id| id.as_str().to_owned());
    let rows = found
        .into_iter()
        .map(|row| {
            let did = deeds.remove(&row.user_id).unwrap_or_default();
            (row, did)
        })
        .collect();
    Ok((rows, next))
}

/// The stored words for a shown one.
fn stored(state: &str) -> Result<&'static [&'static str], AdminError> {
    Ok(match state {
        "queued" => &[recipients::WAITING, recipients::QUEUED],
        "sent" => &[recipients::SENT],
        "bounced" => &[recipients::BOUNCED],
        "inDoubt" => &[recipients::IN_DOUBT],
        "skipped" => &[recipients::SKIPPED],
        "failed" => &[recipients::FAILED],
        _ => {
            return Err(AdminError::Bad(format!(
                "Unknown state {state:.32}: one of queued, sent, bounced, inDoubt, skipped, failed"
            )));
        }
    })
}

/// The shown word for a stored one: whose turn has not come is queued, too.
fn shown_state(state: &str) -> &str {
    match state {
        recipients::IN_DOUBT => "inDoubt",
        recipients::WAITING => recipients::QUEUED,
        other => other,
    }
}

fn show((row, did): &Row) -> Value {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    json!({
        "userId": row.user_id.as_str(),
        "username": row.username,
        "email": row.email,
        "state": shown_state(&row.state),
        "reason": row.reason,
        "settledAt": millis(row.settled_at),
        "remindedAt": millis(row.reminded_at),
        "openedAt": millis(did.opened_at),
        "automated": did.automated,
        "passwordSetAt": millis(did.password_set_at),
        "signedInAt": millis(did.signed_in_at),
    })
}

fn all(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    after: Option<&str>,
) -> Result<(String, Option<String>), AdminError> {
    let (rows, next) = portion(context, ask, after, PORTION)?;
    let shown: Vec<Value> = rows.iter().map(show).collect();
    Ok((joined(&shown, after.is_none(), next.is_none()), next))
}

/// The columns of the file.
const COLUMNS: [&str; 9] = [
    "username",
    "email",
    "state",
    "reason",
    "settledAt",
    "remindedAt",
    "openedAt",
    "passwordSetAt",
    "signedInAt",
];

fn file(
    context: &mut Context<'_, '_>,
    ask: &Ask,
    after: Option<&str>,
) -> Result<(String, Option<String>), AdminError> {
    let (rows, next) = portion(context, ask, after, PORTION)?;
    let mut text = if after.is_none() {
        spreadsheet::row(COLUMNS)
    } else {
        String::new()
    };
    for (row, did) in &rows {
        let times = [
            row.settled_at,
            row.reminded_at,
            did.opened_at,
            did.password_set_at,
            did.signed_in_at,
        ]
        .map(time);
        let words = [
            row.username.as_str(),
            row.email.as_deref().unwrap_or_default(),
            shown_state(&row.state),
            row.reason.as_deref().unwrap_or_default(),
        ];
        let cells = words.into_iter().chain(times.iter().map(String::as_str));
        text.push_str(&spreadsheet::row(cells));
    }
    Ok((text, next))
}

fn time(at: Option<Timestamp>) -> String {
    at.and_then(|at| chrono::DateTime::from_timestamp_micros(at.micros()))
        .map(|at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}
