//! Which required actions a request wants on a person, and the plan that gets there.
//!
//! Used by create, update and cohorts. The plan is made without the database, so that its rules can be read in one
//! place; [`Plan::carry_out`] is the only thing here that writes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{flag_of, number_of, text_of};
use crate::action::assign::{self, Setting, assignable};
use crate::action::canonical;
use crate::action::kinds::update_password;
use crate::admin::error::AdminError;
use crate::kernel::{Entropy, Timestamp, UserId};
use crate::realm::RequiredActionConfig;
use crate::store::{StoreError, Tx};
use crate::user::waiting::{self, ResetProof, WaitingAction};

/// What a request says about required actions.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `requiredActions`: all that shall wait.
    pub actions: Option<Vec<String>>,
    /// `forcePasswordReset`: the same fact as `UPDATE_PASSWORD` among them.
    pub force_password_reset: Option<bool>,
    /// How it is meant.
    pub manner: Manner,
}

/// How setting an action is meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Manner {
    /// From when it shuts everything.
    pub due_at: Option<Timestamp>,
    /// Who can complete an `UPDATE_PASSWORD`.
    pub reset_proof: Option<ResetProof>,
    /// Sessions end as well.
    pub revoke_sessions: bool,
    /// The administrator's reason.
    pub reason: Option<String>,
}

impl Manner {
    /// Reads `dueAt` (milliseconds), `resetProof`, `compromised`, `revokeSessions` and `reason`.
    ///
    /// # Errors
    /// `resetProof` is neither `password` nor `mailbox`, or contradicts `compromised`.
    pub fn read(sent: &Map<String, Value>) -> Result<Self, AdminError> {
        let compromised = flag_of(sent, "compromised").unwrap_or(false);
        let proof = text_of(sent, "resetProof")
            .map(|text| {
                ResetProof::parse(text).ok_or_else(|| {
                    AdminError::Bad("resetProof is \"password\" or \"mailbox\"".to_owned())
                })
            })
            .transpose()?;
        if compromised && proof == Some(ResetProof::Password) {
            return Err(AdminError::Bad(
                "A compromised password cannot prove who somebody is: resetProof must be \"mailbox\"".into(),
            ));
        }
        Ok(Self {
            due_at: number_of(sent, "dueAt").map(Timestamp::from_millis),
            reset_proof: if compromised {
                Some(ResetProof::Mailbox)
            } else {
                proof
            },
            revoke_sessions: compromised || flag_of(sent, "revokeSessions").unwrap_or(false),
            reason: text_of(sent, "reason").map(str::to_owned),
        })
    }

    /// Whether passwords and sessions of before are taken for stolen.
    pub fn is_compromised(&self) -> bool {
        self.revoke_sessions && self.reset_proof == Some(ResetProof::Mailbox)
    }

    /// Whether an action that waits already is to be set anew.
    pub(super) fn changes_waiting(&self) -> bool {
        self.due_at.is_some() || self.reset_proof.is_some() || self.reason.is_some()
    }

    /// The row to store: what the request leaves open stays as it waits, so that nobody loosens by not saying.
    pub(super) fn setting<'a>(&'a self, row: Option<&'a WaitingAction>) -> Setting<'a> {
        let stored = |row: &'a WaitingAction| (row.due_at, row.reset_proof, row.reason.as_deref());
        let (due_at, reset_proof, reason) = match row.map(stored) {
            Some((due_at, proof, reason)) => (Some(due_at), proof, reason),
            None => (None, ResetProof::Password, None),
        };
        Setting {
            reason: self.reason.as_deref().or(reason),
            due_at: self.due_at.or(due_at),
            reset_proof: self.reset_proof.unwrap_or(reset_proof),
            ..Setting::by("admin")
        }
    }

    /// Whether the row is to be met later, or by weaker proof, than it is now.
    pub(super) fn loosens(&self, row: &WaitingAction) -> bool {
        let later = self.due_at.is_some_and(|due_at| due_at > row.due_at);
        let weaker = self.reset_proof == Some(ResetProof::Password)
            && row.reset_proof == ResetProof::Mailbox;
        later || weaker
    }
}

impl Wanted {
    /// Reads a user representation.
    ///
    /// # Errors
    /// As for [`Manner::read`].
    pub fn read(sent: &Map<String, Value>) -> Result<Self, AdminError> {
        let actions = sent
            .get("requiredActions")
            .and_then(crate::admin::json::texts);
        Ok(Self {
            actions,
            force_password_reset: flag_of(sent, "forcePasswordReset"),
            manner: Manner::read(sent)?,
        })
    }

