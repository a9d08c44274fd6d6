//! The app's sessions: who visits, which sign-ins are under way, which tokens were got.
//!
//! In memory, found by a random cookie; a restart signs everybody out of the app. The id
//! changes when somebody signs in or out, so an id planted before is worth nothing after.

use std::collections::HashMap;

use openidconnect::CsrfToken;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use super::{
    failure::Failure,
    relying_party::{Asked, Pending, Tokens},
};

/// Visits kept; the oldest makes room.
const MAX_VISITS: usize = 500;
/// Sign-ins under way in one browser, one per tab.
const MAX_PENDING: usize = 20;

#[derive(Default)]
pub(super) struct Visits(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    visits: HashMap<String, Visit>,
    begun: u64,
}

#[derive(Default)]
pub(super) struct Visit {
    begun: u64,
    /// Oldest first.
    pending: Vec<Pending>,
    pub signed_in: Option<SignedIn>,
    /// What the identity provider answered last; shown until it answers again.
    pub happening: Option<Happening>,
    /// The state of the logout request whose answer is awaited.
    pub signing_out: Option<CsrfToken>,
}

#[derive(Clone)]
pub(super) struct SignedIn {
    pub tokens: Tokens,
    pub userinfo: Option<Value>,
    pub refreshes: u32,
}

/// The last thing that happened between the app and the identity provider.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Happening {
    pub good: bool,
    pub title: &'static str,
    pub text: &'static str,
    /// The identity provider's own words.
    pub error: Option<String>,
    pub description: Option<String>,
    pub status: Option<u16>,
}

impl Happening {
    pub fn good(title: &'static str, text: &'static str) -> Self {
        Self {
            good: true,
            title,
            text,
            error: None,
            description: None,
            status: None,
        }
    }

    pub fn bad(title: &'static str, failure: Failure) -> Self {
        let (text, status, error, description) = match failure {
            Failure::Refused {
                status,
                error,
                description,
            } => (
                match status {
                    Some(401) => explain("invalid_token"),
                    Some(_) | None => explain(&error),
                },
                status,
                Some(error),
                description,
            ),
            Failure::Unreachable(why) => (
                "The identity provider gave no usable answer. Is it still running?",
                None,
                None,
                Some(why),
            ),
            Failure::NotAccepted(why) => (
                "The library did not accept the answer, so nothing of it was used.",
                None,
                None,
                Some(why),
            ),
        };
        Self {
            good: false,
            title,
            text,
            error,
            description,
            status,
        }
    }
}

/// What an error code means to the person in front of the page.
fn explain(error: &str) -> &'static str {
    match error {
        "login_required" => "Nobody is signed in at the identity provider. Press Sign in.",
        "interaction_required" => {
            "The identity provider has something for you to do first, such as setting a new \
             password. Press Sign in: it will lead you there."
        }
        "consent_required" => "The identity provider wants to ask you first. Press Sign in.",
        "access_denied" => "You, or the identity provider, declined. Nothing was shared.",
        "invalid_token" => {
            "The access token is no longer good. It may have expired, or something about the \
             account changed. Sign in again."
        }
        "invalid_grant" => {
            "What the app held is no longer good, or the account has something to do first. \
             Sign in again: the identity provider will lead you there."
        }
        "temporarily_unavailable" | "server_error" => {
            "The identity provider has trouble of its own. Try again in a moment."
        }
        "invalid_client" | "unauthorized_client" => {
            "The identity provider does not know this app the way it introduced itself."
        }
        _ => "The identity provider said no.",
    }
}

impl Visits {
    /// Calls `with` with the visit of that id, if it is known.
    pub fn with<T>(&self, id: Option<&str>, with: impl FnOnce(&mut Visit) -> T) -> Option<T> {
        self.0.lock().visits.get_mut(id?).map(with)
    }

    /// Remembers a sign-in under way, in the visit of that id or in a new one, and answers
    /// the visit's id.
    pub fn begin(&self, id: Option<&str>, pending: Pending) -> String {
        let mut inner = self.0.lock();
        let id = match id.filter(|id| inner.visits.contains_key(*id)) {
            Some(id) => id.to_owned(),
            None => inner.new_visit(),
        };
        let visit = inner.visits.entry(id.clone()).or_default();
        if visit.pending.len() >= MAX_PENDING {
            visit.pending.remove(0);
        }
        visit.pending.push(pending);
        id
    }

    /// The sign-in with this state, which can be taken once.
    pub fn take_pending(&self, id: Option<&str>, state: &str) -> Option<Pending> {
        self.with(id, |visit| {
            let at = visit
                .pending
                .iter()
                .position(|pending| pending.state.secret() == state)?;
            Some(visit.pending.remove(at))
        })?
    }

    /// Gives the visit a new id and answers it.
    pub fn renew(&self, id: &str) -> Option<String> {
        let mut inner = self.0.lock();
        let visit = inner.visits.remove(id)?;
        let id = random_id();
        inner.visits.insert(id.clone(), visit);
        Some(id)
    }
}

impl Inner {
    fn new_visit(&mut self) -> String {
        if self.visits.len() >= MAX_VISITS {
            let oldest = self.visits.iter().min_by_key(|(_, visit)| visit.begun);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.visits.remove(&oldest);
            }
        }
        self.begun += 1;
        let id = random_id();
        self.visits.insert(
            id.clone(),
            Visit {
                begun: self.begun,
                ..Visit::default()
            },
        );
        id
    }
}

/// The library's own randomness: 256 bits.
fn random_id() -> String {
    CsrfToken::new_random_len(32).into_secret()
}

impl SignedIn {
    pub fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            userinfo: None,
            refreshes: 0,
        }
    }
}

impl Asked {
    /// The title of what happened when the answer is yes.
    pub fn done(self) -> Happening {
        match self {
            Self::SignIn => Happening::good(
                "Signed in",
                "The identity provider sent you back with a code, and the code was good for tokens.",
            ),
            Self::Again => Happening::good(
                "Signed in again",
                "The identity provider was asked to check who you are once more (prompt=login).",
            ),
            Self::Silent => Happening::good(
                "The silent check passed",
                "The identity provider knows you and showed no page (prompt=none).",
            ),
        }
    }

    pub fn failed(self) -> &'static str {
        match self {
            Self::SignIn => "The sign-in did not go through",
            Self::Again => "Signing in again did not go through",
            Self::Silent => "The silent check came back empty-handed",
        }
    }
}
