//! The password as a proof: counted before it is looked at, verified outside any transaction, concluded in one.
//!
//! The caller calls [`begin`] in a transaction, lets the hasher verify (against nothing where nobody was found, at
//! the same cost), and calls [`conclude`] in another. Used by the sign-in page and the password grant.
//!
//! A browser that is known as the person's ([`super::device`]) counts by itself: wrong tries from elsewhere do not shut
//! it, and its own shut nobody else.

use super::device;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, RealmId, Timestamp};
use crate::realm::Realm;
use crate::session::throttle::{self, Limit, PER_ADDRESS, PER_USER, Turn};
use crate::store::dialect::{Lock, lock_user};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::credential::{self, StoredPassword};
use crate::user::name::name_key;
use crate::user::waiting::{self, ResetProof};
use crate::user::{self, AuthEpoch, User};

/// Where a try came from and through whom.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The address of the client.
    pub ip_address: String,
    /// The network by which tries are counted.
    pub network: String,
    /// The OAuth `client_id`.
    pub client_id: String,
}

/// A try that was counted and may be verified.
pub struct Attempt {
    /// What counts this person's tries: forgotten after a right one.
    person_throttle: String,
    /// What counts the network's, if anything does: a right try gives its slot back.
    address_throttle: Option<String>,
    /// Those of the two of which this try holds a slot.
    taken: Vec<String>,
    found: Option<Found>,
    shut: bool,
    known_device: bool,
}

struct Found {
    user: User,
    password: Option<StoredPassword>,
}

/// Who proved to be whom.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The user.
    pub user: User,
    /// The epoch in which the password was right.
    pub epoch: AuthEpoch,
    /// When.
    pub at: Timestamp,
}

/// Why a try proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong, unknown, locked, or no try left: one answer for all.
    Wrong,
    /// Right, and the user is switched off.
    Disabled,
    /// Right, and a temporary password that is past its time.
    TemporaryExpired,
    /// Right, and dead: only a mailed link sets a new one.
    MailboxOnly,
}

impl Attempt {
    /// The stored hash to verify against; `None` is verified against nothing, at the same cost.
    pub fn stored(&self) -> Option<&str> {
        let password = self
            .found
            .as_ref()
            .and_then(|found| found.password.as_ref());
        password
            .filter(|_| !self.shut)
            .map(|password| password.secret.as_str())
    }
}

/// The limit per person: ours, or the realm's where it has Keycloak's protection and is stricter.
fn per_user(realm: &Realm) -> Limit {
    let settings = &realm.settings;
    if settings.brute_force_protected && settings.failure_factor < PER_USER.tries {
        return Limit {
            tries: settings.failure_factor,
            ..PER_USER
        };
    }
    PER_USER
}

/// The throttle that counts a person's wrong passwords, whichever name they were tried under.
pub fn user_throttle(realm: &RealmId, user: &str) -> String {
    format!("login/{realm}/user/{user}")
}

/// Forgets the wrong tries of a person and unlocks them: who breaks the glass must get in.
///
/// # Errors
/// The database fails.
pub fn forget_tries(tx: &mut Tx<'_>, user: &User) -> Result<(), StoreError> {
    throttle::reset(tx, &user_throttle(&user.realm_id, user.id.as_str()))?;
    user::rows::set_locked_until(tx, &user.id, None)
}

/// Counts a try and finds whom it is for. `marks` are the device marks that a browser brought.
///
/// # Errors
/// The database fails.
pub fn begin(
    tx: &mut Tx<'_>,
    realm: &Realm,
    login: &str,
    origin: &Origin,
    marks: Option<(&Keyring, &str)>,
) -> Result<Attempt, StoreError> {
    let now = tx.now()?;
    let by_email = realm.settings.login_with_email_allowed || !login.contains('@');
    let user = if by_email || realm.settings.registration_email_as_username {
        user::rows::by_login(tx, &realm.id, login)?.filter(|user| user.service_client.is_none())
    } else {
        user::rows::by_login(tx, &realm.id, login)?.filter(|user| {
            user.service_client.is_none() && name_key(&user.username) == name_key(login)
        })
    };
    let device = match (&user, marks) {
        (Some(user), Some((keyring, marks))) => device::known(keyring, marks, user, now),
        (None, _) | (_, None) => None,
    };
    // Both names of a person count in one place; a name of nobody counts by itself.
    let person_throttle = match (&user, &device) {
        (_, Some(device)) => format!("login/{}/device/{device}", realm.id),
        (Some(user), None) => user_throttle(&realm.id, user.id.as_str()),
        (None, None) => format!("login/{}/name/{}", realm.id, short(&name_key(login))),
    };
    // Neighbours in its network shut a known browser no more than strangers do.
    let address_throttle = device
        .is_none()
        .then(|| format!("login-from/{}/{}", realm.id, origin.network));
    let person = std::iter::once((&person_throttle, per_user(realm)));
    let network = address_throttle.iter().map(|name| (name, PER_ADDRESS));
    let (mut taken, mut shut) = (Vec::new(), false);
    for (name, limit) in person.chain(network) {
        match throttle::take(tx, name, limit, now)? {
            Turn::Taken => taken.push(name.clone()),
            Turn::Shut(_) => shut = true,
        }
    }
    let found = match user {
        Some(user) => Some(Found {
            password: credential::password(tx, &user.id)?,
            user,
        }),
        None => None,
    };
    Ok(Attempt {
        person_throttle,
        address_throttle,
        taken,
        found,
        shut,
        known_device: device.is_some(),
    })
}

