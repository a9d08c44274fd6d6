//! The code of `VERIFY_EMAIL`: mailed to an address, typed on a page, proves the address.
//!
//! Invariants: only a keyed digest is stored; a code proves the address it was mailed to and no other, so it proves
//! nothing once the account has another address (threat V047); a try is counted before it is looked at, so parallel
//! guesses get no more than five (V119); a right code works once. A code proves a mailbox and signs nobody in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;

use super::message::{Content, Message, Purpose};
use super::outbox::{self, Tools};
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, Timestamp, UserId, typed_code};
use crate::session::throttle::{self, MAILS_PER_HOUR, Turn};
use crate::store::dialect::{Lock, lock_user};
use crate::store::schema::email_codes;
use crate::store::{StoreError, Tx, corrupt, db};
use crate::user::{self, User};
use crate::web::texts::Locale;

/// How long a code is good, in seconds.
pub const LIFESPAN: i64 = 600;

/// Wrong tries that end a code.
pub const TRIES: i64 = 5;

/// Seconds between two mails to one person.
const APART: i64 = 60;

/// The use of the master key that codes are digested under.
const LABEL: &str = "email-code";

/// What became of the wish for a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issued {
    /// A code is on its way; earlier ones are no longer good.
    Mailed,
    /// The last mail was a moment ago, or there were too many; what was mailed stays good.
    TooSoon {
        /// When there may be another one.
        again_at: Timestamp,
    },
    /// The account has no address.
    NoAddress,
}

/// Mails the user a code, in this transaction; [`wake`](super::Mailer::wake) the sender once it has committed.
///
/// # Errors
/// The database fails.
pub fn issue(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    user: &User,
    locale: Locale,
) -> Result<Issued, StoreError> {
    lock_user(tx, &user.id, Lock::Update)?;
    let now = tx.now()?;
    let Some(email) = address_of(tx, &user.id)? else {
        return Ok(Issued::NoAddress);
    };
    match counted(tx, &user.id, now)? {
        Some(again_at) => Ok(Issued::TooSoon { again_at }),
        None => send(tx, tools, (user, email), (locale, now)),
    }
}

/// Mails a code to an address that the user has typed and does not have yet; the caller holds the user's lock. Such
/// mails are counted by address as well: nobody floods a mailbox by way of many accounts (threat V053).
///
/// # Errors
/// The database fails.
pub fn issue_to(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (user, email): (&User, String),
    locale: Locale,
) -> Result<Issued, StoreError> {
    let now = tx.now()?;
    if let Some(again_at) = counted(tx, &user.id, now)? {
        return Ok(Issued::TooSoon { again_at });
    }
    let mailbox = (throttle::TYPED, &user.realm_id, email.as_str());
    if let Turn::Shut(again_at) = throttle::take_mail(tx, mailbox, now)? {
        return Ok(Issued::TooSoon { again_at });
    }
    send(tx, tools, (user, email), (locale, now))
}

/// Counts a mail to a person; `Some`: there may be none before then.
fn counted(
    tx: &mut Tx<'_>,
    user: &UserId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sent_at: Option<Timestamp> = db!(tx, |c| email_codes::table
        .filter(email_codes::user_id.eq(user))
        .select(email_codes::sent_at)
        .first(c)
        .optional())?;
    let again_at = sent_at
        .map(|at| at.plus_seconds(APART))
        .filter(|at| now < *at);
    if again_at.is_some() {
        return Ok(again_at);
    }
    let name = format!("mail-code:{user}");
    Ok(match throttle::take(tx, &name, MAILS_PER_HOUR, now)? {
        Turn::Shut(again_at) => Some(again_at),
        Turn::Taken => None,
    })
}

/// Stores a fresh code in the place of the last one, and queues its mail.
fn send(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (user, email): (&User, String),
    (locale, now): (Locale, Timestamp),
) -> Result<Issued, StoreError> {
    let code = fresh(tools.entropy);
    let expires_at = now.plus_seconds(LIFESPAN);
    let digest = tools
        .keyring
        .digest(LABEL, &digested(&user.id, &email, &code));
    let digest = URL_SAFE_NO_PAD.encode(digest);
    let fresh = (
        email_codes::email.eq(&email),
        email_codes::digest.eq(&digest),
        email_codes::wrong.eq(0),
        email_codes::sent_at.eq(now),
        email_codes::expires_at.eq(expires_at),
    );
    db!(tx, |c| diesel::insert_into(email_codes::table)
        .values((email_codes::user_id.eq(&user.id), fresh))
        .on_conflict(email_codes::user_id)
        .do_update()
        .set(fresh)
        .execute(c))?;
    let purpose = Purpose::VerifyEmailCode {
        code: typed_code::grouped(&code),
    };
    outbox::cancel_queued(tx, &user.id, purpose.name())?;
    let message = Message {
        realm_id: user.realm_id.clone(),
        user_id: Some(user.id.clone()),
        recipient: email,
        content: Content {
            purpose,
            note: None,
        },
        locale,
        bulk: false,
        expires_at,
    };
    outbox::queue(tx, tools, &message)?;
    Ok(Issued::Mailed)
}

