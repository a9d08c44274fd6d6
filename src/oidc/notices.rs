//! Notices by mail: what a person has to know about the account, to every address of the last 72 hours.
//!
//! A notice of a change that a thief could have made carries a link with which its reader closes the account: one for
//! each address, because each reader may do something else ([`crate::user::former`]).

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::steps::Stage;
use crate::kernel::Timestamp;
use crate::link::not_me::{self, Notice};
use crate::mail::{self, Mailer, Message, OutboxId, Purpose, queue};
use crate::realm::Realm;
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::user::former::{self, Standing};
use crate::user::name::name_key;

/// Tells the person that the password was changed.
///
/// # Errors
/// The database fails.
pub(super) fn password_changed(
    tx: &mut Tx<'_>,
    engine: &Engine,
    stage: &Stage,
    user: &User,
) -> Result<(), StoreError> {
    let when = tx.now()?;
    let from = (&*stage.config, Some(stage.client.client_id.as_str()));
    tell(tx, engine, from, user, &Purpose::PasswordChanged { when })
}

/// Queues a notice to the person's address and to those that were replaced lately; nothing where the realm has no
/// mail server. The client is the application in which it came about.
///
/// # Errors
/// The database fails.
pub fn tell(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (config, client_id): (&RealmConfig, Option<&str>),
    user: &User,
    purpose: &Purpose,
) -> Result<(), StoreError> {
    let at = (engine, config, client_id);
    deliver(tx, at, user, purpose, Reach::One)
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
    (engine, config, client_id): (&Engine, &RealmConfig, Option<&str>),
    user: &User,
    purpose: &Purpose,
    reach: Reach,
) -> Result<(), StoreError> {
    let at = (&engine.mailer, &config.realm, client_id);
    deliver_by(tx, at, user, purpose, reach)
}

/// As [`deliver`], where there is no engine but its mail.
///
/// # Errors
/// The database fails.
pub fn deliver_by(
    tx: &mut Tx<'_>,
    (mailer, realm, client_id): (&Mailer, &Realm, Option<&str>),
    user: &User,
    purpose: &Purpose,
    reach: Reach,
) -> Result<(), StoreError> {
    if user.service_client.is_some() || !mailer.is_configured(realm) {
        return Ok(());
    }
    let now = tx.now()?;
    let former = former::of_user(tx, &user.id, now)?;
    let silent = former
        .iter()
        .filter(|known| known.standing == Standing::Hears);
    let silent: Vec<String> = silent.map(|known| known.email.clone()).collect();
    let former: Vec<String> = former.into_iter().map(|known| known.email).collect();
    for address in addresses(user, &former) {
        let mail = send(tx, (mailer, realm), (user, &address), purpose, (reach, now))?;
        let hears_only = user.email.as_ref() != Some(&address) && silent.contains(&address);
        if purpose.may_be_a_thiefs() && !hears_only {
            let notice = Notice {
                realm,
                user,
                address: &address,
                client_id,
                mail: &mail,
            };
            not_me::put_into(tx, mailer.tools(), &notice)?;
        }
    }
    Ok(())
}

/// As [`deliver`] what no link goes with, to somebody whose former addresses are known, in a realm that has a mail
/// server. Answers the mails.
///
/// # Errors
/// The database fails.
pub fn deliver_to(
    tx: &mut Tx<'_>,
    (engine, config): (&Engine, &RealmConfig),
    (user, former): (&User, &[String]),
    purpose: &Purpose,
    (reach, now): (Reach, Timestamp),
) -> Result<Vec<OutboxId>, StoreError> {
    let at = (&engine.mailer, &config.realm);
    let mut mails = Vec::new();
    for address in addresses(user, former) {
        mails.push(send(tx, at, (user, &address), purpose, (reach, now))?);
    }
    Ok(mails)
}

/// As [`deliver_to`], to all of these addresses but one.
///
/// # Errors
/// The database fails.
pub(super) fn tell_others(
    tx: &mut Tx<'_>,
    (engine, config): (&Engine, &RealmConfig),
    (user, former): (&User, &[String]),
    spared: Option<&str>,
    purpose: &Purpose,
) -> Result<(), StoreError> {
    let at = (&engine.mailer, &config.realm);
    let now = tx.now()?;
    for address in addresses(user, former) {
        if spared.map(name_key) != Some(name_key(&address)) {
            send(tx, at, (user, &address), purpose, (Reach::One, now))?;
        }
    }
    Ok(())
}

/// The person's address and the former ones, each once.
fn addresses(user: &User, former: &[String]) -> Vec<String> {
    let mut all = former.to_vec();
    all.extend(user.email.clone());
    all.sort();
    all.dedup();
    all
}

fn send(
    tx: &mut Tx<'_>,
    (mailer, realm): (&Mailer, &Realm),
    (user, address): (&User, &str),
    purpose: &Purpose,
    (reach, now): (Reach, Timestamp),
) -> Result<OutboxId, StoreError> {
    let message = Message {
        bulk: reach == Reach::Many,
        ..Message::notice(
            (&realm.id, &user.id),
            address,
            purpose.clone(),
            mail::language_of(realm, user),
            now,
        )
    };
    queue(tx, mailer.tools(), &message)
}
