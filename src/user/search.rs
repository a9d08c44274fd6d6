//! Lists of people: filters, pages, counts, and what stands beside each row.
//!
//! Used by the admin API. Service accounts are never among them. Ordered by user name, so that pages do not overlap.

use std::collections::HashMap;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::User;
use super::name::name_key;
use super::rows::UserRow;
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::store::schema::{credentials, required_actions, user_activity, user_roles, users};
use crate::store::{StoreError, Tx, db};

/// The action that a person with `PASSWORD_RESET_REQUIRED` waits with, as its rows name it.
const UPDATE_PASSWORD: &str = "UPDATE_PASSWORD";

diesel::define_sql_function! {
    /// Lower case; of ASCII alone on SQLite.
    fn lower(text: Nullable<Text>) -> Nullable<Text>;
}

/// Users are read in portions of this many.
const PORTION: usize = 500;

/// What a user's state amounts to; the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
            Self::AwaitingFirstPassword
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
}

/// Which people are wanted. Everything given must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Words as Keycloak's `search` has them: prefixes, `*`, `"exact"`, each in any of the four names.
    pub search: Option<String>,
    /// Part of the user name.
    pub username: Option<String>,
    /// Part of the address.
    pub email: Option<String>,
    /// Part of the given name.
    pub first_name: Option<String>,
    /// Part of the family name.
    pub last_name: Option<String>,
    /// Whether the four above are whole.
    pub exact: bool,
    /// Whether the user is on.
    pub enabled: Option<bool>,
    /// Whether the address is proved.
    pub email_verified: Option<bool>,
    /// Attributes by name and value, in any case.
    pub attributes: Vec<(String, String)>,
    /// Only these.
    pub ids: Option<Vec<UserId>>,
    /// On whom this action waits.
    pub pending_action: Option<String>,
    /// In this state.
    pub status: Option<Status>,
    /// Whether they have never signed in.
    pub never_signed_in: Option<bool>,
    /// To whom one of these roles is mapped directly.
    pub roles: Option<Vec<crate::kernel::RoleId>>,
}

/// The characters that LIKE reads, taken literally.
pub fn like_literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The LIKE patterns of a `search`: one for each word, all of which must hold.
pub fn search_patterns(search: &str) -> Vec<String> {
    words(search)
        .into_iter()
        .map(|(word, whole)| {
            let key = name_key(&word);
            if whole {
                like_literal(&key)
            } else {
                let infix: Vec<String> = key.split('*').map(like_literal).collect();
                format!("{}%", infix.join("%"))
            }
        })
        .collect()
}

/// Words by white space, those in quotes whole.
fn words(text: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some((quoted, after)) = rest
            .strip_prefix('"')
            .and_then(|inner| inner.split_once('"'))
        {
            found.push((quoted.to_owned(), true));
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            found.push((word.to_owned(), false));
            rest = after.trim_start();
        }
    }
    found
}

fn part(text: &str, exact: bool) -> String {
    let literal = like_literal(text);
    if exact {
        literal
    } else {
        format!("%{literal}%")
    }
}

