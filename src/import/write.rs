//! What is written for the rows of a chunk that are taken. New people by statements of many rows; changed ones each
//! by the same functions as in the admin API, so that nothing older stays alive.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Options;
use super::check::{NewPassword, Person, Rules};
use super::draft::Problem;
use super::passwords::Password;
use super::plan::{Directory, Fate, Item, Refusal};
use super::verdicts::{State, Verdict};
use crate::action::assign::{self, Setting};
use crate::action::kinds::update_password;
use crate::group::{self, Group};
use crate::kernel::{Entropy, GroupId, RoleId, Timestamp, UserId};
use crate::mail::Mailer;
use crate::realm;
use crate::role::{self, Role};
use crate::store::dialect::{Lock, lock_user};
use crate::store::{StoreError, Tx};
use crate::user::credential::StoredPassword;
use crate::user::former::{self, Standing};
use crate::user::rows::Conflict;
use crate::user::waiting::{ResetProof, WaitingAction};
use crate::user::{self, AuthEpoch, User, bulk};

/// What all rows of a chunk are written with.
pub(super) struct Pen<'a> {
    pub(super) rules: &'a Rules,
    pub(super) options: &'a Options,
    pub(super) entropy: &'a Entropy,
    pub(super) mailer: &'a Mailer,
    pub(super) now: Timestamp,
    /// The hashes of the plain passwords, by the number of their row.
    pub(super) hashes: &'a HashMap<i64, String>,
}

/// The rows of the tables that new people fill.
#[derive(Default)]
struct Batch {
    people: Vec<User>,
    passwords: Vec<(UserId, StoredPassword)>,
    actions: Vec<(UserId, WaitingAction)>,
    roles: BTreeSet<(UserId, RoleId)>,
    groups: BTreeSet<(UserId, GroupId)>,
}

