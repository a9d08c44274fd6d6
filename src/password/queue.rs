//! The queue before the hasher: who may wait for a permit, and who is told to come back.
//!
//! It is measured in work, not in heads: an exponentially weighted moving average says how long
//! a KiB of a pass takes on this machine, so a slow machine or an expensive imported hash makes
//! the queue shorter. Used by the hasher alone; deciding takes microseconds and hashes nothing.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use parking_lot::Mutex;

/// How much work may wait, in measured time.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How many may wait however slow the machine is.
const WAITING_ALWAYS: usize = 64;
/// Seconds for one KiB of one pass until the first hash has been measured; a slow machine.
const FIRST_GUESS: f64 = 1e-6;
/// The weight of the newest measurement in the moving average.
const NEWEST: f64 = 0.1;

/// Too many are waiting; nothing was hashed. Answered 503 with `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many password checks are waiting; try again in {} s", retry_after.as_secs())]
pub struct Busy {
    /// When it is worth trying again, in whole seconds, at least one.
    pub retry_after: Duration,
}

/// The queue of one pool.
pub(super) struct Queue {
    permits: usize,
    state: Mutex<State>,
}

struct State {
    waiting: usize,
    /// The work of those who wait: KiB times passes.
    units: u64,
    seconds_per_unit: f64,
    shed: u64,
}

impl Queue {
    /// An empty queue before so many permits.
    pub fn new(permits: usize) -> Queue {
        let state = State {
            waiting: 0,
            units: 0,
            seconds_per_unit: FIRST_GUESS,
            shed: 0,
        };
        Queue {
            permits,
            state: Mutex::new(state),
        }
    }

    /// Takes a place, or refuses at once where two seconds of work already wait.
    pub fn admit(self: &Arc<Queue>, units: u64) -> Result<Place, Busy> {
        let mut state = self.state.lock();
        let seconds = state.units as f64 * state.seconds_per_unit / self.permits as f64;
        if state.waiting >= WAITING_ALWAYS && seconds >= LONGEST_WAIT.as_secs_f64() {
            state.shed += 1;
            drop(state);
            counter!("idp_argon2_shed_total").increment(1);
            let retry_after = Duration::from_secs(seconds.ceil().min(60.0) as u64);
            return Err(Busy { retry_after });
        }
        state.waiting += 1;
        state.units += units;
        Ok(Place {
            queue: Arc::clone(self),
            units,
        })
    }

    /// Learns how long a hash took.
    pub fn record(&self, units: u64, seconds: f64) {
        let mut state = self.state.lock();
        state.seconds_per_unit += NEWEST * (seconds / units as f64 - state.seconds_per_unit);
    }

    /// How many wait now, and how many were refused since the start.
    pub fn waiting_and_shed(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.waiting, state.shed)
    }
}

/// A place in the queue, left when dropped: the permit is there, or the request is gone.
pub(super) struct Place {
    queue: Arc<Queue>,
    units: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.waiting -= 1;
        state.units -= self.units;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A queue before two permits that has measured one speed for long.
    fn queue(seconds_per_unit: f64) -> Arc<Queue> {
        let queue = Queue::new(2);
        (0..500).for_each(|_| queue.record(100, seconds_per_unit * 100.0));
        Arc::new(queue)
    }

    fn fill(queue: &Arc<Queue>) -> (Vec<Place>, Busy) {
        let mut places = Vec::new();
        loop {
            match queue.admit(100) {
                Ok(place) => places.push(place),
                Err(busy) => return (places, busy),
            }
        }
    }

    #[test]
    fn two_seconds_of_measured_work_may_wait() {
        // A hash of a hundred units takes 10 ms, and two run at once: 200 of them a second.
        let (places, busy) = fill(&queue(0.0001));
        assert!((399..=401).contains(&places.len()), "{}", places.len());
        assert!((2..=3).contains(&busy.retry_after.as_secs()), "{busy}");
    }

    #[test]
    fn sixty_four_may_wait_on_any_machine() {
        let (places, busy) = fill(&queue(0.01));
        assert_eq!(places.len(), 64);
        assert!((32..=33).contains(&busy.retry_after.as_secs()), "{busy}");
    }

    #[test]
    fn whoever_leaves_makes_room() {
        let queue = queue(0.01);
        let (mut places, _) = fill(&queue);
        assert_eq!(queue.waiting_and_shed(), (64, 1));
        places.truncate(10);
        assert_eq!(queue.waiting_and_shed().0, 10);
        assert!(queue.admit(100).is_ok());
    }

    #[test]
    fn a_refusal_is_immediate() {
        let queue = queue(0.01);
        let (_places, _) = fill(&queue);
        let started = Instant::now();
        let refused = (0..1000).filter(|_| queue.admit(100).is_err()).count();
        assert_eq!(refused, 1000);
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "under 10 ms each"
        );
    }
}