    /// Whether the request says which actions there shall be.
    pub fn names_actions(&self) -> bool {
        self.actions.is_some()
    }
}

/// What has to be set and taken.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// To be set.
    pub set: Vec<String>,
    /// To be taken.
    pub take: Vec<String>,
    /// How setting is meant.
    pub manner: Manner,
}

impl Plan {
    /// Compares what waits with what is wanted.
    ///
    /// If the list and the flag disagree, the one that differs from what is stored is the change. Only what is new
    /// has to be assignable: what waits may wait although the realm has switched it off since.
    ///
    /// # Errors
    /// An action that cannot be assigned.
    pub fn make(
        configured: &[RequiredActionConfig],
        waiting: &[String],
        wanted: &Wanted,
    ) -> Result<Self, AdminError> {
        let spelled = |name: &String| canonical(name).map_or_else(|| name.clone(), str::to_owned);
        let flagged = waiting.iter().any(|name| name == update_password::NAME);
        let mut target: Vec<String> = match &wanted.actions {
            Some(actions) => actions.iter().map(spelled).collect(),
            None => waiting.to_vec(),
        };
        let listed = target.iter().any(|name| name == update_password::NAME);
        let flag = match (wanted.names_actions(), wanted.force_password_reset) {
            (true, Some(flag)) if flag != listed => !flagged,
            (false, Some(flag)) => flag,
            (true, _) | (false, None) => listed,
        };
        target.retain(|name| name != update_password::NAME);
        if flag {
            target.insert(0, update_password::NAME.to_owned());
        }
        let waits = |name: &String| waiting.contains(name);
        let new: Vec<String> = target.iter().filter(|name| !waits(name)).cloned().collect();
        assignable(configured, &new)?;
        let anew = wanted.manner.changes_waiting()
            && (wanted.names_actions() || wanted.force_password_reset == Some(true));
        let mut set = if anew { target.clone() } else { new };
        // Asked for by itself, and not in a copy that was read and put back, it is asked for once more.
        let asked_again = wanted.force_password_reset == Some(true) && !wanted.names_actions();
        if flagged && asked_again && !anew {
            set.push(update_password::NAME.to_owned());
        }
        let take = waiting
            .iter()
            .filter(|name| !target.contains(name))
            .cloned()
            .collect();
        Ok(Self {
            set,
            take,
            manner: wanted.manner.clone(),
        })
    }

    /// Whether the forced reset would be taken.
    pub fn takes_reset(&self) -> bool {
        self.take.iter().any(|name| name == update_password::NAME)
    }

    /// Sets and takes; ends sessions where that is meant. Answers what is news to the person. What an order for many
    /// people sets carries its job, so that its undo knows it again.
    ///
    /// # Errors
    /// The database fails.
    pub fn carry_out(
        &self,
        tx: &mut Tx<'_>,
        entropy: &Entropy,
        user: &UserId,
        job: Option<&str>,
    ) -> Result<Done, StoreError> {
        let mut done = Done::default();
        for action in &self.take {
            if assign::waive(tx, user, action, entropy)? {
                done.waived.push(action.clone());
            }
        }
        let rows = waiting::of_user(tx, user)?;
        let mut ends = self.manner.revoke_sessions;
        for action in &self.set {
            let row = rows.iter().find(|row| row.action == *action);
            if row.is_some() && !self.manner.changes_waiting() {
                waiting::claim(tx, user, action, job)?;
                continue;
            }
            // Loosening is a way of taking, and whatever takes the reset ends what was issued before it.
            ends |=
                action == update_password::NAME && row.is_some_and(|row| self.manner.loosens(row));
            let setting = Setting {
                job,
                ..self.manner.setting(row)
            };
            if action == update_password::NAME {
                done.demanded = Some(setting.reset_proof);
            }
            assign::set(tx, user, action, &setting)?;
        }
        if ends {
            assign::end_everything(tx, user, entropy)?;
        }
        Ok(done)
    }
}

