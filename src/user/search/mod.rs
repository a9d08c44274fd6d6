//! Lists of people: pages, counts, and what stands beside each row.
//!
//! Used by the admin API and by long work. Service accounts are never among them. Pages are ordered by user name and
//! portions of long work by id, so that neither overlap; every filter is SQL, so that counts and lists agree.

mod query;

use std::collections::HashMap;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::User;
use super::audience::{Audience, MailState, part, search_patterns};
use super::name::name_key;
use super::rows::UserRow;
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::store::dialect::{HasAttribute, lower};
use crate::store::schema::{
    credentials, links, outbox, required_actions, user_activity, user_roles, users,
};
use crate::store::{StoreError, Tx, db};
use query::filtered;

/// The action that a person with `PASSWORD_RESET_REQUIRED` waits with, as its rows name it.
const UPDATE_PASSWORD: &str = "UPDATE_PASSWORD";

/// Users are read in portions of this many.
pub const PORTION: usize = 500;

/// What a user's state amounts to; the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Switched off.
    Disabled,
    /// Locked by the realm's rules for wrong passwords.
    Locked,
    /// The only link has expired, and there is no password.
    LinkExpired,
    /// There is no password yet.
    AwaitingFirstPassword,
    /// A new password has to be set.
    PasswordResetRequired,
    /// None of these.
    Active,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Disabled,
        Self::Locked,
        Self::LinkExpired,
        Self::AwaitingFirstPassword,
        Self::PasswordResetRequired,
        Self::Active,
    ];

    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Locked => "LOCKED",
            Self::LinkExpired => "LINK_EXPIRED",
            Self::AwaitingFirstPassword => "AWAITING_FIRST_PASSWORD",
            Self::PasswordResetRequired => "PASSWORD_RESET_REQUIRED",
            Self::Active => "ACTIVE",
        }
    }

    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The state of a user.
    pub fn of(user: &User, details: &Details, now: Timestamp) -> Self {
        if !user.enabled {
            Self::Disabled
        } else if user.locked_until.is_some_and(|until| now < until) {
            Self::Locked
        } else if !details.has_password && user.service_client.is_none() {
            if details.link_expired {
                Self::LinkExpired
            } else {
                Self::AwaitingFirstPassword
            }
        } else if details
            .waiting
            .iter()
            .any(|action| action == UPDATE_PASSWORD)
        {
            Self::PasswordResetRequired
        } else {
            Self::Active
        }
    }
}

/// What stands beside a user's row.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Waiting actions, `UPDATE_PASSWORD` first.
    pub waiting: Vec<String>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Until when a temporary password lives.
    pub password_expires_at: Option<Timestamp>,
    /// When the user last signed in.
    pub last_sign_in: Option<Timestamp>,
    /// Whether there was a link to set a password, and time alone has ended the last one.
    pub link_expired: bool,
    /// When a password reset was last demanded: copies from before take none.
    pub flagged_at: Option<Timestamp>,
}

/// The realm's people that the audience lets through, by user name.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    audience: &Audience,
    (first, max): (i64, Option<i64>),
) -> Result<Vec<User>, StoreError> {
    let now = tx.now()?;
    let found: Vec<UserRow> = db!(tx, |c| filtered!(realm, audience, now)
        .order((users::username_key, users::id))
        .offset(first)
        .limit(max.unwrap_or(i64::MAX))
        .select(UserRow::as_select())
        .load(c))?;
    found.into_iter().map(User::try_from).collect()
}

/// The next [`PORTION`] of the realm's people whose user names come after `after`, in the order of [`list`].
///
/// # Errors
/// The database fails.
pub fn portion(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    audience: &Audience,
    after: Option<&str>,
) -> Result<Vec<User>, StoreError> {
    let now = tx.now()?;
    let size = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let after = name_key(after.unwrap_or_default());
    let found: Vec<UserRow> = db!(tx, |c| filtered!(realm, audience, now)
        .filter(users::username_key.gt(&after))
        .order((users::username_key, users::id))
        .limit(size)
        .select(UserRow::as_select())
        .load(c))?;
    found.into_iter().map(User::try_from).collect()
}

