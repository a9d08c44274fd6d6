//! `PUT /users/{user}`: partial, and never a way around the gate.

use serde_json::{Map, Value};

use super::actions::{Plan, Wanted};
use super::fields::{self, flag_of, number_of, text_of};
use super::{notices, password};
use crate::action::assign;
use crate::admin::ask::Ask;
use crate::admin::call::{Context, Outcome, Reply};
use crate::admin::error::AdminError;
use crate::admin::representation::user::SHAPE;
use crate::kernel::Timestamp;
use crate::link::not_me;
use crate::store::dialect::{Lock, lock_user};
use crate::user::former::{self, Standing};
use crate::user::waiting::ResetProof;
use crate::user::{self, User, waiting};

/// `PUT /users/{user}`.
///
/// # Errors
/// The caller may not, there is no such user, or a value cannot be.
pub fn update(context: &mut Context<'_, '_>, ask: &Ask) -> Outcome {
    let sent = ask.object(&SHAPE)?;
    context.require(&["manage-users"])?;
    // The lock comes before the look, so that two callers do not write back what the other one has changed.
    let id = crate::kernel::UserId::new(ask.path("user"));
    lock_user(context.tx, &id, Lock::Update)?;
    let before = context.managed_user(ask)?;
    if before.service_client.is_some() {
        return Err(AdminError::Bad(
            "A service account changes with its client".into(),
        ));
    }
    let shown = user::not_before::shown(context.tx, &before)?;
    let after = changed(context, (&before, shown), &sent)?;
    let typed = password::in_body(&sent)?;
    let wanted = Wanted::read(&sent)?;
    let names = waiting_names(context, &before)?;
    let plan = Plan::make(&context.config.actions, &names, &wanted)?;
    refuse_stale_copy(shown, &sent, &plan)?;
    let unique_email = !context.config.realm.settings.duplicate_emails_allowed;
    user::rows::update(context.tx, &after, unique_email)?.map_err(fields::conflict)?;
    if let Some(typed) = &typed {
        password::store(context, ask, &before.id, typed)?;
    }
    let plan = match &typed {
        // Setting a password has set or taken the flag itself; what the request says beside it comes after.
        Some(typed) => after_password(context, &before, &wanted, typed.temporary)?,
        None => plan,
    };
    let mut done = plan.carry_out(context.tx, &context.engine.entropy, &before.id, None)?;
    end_what_is_over(context, (&before, &after), &wanted)?;
    // One mail says both; and where only a mailed link sets a new password, the temporary one is no news.
    match (&typed, done.demanded) {
        (Some(typed), Some(ResetProof::Mailbox)) if typed.temporary => {}
        (Some(typed), _) => {
            notices::of_password(context, &after, typed)?;
            done.demanded = done.demanded.filter(|_| !typed.temporary);
        }
        (None, _) => {}
    }
    notices::warn_if_unsendable(context, &plan);
    notices::of_actions(context, &after, &done)?;
    notices::of_address(context, &before, &after)?;
    let event = context
        .event("ADMIN_USER_UPDATE")
        .user(&before.id)
        .detail("fields", sent.keys().cloned().collect::<Vec<String>>())
        .detail("set", plan.set.clone())
        .detail("taken", plan.take);
    context.record(event)?;
    Ok(Reply::NoContent)
}

fn waiting_names(context: &mut Context<'_, '_>, user: &User) -> Result<Vec<String>, AdminError> {
    let rows = waiting::of_user(context.tx, &user.id)?;
    Ok(rows.into_iter().map(|row| row.action).collect())
}

/// The person with the request's plain fields.
fn changed(
    context: &Context<'_, '_>,
    (before, shown): (&User, Timestamp),
    sent: &Map<String, Value>,
) -> Result<User, AdminError> {
    let mut after = before.clone();
    fields::apply(&mut after, sent)?;
    let realm = &context.config.realm;
    if let Some(typed) = text_of(sent, "username") {
        after.username = fields::renamed(realm, before, typed)?;
    }
    if let Some(email) = after
        .email
        .as_deref()
        .filter(|_| realm.settings.registration_email_as_username)
    {
        after.username = email.to_lowercase();
    }
    if let Some(enabled) = flag_of(sent, "enabled") {
        after.enabled = enabled;
    }
    // A copy carries back what it was shown, which may be the time of a flag; only a later one is meant.
    if let Some(seconds) = number_of(sent, "notBefore").filter(|sent| *sent > shown.seconds()) {
        after.not_before = after.not_before.max(Timestamp::from_seconds(seconds));
    }
    Ok(after)
}

/// What only a representation that was read has, and no script makes up.
const READ_ONLY: [&str; 3] = ["createdTimestamp", "access", "totp"];

/// A script that read the person before the flag was set cannot take the flag by writing its copy back (threat V179).
/// There are SDKs that do not know `notBefore` and leave it out of their copies; of those nobody can tell how old they
/// are.
fn refuse_stale_copy(
    shown: Timestamp,
    sent: &Map<String, Value>,
    plan: &Plan,
) -> Result<(), AdminError> {
    if !plan.takes_reset() {
        return Ok(());
    }
    let refused = match number_of(sent, "notBefore") {
        Some(sent) if sent < shown.seconds() => {
            "User has been flagged for a password reset since this representation was read: read it again"
        }
        None if READ_ONLY.iter().any(|field| sent.contains_key(*field)) => {
            "This copy of the user would take the password reset and does not say how old it is: send its notBefore \
             as well, or only the fields that change"
        }
        Some(_) | None => return Ok(()),
    };
    Err(AdminError::Conflict(refused.into()))
}

/// What is left to do for the actions once a password has been set beside them.
fn after_password(
    context: &mut Context<'_, '_>,
    user: &User,
    wanted: &Wanted,
    temporary: bool,
) -> Result<Plan, AdminError> {
    let names = waiting_names(context, user)?;
    let mut plan = Plan::make(&context.config.actions, &names, wanted)?;
    if temporary {
        plan.take
            .retain(|name| name != crate::action::kinds::update_password::NAME);
    }
    Ok(plan)
}

/// Switching a person off, or changing the address, ends everything that was issued.
fn end_what_is_over(
    context: &mut Context<'_, '_>,
    (before, after): (&User, &User),
    wanted: &Wanted,
) -> Result<(), AdminError> {
    let moved = before.email != after.email;
    if let Some(email) = before.email.as_deref().filter(|_| moved) {
        let now = context.tx.now()?;
        let id = context.engine.entropy.uuid(now);
        former::keep(context.tx, &id, &before.id, (email, Standing::Shuts))?;
        if wanted.manner.is_compromised() {
            // Whoever reads the mailboxes of before has no say any more, by what was mailed there neither.
            former::silence(context.tx, &before.id)?;
            let present: Vec<String> = after.email.iter().cloned().collect();
            not_me::end_others(context.tx, &before.id, &present)?;
        }
    }
    if moved || (before.enabled && !after.enabled) {
        assign::end_everything(context.tx, &before.id, &context.engine.entropy)?;
    }
    Ok(())
}