/// What a plan has changed that its person is told.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// The actions that waited and wait no longer.
    pub waived: Vec<String>,
    /// A new password was demanded, or the demand was changed; and who can set it.
    pub demanded: Option<ResetProof>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::representation::user::SHAPE;

    fn plan(waiting: &[&str], sent: Value) -> Result<(Vec<String>, Vec<String>), AdminError> {
        let sent = SHAPE.read(sent)?;
        let waiting: Vec<String> = waiting.iter().map(|&name| name.to_owned()).collect();
        let mut configured = RequiredActionConfig::fresh();
        for action in &mut configured {
            action.enabled = action.alias != "VERIFY_EMAIL";
        }
        let plan = Plan::make(&configured, &waiting, &Wanted::read(&sent)?)?;
        Ok((plan.set, plan.take))
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn list_and_flag_are_one_fact_and_the_one_that_differs_is_the_change() {
        let up = "UPDATE_PASSWORD";
        for (waiting, sent, set, take) in [
            (&[][..], json!({}), &[][..], &[][..]),
            (&[], json!({ "forcePasswordReset": true }), &[up], &[]),
            (&[up], json!({ "forcePasswordReset": false }), &[], &[up]),
            (&[up], json!({ "forcePasswordReset": true }), &[up], &[]),
            (&[up], json!({ "requiredActions": [] }), &[], &[up]),
            (&[up], json!({ "requiredActions": [up] }), &[], &[]),
            // A copy that was read and written back with one of the two changed.
            (
                &[],
                json!({ "requiredActions": [], "forcePasswordReset": true }),
                &[up],
                &[],
            ),
            (
                &[],
                json!({ "requiredActions": [up], "forcePasswordReset": false }),
                &[up],
                &[],
            ),
            (
                &[up],
                json!({ "requiredActions": [], "forcePasswordReset": true }),
                &[],
                &[up],
            ),
            (
                &[up],
                json!({ "requiredActions": [up], "forcePasswordReset": false }),
                &[],
                &[up],
            ),
            (
                &[up],
                json!({ "requiredActions": [up], "resetProof": "mailbox" }),
                &[up],
                &[],
            ),
            (
                &[],
                json!({ "requiredActions": ["terms_and_conditions"] }),
                &["TERMS_AND_CONDITIONS"],
                &[],
            ),
        ] {
            let found = plan(waiting, sent.clone()).unwrap();
            assert_eq!(found, (owned(set), owned(take)), "{waiting:?} {sent}");
        }
    }

    #[test]
    fn only_what_is_new_has_to_be_assignable() {
        assert!(plan(&[], json!({ "requiredActions": ["VERIFY_EMAIL"] })).is_err());
        assert!(
            plan(
                &["VERIFY_EMAIL"],
                json!({ "requiredActions": ["VERIFY_EMAIL"] })
            )
            .is_ok()
        );
        assert!(
            plan(
                &["FROM_A_NEWER_NODE"],
                json!({ "requiredActions": ["FROM_A_NEWER_NODE"] })
            )
            .is_ok()
        );
        assert!(plan(&[], json!({ "requiredActions": ["NO_SUCH"] })).is_err());
    }

    #[test]
    fn what_a_request_leaves_open_stays_as_strict_as_it_is() {
        let row = WaitingAction {
            action: update_password::NAME.to_owned(),
            source: "admin".to_owned(),
            reason: Some("leak".to_owned()),
            since: Timestamp::from_seconds(5),
            due_at: Timestamp::from_seconds(10),
            reset_proof: ResetProof::Mailbox,
            set_by_job: None,
        };
        let noted = Manner {
            reason: Some("again".to_owned()),
            ..Manner::default()
        };
        let setting = noted.setting(Some(&row));
        assert_eq!(setting.reset_proof, ResetProof::Mailbox);
        assert_eq!(setting.due_at, Some(row.due_at));
        assert_eq!(setting.reason, Some("again"));
        assert!(!noted.loosens(&row));
        let later = Manner {
            due_at: Some(Timestamp::from_seconds(11)),
            ..Manner::default()
        };
        let weaker = Manner {
            reset_proof: Some(ResetProof::Password),
            ..Manner::default()
        };
        assert!(later.loosens(&row) && weaker.loosens(&row));
        assert_eq!(Manner::default().setting(None).due_at, None);
    }

    #[test]
    fn compromised_means_mailbox_and_no_sessions() {
        let manner = |sent: Value| Manner::read(sent.as_object().unwrap());
        let compromised = manner(json!({ "compromised": true })).unwrap();
        assert_eq!(compromised.reset_proof, Some(ResetProof::Mailbox));
        assert!(compromised.revoke_sessions);
        assert!(manner(json!({ "compromised": true, "resetProof": "password" })).is_err());
        assert!(manner(json!({ "resetProof": "sms" })).is_err());
    }
}
