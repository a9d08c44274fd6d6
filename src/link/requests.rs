//! Wishes for a link by people who have proved nothing: a forgotten password.
//!
//! The page stores the same row for everybody and answers ([`enqueue`]); later, a worker looks the person up
//! ([`work`]). So neither the answer nor its time tells who has an account (threat V052). Limits suppress a mail and
//! nothing else: they never end a link (V053, V186).

use diesel::prelude::*;

use super::{NewLink, Purpose, Sender, create};
use crate::kernel::{RealmId, Timestamp};
use crate::mail::Tools;
use crate::realm::{self, Realm};
use crate::session::throttle::{self, Limit, Turn};
use crate::store::events::{self, Event};
use crate::store::schema::link_requests;
use crate::store::{StoreError, Tx, db, dialect};
use crate::user::name::name_key;
use crate::user::{self, User, credential};
use crate::web::texts::Locale;

/// Wishes from one network: 20 in an hour (reliability H013).
pub(super) const PER_NETWORK: Limit = Limit {
    tries: 20,
    window: 3600,
    block: 3600,
    longest: 3600,
};

/// The realm's attribute by which people without a password get a link for the first one.
const FIRST_PASSWORD: &str = "preRegistrationSelfService";

/// How many wishes one transaction fulfils.
const BATCH: i64 = 50;

/// A wish.
#[derive(Debug, Clone)]
pub struct Request {
    /// What was typed: a user name or an address.
    pub login: String,
    /// The language of the page.
    pub locale: String,
    /// The application that was on its way.
    pub client_id: Option<String>,
}

/// Stores a wish, unless too many came from its network. Nobody is told.
///
/// # Errors
/// The database fails.
pub fn enqueue(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (realm, network): (&RealmId, &str),
    request: &Request,
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let from = format!("forgot-from/{realm}/{network}");
    if let Turn::Shut(_) = throttle::take(tx, &from, PER_NETWORK, now)? {
        return Ok(());
    }
    db!(tx, |c| diesel::insert_into(link_requests::table)
        .values((
            link_requests::id.eq(tools.entropy.uuid(now)),
            link_requests::realm_id.eq(realm),
            link_requests::login.eq(&request.login),
            link_requests::locale.eq(&request.locale),
            link_requests::client_id.eq(&request.client_id),
            link_requests::created_at.eq(now),
        ))
        .execute(c))?;
    Ok(())
}

/// Whether somebody waits.
///
/// # Errors
/// The database fails.
pub fn is_any(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let one: Option<String> = db!(tx, |c| link_requests::table
        .select(link_requests::id)
        .first(c)
        .optional())?;
    Ok(one.is_some())
}

type Row = (RealmId, String, String, Option<String>);

/// Fulfils some wishes, and answers how many rows that were. Several nodes may do it at once.
///
/// # Errors
/// The database fails.
pub fn work(tx: &mut Tx<'_>, tools: Tools<'_>) -> Result<usize, StoreError> {
    let ids = dialect::lock_link_requests(tx, BATCH)?;
    let rows: Vec<Row> = db!(tx, |c| link_requests::table
        .filter(link_requests::id.eq_any(&ids))
        .order(link_requests::created_at)
        .select((
            link_requests::realm_id,
            link_requests::login,
            link_requests::locale,
            link_requests::client_id,
        ))
        .load(c))?;
    let count = rows.len();
    for (realm, login, locale, client_id) in rows {
        if let Some(realm) = realm::rows::by_id(tx, &realm)? {
            let request = Request {
                login,
                locale,
                client_id,
            };
            fulfil(tx, tools, &realm, &request)?;
        }
    }
    db!(tx, |c| diesel::delete(
        link_requests::table.filter(link_requests::id.eq_any(&ids))
    )
    .execute(c))?;
    Ok(count)
}

fn fulfil(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    realm: &Realm,
    request: &Request,
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let mut event = Event::new(&realm.id, "SEND_RESET_PASSWORD");
    if let Some(client_id) = &request.client_id {
        event = event.client(client_id);
    }
    let found = person(tx, realm, &request.login)?;
    if let Some(user) = &found {
        event = event.user(&user.id);
    }
    let error = match &found {
        None => Some("user_not_found"),
        Some(user) if !realm.enabled || !realm.settings.reset_password_allowed => {
            tracing::info!(realm = %user.realm_id, "a forgotten password waited until the realm had forbidden it");
            Some("reset_not_allowed")
        }
        Some(user) => mail(tx, tools, (realm, user, request), now)?,
    };
    if let Some(error) = error {
        event.kind = "SEND_RESET_PASSWORD_ERROR";
        event = event.error(error);
    }
    events::record(tx, tools.entropy, now, event)
}

/// Whom the name names, by the realm's rule about addresses.
fn person(tx: &mut Tx<'_>, realm: &Realm, login: &str) -> Result<Option<User>, StoreError> {
    let settings = &realm.settings;
    let by_email = settings.login_with_email_allowed || settings.registration_email_as_username;
    let user = user::rows::by_login(tx, &realm.id, login)?;
    Ok(user.filter(|user| {
        user.service_client.is_none() && (by_email || name_key(&user.username) == name_key(login))
    }))
}

/// Mails a link; the error word of why not.
fn mail(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (realm, user, request): (&Realm, &User, &Request),
    now: Timestamp,
) -> Result<Option<&'static str>, StoreError> {
    let Some(address) = &user.email else {
        return Ok(Some("invalid_email"));
    };
    let purpose = if credential::password(tx, &user.id)?.is_some() {
        Purpose::ForgottenPassword
    } else if realm
        .settings
        .attributes
        .get(FIRST_PASSWORD)
        .is_some_and(|value| value == "true")
    {
        Purpose::PreRegistration
    } else {
        return Ok(Some("no_password"));
    };
    // Counted by mailbox, whichever person of that address is asked for.
    if let Turn::Shut(_) = throttle::take_mail(tx, ("forgot", &realm.id, address), now)? {
        return Ok(Some("too_many_requests"));
    }
    let new = NewLink {
        client_id: request.client_id.clone(),
        locale: Locale::from_tag(&request.locale),
        ..NewLink::of(realm, &user.id, purpose, Sender::Person)
    };
    Ok(match create(tx, tools, &new)? {
        Ok(_) => None,
        Err(super::Refused::Disabled) => Some("user_disabled"),
        Err(_) => Some("invalid_email"),
    })
}
