//! The gate. A leaf: it loads its own facts and answers [`Cleared`] or [`Outstanding`].
//!
//! Called by whatever wants to issue something: the token endpoint for every grant, the dispatcher before a
//! session and before a code. The mint takes a `Cleared` and nothing else, so there is no way around this file.
//!
//! Invariant: only [`clear`] makes a [`Cleared`]. It has private fields, is neither `Clone` nor serialisable, is
//! bound to its transaction by the brand, and is consumed by value. A proof is never stored; what is stored
//! (codes, refresh tokens, sessions) holds a subject and an epoch, and redeeming it comes here again.
//!
//! A proof does not leave its transaction:
//!
//! ```compile_fail,E0515
//! # use vestibule::{store::{Store, StoreError}, action::gate::{clear, Subject}};
//! fn smuggle(store: &Store, who: Subject) {
//!     let stolen = store.tx(|tx| clear(tx, &who));
//! }
//! ```
//!
//! It cannot be made by hand:
//!
//! ```compile_fail,E0451
//! use vestibule::action::gate::Cleared;
//! fn forge<'tx>(facts: vestibule::action::Facts) -> Cleared<'tx> {
//!     Cleared { facts, brand: std::marker::PhantomData }
//! }
//! ```
//!
//! It cannot be used twice:
//!
//! ```compile_fail,E0382
//! use vestibule::action::gate::Cleared;
//! fn spend(_: Cleared<'_>) {}
//! fn twice(cleared: Cleared<'_>) {
//!     spend(cleared);
//!     spend(cleared);
//! }
//! ```
//!
//! Inside its transaction it can be used once, which compiles:
//!
//! ```
//! use vestibule::action::gate::{clear, Cleared, Subject};
//! use vestibule::store::{Store, StoreError};
//! fn spend(_: Cleared<'_>) {}
//! fn once(store: &Store, who: &Subject) -> Result<bool, StoreError> {
//!     store.tx(|tx| match clear(tx, who)? {
//!         Ok(cleared) => {
//!             spend(cleared);
//!             Ok(true)
//!         }
//!         Err(_outstanding) => Ok(false),
//!     })
//! }
//! ```

use std::marker::PhantomData;

use super::kinds::{update_password, verify_email};
use super::{Facts, kinds};
use crate::kernel::{RealmId, SessionId, Timestamp, UserId};
use crate::link::{self, LinkId};
use crate::session::{self, Session};
use crate::store::dialect::{Lock, lock_user};
use crate::store::{StoreError, Tx};
use crate::user::waiting::{ResetProof, WaitingAction};
use crate::user::{self, AuthEpoch, User};

/// Whom something shall be issued for, and how the request came by him.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The realm in which the request was made.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// How the request came by the user.
    pub provenance: Provenance,
}

/// How a request came by its user: from its own row, never from a parameter.
#[derive(Debug, Clone)]
pub enum Provenance {
    /// The person proved who he is at a browser, in this flow; the proof was made in this epoch.
    Proof {
        /// The user's epoch when the proof was made.
        epoch: AuthEpoch,
    },
    /// The person opened a link in this flow, and nothing else is proved. The link's own actions stand before
    /// everything, whatever waits on the person, and nothing is ever cleared for a link alone.
    Link {
        /// The link.
        link: LinkId,
        /// The user's epoch when it was opened.
        epoch: AuthEpoch,
    },
    /// The password came with the request itself (password grant).
    Password {
        /// The user's epoch when the password was verified.
        epoch: AuthEpoch,
    },
    /// A browser's session.
    Session {
        /// The session.
        session: SessionId,
        /// Whether the request may show pages (`prompt` is not `none`).
        interactive: bool,
    },
    /// A code, refresh token or access token, issued in a session.
    Token {
        /// The session.
        session: SessionId,
        /// The user's epoch at its issue; an access token goes by its session's.
        epoch: Option<AuthEpoch>,
        /// When it was issued, to the second.
        issued_at: Timestamp,
    },
    /// A client that authenticated itself and acts as its own service account.
    Service,
}

/// The proof that nothing stands between this subject and what it asks for, in this transaction.
pub struct Cleared<'tx> {
    facts: Facts,
    brand: PhantomData<fn(&'tx ()) -> &'tx ()>,
}

