//! Tries wait their turn on this node, so that those in flight never count as wrong ones: one at a time per name, a
//! few per network.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How many tries of one name may wait or be verified at once: enough for fifty right ones (threat V123), too few for
/// a flood of them to queue up (reliability R-22).
const PLACES: usize = 64;

/// How many tries from one network are verified at once. Each holds one of the thirty slots of
/// [`PER_ADDRESS`](crate::session::throttle::PER_ADDRESS) until it turns out to be right, so that an office that signs
/// in at nine o'clock must not hold them all, not even through four nodes.
const PER_NETWORK: usize = 7;

/// So many names have a door of their own: among a few hundred tries in flight, few wait for a stranger's.
const DOORS: u64 = 8192;
const GATES: u64 = 1024;

/// How long a try waits for the others of its name and its network, together: what is shed is told so within two and a
/// half seconds, on a busy machine too (reliability R-22).
const PATIENCE: Duration = Duration::from_millis(1500);

/// Doors by the hash of a name, gates by that of a network. Two that share one only wait for each other.
pub struct Turnstile {
    doors: Vec<Door>,
    gates: Vec<Semaphore>,
}

struct Door {
    places: Semaphore,
    turn: Mutex<()>,
}

/// A try's turn; the next one's begins when this is dropped.
pub struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
    _place: SemaphorePermit<'a>,
    _network: SemaphorePermit<'a>,
}

impl Default for Turnstile {
    fn default() -> Self {
        let door = || Door {
            places: Semaphore::new(PLACES),
            turn: Mutex::new(()),
        };
        Self {
            doors: (0..DOORS).map(|_| door()).collect(),
            gates: (0..GATES).map(|_| Semaphore::new(PER_NETWORK)).collect(),
        }
    }
}

impl Turnstile {
    /// Waits for the turn of a name from a network; `None` at once where too many wait for that name already, and
    /// after a second and a half where the name's or the network's turn has not come.
    pub async fn enter(&self, realm: &str, name_key: &str, network: &str) -> Option<Turn<'_>> {
        let door = self.doors.get(index(realm, name_key, DOORS))?;
        let place = door.places.try_acquire().ok()?;
        let gate = self.gates.get(index(realm, network, GATES))?;
        let turns = async {
            let turn = door.turn.lock().await;
            Some((turn, gate.acquire().await.ok()?))
        };
        let (turn, network) = timeout(PATIENCE, turns).await.ok()??;
        Some(Turn {
            _turn: turn,
            _place: place,
            _network: network,
        })
    }
}

fn index(realm: &str, key: &str, of: u64) -> usize {
    let mut hasher = DefaultHasher::new();
    (realm, key).hash(&mut hasher);
    usize::try_from(hasher.finish() % of).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[actix_web::test]
    async fn one_name_has_one_turn_and_a_bounded_queue() {
        let turnstile = Turnstile::default();
        let enter = || Box::pin(turnstile.enter("realm", "alice", "192.0.2.0/24"));
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

    #[actix_web::test]
    async fn nobody_waits_for_ever_behind_a_name() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter("realm", "alice", "192.0.2.0/24").await;
        let waiting = (0..9).map(|_| turnstile.enter("realm", "alice", "192.0.2.0/24"));
        let late = timeout(2 * PATIENCE, futures_util::future::join_all(waiting)).await;
        assert!(
            late.unwrap().iter().all(Option::is_none),
            "and each is told"
        );
        drop(first);
        let next = turnstile.enter("realm", "alice", "192.0.2.0/24").await;
        assert!(next.is_some(), "those who went away hold no place");
    }

    #[actix_web::test]
    async fn one_network_has_a_few_turns() {
        let turnstile = Turnstile::default();
        let mut inside = Vec::new();
        for number in 0..PER_NETWORK {
            let name = format!("name-{number}");
            let turn = turnstile.enter("realm", &name, "192.0.2.0/24").await;
            inside.push(turn.unwrap());
        }
        let mut late = Box::pin(turnstile.enter("realm", "late", "192.0.2.0/24"));
        assert!((&mut late).now_or_never().is_none(), "it waits for a place");
        let elsewhere = turnstile.enter("realm", "other", "198.51.100.0/24").await;
        assert!(elsewhere.is_some(), "another network has its own places");
        inside.pop();
        assert!(late.await.is_some(), "a place became free");
    }
}
