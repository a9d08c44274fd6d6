//! The one writer of a SQLite file, and how those who wait for it share a commit.
//!
//! The disk is asked once for several transactions (group commit): whoever finishes while others wait leaves the
//! transaction open for them, each inside a savepoint of its own, and the last one commits for all. Nobody is told of
//! success before that commit is durable (`synchronous=FULL`).
//!
//! There are two ways in: [`Writer::write`] runs on the caller's thread, [`Writer::submit`] hands the work to the
//! writer's own thread, which takes what has queued up meanwhile into one commit and so changes threads least.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use diesel::sqlite::SqliteConnection;
use parking_lot::{Condvar, Mutex};

use super::control::{
    begin_immediate, commit, release, roll_back, roll_back_to_savepoint, savepoint,
};
use crate::kernel::Clock;
use crate::store::tx::Alone;
use crate::store::{Conn, StoreError, Tx};

/// The most transactions that share one commit: bounds how long the first of them waits.
const BATCH: usize = 64;

/// What a job leaves behind: whether it stays, and whom to tell how the commit went.
struct Ran {
    keep: bool,
    tell: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

/// Work for the writer's thread: gets the connection inside a savepoint, or the reason why there is none.
type Job = Box<dyn FnOnce(Result<&mut Conn, StoreError>) -> Ran + Send>;

/// Where the answer of submitted work goes.
pub(in crate::store) trait Answer<R, E>:
    FnOnce(Result<R, E>) + Send + 'static
{
}

impl<R, E, F: FnOnce(Result<R, E>) + Send + 'static> Answer<R, E> for F {}

pub(super) struct Writer {
    shared: Arc<Shared>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What was submitted is finished and the connection closed, so that a file whose server has stopped is whole.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        let own = std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|one| one.thread().id() != own) {
            let _ = thread.join();
        }
    }
}

struct Shared {
    slot: Mutex<Slot>,
    waiting: AtomicUsize,
}

struct Slot {
    conn: Conn,
    open: Option<Arc<Batch>>,
}

/// Several transactions that become durable together.
#[derive(Default)]
struct Batch {
    joined: AtomicUsize,
    outcome: Mutex<Option<Result<(), String>>>,
    done: Condvar,
}

impl Batch {
    fn settle(&self, outcome: Result<(), String>) {
        *self.outcome.lock() = Some(outcome);
        self.done.notify_all();
    }

    fn wait(&self) -> Result<(), StoreError> {
        let mut outcome = self.outcome.lock();
        loop {
            if let Some(settled) = outcome.as_ref() {
                return settled.clone().map_err(StoreError::Commit);
            }
            self.done.wait(&mut outcome);
        }
    }

    fn join(&self) -> usize {
        self.joined
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }
}

impl Slot {
    /// The transaction that is open, or a new one.
    fn batch(&mut self) -> Result<Arc<Batch>, StoreError> {
        match self.open.take() {
            Some(batch) => Ok(batch),
            None => {
                begin_immediate(&mut self.conn)?;
                Ok(Arc::new(Batch::default()))
            }
        }
    }

    /// Ends a savepoint; its work stays or goes.
    fn end(&mut self, keep: bool) -> Result<(), StoreError> {
        if !keep {
            roll_back_to_savepoint(&mut self.conn)?;
        }
        release(&mut self.conn)
    }

    /// Commits a batch and tells those who wait on it.
    ///
    /// Without its savepoint the transaction is gone: on a full disk or a failing one SQLite takes all of it back by
    /// itself, the neighbours' part too. Nobody may join it then, and nobody is told it is safe.
    fn finish(&mut self, batch: &Batch, step: Result<(), StoreError>) -> Result<(), String> {
        let outcome = step
            .and_then(|()| commit(&mut self.conn))
            .map_err(|error| error.to_string());
        if outcome.is_err() {
            let _ = roll_back(&mut self.conn);
        }
        batch.settle(outcome.clone());
        outcome
    }
}