impl Cleared<'_> {
    /// The user, as the gate saw it.
    pub fn user(&self) -> &User {
        &self.facts.user
    }

    /// The session, as the gate saw it.
    pub fn session(&self) -> Option<&Session> {
        self.facts.session.as_ref()
    }

    /// The version of the realm's configuration that the gate saw.
    pub fn realm_version(&self) -> i64 {
        self.facts.realm_version
    }

    /// The transaction's clock when the gate looked.
    pub fn now(&self) -> Timestamp {
        self.facts.now
    }
}

/// Why nothing can be issued.
#[derive(Debug, Clone)]
pub enum Outstanding {
    /// No such user, or a user of another realm.
    Unknown,
    /// The realm is switched off.
    RealmDisabled,
    /// The user is switched off.
    Disabled,
    /// The user is locked by the realm's rules for wrong passwords.
    Locked,
    /// What the request holds is older than the user's epoch or `notBefore`.
    Stale,
    /// The session is gone.
    SessionEnded,
    /// The person has something to do first.
    Actions(Box<Waiting>),
}

/// What a person has to do first.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The person.
    pub user: User,
    /// The session, if the request rides on one.
    pub session: Option<Session>,
    /// The names of the outstanding actions, `UPDATE_PASSWORD` first.
    pub actions: Vec<String>,
    /// The rows behind them; an action that a realm's rule demands has none.
    pub rows: Vec<WaitingAction>,
    /// The link that opened them, where one did.
    pub link: Option<OpenLink>,
}

/// What a page says of the link that led to it.
#[derive(Debug, Clone)]
pub struct OpenLink {
    /// When it ends.
    pub until: Timestamp,
    /// Whether the person has no password yet.
    pub first_password: bool,
}

/// Asks the gate, and locks the user's row until the transaction ends.
///
/// A service's own subject may be cleared in a read transaction, so that it does not queue behind the writer.
///
/// # Errors
/// The database fails; a person is to be cleared in a read transaction.
pub fn clear<'tx>(
    tx: &mut Tx<'tx>,
    who: &Subject,
) -> Result<Result<Cleared<'tx>, Outstanding>, StoreError> {
    if !matches!(who.provenance, Provenance::Service) {
        lock_user(tx, &who.user, Lock::Share)?;
    }
    Ok(examine(tx, who)?.map(|facts| Cleared {
        facts,
        brand: PhantomData,
    }))
}

/// Asks the gate without a lock and without a proof: for userinfo, introspection and the admin API, which issue
/// nothing but must shut at once.
///
/// # Errors
/// The database fails.
pub fn standing(tx: &mut Tx<'_>, who: &Subject) -> Result<Result<Facts, Outstanding>, StoreError> {
    examine(tx, who)
}

fn examine(tx: &mut Tx<'_>, who: &Subject) -> Result<Result<Facts, Outstanding>, StoreError> {
    let Some((user, realm)) = user::with_realm::with_realm(tx, &who.realm, &who.user)? else {
        return Ok(Err(Outstanding::Unknown));
    };
    if !realm.enabled {
        return Ok(Err(Outstanding::RealmDisabled));
    }
    if !user.enabled {
        return Ok(Err(Outstanding::Disabled));
    }
    let now = tx.now()?;
    if let Provenance::Link { link, epoch } = &who.provenance {
        return by_link(tx, user, (link, epoch), now).map(Err);
    }
    if user.locked_until.is_some_and(|until| now < until) {
        return Ok(Err(Outstanding::Locked));
    }
    let (epoch, session_id, interactive) = match &who.provenance {
        Provenance::Proof { epoch } => (Some(epoch), None, true),
        Provenance::Password { epoch } => (Some(epoch), None, false),
        Provenance::Session {
            session,
            interactive,
        } => (None, Some(session), *interactive),
        Provenance::Token { session, epoch, .. } => (epoch.as_ref(), Some(session), false),
        Provenance::Link { .. } | Provenance::Service => (None, None, false),
    };
    if epoch.is_some_and(|epoch| *epoch != user.auth_epoch) {
        return Ok(Err(Outstanding::Stale));
    }
    let session = match session_id {
        None => None,
        Some(id) => {
            let found = session::rows::by_id(tx, id)?;
            let Some(session) =
                found.filter(|session| session.user_id == user.id && session.realm_id == who.realm)
            else {
                return Ok(Err(Outstanding::SessionEnded));
            };
            // A token goes by its own time of issue; what a browser holds has none but that of the last proof.
            let from_before = matches!(who.provenance, Provenance::Session { .. })
                && session.auth_time.seconds() < realm.not_before.seconds();
            if from_before || session.auth_epoch != user.auth_epoch {
                return Ok(Err(Outstanding::Stale));
            }
            Some(session)
        }
    };
    if (user.service_client.is_some()) != matches!(who.provenance, Provenance::Service) {
        // A service account has no password and no session, and a person is nobody's service account.
        return Ok(Err(Outstanding::Unknown));
    }
    let waiting = if user.service_client.is_some() {
        Vec::new()
    } else {
        user::waiting::of_user(tx, &user.id)?
    };
    let facts = Facts {
        user,
        session,
        waiting,
        realm_verifies_email: realm.verifies_email,
        realm_version: realm.version,
        now,
        interactive,
    };
    let not_before = facts
        .user
        .not_before
        .seconds()
        .max(realm.not_before.seconds());
    let answer = outstanding(facts);
    // Asked last, so that who holds a token from before a flag hears what has to be done. `iat` has whole seconds;
    // what was issued within the second of `notBefore` is told apart by the epoch.
    Ok(match &who.provenance {
        Provenance::Token { issued_at, .. } if issued_at.seconds() < not_before => {
            answer.and(Err(Outstanding::Stale))
        }
        _ => answer,
    })
}

