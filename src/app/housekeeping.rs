//! The cleaner: once a minute every node deletes what has ended, in small pieces (reliability H020, R-24).

use std::time::Duration;

use actix_web::web;

use crate::admin::users::cohort;
use crate::campaign;
use crate::import;
use crate::mail::outbox;
use crate::oidc::engine::Engine;
use crate::realm::{self, Realm};
use crate::session;
use crate::store::cleaner::{self, BATCH, Kind};
use crate::store::{Store, StoreError, Tx};

const EVERY: Duration = Duration::from_secs(60);

/// The most batches of one kind in one round, so that the first round after a long stop does not last for hours.
const BATCHES: usize = 200;

/// Seconds for which an ended session is kept: a late answer can then say what happened.
const SESSIONS: i64 = 3600;

/// Seconds for which a link is kept after its end, so that its page and a campaign's figures can tell of it: 90 days.
const LINKS: i64 = 90 * 24 * 3600;

/// Seconds for which audit events are kept where the realm's `eventsExpiration` says nothing: 90 days.
const EVENTS: i64 = 90 * 24 * 3600;

/// Deletes a portion of long work that is over, and answers how many rows.
type Forget = fn(&mut Tx<'_>) -> Result<usize, StoreError>;

/// The work for many people, by the table of its jobs. Each knows for how long it is of use after its end.
const BULK: [(&str, Forget); 3] = [
    ("import_jobs", import::cleaner::forget),
    ("cohort_jobs", cohort::cleaner::forget),
    ("campaigns", campaign::cleaner::forget),
];

/// Cleans for as long as the server runs.
pub(super) async fn run(engine: web::Data<Engine>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if let Err(error) = round(&engine.store).await {
            tracing::warn!(error = %error, "the cleaner could not finish; it goes on in a minute");
        }
    }
}

/// Deletes what has ended, now; answers how many rows that were.
///
/// # Errors
/// The database fails.
pub async fn round(store: &Store) -> Result<usize, StoreError> {
    let (now, realms) = store
        .run(|store| store.read(|tx| Ok::<_, StoreError>((tx.now()?, realm::rows::all(tx)?))))
        .await?;
    let mut deleted: usize = 0;
    let given_up = repeat(store, |store| {
        store.tx(|tx| outbox::give_up_expired(tx, BATCH))
    })
    .await?;
    if given_up > 0 {
        tracing::warn!(
            mails = given_up,
            "mails were never sent and are too old by now"
        );
    }
    for kind in Kind::ALL {
        let ended = now.plus_seconds(-kind.kept());
        let rows = repeat(store, move |store| {
            store.tx(|tx| cleaner::delete(tx, kind, ended))
        })
        .await?;
        report(kind.table(), rows);
        deleted = deleted.saturating_add(rows);
    }
    for (table, forget) in BULK {
        let rows = exhaust(store, forget).await?;
        report(table, rows);
        deleted = deleted.saturating_add(rows);
    }
    let old = now.plus_seconds(-LINKS);
    let links = repeat(store, move |store| {
        store.tx(|tx| cleaner::delete_links(tx, old))
    })
    .await?;
    report("links", links);
    deleted = deleted.saturating_add(links);
    for realm in realms {
        let ended = now.plus_seconds(-SESSIONS);
        let old = now.plus_seconds(-events_kept(&realm));
        let (of_events, of_sessions) = (realm.id.clone(), realm.clone());
        let events = repeat(store, move |store| {
            store.tx(|tx| cleaner::delete_events(tx, &of_events, old))
        })
        .await?;
        report("events", events);
        let sessions = repeat(store, move |store| {
            store.tx(|tx| session::rows::delete_ended(tx, &of_sessions, ended, BATCH))
        })
        .await?;
        report("sessions", sessions);
        deleted = deleted.saturating_add(events).saturating_add(sessions);
    }
    Ok(deleted)
}

/// Runs one batch after the other until one is not full. Requests get their turns in between.
async fn repeat(
    store: &Store,
    batch: impl Fn(&Store) -> Result<usize, StoreError> + Clone + Send + 'static,
) -> Result<usize, StoreError> {
    let mut deleted: usize = 0;
    for _ in 0..BATCHES {
        let rows = store.run(batch.clone()).await?;
        deleted = deleted.saturating_add(rows);
        if rows < BATCH {
            break;
        }
    }
    Ok(deleted)
}

/// The same for work whose portions differ in size: until one is empty.
async fn exhaust(store: &Store, forget: Forget) -> Result<usize, StoreError> {
    let mut deleted: usize = 0;
    for _ in 0..BATCHES {
        let portion = move |store: &Store| {
            store.tx(|tx| {
                let rows = forget(tx)?;
                Ok::<_, StoreError>(rows)
            })
        };
        let rows = store.run(portion).await?;
        deleted = deleted.saturating_add(rows);
        if rows == 0 {
            break;
        }
    }
    Ok(deleted)
}

fn report(table: &'static str, rows: usize) {
    if rows > 0 {
        metrics::counter!("idp_cleaned_rows_total", "table" => table).increment(rows as u64);
        tracing::debug!(table, rows, "ended rows deleted");
    }
}

/// Keycloak's `eventsExpiration` in seconds, where the realm sets it.
fn events_kept(realm: &Realm) -> i64 {
    realm
        .settings
        .rest
        .get("eventsExpiration")
        .and_then(serde_json::Value::as_i64)
        .filter(|seconds| *seconds > 0)
        .unwrap_or(EVENTS)
}
