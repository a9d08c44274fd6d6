//! Metrics that are looked up rather than counted (reliability H024). The realm's name is their only label of ours.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web;

use crate::oidc::engine::Engine;
use crate::oidc::issue::{KeyState, list_keys};
use crate::session;
use crate::store::StoreError;

const EVERY: Duration = Duration::from_secs(60);

/// How often observations are drained into their buckets; until then each takes memory of its own.
const DRAIN_EVERY: Duration = Duration::from_secs(5);

/// Keeps the memory of the metrics flat where nobody scrapes them.
pub(super) async fn drain() {
    let mut every = tokio::time::interval(DRAIN_EVERY);
    loop {
        every.tick().await;
        if let Some(handle) = super::METRICS.get() {
            handle.run_upkeep();
        }
    }
}

/// The database's turns, at every scrape.
pub(super) fn pool(engine: &Engine) {
    let (all, free) = engine.store.turns();
    metrics::gauge!("idp_db_pool", "state" => "idle").set(free as f64);
    metrics::gauge!("idp_db_pool", "state" => "used").set(all.saturating_sub(free) as f64);
}

/// The gauges that a query answers, once a minute.
pub(super) async fn run(engine: web::Data<Engine>) {
    let mut every = tokio::time::interval(EVERY);
    let mut known = BTreeMap::new();
    loop {
        every.tick().await;
        if let Err(error) = round(&engine, &mut known).await {
            tracing::warn!(error = %error, "the gauges could not be read");
        }
    }
}

/// Sets the gauges. A realm that is gone keeps its series, so it is set to nought.
async fn round(engine: &Engine, known: &mut BTreeMap<String, i64>) -> Result<(), StoreError> {
    let clock = engine.store.clock().clone();
    let (now, sessions, keys) = engine
        .store
        .run(|store| {
            store.read(|tx| {
                let sessions = session::rows::count_by_realm(tx)?;
                Ok::<_, StoreError>((tx.now()?, sessions, list_keys(tx, None)?))
            })
        })
        .await?;
    for count in known.values_mut() {
        *count = 0;
    }
    known.extend(sessions);
    for (realm, count) in &*known {
        metrics::gauge!("idp_sessions", "realm" => realm.clone()).set(*count as f64);
    }
    for key in keys
        .into_iter()
        .filter(|key| key.state == KeyState::Active.as_str())
    {
        let age = now.seconds_since(key.created_at);
        metrics::gauge!("idp_key_age_seconds", "realm" => key.realm, "alg" => key.algorithm)
            .set(age as f64);
    }
    let skew = clock.now().micros().saturating_sub(now.micros());
    metrics::gauge!("idp_clock_skew_seconds").set(skew as f64 / 1_000_000.0);
    Ok(())
}