/// The next `limit` ids after `after`, by id.
///
/// # Errors
/// The database fails.
pub fn ids(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    audience: &Audience,
    (after, limit): (&str, i64),
) -> Result<Vec<UserId>, StoreError> {
    let now = tx.now()?;
    db!(tx, |c| filtered!(realm, audience, now)
        .filter(users::id.gt(after))
        .order(users::id)
        .limit(limit)
        .select(users::id)
        .load(c))
}

/// How many people the audience lets through.
///
/// # Errors
/// The database fails.
pub fn count(tx: &mut Tx<'_>, realm: &RealmId, audience: &Audience) -> Result<i64, StoreError> {
    let now = tx.now()?;
    db!(tx, |c| filtered!(realm, audience, now)
        .count()
        .get_result(c))
}

/// What stands beside these users' rows.
///
/// # Errors
/// The database fails.
pub fn details(tx: &mut Tx<'_>, users: &[User]) -> Result<HashMap<UserId, Details>, StoreError> {
    let mut all: HashMap<UserId, Details> = HashMap::new();
    for portion in users.chunks(PORTION) {
        let ids: Vec<&UserId> = portion.iter().map(|user| &user.id).collect();
        for id in &ids {
            all.entry((*id).clone()).or_default();
        }
        let waiting: Vec<(UserId, String)> = db!(tx, |c| required_actions::table
            .filter(required_actions::user_id.eq_any(&ids))
            .order(required_actions::action)
            .select((required_actions::user_id, required_actions::action))
            .load(c))?;
        for (id, action) in waiting {
            let of = &mut all.entry(id).or_default().waiting;
            let place = if action == UPDATE_PASSWORD {
                0
            } else {
                of.len()
            };
            of.insert(place, action);
        }
        let passwords: Vec<(UserId, Option<Timestamp>)> = db!(tx, |c| credentials::table
            .filter(credentials::user_id.eq_any(&ids))
            .filter(credentials::kind.eq("password"))
            .select((credentials::user_id, credentials::expires_at))
            .load(c))?;
        for (id, expires_at) in passwords {
            let of = all.entry(id).or_default();
            of.has_password = true;
            of.password_expires_at = expires_at;
        }
        let seen: Vec<(UserId, Timestamp)> = db!(tx, |c| user_activity::table
            .filter(user_activity::user_id.eq_any(&ids))
            .select((user_activity::user_id, user_activity::last_sign_in))
            .load(c))?;
        for (id, at) in seen {
            all.entry(id).or_default().last_sign_in = Some(at);
        }
        let flagged: Vec<(UserId, Timestamp)> = db!(tx, |c| users::table
            .filter(users::id.eq_any(&ids))
            .filter(users::flagged_at.gt(0))
            .select((users::id, users::flagged_at))
            .load(c))?;
        for (id, at) in flagged {
            all.entry(id).or_default().flagged_at = Some(at);
        }
        let now = tx.now()?;
        let last: Vec<(UserId, Option<Timestamp>)> = db!(tx, |c| links::table
            .inner_join(users::table.on(users::id.eq(links::user_id)))
            .filter(links::user_id.eq_any(&ids))
            .filter(links::auth_epoch.eq(users::auth_epoch))
            .filter(links::sets_password.eq(true))
            .filter(links::committed_at.is_null())
            .filter(links::superseded_at.is_null())
            .filter(links::revoked_at.is_null())
            .group_by(links::user_id)
            .select((links::user_id, diesel::dsl::max(links::expires_at)))
            .load(c))?;
        for (id, end) in last {
            all.entry(id).or_default().link_expired = end.is_some_and(|end| end <= now);
        }
    }
    Ok(all)
}

/// What stands beside one user's row.
///
/// # Errors
/// The database fails.
pub fn details_of(tx: &mut Tx<'_>, user: &User) -> Result<Details, StoreError> {
    let mut found = details(tx, std::slice::from_ref(user))?;
    Ok(found.remove(&user.id).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_as_it_is_written() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}