/// What an opened link leads to: its own actions and nothing else, and nothing at all once it has ended. Wrong
/// passwords lock nobody out of it (threat V192). Where only a mailed link may set a password, another one does not.
fn by_link(
    tx: &mut Tx<'_>,
    user: User,
    (id, epoch): (&LinkId, &AuthEpoch),
    now: Timestamp,
) -> Result<Outstanding, StoreError> {
    let link = link::by_id(tx, id)?.filter(|link| {
        *epoch == user.auth_epoch
            && link.user_id == user.id
            && link.realm_id == user.realm_id
            && link.state(&user, now).is_live()
            && !link.purpose.is_about_an_address()
    });
    let Some(link) = link else {
        return Ok(Outstanding::Stale);
    };
    let rows = user::waiting::of_user(tx, &user.id)?;
    let mail_only = rows
        .iter()
        .any(|row| row.reset_proof == ResetProof::Mailbox);
    // Once the password is set, what else the link asks for waits on the person; and an address is proved by a code or
    // by somebody signed in, so what is left of that waits, too.
    let actions: Vec<String> = link
        .actions
        .iter()
        .filter(|action| match link.sets_password {
            true => *action == update_password::NAME,
            false => *action != verify_email::NAME,
        })
        .cloned()
        .collect();
    if actions.is_empty() || (mail_only && link.sets_password && !link.proves_mailbox()) {
        return Ok(Outstanding::Stale);
    }
    let first_password = user::credential::password(tx, &user.id)?.is_none();
    Ok(Outstanding::Actions(Box::new(Waiting {
        rows: rows
            .into_iter()
            .filter(|row| actions.contains(&row.action))
            .collect(),
        actions,
        session: None,
        link: Some(OpenLink {
            until: link.good_until,
            first_password,
        }),
        user,
    })))
}

/// Splits by whether anything is outstanding. An action whose name this binary does not know is.
fn outstanding(facts: Facts) -> Result<Facts, Outstanding> {
    if facts.user.service_client.is_some() {
        return Ok(facts);
    }
    let known = kinds::ALL
        .iter()
        .filter(|kind| kind.outstanding(&facts))
        .map(|kind| kind.name().to_owned());
    let unknown = facts
        .waiting
        .iter()
        .filter(|waiting| {
            facts.has_to_meet(waiting)
                && !kinds::ALL.iter().any(|kind| kind.name() == waiting.action)
        })
        .map(|waiting| waiting.action.clone());
    let actions: Vec<String> = known.chain(unknown).collect();
    if actions.is_empty() {
        return Ok(facts);
    }
    let rows = facts
        .waiting
        .into_iter()
        .filter(|row| actions.contains(&row.action))
        .collect();
    Err(Outstanding::Actions(Box::new(Waiting {
        user: facts.user,
        session: facts.session,
        actions,
        rows,
        link: None,
    })))
}