/// Whether a code that would be right is waiting for the user.
///
/// # Errors
/// The database fails.
pub fn is_waiting(tx: &mut Tx<'_>, user: &UserId) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let Some(email) = address_of(tx, user)? else {
        return Ok(false);
    };
    let waiting: Option<i64> = db!(tx, |c| email_codes::table
        .filter(email_codes::user_id.eq(user))
        .filter(email_codes::email.eq(&email))
        .filter(email_codes::wrong.lt(TRIES))
        .filter(email_codes::expires_at.gt(now))
        .select(email_codes::wrong)
        .first(c)
        .optional())?;
    Ok(waiting.is_some())
}

/// What a typed code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Right, and used up. The proved address is the one the account has in this transaction.
    Right {
        /// That address.
        email: String,
    },
    /// Wrong, and others may follow.
    Wrong,
    /// There is no code, or no longer: it expired, was guessed at too often, or was mailed to another address.
    Over,
}

/// Looks at what was typed: case, spaces and dashes do not matter, nor does O for 0 or I and L for 1.
///
/// # Errors
/// The database fails.
pub fn check(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    user: &UserId,
    typed: &str,
) -> Result<Checked, StoreError> {
    lock_user(tx, user, Lock::Update)?;
    match address_of(tx, user)? {
        Some(email) => check_for(tx, keyring, (user, email), typed),
        None => Ok(Checked::Over),
    }
}

/// As [`check`], for a code that was mailed to an address which the user does not have yet.
///
/// # Errors
/// The database fails.
pub fn check_for(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    (user, email): (&UserId, String),
    typed: &str,
) -> Result<Checked, StoreError> {
    let now = tx.now()?;
    let counted: Option<(String, i64)> = db!(tx, |c| diesel::update(
        email_codes::table
            .filter(email_codes::user_id.eq(user))
            .filter(email_codes::email.eq(&email))
            .filter(email_codes::wrong.lt(TRIES))
            .filter(email_codes::expires_at.gt(now))
    )
    .set(email_codes::wrong.eq(email_codes::wrong + 1))
    .returning((email_codes::digest, email_codes::wrong))
    .get_result(c)
    .optional())?;
    let Some((stored, wrong)) = counted else {
        return Ok(Checked::Over);
    };
    let expected = URL_SAFE_NO_PAD
        .decode(&stored)
        .map_err(|cause| corrupt("email_codes", "digest", user, cause))?;
    let typed = digested(user, &email, &typed_code::normalised(typed));
    if !keyring.is_digest(LABEL, &typed, &expected) {
        let over = wrong >= TRIES;
        return Ok(if over { Checked::Over } else { Checked::Wrong });
    }
    let used = db!(tx, |c| diesel::delete(
        email_codes::table
            .filter(email_codes::user_id.eq(user))
            .filter(email_codes::digest.eq(&stored))
    )
    .execute(c))?;
    Ok(if used == 1 {
        Checked::Right { email }
    } else {
        Checked::Over
    })
}

/// The address to which the user's last code was mailed, used or expired codes excepted in as far as they are gone.
///
/// # Errors
/// The database fails.
pub fn mailed_to(tx: &mut Tx<'_>, user: &UserId) -> Result<Option<String>, StoreError> {
    db!(tx, |c| email_codes::table
        .filter(email_codes::user_id.eq(user))
        .select(email_codes::email)
        .first(c)
        .optional())
}

/// Forgets the user's code; how many mails there may be in an hour is still counted, and to a typed address in a minute.
///
/// # Errors
/// The database fails.
pub fn forget(tx: &mut Tx<'_>, user: &UserId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        email_codes::table.filter(email_codes::user_id.eq(user))
    )
    .execute(c))?;
    Ok(())
}

/// The address the account has now, not the one it had when the caller looked.
fn address_of(tx: &mut Tx<'_>, user: &UserId) -> Result<Option<String>, StoreError> {
    Ok(user::rows::by_id(tx, user)?.and_then(|user| user.email))
}

fn fresh(entropy: &Entropy) -> String {
    typed_code::encode(&entropy.bytes::<{ typed_code::LENGTH }>())
}

/// What is digested: the parts with their lengths, so that no two codes of two people are the same bytes.
fn digested(user: &UserId, email: &str, code: &str) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [user.as_str(), email, code] {
        data.extend_from_slice(&part.len().to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}