/// Gives back the slots of a try that nobody has verified, because the machine was too busy: it was not a wrong one.
///
/// # Errors
/// The database fails.
pub fn give_back(tx: &mut Tx<'_>, attempt: &Attempt) -> Result<(), StoreError> {
    for name in &attempt.taken {
        throttle::forgive(tx, name)?;
    }
    Ok(())
}

fn short(key: &str) -> String {
    crate::kernel::sha256_base64(key.as_bytes())
}

/// Judges a verified try. `rehashed` is the hash by today's parameters where the stored one is outdated.
///
/// # Errors
/// The database fails.
pub fn conclude(
    tx: &mut Tx<'_>,
    (realm, origin, entropy): (&Realm, &Origin, &Entropy),
    attempt: Attempt,
    matches: bool,
    rehashed: Option<&str>,
) -> Result<Result<Proved, Refusal>, StoreError> {
    let now = tx.now()?;
    let refuse = |tx: &mut Tx<'_>, user: Option<&User>, error: &'static str| {
        let mut event = Event::new(&realm.id, "LOGIN_ERROR")
            .client(&origin.client_id)
            .from(&origin.ip_address)
            .error(error);
        if let Some(user) = user {
            event = event.user(&user.id);
        }
        metrics::counter!("idp_login_total", "realm" => realm.name.clone(), "result" => error)
            .increment(1);
        events::record(tx, entropy, now, event)
    };
    let Some(Found {
        user: seen,
        password: Some(password),
    }) = attempt.found
    else {
        let user = attempt.found.as_ref().map(|found| &found.user);
        refuse(
            tx,
            user,
            if user.is_some() {
                "invalid_user_credentials"
            } else {
                "user_not_found"
            },
        )?;
        return Ok(Err(Refusal::Wrong));
    };
    if attempt.shut || !matches {
        let error = if attempt.shut {
            "user_temporarily_disabled"
        } else {
            "invalid_user_credentials"
        };
        refuse(tx, Some(&seen), error)?;
        if !attempt.shut && !attempt.known_device && realm.settings.brute_force_protected {
            lock_by_realm_rules(tx, realm, &seen, &attempt.person_throttle, now)?;
        }
        return Ok(Err(Refusal::Wrong));
    }
    let lock = if attempt.known_device {
        Lock::Update
    } else {
        Lock::Share
    };
    lock_user(tx, &seen.id, lock)?;
    let Some(mut user) = user::rows::in_realm(tx, &realm.id, &seen.id)? else {
        return Ok(Err(Refusal::Wrong));
    };
    // The password may have been changed while it was verified.
    let still = credential::password(tx, &user.id)?.is_some_and(|now| now.id == password.id);
    let mut locked = user.locked_until.is_some_and(|until| now < until);
    if still && locked && attempt.known_device {
        // Whoever locked the person did it from elsewhere; this browser's own wrong tries lock nothing but itself.
        user::rows::set_locked_until(tx, &user.id, None)?;
        (user.locked_until, locked) = (None, false);
    }
    if !still || locked {
        refuse(tx, Some(&user), "user_temporarily_disabled")?;
        return Ok(Err(Refusal::Wrong));
    }
    throttle::reset(tx, &attempt.person_throttle)?;
    if let Some(network) = &attempt.address_throttle {
        throttle::forgive(tx, network)?;
    }
    if !user.enabled {
        refuse(tx, Some(&user), "user_disabled")?;
        return Ok(Err(Refusal::Disabled));
    }
    if password.expires_at.is_some_and(|end| end <= now) {
        refuse(tx, Some(&user), "expired_temporary_password")?;
        return Ok(Err(Refusal::TemporaryExpired));
    }
    let waiting = waiting::of_user(tx, &user.id)?;
    if waiting
        .iter()
        .any(|action| action.reset_proof == ResetProof::Mailbox)
    {
        refuse(tx, Some(&user), "password_reset_by_mail_only")?;
        return Ok(Err(Refusal::MailboxOnly));
    }
    if let Some(hash) = rehashed {
        credential::rehash(tx, &password.id, &password.secret, hash)?;
    }
    Ok(Ok(Proved {
        epoch: user.auth_epoch.clone(),
        user,
        at: now,
    }))
}

/// Keycloak's rules on top: a realm that asks for them locks the user at the mint as well.
fn lock_by_realm_rules(
    tx: &mut Tx<'_>,
    realm: &Realm,
    user: &User,
    throttle: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(until) = throttle::shut_until(tx, throttle, now)? {
        let longest = now.plus_seconds(realm.settings.max_failure_wait_seconds);
        user::rows::set_locked_until(tx, &user.id, Some(until.min(longest)))?;
    }
    Ok(())
}
