//! Carries jobs on: on every node, chunk by chunk, under a lease.
//!
//! A node that dies leaves its job to the next one that looks after the lease has ended. Between two chunks everybody
//! else gets a turn at the database.

use std::sync::Arc;
use std::time::Duration;

use super::chunk;
use super::order::Author;
use super::rows::{self, State};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::engine::Engine;
use crate::realm;
use crate::store::{Store, StoreError, Tx};

/// Seconds for which a node may be silent before another one goes on.
const LEASE: i64 = 15;
/// How often a node looks for work.
const POLL: Duration = Duration::from_millis(500);
/// How long it rests between two chunks.
const BREATH: Duration = Duration::from_millis(2);

/// Works for as long as the server runs.
pub async fn run(engine: Arc<Engine>) {
    work(engine, None).await;
}

/// Works on one job alone, for a command that waits for it.
pub async fn only(engine: Arc<Engine>, id: String) {
    work(engine, Some(id)).await;
}

async fn work(engine: Arc<Engine>, only: Option<String>) {
    loop {
        match once(&engine, only.clone()).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(POLL).await,
            Err(error) => {
                tracing::warn!(%error, "a job over many people rests; it goes on in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Takes one job, that of the id where one is given, and works on it until it ends or is lost. `false`: there is none.
///
/// # Errors
/// The database fails; the job goes on once its lease has ended.
async fn once(engine: &Arc<Engine>, only: Option<String>) -> Result<bool, StoreError> {
    let token = engine.entropy.token();
    let own = token.clone();
    let take = move |store: &Store| {
        let due = match only {
            Some(id) => Some(id),
            None => store.read(rows::due)?,
        };
        let Some(id) = due else {
            return Ok::<_, StoreError>(None);
        };
        store.tx(|tx| Ok(rows::lease(tx, &id, &own, LEASE)?.then_some(id)))
    };
    let Some(id) = engine.store.run(take).await? else {
        return Ok(false);
    };
    loop {
        let (shared, id, token) = (Arc::clone(engine), id.clone(), token.clone());
        let more = engine
            .store
            .run(move |store| store.tx(|tx| step(tx, &shared, (&id, &token))))
            .await?;
        if !more {
            return Ok(true);
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// One chunk of the job. `false`: it has ended, or is no longer ours.
fn step(tx: &mut Tx<'_>, engine: &Engine, (id, token): (&str, &str)) -> Result<bool, StoreError> {
    let Some(mut job) = rows::hold(tx, id, token, LEASE)? else {
        return Ok(false);
    };
    let config = match realm::rows::by_id(tx, &job.realm_id)? {
        Some(realm) => engine.catalog.current(tx, &realm.name)?,
        None => None,
    };
    let Some(config) = config else {
        return Ok(false);
    };
    let home: Option<Arc<RealmConfig>> = match &job.order.author {
        Author::Host => None,
        Author::Administrator { realm, .. } => engine.catalog.current(tx, realm)?,
    };
    match job.order.still_beyond(tx, home.as_deref(), &config)? {
        Some(beyond) => job.order.beyond = beyond,
        None => {
            job.state = State::Failed;
            job.error = Some(
                "Who ordered it may no longer manage these people: another administrator can order it again"
                    .to_owned(),
            );
            job.finished_at = Some(tx.now()?);
            rows::update(tx, &job)?;
            return Ok(false);
        }
    }
    let next = chunk::next(tx, engine, &config, &job)?;
    let more = next.is_some();
    match next {
        Some(next) => {
            job.place = next.place;
            job.done = job.done.saturating_add(next.done);
        }
        None => {
            job.state = State::Done;
            job.finished_at = Some(tx.now()?);
        }
    }
    rows::update(tx, &job)?;
    Ok(more)
}
