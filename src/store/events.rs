//! Audit events, written in the transaction whose change they tell of.
//!
//! Names are Keycloak's (`LOGIN`, `LOGIN_ERROR`, `UPDATE_PASSWORD`, …) and ours (`GATE_OPENED`, `GATE_PASSED`,
//! `GATE_EXPIRED`, `GATE_BLOCKED`). Details never hold a password, token, code or link.

use diesel::prelude::*;
use serde_json::{Map, Value};

use super::schema::events;
use super::{StoreError, Tx, db, event_types};
use crate::kernel::{Entropy, RealmId, SessionId, Timestamp, UserId};

/// An event to record.
#[derive(Debug, Clone)]
pub struct Event {
    /// The realm.
    pub realm_id: RealmId,
    /// Its name, e.g. `LOGIN_ERROR`.
    pub kind: &'static str,
    /// Whom it is about.
    pub user_id: Option<UserId>,
    /// The OAuth `client_id` through which it happened.
    pub client_id: Option<String>,
    /// The session in which it happened.
    pub session_id: Option<SessionId>,
    /// The address it came from.
    pub ip_address: Option<String>,
    /// Keycloak's error word, e.g. `invalid_user_credentials`.
    pub error: Option<&'static str>,
    /// More, by name.
    pub details: Map<String, Value>,
}

impl Event {
    /// An event of a realm about nobody yet.
    pub fn new(realm_id: &RealmId, kind: &'static str) -> Self {
        Self {
            realm_id: realm_id.clone(),
            kind,
            user_id: None,
            client_id: None,
            session_id: None,
            ip_address: None,
            error: None,
            details: Map::new(),
        }
    }

    /// About this user.
    #[must_use]
    pub fn user(mut self, id: &UserId) -> Self {
        self.user_id = Some(id.clone());
        self
    }

    /// Through this client.
    #[must_use]
    pub fn client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// In this session.
    #[must_use]
    pub fn session(mut self, id: &SessionId) -> Self {
        self.session_id = Some(id.clone());
        self
    }

    /// From this address.
    #[must_use]
    pub fn from(mut self, ip_address: &str) -> Self {
        self.ip_address = Some(ip_address.to_owned());
        self
    }

    /// With Keycloak's error word.
    #[must_use]
    pub fn error(mut self, error: &'static str) -> Self {
        self.error = Some(error);
        self
    }

    /// With a detail.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Writes an event.
///
/// # Errors
/// The database fails.
pub fn record(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    now: Timestamp,
    event: Event,
) -> Result<(), StoreError> {
    debug_assert!(
        event_types::is_known(event.kind),
        "{} is missing among the types",
        event.kind
    );
    metrics::counter!("idp_events_total", "kind" => event.kind).increment(1);
    db!(tx, |c| diesel::insert_into(events::table)
        .values((
            events::id.eq(entropy.uuid(now)),
            events::realm_id.eq(&event.realm_id),
            events::kind.eq(event.kind),
            events::user_id.eq(event.user_id.as_ref().map(UserId::as_str)),
            events::client_id.eq(&event.client_id),
            events::session_id.eq(event.session_id.as_ref().map(SessionId::as_str)),
            events::ip_address.eq(&event.ip_address),
            events::error.eq(event.error),
            events::details.eq(Value::Object(event.details).to_string()),
            events::at.eq(now),
        ))
        .execute(c))?;
    Ok(())
}

/// A recorded event, as the admin API lists it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct Recorded {
    /// Its id.
    pub id: String,
    /// Its name.
    pub kind: String,
    /// Whom it is about.
    pub user_id: Option<String>,
    /// Through which client.
    pub client_id: Option<String>,
    /// In which session.
    pub session_id: Option<String>,
    /// From where.
    pub ip_address: Option<String>,
    /// Keycloak's error word.
    pub error: Option<String>,
    /// A JSON object.
    pub details: String,
    /// When.
    pub at: Timestamp,
}

/// Which events are wanted; what is absent or empty lets all through.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of one of these types.
    pub kinds: Vec<String>,
    /// About this user.
    pub user: Option<UserId>,
    /// Through this client, by its `client_id`.
    pub client: Option<String>,
    /// From this address.
    pub ip_address: Option<String>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Oldest first, rather than newest first.
    pub ascending: bool,
}

/// The realm's events that are wanted: after the first `first`, at most `max`.
///
/// # Errors
/// The database fails.
pub fn list(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    wanted: &Wanted,
    (first, max): (i64, i64),
) -> Result<Vec<Recorded>, StoreError> {
    db!(tx, |c| {
        let mut query = events::table
            .filter(events::realm_id.eq(realm))
            .into_boxed();
        if !wanted.kinds.is_empty() {
            query = query.filter(events::kind.eq_any(&wanted.kinds));
        }
        if let Some(user) = &wanted.user {
            query = query.filter(events::user_id.eq(user.as_str()));
        }
        if let Some(client) = &wanted.client {
            query = query.filter(events::client_id.eq(client));
        }
        if let Some(ip_address) = &wanted.ip_address {
            query = query.filter(events::ip_address.eq(ip_address));
        }
        if let Some(from) = wanted.from {
            query = query.filter(events::at.ge(from));
        }
        if let Some(until) = wanted.until {
            query = query.filter(events::at.lt(until));
        }
        query = if wanted.ascending {
            query.order((events::at.asc(), events::id.asc()))
        } else {
            query.order((events::at.desc(), events::id.desc()))
        };
        query
            .offset(first)
            .limit(max)
            .select(Recorded::as_select())
            .load(c)
    })
}
