//! One try per name at a time on this node, so that tries in flight never count as wrong ones.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

/// Long enough for fifty right sign-ins of one name at once (threat V123), too short for a flood to queue up in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Doors by the hash of a name. Two names behind one door only wait for each other.
pub struct Turnstile {
    doors: Vec<Mutex<()>>,
}

impl Default for Turnstile {
    fn default() -> Self {
        Self {
            doors: (0..1024).map(|_| Mutex::new(())).collect(),
        }
    }
}

impl Turnstile {
    /// Waits for the name's turn, for five seconds at most: a flood of tries of one name does not queue up.
    pub async fn enter(&self, realm: &str, name_key: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        (realm, name_key).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % 1024).unwrap_or(0);
        let door = self.doors.get(index)?;
        tokio::time::timeout(PATIENCE, door.lock()).await.ok()
    }
}
