//! Device marks: a browser in which a person has signed in is known as theirs, so that wrong passwords from elsewhere
//! do not shut them out of it (threat V122). Made where a session begins, read by [`super::password`].
//!
//! A mark is random bytes, a time, and a keyed digest over both, the realm, the person and the person's epoch. Nobody
//! can make one, it tells nothing about anybody, and a new password ends it. It proves nobody: the password is asked
//! for as ever, and tries with a mark are counted by themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, Timestamp};
use crate::user::User;

/// How long a browser is known after its last sign-in, in seconds.
pub const LIFETIME: i64 = 365 * 24 * 3600;

/// The people that one browser is known for; a cookie holds one mark of each.
const PEOPLE: usize = 4;
/// 48 bytes in base64url.
const MARK: usize = 64;
/// The longest value of the cookie.
pub const LONGEST: usize = PEOPLE * MARK;

const NONCE: usize = 12;
const TIME: usize = 4;

/// The cookie's value after a sign-in: the person's mark, and before it those of others that it held.
pub fn remember(
    (keyring, entropy): (&Keyring, &Entropy),
    cookie: Option<&str>,
    user: &User,
    now: Timestamp,
) -> String {
    let nonce: [u8; NONCE] = entropy.bytes();
    let time = u32::try_from(now.seconds())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let digest = keyring.digest("device", &bound(user, &nonce, time));
    let mark = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &time, &digest].concat());
    let others = marks(cookie.unwrap_or_default())
        .filter(|mark| nonce_of(keyring, mark, user, now).is_none())
        .take(PEOPLE - 1);
    std::iter::once(mark.as_str()).chain(others).collect()
}

/// A name for this browser where the cookie holds a mark of the person's that still stands.
pub fn known(keyring: &Keyring, cookie: &str, user: &User, now: Timestamp) -> Option<String> {
    marks(cookie).find_map(|mark| nonce_of(keyring, mark, user, now))
}

fn marks(cookie: &str) -> impl Iterator<Item = &str> {
    let chunks = cookie.as_bytes().chunks_exact(MARK).take(PEOPLE);
    chunks.filter_map(|chunk| std::str::from_utf8(chunk).ok())
}

fn nonce_of(keyring: &Keyring, mark: &str, user: &User, now: Timestamp) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(mark).ok()?;
    let (nonce, rest) = bytes.split_first_chunk::<NONCE>()?;
    let (time, digest) = rest.split_first_chunk::<TIME>()?;
    let age = now.seconds() - i64::from(u32::from_be_bytes(*time));
    let stands = age < LIFETIME && keyring.is_digest("device", &bound(user, nonce, *time), digest);
    stands.then(|| URL_SAFE_NO_PAD.encode(nonce))
}

/// What a mark's digest is over. Ids and epochs hold no zero byte.
fn bound(user: &User, nonce: &[u8; NONCE], time: [u8; TIME]) -> Vec<u8> {
    let person = format!("{}\0{}\0{}\0", user.realm_id, user.id, user.auth_epoch);
    [person.as_bytes(), nonce, &time].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::seal::MasterKey;
    use crate::kernel::{Clock, RealmId, UserId};
    use crate::user::AuthEpoch;

    fn keyring() -> Keyring {
        let entropy = Entropy;
        Keyring::new(MasterKey::generate(&move |out: &mut [u8]| {
            entropy.fill(out);
        }))
    }

    fn user(name: &str) -> User {
        User {
            id: UserId::new(name),
            realm_id: RealmId::new("realm"),
            username: name.to_owned(),
            email: None,
            email_verified: false,
            first_name: None,
            last_name: None,
            enabled: true,
            auth_epoch: AuthEpoch::new("epoch"),
            not_before: Timestamp::from_micros(0),
            locked_until: None,
            service_client: None,
            attributes: std::collections::BTreeMap::new(),
            extra: serde_json::Map::new(),
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_mark_is_of_one_person_one_realm_one_epoch_and_one_year() {
        let (keyring, now, alice) = (keyring(), Clock::system().now(), user("alice"));
        let mark = remember((&keyring, &Entropy), None, &alice, now);
        let name = known(&keyring, &mark, &alice, now);
        assert!(name.is_some());
        assert_eq!(known(&keyring, &mark, &alice, now.plus_seconds(60)), name);
        assert_eq!(known(&keyring, &mark, &user("bob"), now), None);
        let elsewhere = User {
            realm_id: RealmId::new("other"),
            ..alice.clone()
        };
        assert_eq!(known(&keyring, &mark, &elsewhere, now), None);
        let afterwards = User {
            auth_epoch: AuthEpoch::new("another"),
            ..alice.clone()
        };
        assert_eq!(known(&keyring, &mark, &afterwards, now), None);
        let later = now.plus_seconds(LIFETIME + 1);
        assert_eq!(known(&keyring, &mark, &alice, later), None);
        assert_eq!(known(&super::tests::keyring(), &mark, &alice, now), None);
    }

    #[test]
    fn a_mark_cannot_be_made_or_changed() {
        let (keyring, now, alice) = (keyring(), Clock::system().now(), user("alice"));
        let mark = remember((&keyring, &Entropy), None, &alice, now);
        for place in 0..mark.len() {
            let mut forged = mark.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(known(&keyring, &forged, &alice, now), None, "{place}");
        }
        for forged in ["", "A", &"A".repeat(MARK), &"é".repeat(MARK), &mark[1..]] {
            assert_eq!(known(&keyring, forged, &alice, now), None, "{forged}");
        }
    }

    #[test]
    fn a_browser_is_known_for_the_last_four_people() {
        let (keyring, now) = (keyring(), Clock::system().now());
        let people = ["alice", "bob", "carol", "dave", "erin"].map(user);
        let mut cookie = None;
        for person in people.iter().chain(&people[4..]) {
            let held = remember((&keyring, &Entropy), cookie.as_deref(), person, now);
            cookie = Some(held);
        }
        let cookie = cookie.unwrap();
        assert_eq!(cookie.len(), LONGEST);
        let stands = people.map(|person| known(&keyring, &cookie, &person, now).is_some());
        assert_eq!(stands, [false, true, true, true, true]);
        assert!(!cookie.contains("erin"));
    }
}
