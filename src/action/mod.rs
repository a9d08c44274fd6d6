//! Required actions: what a person must do before anything is issued, and the gate that sees to it.

pub mod assign;
pub mod everyone;
pub mod gate;
pub mod kinds;

use crate::kernel::Timestamp;
use crate::session::Session;
use crate::user::User;
use crate::user::waiting::WaitingAction;

/// What the gate knows when it decides: loaded by itself, in one transaction.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The person.
    pub user: User,
    /// The session the request rides on, if it rides on one.
    pub session: Option<Session>,
    /// What waits on the person.
    pub waiting: Vec<WaitingAction>,
    /// The realm wants proved addresses.
    pub realm_verifies_email: bool,
    /// The version of the realm's configuration.
    pub realm_version: i64,
    /// The transaction's clock.
    pub now: Timestamp,
    /// Whether a person sits before a browser that can act: such a request meets actions before they are due.
    pub interactive: bool,
}

impl Facts {
    /// The waiting action of that name, if this request has to meet it now.
    pub fn met(&self, action: &str) -> Option<&WaitingAction> {
        self.waiting
            .iter()
            .find(|waiting| waiting.action == action && self.has_to_meet(waiting))
    }

    /// Whether this request has to meet the action now.
    pub fn has_to_meet(&self, waiting: &WaitingAction) -> bool {
        self.interactive || waiting.due_at <= self.now
    }
}

/// A required action. A new one is a file in [`kinds`], a word in its list and a template.
pub trait RequiredAction: Sync {
    /// Its name, e.g. `UPDATE_PASSWORD`.
    fn name(&self) -> &'static str;

    /// Other spellings that Keycloak has used or uses; compared in any case.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it is outstanding. Pure: reads the facts, changes nothing, and is asked again after every step.
    fn outstanding(&self, facts: &Facts) -> bool {
        facts.met(self.name()).is_some()
    }
}

/// The one spelling of an action's name, from any that Keycloak has used, in any case.
pub fn canonical(name: &str) -> Option<&'static str> {
    kinds::ALL
        .iter()
        .find(|kind| {
            kind.name().eq_ignore_ascii_case(name)
                || kind
                    .aliases()
                    .iter()
                    .any(|alias| alias.eq_ignore_ascii_case(name))
        })
        .map(|kind| kind.name())
}
