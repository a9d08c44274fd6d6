//! `VERIFY_EMAIL` at the gate: the code that was mailed to the address, typed. A person without an address is asked for
//! one first (`profile.rs`), and where no mail can be sent the page says so instead of asking for a code.

use super::engine::Engine;
use super::next::Act;
use super::profile;
use super::show::Reply;
use super::steps::{self, Stage, Visit, Where};
use super::submit;
use crate::action::kinds::verify_email;
use crate::flow::{Flash, rows};
use crate::mail::verify_code::{self, Checked, Issued};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::{self, User, waiting};
use crate::web::texts::Locale;

/// Mails a code to who comes to the page, unless one is on its way. In a transaction of its own, after the page was
/// made: the gate has read the user there, and this writes.
///
/// # Errors
/// The database fails.
pub(super) fn greet(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (user, locale): (&User, Locale),
) -> Result<(), StoreError> {
    if !verify_code::is_waiting(tx, &user.id)? {
        verify_code::issue(tx, engine.mailer.tools(), user, locale)?;
    }
    Ok(())
}

/// Handles the page's submit; the caller holds the user's lock.
///
/// # Errors
/// The database fails.
pub(super) fn submitted(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    act: &Act,
) -> Result<Reply, StoreError> {
    let user = &act.waiting.user;
    if user.email.is_none() {
        return profile::address_submitted(tx, engine, (visit, stage), act);
    }
    let flash = if visit.form.has("resend") {
        if !engine.mailer.is_configured(&stage.config.realm) {
            return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
        }
        match verify_code::issue(tx, engine.mailer.tools(), user, stage.face.locale)? {
            Issued::Mailed => Flash::notice("code-sent-again"),
            Issued::TooSoon { .. } => Flash::error("code", "code-resend-later"),
            // Taken off by somebody else since the page was made, which asks for one now.
            Issued::NoAddress => Flash::default(),
        }
    } else {
        match verify_code::check(tx, &engine.keyring, &user.id, visit.form.text("code"))? {
            Checked::Right { email } => {
                return verified(tx, engine, (visit, stage), (user, &email));
            }
            Checked::Wrong => Flash::error("code", "code-wrong"),
            Checked::Over => Flash::error("code", "code-expired"),
        }
    };
    stage.flow.flash = Some(flash);
    rows::advance(tx, &mut stage.flow)?;
    steps::go_on(tx, engine, visit, (stage, Where::Elsewhere))
}

fn verified(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (user, email): (&User, &str),
) -> Result<Reply, StoreError> {
    let now = tx.now()?;
    let mut changed = user.clone();
    // The code proves the address that it was mailed to, and that is the one the account has now (threat V047).
    changed.email_verified = changed.email.as_deref() == Some(email);
    let unique = !stage.config.realm.settings.duplicate_emails_allowed;
    if user::rows::update(tx, &changed, unique)?.is_err() {
        return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
    }
    waiting::remove(tx, &user.id, verify_email::NAME)?;
    let event = Event::new(&stage.config.realm.id, "VERIFY_EMAIL")
        .user(&user.id)
        .client(&stage.client.client_id)
        .from(&visit.peer.ip_address);
    events::record(tx, &engine.entropy, now, event)?;
    submit::done(tx, engine, visit, stage)
}
