//! Notices by mail: what a person has to know about the account, to every address of the last 72 hours.

use super::catalog::RealmConfig;
use super::engine::Engine;
use crate::kernel::Timestamp;
use crate::mail::{self, Message, OutboxId, Purpose, queue};
use crate::store::{StoreError, Tx};
use crate::user::{self, User};
use crate::web::texts::Locale;

/// Tells the person that the password was changed.
///
/// # Errors
/// The database fails.
pub(super) fn password_changed(
    tx: &mut Tx<'_>,
    engine: &Engine,
    config: &RealmConfig,
    user: &User,
) -> Result<(), StoreError> {
    let when = tx.now()?;
    tell(tx, engine, config, user, &Purpose::PasswordChanged { when })
}

/// Queues a notice to the person's address and to those that were replaced lately; nothing where the realm has no
/// mail server.
///
/// # Errors
/// The database fails.
pub fn tell(
    tx: &mut Tx<'_>,
    engine: &Engine,
    config: &RealmConfig,
    user: &User,
    purpose: &Purpose,
) -> Result<(), StoreError> {
    deliver(tx, (engine, config), user, purpose, Reach::One)
}

/// How many people one cause tells at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This one alone.
    One,
    /// Many: their mails let single ones pass.
    Many,
}

/// As [`tell`], saying whether this is one mail of many. Service accounts are not written to.
///
/// # Errors
/// The database fails.
pub fn deliver(
    tx: &mut Tx<'_>,
    (engine, config): (&Engine, &RealmConfig),
    user: &User,
    purpose: &Purpose,
    reach: Reach,
) -> Result<(), StoreError> {
    if user.service_client.is_some() || !engine.mailer.is_configured(&config.realm) {
        return Ok(());
    }
    let now = tx.now()?;
    let former = user::rows::former_addresses(tx, &user.id, now)?;
    deliver_to(tx, (engine, config), (user, former), purpose, (reach, now)).map(drop)
}

/// As [`deliver`], to somebody whose former addresses are known, in a realm that has a mail server. Answers the mails.
///
/// # Errors
/// The database fails.
pub fn deliver_to(
    tx: &mut Tx<'_>,
    (engine, config): (&Engine, &RealmConfig),
    (user, former): (&User, Vec<String>),
    purpose: &Purpose,
    (reach, now): (Reach, Timestamp),
) -> Result<Vec<OutboxId>, StoreError> {
    let mut addresses = former;
    addresses.extend(user.email.clone());
    addresses.sort();
    addresses.dedup();
    let mut mails = Vec::with_capacity(addresses.len());
    for address in addresses {
        let locale = language_of(config, user);
        let message = Message {
            bulk: reach == Reach::Many,
            ..Message::notice(
                (&config.realm.id, &user.id),
                &address,
                purpose.clone(),
                locale,
                now,
            )
        };
        mails.push(queue(tx, engine.mailer.tools(), &message)?);
    }
    Ok(mails)
}

/// The language in which a person is written to.
pub fn language_of(config: &RealmConfig, user: &User) -> Locale {
    mail::language_of(&config.realm, user)
}
