//! Those who read the JWKS while passwords are being guessed: they should feel nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::http::{Connection, request};
use crate::load::{Failure, Failures, Latencies};
use crate::setup::Target;

/// Connections that read the JWKS meanwhile.
const READERS: usize = 2;
/// The pause of each of them between two readings.
const READING_PAUSE: Duration = Duration::from_millis(5);
/// How long the last answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The readers of the JWKS, on a thread of their own so that the flood's work on this side does
/// not look like the server's.
pub struct Readers {
    stop: Arc<AtomicBool>,
    thread: tokio::task::JoinHandle<Result<(Latencies, Failures)>>,
}

impl Readers {
    /// Starts reading.
    pub fn start(target: &Arc<Target>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (target, stopped) = (Arc::clone(target), Arc::clone(&stop));
        let thread = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut tasks = JoinSet::new();
                for _ in 0..READERS {
                    tasks.spawn(read(Arc::clone(&target), Arc::clone(&stopped)));
                }
                let (mut latencies, mut failures) = (Latencies::new()?, Failures::default());
                while let Some(done) = tasks.join_next().await {
                    let (some, failed) = done??;
                    latencies.merge(&some)?;
                    failures.merge(failed);
                }
                Ok((latencies, failures))
            })
        });
        Self { stop, thread }
    }

    /// Ends the readings: how long they took, and those that failed.
    pub async fn stop(mut self) -> Result<(Latencies, Failures)> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = &mut self.thread;
        tokio::time::timeout(PATIENCE, thread)
            .await
            .map_err(|_| anyhow!("JWKS hangs"))??
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads the JWKS with pauses until told to stop.
async fn read(target: Arc<Target>, stop: Arc<AtomicBool>) -> Result<(Latencies, Failures)> {
    let (mut latencies, mut failures) = (Latencies::new()?, Failures::default());
    let mut connection = Connection::new(target.address);
    let bytes = request("GET", &target.host, &Target::oidc("certs"), &[], b"");
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match connection.send(&bytes).await {
            Ok(answer) if answer.status == 200 => latencies.record(begun.elapsed()),
            Ok(answer) => failures.add(Failure::unexpected("GET certs", &answer)),
            Err(error) => failures.add(Failure::from(error)),
        }
        sleep(READING_PAUSE).await;
    }
    Ok((latencies, failures))
}
