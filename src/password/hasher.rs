//! The bounded Argon2id pool: the only place where passwords are hashed and verified.
//!
//! Called by login, the gate's `UPDATE_PASSWORD`, links, imports and the admin API, always
//! before a transaction opens. Invariants:
//!
//! - At most `permits` hashes run at once. The permit belongs to the thread that hashes, not to the
//!   request: a client that goes away frees nothing while its hash goes on.
//! - Memory is bounded: `permits` buffers, and one buffer more for a stored hash that asks for
//!   more than the configured memory; such hashes run one at a time, from a queue of their own.
//! - The queue holds two seconds of measured work (and 64 waiting in any case); whoever comes
//!   beyond it is told [`Busy`] at once, without hashing.
//! - An unknown user, a user without a password and an attempt that cannot be a password cost
//!   what a wrong password costs (OWASP ASVS 5.0 section 6.3.8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::Builder;
use std::time::{Duration, Instant};

use argon2::Block;
use metrics::{gauge, histogram};
use rustix::process::setpriority_process;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Password;
use super::hash::{Cost, PasswordHash, Salt, Work};
use super::memory::MemoryPool;
use super::queue::{Busy, Queue};

/// How long a buffer may lie idle before its memory is given back.
const KEEP_IDLE_MEMORY: Duration = Duration::from_secs(30);
/// How far a hash stands back behind the other threads (setpriority(2)): a third of their share of a full core.
const NICENESS: i32 = 5;

/// What a new hash costs, and how many run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HasherConfig {
    /// Memory of one hash in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes of one hash.
    pub parallelism: u32,
    /// Hashes that run at once.
    pub permits: usize,
}

impl Default for HasherConfig {
    /// OWASP's first choice for Argon2id, one hash for each core.
    fn default() -> HasherConfig {
        let permits = std::thread::available_parallelism().map_or(1, usize::from);
        HasherConfig {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            permits,
        }
    }
}

/// Why a [`HasherConfig`] cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HasherConfigError {
    /// The algorithm or the caps on stored hashes do not allow the cost.
    #[error(
        "argon2 cannot use memory_kib={memory_kib}, iterations={iterations}, parallelism={parallelism}: \
         at least 8 KiB a lane and 1 iteration, at most 262144 KiB, 10 iterations and 16 lanes"
    )]
    Cost {
        /// The configured memory.
        memory_kib: u32,
        /// The configured passes.
        iterations: u32,
        /// The configured lanes.
        parallelism: u32,
    },
    /// Nothing could ever run.
    #[error("argon2 needs at least one permit")]
    NoPermits,
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The password is the stored one. Never so where nothing is stored.
    pub matches: bool,
    /// It matches, and the stored hash is weaker than one made now: hash again and store.
    pub outdated: bool,
}

/// How busy the pool is and has been since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Hashes that run now.
    pub in_use: usize,
    /// The most that ever ran at once.
    pub peak: usize,
    /// Requests that wait for a permit now.
    pub waiting: usize,
    /// Hashes computed.
    pub computed: u64,
    /// Requests refused as [`Busy`].
    pub shed: u64,
}

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Hasher(Arc<Pool>);

struct Pool {
    cost: Cost,
    dummy: PasswordHash,
    permits: Arc<Semaphore>,
    queue: Arc<Queue>,
    /// Held beside a permit by a hash that needs more than the configured memory.
    oversize: Arc<Semaphore>,
    /// Such hashes wait apart, so that a few of them cannot keep everybody else out.
    oversize_queue: Arc<Queue>,
    memory: MemoryPool,
    in_use: AtomicUsize,
    peak: AtomicUsize,
    computed: AtomicU64,
}

impl Hasher {
    /// A pool that allocates nothing yet.
    pub fn new(config: HasherConfig) -> Result<Hasher, HasherConfigError> {
        let HasherConfig {
            memory_kib,
            iterations,
            parallelism,
            permits,
        } = config;
        let cost = Cost {
            memory_kib,
            iterations,
            parallelism,
        };
        let impossible = HasherConfigError::Cost {
            memory_kib,
            iterations,
            parallelism,
        };
        let dummy = PasswordHash::dummy(cost);
        // What is stored must be readable again, so the caps on stored hashes hold here too.
        if PasswordHash::parse(dummy.as_str()).is_err() {
            return Err(impossible);
        }
        let blocks = cost.blocks().map_err(|_| impossible)?;
        if permits == 0 {
            return Err(HasherConfigError::NoPermits);
        }
        let permits = permits.min(Semaphore::MAX_PERMITS);
        Ok(Hasher(Arc::new(Pool {
            cost,
            dummy,
            permits: Arc::new(Semaphore::new(permits)),
            queue: Arc::new(Queue::new(permits)),
            oversize: Arc::new(Semaphore::new(1)),
            oversize_queue: Arc::new(Queue::new(1)),
            memory: MemoryPool::new(blocks, KEEP_IDLE_MEMORY),
            in_use: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            computed: AtomicU64::new(0),
        })))
    }

