//! One try per name at a time on this node, so that tries in flight never count as wrong ones.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// How many tries of one name may wait or be verified at once: enough for fifty right ones (threat V123), too few for
/// a flood of them to queue up (reliability R-22).
const PLACES: usize = 64;

/// Doors by the hash of a name. Two names behind one door only wait for each other.
pub struct Turnstile {
    doors: Vec<Door>,
}

struct Door {
    places: Semaphore,
    turn: Mutex<()>,
}

/// A name's turn; the next one's begins when this is dropped.
pub struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
    _place: SemaphorePermit<'a>,
}

impl Default for Turnstile {
    fn default() -> Self {
        let door = || Door {
            places: Semaphore::new(PLACES),
            turn: Mutex::new(()),
        };
        Self {
            doors: (0..1024).map(|_| door()).collect(),
        }
    }
}

impl Turnstile {
    /// Waits for the name's turn; `None` at once where too many wait for it already.
    pub async fn enter(&self, realm: &str, name_key: &str) -> Option<Turn<'_>> {
        let mut hasher = DefaultHasher::new();
        (realm, name_key).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % 1024).unwrap_or(0);
        let door = self.doors.get(index)?;
        let place = door.places.try_acquire().ok()?;
        Some(Turn {
            _turn: door.turn.lock().await,
            _place: place,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_name_has_one_turn_and_a_bounded_queue() {
        let turnstile = Turnstile::default();
        let enter = || Box::pin(turnstile.enter("realm", "alice"));
        let first = enter().now_or_never().flatten().unwrap();
        let mut waiting: Vec<_> = (1..PLACES).map(|_| enter()).collect();
        for other in &mut waiting {
            assert!(other.now_or_never().is_none(), "it waits for the first");
        }
        assert!(
            enter().now_or_never().unwrap().is_none(),
            "the queue is full"
        );
        drop(waiting.pop());
        assert!(
            enter().now_or_never().is_none(),
            "whoever leaves makes room"
        );
        drop(first);
        let next = waiting.first_mut().unwrap().now_or_never();
        assert!(next.flatten().is_some(), "and the next one's turn comes");
    }
}
