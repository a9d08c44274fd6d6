//! The server's worker: takes up uploaded jobs, one at a time on each node, and those of nodes that died.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::jobs;
use super::lease;
use super::run::{Ended, Importer};
use super::upload::Uploaded;
use crate::kernel::seal::Keyring;
use crate::store::StoreError;

/// How often a worker looks for jobs.
const LOOK: Duration = Duration::from_millis(500);

/// A worker at work.
pub struct Running {
    stopping: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts a worker.
    pub fn start(importer: Importer, keyring: Arc<Keyring>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(importer, keyring, Arc::clone(&stopping)));
        Self { stopping, task }
    }

    /// Ends after the chunk at hand; the job's lease is given back.
    pub async fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.task.await;
    }
}

async fn run(importer: Importer, keyring: Arc<Keyring>, stopping: Arc<AtomicBool>) {
    let mut well = true;
    while !stopping.load(Ordering::SeqCst) {
        match one(&importer, &keyring, &stopping).await {
            Ok(true) => {
                well = true;
                continue;
            }
            Ok(false) => well = true,
            Err(error) => {
                if well {
                    tracing::warn!(%error, "imports cannot be worked on; they wait");
                }
                well = false;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Works one job, if one is due.
async fn one(
    importer: &Importer,
    keyring: &Arc<Keyring>,
    stopping: &Arc<AtomicBool>,
) -> Result<bool, StoreError> {
    let due = importer
        .store
        .run(|store| {
            store.read(|tx| {
                let now = tx.now()?;
                jobs::due(tx, now)
            })
        })
        .await?;
    let Some(job) = due else {
        return Ok(false);
    };
    let Some(held) = importer.take(job, false).await? else {
        return Ok(false);
    };
    let (id, token) = (held.job.id.clone(), held.token.clone());
    let source = Arc::new(Uploaded::of(&importer.store, keyring, &held.job));
    let go_on = Arc::clone(stopping);
    let ended = importer
        .work(held, source, &move |_| !go_on.load(Ordering::SeqCst))
        .await;
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            let rest = importer
                .store
                .run(move |store| store.tx(|tx| lease::postpone(tx, &id, &token)))
                .await;
            return rest.and(Err(error));
        }
    };
    match ended {
        Ended::Done(progress) => {
            tracing::info!(import = %id, rows = progress.counts.done, rejected = progress.counts.rejected, "an import is done");
        }
        Ended::Failed(_, counts) => {
            tracing::warn!(import = %id, rows = counts.done, "an import's file could not be read to its end");
        }
        Ended::Stopped(stop, counts) => {
            tracing::info!(import = %id, rows = counts.done, ?stop, "an import stopped");
        }
    }
    Ok(true)
}
