//! The memory that Argon2 works in: allocated on first use, used again, given back when idle.
//!
//! Using it again is worth a tenth of the throughput, because fresh pages cost a fault each.
//! What has lain idle for a while is returned to the operating system, so that an idle server
//! is small. Used by the hasher alone, which bounds how many buffers exist.
//!
//! Buffers are not wiped between uses: that would cost a quarter of the hash, and what they
//! hold is overwritten by the next one or unmapped soon.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use argon2::Block;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The address space reserved for each buffer, in blocks of 1 KiB. Pages never touched cost
/// nothing. The C library maps requests above 32 MiB on their own, always, and so returns them
/// to the system when freed; a smaller request may come from its heap and stay there for good.
const RESERVED_BLOCKS: usize = 33 * 1024;

/// Idle buffers of one size.
pub(super) struct MemoryPool(Arc<Shared>);

struct Shared {
    blocks: usize,
    keep: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// Oldest first; the newest is used first, so that the surplus grows old.
    buffers: Vec<(Instant, Vec<Block>)>,
    sweeper: Option<JoinHandle<()>>,
}

impl MemoryPool {
    /// A pool of buffers of `blocks` KiB each, which keeps an idle one for `keep`.
    pub fn new(blocks: usize, keep: Duration) -> MemoryPool {
        MemoryPool(Arc::new(Shared {
            blocks,
            keep,
            idle: Mutex::default(),
        }))
    }

    /// A buffer of at least `blocks` blocks: an idle one where it is large enough, else a new one.
    pub fn take(&self, blocks: usize) -> Vec<Block> {
        if blocks <= self.0.blocks {
            let reused = self.0.idle.lock().buffers.pop();
            reused.map_or_else(|| allocate(self.0.blocks), |(_, buffer)| buffer)
        } else {
            allocate(blocks)
        }
    }

    /// Keeps a buffer for the next hash. One of another size is freed at once.
    pub fn put_back(&self, buffer: Vec<Block>) {
        // Without a runtime nobody would ever free it, so it is freed now.
        let (true, Ok(runtime)) = (buffer.len() == self.0.blocks, Handle::try_current()) else {
            return;
        };
        let mut idle = self.0.idle.lock();
        idle.buffers.push((Instant::now(), buffer));
        // A sweeper whose runtime was shut down is finished as well and is replaced.
        if idle.sweeper.as_ref().is_none_or(JoinHandle::is_finished) {
            idle.sweeper = Some(runtime.spawn(sweep(Arc::downgrade(&self.0))));
        }
    }

    #[cfg(test)]
    fn idle_buffers(&self) -> usize {
        self.0.idle.lock().buffers.len()
    }
}

/// Frees what has been idle for too long; ends when nothing is left to watch.
async fn sweep(pool: Weak<Shared>) {
    while let Some(pause) = pool.upgrade().and_then(|pool| pool.free_expired()) {
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    /// Frees the expired buffers and says when the next one expires, if there is one.
    fn free_expired(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let expired = idle
            .buffers
            .partition_point(|(since, _)| now.duration_since(*since) >= self.keep);
        drop(idle.buffers.drain(..expired));
        let pause = idle
            .buffers
            .first()
            .map(|(since, _)| self.keep - now.duration_since(*since));
        if pause.is_none() {
            idle.buffers.shrink_to_fit();
            // Under the same lock, so that no buffer comes in between and goes unwatched.
            idle.sweeper = None;
        }
        pause
    }
}

fn allocate(blocks: usize) -> Vec<Block> {
    let mut buffer = Vec::with_capacity(blocks.max(RESERVED_BLOCKS));
    buffer.resize(blocks, Block::new());
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_buffer_is_used_again() {
        let pool = MemoryPool::new(64, Duration::from_secs(60));
        let first = pool.take(64);
        let address = first.as_ptr();
        pool.put_back(first);
        let second = pool.take(8);
        assert_eq!(second.as_ptr(), address, "a smaller hash fits in it too");
    }

    #[tokio::test]
    async fn a_larger_buffer_is_never_kept() {
        let pool = MemoryPool::new(64, Duration::from_secs(60));
        let large = pool.take(128);
        assert_eq!(large.len(), 128);
        pool.put_back(large);
        assert_eq!(pool.idle_buffers(), 0);
    }

    /// Waits for a fact, for a minute on a machine that is busy with other things.
    async fn eventually(fact: impl Fn() -> bool) {
        let began = Instant::now();
        while !fact() {
            assert!(began.elapsed() < Duration::from_secs(60), "never came true");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn idle_buffers_are_freed_again_and_again() {
        let pool = MemoryPool::new(64, Duration::from_millis(20));
        for _ in 0..2 {
            let buffers = [pool.take(64), pool.take(64)];
            buffers.into_iter().for_each(|buffer| pool.put_back(buffer));
            assert_eq!(pool.idle_buffers(), 2);
            eventually(|| pool.idle_buffers() == 0).await;
        }
    }

    #[test]
    fn a_runtime_that_ends_does_not_strand_the_buffers_of_the_next() {
        let pool = MemoryPool::new(64, Duration::from_millis(500));
        let in_a_runtime = |left: usize| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                pool.put_back(pool.take(64));
                eventually(|| pool.idle_buffers() == left).await;
            });
        };
        in_a_runtime(1);
        assert_eq!(pool.idle_buffers(), 1, "its sweeper went with the runtime");
        in_a_runtime(0);
    }

    /// Set for the process that has the next test for itself.
    #[cfg(target_os = "linux")]
    const ALONE: &str = "VESTIBULE_TEST_ALONE";

    /// The point of the pool: the operating system has the memory back. Measured in a process of its own, because
    /// what other tests allocate and free at the same time would be counted with it.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn freed_memory_goes_back_to_the_system() {
        if std::env::var_os(ALONE).is_none() {
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let name = "password::memory::tests::freed_memory_goes_back_to_the_system";
            let ran = alone.args(["--exact", name]).env(ALONE, "1").output();
            let ran = ran.unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        const MIB: usize = 1024 * 1024;
        const BUFFERS: usize = 12;
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let base = resident();
        let pool = MemoryPool::new(19 * 1024, Duration::from_millis(50));
        for _ in 0..3 {
            let buffers: Vec<_> = (0..BUFFERS).map(|_| pool.take(19 * 1024)).collect();
            let peak = resident() - base;
            assert!(peak > BUFFERS * 18 * MIB, "{} MiB in use", peak / MIB);
            buffers.into_iter().for_each(|buffer| pool.put_back(buffer));
            eventually(|| pool.idle_buffers() == 0).await;
            // Less than one buffer is left of twelve.
            let left = resident().saturating_sub(base);
            assert!(left < 18 * MIB, "{} MiB did not come back", left / MIB);
        }
    }
}