    /// Hashes a new password with the configured cost.
    pub async fn hash(&self, password: Password, salt: Salt) -> Result<PasswordHash, Busy> {
        let cost = self.0.cost;
        self.run(cost.work(), move |memory| {
            PasswordHash::compute(&password, &salt, cost, memory)
        })
        .await
    }

    /// Verifies a password against what is stored; `None` (no such user, or no password) takes
    /// as long and matches nothing.
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, Busy> {
        let possible = stored.is_some() && !password.is_unusable();
        let stored = stored.unwrap_or(&self.0.dummy).clone();
        let weaker = stored.is_weaker_than(self.0.cost);
        let equal = self
            .run(stored.work(), move |memory| {
                stored.verify(&password, memory)
            })
            .await?;
        let matches = possible && equal;
        Ok(Verdict {
            matches,
            outdated: matches && weaker,
        })
    }

    /// How busy the pool is.
    pub fn load(&self) -> Load {
        let (waiting, shed) = self.0.queue.waiting_and_shed();
        let (oversize_waiting, oversize_shed) = self.0.oversize_queue.waiting_and_shed();
        Load {
            in_use: self.0.in_use.load(Relaxed),
            peak: self.0.peak.load(Relaxed),
            waiting: waiting + oversize_waiting,
            computed: self.0.computed.load(Relaxed),
            shed: shed + oversize_shed,
        }
    }

    async fn run<T, F>(&self, work: Result<Work, argon2::Error>, compute: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce(&mut [Block]) -> Result<T, argon2::Error> + Send + 'static,
    {
        let work = work.map_err(|error| {
            tracing::error!(%error, "argon2 refused its parameters");
            UNFINISHED
        })?;
        let oversize = work.memory_kib > self.0.cost.memory_kib;
        let queue = if oversize {
            &self.0.oversize_queue
        } else {
            &self.0.queue
        };
        let place = queue.admit(work.units)?;
        let turn = if oversize {
            Some(permit_of(&self.0.oversize).await?)
        } else {
            None
        };
        let permit = permit_of(&self.0.permits).await?;
        drop(place);
        let queue = Arc::clone(queue);
        let pool = Arc::clone(&self.0);
        // From here on nothing is cancelled: the thread owns the permits and returns them itself.
        let (answer, answered) = oneshot::channel();
        let runtime = Handle::current();
        let spawned = Builder::new().name("argon2".to_owned()).spawn(move || {
            let _permits = (turn, permit);
            // Where the memory pool finds whom to tell that a buffer lies idle.
            let _runtime = runtime.enter();
            step_back();
            let (done, seconds) = pool.compute(work.blocks, compute);
            queue.record(work.units, seconds);
            // Nobody listens any more where the client went away.
            let _ = answer.send(done);
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for a password hash: raise the limit on processes");
            return Err(UNFINISHED);
        }
        match answered.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                tracing::error!(%error, "argon2 refused its parameters");
                Err(UNFINISHED)
            }
            Err(_) => {
                tracing::error!("a password hash did not finish");
                Err(UNFINISHED)
            }
        }
    }
}

/// Lets everything else go first: a hash takes tens of milliseconds, and a flood of them must not keep the threads
/// waiting that serve keys and tokens. On Linux the niceness is the calling thread's own, and no thread can take its
/// own back, so each hash has a thread of its own (20 us beside 20 ms).
fn step_back() {
    if let Err(error) = setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "password hashes run at the priority of everything else");
    }
}

/// Parameters are checked and semaphores never closed, so only a runtime that shuts down leaves
/// a hash unfinished. Busy is the answer that lets nobody in.
const UNFINISHED: Busy = Busy {
    retry_after: Duration::from_secs(1),
};

async fn permit_of(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Busy> {
    Arc::clone(semaphore)
        .acquire_owned()
        .await
        .map_err(|_| UNFINISHED)
}

impl Pool {
    /// Computes on the calling thread, under a permit; answers the seconds it took as well.
    fn compute<T>(
        &self,
        blocks: usize,
        work: impl FnOnce(&mut [Block]) -> Result<T, argon2::Error>,
    ) -> (Result<T, argon2::Error>, f64) {
        let _in_use = InUse::begin(self);
        let started = Instant::now();
        let done = if blocks == 0 {
            // Other systems' hashes bring the little memory that they need.
            work(&mut [])
        } else {
            let mut memory = self.memory.take(blocks);
            let done = work(&mut memory);
            self.memory.put_back(memory);
            done
        };
        let seconds = started.elapsed().as_secs_f64();
        histogram!("idp_argon2_seconds").record(seconds);
        self.computed.fetch_add(1, Relaxed);
        (done, seconds)
    }
}

/// Counts a running hash, also one that panics.
struct InUse<'pool>(&'pool Pool);

impl InUse<'_> {
    fn begin(pool: &Pool) -> InUse<'_> {
        let running = pool.in_use.fetch_add(1, Relaxed) + 1;
        pool.peak.fetch_max(running, Relaxed);
        gauge!("idp_argon2_permits_in_use").increment(1.0);
        InUse(pool)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Relaxed);
        gauge!("idp_argon2_permits_in_use").decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