impl Writer {
    pub(super) fn new(conn: SqliteConnection) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            slot: Mutex::new(Slot {
                conn: Conn::Sqlite(conn),
                open: None,
            }),
            waiting: AtomicUsize::new(0),
        });
        let (jobs, queue) = channel();
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || worker.work(&queue))
            .map_err(|cause| StoreError::Connect(format!("no thread for the writer: {cause}")))?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs a write transaction on this thread and returns once it is durable.
    pub(super) fn write<R, E>(
        &self,
        clock: &Clock,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<StoreError>,
    {
        let shared = &self.shared;
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        let mut slot = shared.slot.lock();
        shared.waiting.fetch_sub(1, Ordering::SeqCst);
        let batch = slot.batch()?;
        let joined = batch.join();
        let mut step = savepoint(&mut slot.conn);
        let result = match &step {
            Ok(()) => catch_unwind(AssertUnwindSafe(|| {
                f(&mut Tx::new(&mut slot.conn, clock, true))
            })),
            Err(error) => Ok(Err(StoreError::Commit(error.to_string()).into())),
        };
        if step.is_ok() {
            step = slot.end(matches!(result, Ok(Ok(_))));
        }
        if step.is_ok() && joined < BATCH && shared.waiting.load(Ordering::SeqCst) > 0 {
            // Somebody waits for the lock: he joins this transaction, and he or a later one commits it.
            slot.open = Some(Arc::clone(&batch));
        } else {
            let _settled = slot.finish(&batch, step);
        }
        drop(slot);
        match result {
            Ok(Ok(value)) => batch.wait().map(|()| value).map_err(E::from),
            Ok(Err(error)) => Err(error),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Hands a write transaction to the writer's thread; `answer` is called there once it is durable or refused.
    pub(super) fn submit<R, E>(
        &self,
        clock: Clock,
        f: impl for<'tx> FnOnce(&mut Tx<'tx>) -> Result<R, E> + Send + 'static,
        answer: impl Answer<R, E>,
    ) where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let job: Job = Box::new(move |conn| {
            let result = match conn {
                Ok(conn) => catch_unwind(AssertUnwindSafe(|| {
                    let _alone = Alone::new()?;
                    f(&mut Tx::new(conn, &clock, true))
                }))
                .unwrap_or_else(|_| Err(StoreError::Panicked.into())),
                Err(error) => Err(error.into()),
            };
            Ran {
                keep: result.is_ok(),
                tell: Box::new(move |committed| {
                    answer(result.and_then(|value| committed.map(|()| value).map_err(E::from)));
                }),
            }
        });
        // The thread ends with this writer, so it is there; a job it cannot take drops its answer, which is heard.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// How many threads wait for the connection.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::SeqCst)
    }

    /// Runs work that manages its own transactions (migrations) on the writer's connection.
    pub(super) fn exclusive<R>(
        &self,
        f: impl FnOnce(&mut SqliteConnection) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match &mut self.shared.slot.lock().conn {
            Conn::Sqlite(conn) => f(conn),
            Conn::Postgres(_) => Err(StoreError::Schema(
                "the writer of a SQLite store is not SQLite".into(),
            )),
        }
    }
}

impl Shared {
    /// The writer's thread: ends when the writer is gone.
    fn work(&self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            self.round(first, queue);
        }
    }

    /// One commit: this job, and those that have queued up by then.
    fn round(&self, first: Job, queue: &Receiver<Job>) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut slot = self.slot.lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let batch = match slot.batch() {
            Ok(batch) => batch,
            Err(error) => {
                drop(slot);
                let ran = first(Err(StoreError::Commit(error.to_string())));
                return (ran.tell)(Err(error));
            }
        };
        let mut told = Vec::new();
        let mut next = Some(first);
        let mut step = Ok(());
        while let Some(job) = next.take() {
            let joined = batch.join();
            step = savepoint(&mut slot.conn);
            let ran = match &step {
                Ok(()) => job(Ok(&mut slot.conn)),
                Err(error) => job(Err(StoreError::Commit(error.to_string()))),
            };
            if step.is_ok() {
                step = slot.end(ran.keep);
            }
            told.push(ran.tell);
            if step.is_ok() && joined < BATCH {
                next = queue.try_recv().ok();
            }
        }
        let outcome = slot.finish(&batch, step);
        drop(slot);
        for tell in told {
            tell(outcome.clone().map_err(StoreError::Commit));
        }
    }
}