/// Builds the boxed query; a macro because its type differs between the two databases.
macro_rules! filtered {
    ($realm:expr, $filter:expr, $now:expr) => {{
        let filter: &Filter = $filter;
        let now: Timestamp = $now;
        let mut query = users::table
            .filter(users::realm_id.eq($realm))
            .filter(users::service_client.is_null())
            .into_boxed();
        if let Some(search) = &filter.search {
            for pattern in search_patterns(search) {
                query = query.filter(
                    users::username_key
                        .like(pattern.clone())
                        .escape('\\')
                        .nullable()
                        .or(users::email_key.like(pattern.clone()).escape('\\'))
                        .or(lower(users::first_name).like(pattern.clone()).escape('\\'))
                        .or(lower(users::last_name).like(pattern).escape('\\')),
                );
            }
        }
        if let Some(text) = &filter.username {
            query = query.filter(
                users::username_key
                    .like(part(&name_key(text), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(text) = &filter.email {
            query = query.filter(
                users::email_key
                    .like(part(&name_key(text), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(text) = &filter.first_name {
            query = query.filter(
                lower(users::first_name)
                    .like(part(&text.to_lowercase(), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(text) = &filter.last_name {
            query = query.filter(
                lower(users::last_name)
                    .like(part(&text.to_lowercase(), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(enabled) = filter.enabled {
            query = query.filter(users::enabled.eq(enabled));
        }
        if let Some(verified) = filter.email_verified {
            query = query.filter(users::email_verified.eq(verified));
        }
        if let Some(ids) = &filter.ids {
            query = query.filter(users::id.eq_any(ids));
        }
        if let Some(roles) = &filter.roles {
            query = query.filter(exists(
                user_roles::table
                    .filter(user_roles::user_id.eq(users::id))
                    .filter(user_roles::role_id.eq_any(roles)),
            ));
        }
        if let Some(action) = &filter.pending_action {
            query = query.filter(exists(
                required_actions::table
                    .filter(required_actions::user_id.eq(users::id))
                    .filter(required_actions::action.eq(action)),
            ));
        }
        let signed_in = || user_activity::table.filter(user_activity::user_id.eq(users::id));
        match filter.never_signed_in {
            Some(true) => query = query.filter(not(exists(signed_in()))),
            Some(false) => query = query.filter(exists(signed_in())),
            None => {}
        }
        let unlocked = || {
            users::locked_until
                .is_null()
                .or(users::locked_until.le(now).assume_not_null())
        };
        let password = || {
            credentials::table
                .filter(credentials::user_id.eq(users::id))
                .filter(credentials::kind.eq("password"))
        };
        let flagged = || {
            required_actions::table
                .filter(required_actions::user_id.eq(users::id))
                .filter(required_actions::action.eq(UPDATE_PASSWORD))
        };
        match filter.status {
            None => {}
            Some(Status::Disabled) => query = query.filter(users::enabled.eq(false)),
            Some(Status::Locked) => {
                query = query
                    .filter(users::enabled.eq(true))
                    .filter(users::locked_until.gt(now));
            }
            // Links are not stored with people yet, so no link can have expired.
            Some(Status::LinkExpired) => query = query.filter(users::id.eq("")),
            Some(Status::AwaitingFirstPassword) => {
                query = query
                    .filter(users::enabled.eq(true))
                    .filter(unlocked())
                    .filter(not(exists(password())));
            }
            Some(Status::PasswordResetRequired) => {
                query = query.filter(users::enabled.eq(true)).filter(unlocked());
                query = query.filter(exists(password())).filter(exists(flagged()));
            }
            Some(Status::Active) => {
                query = query.filter(users::enabled.eq(true)).filter(unlocked());
                query = query
                    .filter(exists(password()))
                    .filter(not(exists(flagged())));
            }
        }
        query
    }};
}

/// The realm's people that the filter lets through, by user name.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    filter: &Filter,
    (first, max): (i64, Option<i64>),
) -> Result<Vec<User>, StoreError> {
    if !filter.attributes.is_empty() {
        let skip = usize::try_from(first).unwrap_or(0);
        let take = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0));
        let all = with_attributes(tx, realm, filter)?;
        return Ok(all.into_iter().skip(skip).take(take).collect());
    }
    portion(tx, realm, filter, (first, max.unwrap_or(i64::MAX)))
}

fn portion(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    filter: &Filter,
    (first, max): (i64, i64),
) -> Result<Vec<User>, StoreError> {
    let now = tx.now()?;
    let found: Vec<UserRow> = db!(tx, |c| filtered!(realm, filter, now)
        .order((users::username_key, users::id))
        .offset(first)
        .limit(max)
        .select(UserRow::as_select())
        .load(c))?;
    found.into_iter().map(User::try_from).collect()
}

/// Attributes lie in one JSON column, so they are compared here, portion by portion.
fn with_attributes(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    filter: &Filter,
) -> Result<Vec<User>, StoreError> {
    let size = i64::try_from(PORTION).unwrap_or(i64::MAX);
    let (mut found, mut first) = (Vec::new(), 0);
    loop {
        let users = portion(tx, realm, filter, (first, size))?;
        let last = users.len() < PORTION;
        found.extend(
            users
                .into_iter()
                .filter(|user| has_attributes(user, &filter.attributes)),
        );
        if last {
            return Ok(found);
        }
        first += size;
    }
}

fn has_attributes(user: &User, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(name, value)| {
        let same = |one: &str| name_key(one) == name_key(value);
        let root = matches!(
            name.as_str(),
            "username" | "email" | "firstName" | "lastName"
        );
        if root {
            return user.attribute(name).is_some_and(same);
        }
        user.attributes
            .get(name)
            .is_some_and(|values| values.iter().any(|one| same(one)))
    })
}

/// How many people the filter lets through.
///
/// # Errors
/// The database fails.
pub fn count(tx: &mut Tx<'_>, realm: &RealmId, filter: &Filter) -> Result<i64, StoreError> {
    if !filter.attributes.is_empty() {
        let found = with_attributes(tx, realm, filter)?;
        return Ok(i64::try_from(found.len()).unwrap_or(i64::MAX));
    }
    let now = tx.now()?;
    db!(tx, |c| filtered!(realm, filter, now).count().get_result(c))
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
    fn a_search_is_prefixes_infixes_and_quoted_wholes() {
        assert_eq!(search_patterns("ANN"), ["ann%"]);
        assert_eq!(search_patterns("*nn*"), ["%nn%%"]);
        assert_eq!(search_patterns("ad*s"), ["ad%s%"]);
        assert_eq!(search_patterns("Anna  B"), ["anna%", "b%"]);
        assert_eq!(search_patterns("\"Anna B\" x"), ["anna b", "x%"]);
        assert_eq!(search_patterns("100%_\\"), ["100\\%\\_\\\\%"]);
        assert!(search_patterns("  ").is_empty());
        assert_eq!(search_patterns("\"open"), ["\"open%"]);
    }

    #[test]
    fn fields_are_parts_unless_exact_and_stars_are_stars() {
        assert_eq!(part("a*b_", false), "%a*b\\_%");
        assert_eq!(part("a", true), "a");
    }

    #[test]
    fn every_status_reads_as_it_is_written() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}
