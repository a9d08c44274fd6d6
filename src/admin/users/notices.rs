//! What an administrator does to a person is told to that person by mail (contract "The gate", hardening H022).
//!
//! Called inside the transaction in which it becomes true. Service accounts, people without an address and realms
//! without a mail server hear nothing.

use super::actions::{Done, Plan};
use super::password::Typed;
use crate::action::kinds::{update_password, verify_email};
use crate::admin::call::Context;
use crate::admin::error::AdminError;
use crate::kernel::Timestamp;
use crate::mail::{OutboxId, Purpose};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::engine::Engine;
use crate::oidc::notices::{self, Reach};
use crate::store::{StoreError, Tx};
use crate::user::audience::Audience;
use crate::user::search;
use crate::user::{User, credential};

/// How many people are looked up at once where a realm's change concerns many.
const PORTION: i64 = 500;

/// Tells the operator where a plan asks people to confirm their addresses and no mail can be sent: what is set stays
/// set, and nobody can complete it.
pub fn warn_if_unsendable(context: &Context<'_, '_>, plan: &Plan) {
    let realm = &context.config.realm;
    let asks = plan.set.iter().any(|action| action == verify_email::NAME);
    if asks && !context.engine.mailer.is_configured(realm) {
        tracing::warn!(
            realm = %realm.name,
            "VERIFY_EMAIL was set where no mail can be sent, so nobody can complete it: give the realm an smtpServer"
        );
    }
}

/// Tells what a plan has done.
///
/// # Errors
/// The database fails.
pub fn of_actions(
    context: &mut Context<'_, '_>,
    user: &User,
    done: &Done,
) -> Result<(), AdminError> {
    let when = context.tx.now()?;
    let has_password =
        done.demanded.is_some() && credential::password(context.tx, &user.id)?.is_some();
    for purpose in news(done, has_password, when) {
        tell(context, user, &purpose, Reach::One)?;
    }
    Ok(())
}

/// Tells [`news`], for work that no request waits for, to somebody whose former addresses are known. Answers the mails.
///
/// # Errors
/// The database fails.
pub fn of_order(
    tx: &mut Tx<'_>,
    at: (&Engine, &RealmConfig),
    (user, former): (&User, &[String]),
    news: &[Purpose],
    now: Timestamp,
) -> Result<Vec<OutboxId>, StoreError> {
    let mut mails = Vec::new();
    for purpose in news {
        let reach = (Reach::Many, now);
        mails.extend(notices::deliver_to(tx, at, (user, former), purpose, reach)?);
    }
    Ok(mails)
}

/// What there is to tell of what was done at that time, to somebody who has a password or has none.
pub(super) fn news(done: &Done, has_password: bool, when: Timestamp) -> Vec<Purpose> {
    let waived = done.waived.iter().cloned();
    let mut news: Vec<Purpose> = waived
        .map(|action| Purpose::ActionWaived { action, when })
        .collect();
    if let Some(proof) = done.demanded {
        news.push(Purpose::PasswordResetRequired {
            when,
            proof,
            has_password,
        });
    }
    news
}

/// Tells that a password was set.
///
/// # Errors
/// The database fails.
pub fn of_password(
    context: &mut Context<'_, '_>,
    user: &User,
    typed: &Typed,
) -> Result<(), AdminError> {
    let when = context.tx.now()?;
    let purpose = if typed.temporary {
        let works_until =
            credential::password(context.tx, &user.id)?.and_then(|stored| stored.expires_at);
        Purpose::TemporaryPasswordSet { when, works_until }
    } else {
        Purpose::PasswordSet { when }
    };
    tell(context, user, &purpose, Reach::One)
}

/// Tells the former address, and the new one, that the address has changed; the first address of a person is no
/// change. To be called once the former address is kept.
///
/// # Errors
/// The database fails.
pub fn of_address(
    context: &mut Context<'_, '_>,
    before: &User,
    after: &User,
) -> Result<(), AdminError> {
    if before.email.is_none() || before.email == after.email {
        return Ok(());
    }
    let when = context.tx.now()?;
    tell(context, after, &Purpose::EmailChanged { when }, Reach::One)
}

/// Tells everybody who waits with a new password that there is more time for it, if there is.
///
/// # Errors
/// The database fails.
pub fn of_window(
    context: &mut Context<'_, '_>,
    (before, after): (i64, i64),
) -> Result<(), AdminError> {
    if after <= before {
        return Ok(());
    }
    let when = context.tx.now()?;
    let minutes = after.saturating_add(59) / 60;
    let purpose = Purpose::WindowExtended { minutes, when };
    let realm = context.config.realm.id.clone();
    let waiting = Audience {
        pending_action: Some(update_password::NAME.to_owned()),
        ..Audience::default()
    };
    let mut first = 0;
    loop {
        let people = search::list(context.tx, &realm, &waiting, (first, Some(PORTION)))?;
        if people.is_empty() {
            return Ok(());
        }
        for user in &people {
            tell(context, user, &purpose, Reach::Many)?;
        }
        first = first.saturating_add(PORTION);
    }
}

fn tell(
    context: &mut Context<'_, '_>,
    user: &User,
    purpose: &Purpose,
    reach: Reach,
) -> Result<(), AdminError> {
    let (engine, config) = (context.engine, std::sync::Arc::clone(&context.config));
    notices::deliver(context.tx, (engine, &config, None), user, purpose, reach)?;
    Ok(())
}