impl Pen<'_> {
    /// Carries out the fates and answers the verdicts. A dry run writes nobody.
    ///
    /// # Errors
    /// The database fails; a unique violation where somebody took a name meanwhile.
    pub(super) fn write(
        &self,
        tx: &mut Tx<'_>,
        directory: &mut Directory,
        items: &[Item],
        fates: Vec<Result<Fate, Refusal>>,
    ) -> Result<Vec<Verdict>, StoreError> {
        if !self.options.dry_run && self.options.create_missing {
            self.make_missing(tx, directory, items, &fates)?;
        }
        let mut batch = Batch::default();
        let mut verdicts = Vec::with_capacity(items.len());
        for (item, fate) in items.iter().zip(fates) {
            let (state, user, problem) = match (fate, &item.person) {
                (Ok(fate), Ok(person)) => {
                    self.one(tx, directory, (item.number, person), fate, &mut batch)?
                }
                (Err(Refusal::Skip(problem, user)), _) => (State::Skipped, user, Some(problem)),
                (Err(Refusal::Reject(problem)), _) => (State::Rejected, None, Some(problem)),
                // A refused row has no other fate.
                (Ok(_), Err(Refusal::Reject(problem) | Refusal::Skip(problem, _))) => {
                    (State::Rejected, None, Some(problem.clone()))
                }
            };
            verdicts.push(Verdict {
                number: item.number,
                line: i64::try_from(item.line).unwrap_or(i64::MAX),
                state,
                user,
                problem,
            });
        }
        let unique_email = !self.rules.realm.settings.duplicate_emails_allowed;
        bulk::insert(tx, &batch.people, unique_email)?;
        bulk::insert_passwords(tx, &batch.passwords)?;
        bulk::insert_actions(tx, &batch.actions)?;
        let roles: Vec<_> = batch.roles.into_iter().collect();
        let groups: Vec<_> = batch.groups.into_iter().collect();
        bulk::assign_roles(tx, &roles)?;
        group::rows::join_many(tx, &groups)?;
        Ok(verdicts)
    }

    fn one(
        &self,
        tx: &mut Tx<'_>,
        directory: &Directory,
        (number, person): (i64, &Person),
        fate: Fate,
        batch: &mut Batch,
    ) -> Result<(State, Option<UserId>, Option<Problem>), StoreError> {
        match fate {
            Fate::Create => {
                let id = (!self.options.dry_run)
                    .then(|| self.create((number, person), directory, batch));
                Ok((State::Accepted, id, self.note(person, Password::Taken)))
            }
            Fate::Update(id) if self.options.dry_run => {
                let password = self.password_of(tx, &id, person)?;
                Ok((State::Updated, Some(id), self.note(person, password)))
            }
            Fate::Update(id) => Ok(match self.update(tx, &id, (number, person), directory)? {
                Ok(password) => (State::Updated, Some(id), self.note(person, password)),
                Err(problem) => (State::Rejected, None, Some(problem)),
            }),
        }
    }

    /// What the report says of a row although it is taken.
    fn note(&self, person: &Person, password: Password) -> Option<Problem> {
        let mut notes = person.notes.clone();
        let taken = password.is_taken();
        notes.extend(password.note());
        if let NewPassword::Stored { hash, .. } = &person.password
            && taken
            && let Some(weakness) = crate::password::PasswordHash::parse(hash)
                .ok()
                .and_then(|hash| hash.weakness())
        {
            notes.push(Problem::of(
                "passwordHash",
                format!("is weak ({weakness}); it is replaced at the first sign-in"),
            ));
        }
        let gated =
            self.options.require_password_reset || (taken && person.password.is_temporary());
        if gated && self.rules.reset_is_off() {
            notes.push(Problem::of(
                "requiredActions",
                "UPDATE_PASSWORD is switched off in this realm, and waits on the person all the same",
            ));
        }
        let mut notes = notes.into_iter();
        let first = notes.next()?;
        let more: Vec<String> = notes
            .map(|note| match note.field {
                Some(field) => format!("{field}: {}", note.reason),
                None => note.reason,
            })
            .collect();
        Some(if more.is_empty() {
            first
        } else {
            Problem {
                reason: format!("{}; {}", first.reason, more.join("; ")),
                ..first
            }
        })
    }

    fn create(
        &self,
        (number, person): (i64, &Person),
        directory: &Directory,
        batch: &mut Batch,
    ) -> UserId {
        let id = person
            .id
            .clone()
            .unwrap_or_else(|| UserId::new(self.entropy.uuid(self.now)));
        let actions = self.actions(person);
        let gated = actions
            .iter()
            .any(|waiting| waiting.action == update_password::NAME);
        let not_before = person.not_before.unwrap_or(Timestamp::from_micros(0));
        batch.people.push(User {
            id: id.clone(),
            realm_id: self.rules.realm.id.clone(),
            username: person.username.clone(),
            email: person.email.clone(),
            email_verified: person.email_verified.unwrap_or(false) && person.email.is_some(),
            first_name: person.first_name.clone(),
            last_name: person.last_name.clone(),
            enabled: person.enabled.unwrap_or(true),
            auth_epoch: AuthEpoch::new(self.entropy.random_uuid()),
            not_before: if gated {
                not_before.max(self.now)
            } else {
                not_before
            },
            locked_until: None,
            service_client: None,
            attributes: person.attributes.clone(),
            extra: person.extra.clone(),
            created_at: person.created_at.unwrap_or(self.now),
        });
        if let Some(hash) = self.hash(number, person) {
            let stored = self.stored(hash, person.password.is_temporary());
            batch.passwords.push((id.clone(), stored));
        }
        batch
            .actions
            .extend(actions.into_iter().map(|waiting| (id.clone(), waiting)));
        if let Some(role) = &directory.default_role {
            batch.roles.insert((id.clone(), role.clone()));
        }
        for role in person.roles.iter().filter_map(|role| directory.role(role)) {
            batch.roles.insert((id.clone(), role.clone()));
        }
        for group in person
            .groups
            .iter()
            .filter_map(|path| directory.group(path))
        {
            batch.groups.insert((id.clone(), group.clone()));
        }
        id
    }

    /// What waits on a new person: what the row names, what its password asks for, and the realm's defaults.
    fn actions(&self, person: &Person) -> Vec<WaitingAction> {
        let mut actions: Vec<WaitingAction> = Vec::new();
        let mut add = |action: &str, source: &str| {
            if !actions.iter().any(|waiting| waiting.action == action) {
                actions.push(WaitingAction {
                    action: action.to_owned(),
                    source: source.to_owned(),
                    reason: None,
                    since: self.now,
                    due_at: self.now,
                    reset_proof: ResetProof::Password,
                    set_by_job: None,
                });
            }
        };
        if person.password.is_temporary() {
            add(update_password::NAME, "temporary-password");
        }
        if self.options.require_password_reset {
            add(update_password::NAME, "import");
        }
        for action in &person.actions {
            add(action, "import");
        }
        let defaults = self.rules.actions.iter();
        for action in defaults.filter(|action| action.enabled && action.default_action) {
            add(&action.alias, "default");
        }
        actions
    }

    /// Changes a person to what the row says; what it leaves out stays, and no action is ever taken by leaving it out.
    fn update(
        &self,
        tx: &mut Tx<'_>,
        id: &UserId,
        (number, person): (i64, &Person),
        directory: &Directory,
    ) -> Result<Result<Password, Problem>, StoreError> {
        lock_user(tx, id, Lock::Update)?;
        let Some(before) = user::rows::by_id(tx, id)? else {
            return Ok(Err(Problem::of(
                "username",
                "is that of somebody who was just deleted",
            )));
        };
        let realm = &self.rules.realm;
        let after = match self.changed(&before, person) {
            Ok(after) => after,
            Err(problem) => return Ok(Err(problem)),
        };
        let unique_email = !realm.settings.duplicate_emails_allowed;
        if let Err(conflict) = user::rows::update(tx, &after, unique_email)? {
            let field = match conflict {
                Conflict::Username => "username",
                Conflict::Email => "email",
            };
            return Ok(Err(Problem::of(
                field,
                format!("User exists with same {field}"),
            )));
        }
        let password = self.password_of(tx, id, person)?;
        if let Some(hash) = self.hash(number, person).filter(|_| password.is_taken()) {
            self.set_password(tx, id, (hash, person.password.is_temporary()))?;
        }
        let reset = self
            .options
            .require_password_reset
            .then_some(update_password::NAME);
        for action in person.actions.iter().copied().chain(reset) {
            assign::set_missing(tx, id, action, &Setting::by("import"))?;
        }
        let moved = before.email != after.email;
        if let Some(email) = before.email.as_deref().filter(|_| moved) {
            let kept = self.entropy.uuid(self.now);
            former::keep(tx, &kept, id, (email, Standing::Shuts))?;
        }
        if moved || (before.enabled && !after.enabled) {
            assign::end_everything(tx, id, self.entropy)?;
        }
        if let Password::Overwrites(_) = password {
            self.tell_owner(tx, &after, person.password.is_temporary())?;
        }
        for role in person.roles.iter().filter_map(|role| directory.role(role)) {
            role::rows::assign(tx, id, role)?;
        }
        for group in person
            .groups
            .iter()
            .filter_map(|path| directory.group(path))
        {
            group::rows::join(tx, id, group)?;
        }
        Ok(Ok(password))
    }

    fn changed(&self, before: &User, person: &Person) -> Result<User, Problem> {
        let settings = &self.rules.realm.settings;
        let mut after = before.clone();
        if person.username != before.username {
            if !settings.edit_username_allowed && !settings.registration_email_as_username {
                return Err(Problem::of(
                    "username",
                    "cannot be changed in this realm (editUsernameAllowed)",
                ));
            }
            after.username.clone_from(&person.username);
        }
        if let Some(email) = &person.email {
            // What was proved is the old address, unless the row vouches for the new one.
            after.email_verified &= before.email.as_ref() == Some(email);
            after.email = Some(email.clone());
        }
        if let Some(verified) = person.email_verified {
            after.email_verified = verified && after.email.is_some();
        }
        let set = |to: &mut Option<String>, from: &Option<String>| {
            if from.is_some() {
                to.clone_from(from);
            }
        };
        set(&mut after.first_name, &person.first_name);
        set(&mut after.last_name, &person.last_name);
        if let Some(enabled) = person.enabled {
            after.enabled = enabled;
        }
        after.attributes.extend(person.attributes.clone());
        after.extra.extend(person.extra.clone());
        if let Some(not_before) = person.not_before {
            after.not_before = after.not_before.max(not_before);
        }
        Ok(after)
    }

    /// Makes the roles and groups that the taken rows name and that are not there.
    fn make_missing(
        &self,
        tx: &mut Tx<'_>,
        directory: &mut Directory,
        items: &[Item],
        fates: &[Result<Fate, Refusal>],
    ) -> Result<(), StoreError> {
        let realm = &self.rules.realm.id;
        let mut made = false;
        for (item, _) in items.iter().zip(fates).filter(|(_, fate)| fate.is_ok()) {
            let Ok(person) = &item.person else {
                continue;
            };
            for path in &person.groups {
                if directory.group(path).is_none() {
                    self.make_group(tx, directory, path)?;
                }
            }
            for name in &person.roles {
                let Some(place) = directory
                    .place(name)
                    .filter(|_| directory.role(name).is_none())
                else {
                    continue;
                };
                let role = Role {
                    id: RoleId::new(self.entropy.uuid(self.now)),
                    client: place.0.clone(),
                    name: place.1.clone(),
                    description: None,
                    attributes: BTreeMap::new(),
                };
                if !role::rows::insert(tx, realm, &role)? {
                    return Err(taken_meanwhile());
                }
                directory.add_role(place, role.id);
                made = true;
            }
        }
        if made {
            realm::rows::touch(tx, realm)?;
        }
        Ok(())
    }

    fn make_group(
        &self,
        tx: &mut Tx<'_>,
        directory: &mut Directory,
        path: &str,
    ) -> Result<(), StoreError> {
        let names = group::names_of(path).unwrap_or_default();
        let mut parent: Option<GroupId> = None;
        let mut so_far: Vec<&str> = Vec::new();
        for name in &names {
            so_far.push(name);
            let here = group::path_of(so_far.iter().copied());
            if let Some(id) = directory.group(&here) {
                parent = Some(id.clone());
                continue;
            }
            let group = Group {
                id: GroupId::new(self.entropy.uuid(self.now)),
                parent: parent.clone(),
                name: name.clone(),
                attributes: BTreeMap::new(),
            };
            if !group::rows::insert(tx, &self.rules.realm.id, &group, self.now)? {
                return Err(taken_meanwhile());
            }
            parent = Some(group.id.clone());
            directory.groups_mut().add(group);
        }
        Ok(())
    }
}

/// Another transaction made it since this one looked: the chunk is tried again.
fn taken_meanwhile() -> StoreError {
    StoreError::Query(diesel::result::Error::RollbackTransaction)
}
