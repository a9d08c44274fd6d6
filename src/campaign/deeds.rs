//! What the people of a mailing did with its links, and since.

use std::collections::BTreeMap;

use diesel::dsl::count;
use diesel::prelude::*;

use crate::kernel::{Timestamp, UserId};
use crate::store::schema::{campaign_recipients as rows, links, user_activity};
use crate::store::{StoreError, Tx, db};

/// What somebody did with the links of a mailing.
#[derive(Debug, Clone, Default)]
pub struct Deeds {
    /// When the button was first pressed, by a person.
    pub opened_at: Option<Timestamp>,
    /// Whether only a machine has pressed it.
    pub automated: bool,
    /// When the link was used up.
    pub password_set_at: Option<Timestamp>,
    /// When they last signed in, where that was after the mail.
    pub signed_in_at: Option<Timestamp>,
}

type LinkFacts = (UserId, Option<Timestamp>, bool, Option<Timestamp>);

/// What these recipients did.
///
/// # Errors
/// The database fails.
pub fn of(
    tx: &mut Tx<'_>,
    campaign: &str,
    people: &[UserId],
) -> Result<BTreeMap<UserId, Deeds>, StoreError> {
    let facts: Vec<LinkFacts> = db!(tx, |c| links::table
        .filter(links::campaign_id.eq(campaign))
        .filter(links::user_id.eq_any(people))
        .select((
            links::user_id,
            links::opened_at,
            links::automated,
            links::committed_at,
        ))
        .load(c))?;
    let mut all: BTreeMap<UserId, Deeds> = BTreeMap::new();
    for (user, opened_at, automated, committed_at) in facts {
        let of = all.entry(user).or_default();
        if automated {
            of.automated |= of.opened_at.is_none();
        } else if let Some(at) = opened_at {
            of.opened_at = Some(of.opened_at.map_or(at, |first| first.min(at)));
            of.automated = false;
        }
        of.password_set_at = of.password_set_at.or(committed_at);
    }
    let seen: Vec<(UserId, Timestamp)> = db!(tx, |c| rows::table
        .inner_join(user_activity::table.on(user_activity::user_id.eq(rows::user_id)))
        .filter(rows::campaign_id.eq(campaign))
        .filter(rows::user_id.eq_any(people))
        .filter(user_activity::last_sign_in.nullable().ge(rows::handed_at))
        .select((rows::user_id, user_activity::last_sign_in))
        .load(c))?;
    for (user, at) in seen {
        all.entry(user).or_default().signed_in_at = Some(at);
    }
    Ok(all)
}

/// How many have opened their link, set a password, and signed in since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Pressed the button, as people do.
    pub opened: i64,
    /// Pressed by a machine alone.
    pub automated: i64,
    /// Used the link up.
    pub password_set: i64,
    /// Signed in after they were mailed.
    pub signed_in: i64,
}

/// How many have come.
///
/// # Errors
/// The database fails.
pub fn arrived(tx: &mut Tx<'_>, campaign: &str) -> Result<Arrived, StoreError> {
    let opened: i64 = db!(tx, |c| links::table
        .filter(links::campaign_id.eq(campaign))
        .filter(links::opened_at.is_not_null())
        .filter(links::automated.eq(false))
        .select(count(links::user_id).aggregate_distinct())
        .first(c))?;
    let automated: i64 = db!(tx, |c| links::table
        .filter(links::campaign_id.eq(campaign))
        .filter(links::automated.eq(true))
        .select(count(links::user_id).aggregate_distinct())
        .first(c))?;
    let password_set: i64 = db!(tx, |c| links::table
        .filter(links::campaign_id.eq(campaign))
        .filter(links::committed_at.is_not_null())
        .select(count(links::user_id).aggregate_distinct())
        .first(c))?;
    let signed_in: i64 = db!(tx, |c| rows::table
        .inner_join(user_activity::table.on(user_activity::user_id.eq(rows::user_id)))
        .filter(rows::campaign_id.eq(campaign))
        .filter(user_activity::last_sign_in.nullable().ge(rows::handed_at))
        .count()
        .get_result(c))?;
    Ok(Arrived {
        opened,
        automated,
        password_set,
        signed_in,
    })
}
