//! A realm whose mail rests because its mail server cannot be used, whatever the mail.
//!
//! While it rests one mail a minute goes ahead to see whether the server is back; the others wait and lose no
//! attempt. The first that gets past the server's door ends the pause. `doctor` and administrators read the reason.

use std::fmt;

use diesel::prelude::*;

use crate::kernel::{RealmId, Timestamp};
use crate::store::schema::mail_pauses;
use crate::store::{StoreError, Tx, db};

/// What is wrong with a realm's mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No settings, or settings that cannot be used.
    Configuration,
    /// It does not answer, or has no time.
    Unreachable,
    /// Its TLS is missing or cannot be trusted.
    Tls,
    /// It does not accept our login.
    Login,
    /// It does not accept our sender.
    Sender,
}

impl Trouble {
    /// The word in the database and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Sender => "sender",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pause as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = mail_pauses)]
pub struct Pause {
    /// The realm.
    pub realm_id: RealmId,
    /// One of [`Trouble`]'s words.
    pub kind: String,
    /// A sentence for administrators.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When the next mail goes ahead.
    pub probe_at: Timestamp,
}

/// Lets the realm's mail rest; a pause that goes on keeps its beginning. Answers whether it is a new one.
///
/// # Errors
/// The database fails.
pub fn begin(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    (kind, reason): (Trouble, &str),
    probe_after: i64,
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let probe_at = now.plus_seconds(probe_after);
    let since: Timestamp = db!(tx, |c| diesel::insert_into(mail_pauses::table)
        .values((
            mail_pauses::realm_id.eq(realm),
            mail_pauses::kind.eq(kind.as_str()),
            mail_pauses::reason.eq(reason),
            mail_pauses::since.eq(now),
            mail_pauses::probe_at.eq(probe_at),
        ))
        .on_conflict(mail_pauses::realm_id)
        .do_update()
        .set((
            mail_pauses::kind.eq(kind.as_str()),
            mail_pauses::reason.eq(reason),
            mail_pauses::probe_at.eq(probe_at),
        ))
        .returning(mail_pauses::since)
        .get_result(c))?;
    Ok(since == now)
}

/// Ends the realm's pause; answers whether there was one.
///
/// # Errors
/// The database fails.
pub fn end(tx: &mut Tx<'_>, realm: &RealmId) -> Result<bool, StoreError> {
    let ended = db!(tx, |c| diesel::delete(
        mail_pauses::table.filter(mail_pauses::realm_id.eq(realm))
    )
    .execute(c))?;
    Ok(ended == 1)
}

/// Lets the next mail of a realm whose mail rests go ahead now, because somebody says that the server may be back.
/// Answers whether there was a pause.
///
/// # Errors
/// The database fails.
pub fn probe_now(tx: &mut Tx<'_>, realm: &RealmId) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let changed = db!(tx, |c| diesel::update(
        mail_pauses::table.filter(mail_pauses::realm_id.eq(realm))
    )
    .set(mail_pauses::probe_at.eq(now))
    .execute(c))?;
    Ok(changed == 1)
}

/// How many mails of a realm may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// As many as there is room for.
    Open,
    /// One, to see whether the server is back.
    Probe,
    /// None.
    Shut,
}

/// Asks at the realm's door; a [`Door::Probe`] is given to one caller in `every` seconds.
///
/// # Errors
/// The database fails.
pub fn door(tx: &mut Tx<'_>, realm: &RealmId, every: i64) -> Result<Door, StoreError> {
    let now = tx.now()?;
    let taken = db!(tx, |c| diesel::update(
        mail_pauses::table
            .filter(mail_pauses::realm_id.eq(realm))
            .filter(mail_pauses::probe_at.le(now))
    )
    .set(mail_pauses::probe_at.eq(now.plus_seconds(every)))
    .execute(c))?;
    if taken == 1 {
        return Ok(Door::Probe);
    }
    Ok(match of_realm(tx, realm)? {
        Some(_) => Door::Shut,
        None => Door::Open,
    })
}

/// The realm's pause, if its mail rests.
///
/// # Errors
/// The database fails.
pub fn of_realm(tx: &mut Tx<'_>, realm: &RealmId) -> Result<Option<Pause>, StoreError> {
    db!(tx, |c| mail_pauses::table
        .filter(mail_pauses::realm_id.eq(realm))
        .select(Pause::as_select())
        .first(c)
        .optional())
}

/// Every realm whose mail rests, the longest first.
///
/// # Errors
/// The database fails.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Pause>, StoreError> {
    db!(tx, |c| mail_pauses::table
        .order(mail_pauses::since)
        .select(Pause::as_select())
        .load(c))
}
