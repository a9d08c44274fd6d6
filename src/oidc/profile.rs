//! `UPDATE_PROFILE` at the gate: the names, and an address where the person has none. Such an address is asked for by
//! `VERIFY_EMAIL` as well.
//!
//! An address becomes the person's once it is proved by a code that was mailed to it. So the answer to one that is
//! free and to one that is somebody's is the same page, and only who reads that mailbox learns which it was (P7, threat
//! V052). A realm without a mail server asks for no address: its administrators set them.

use super::engine::Engine;
use super::next::Act;
use super::show::Reply;
use super::steps::{self, Stage, Visit, Where};
use super::submit::{completed, refuse, store};
use crate::action::kinds::verify_email;
use crate::flow::{Flash, FlashError, rows};
use crate::mail::verify_code::{self, Checked, Issued};
use crate::store::{StoreError, Tx};
use crate::user::{User, name, waiting};

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
    if let Some(address) = &act.proving {
        return proving(tx, engine, (visit, stage), (act, address));
    }
    let asks_address = user.email.is_none() && engine.mailer.is_configured(&stage.config.realm);
    let (changed, address) = match posted(visit, user, asks_address) {
        Ok(posted) => posted,
        Err(flash) => return refuse(tx, engine, visit, (stage, *flash)),
    };
    if store(tx, stage, &changed)?.is_err() {
        return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
    }
    match address {
        Some(address) => mail_code(tx, engine, (visit, stage), (user, address)),
        None => completed(tx, engine, (visit, stage), (act, "UPDATE_PROFILE")),
    }
}

/// Handles what `VERIFY_EMAIL` submits of a person without an address: the address, or the code that was mailed to it.
///
/// # Errors
/// The database fails.
pub(super) fn address_submitted(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    act: &Act,
) -> Result<Reply, StoreError> {
    if let Some(address) = &act.proving {
        return proving(tx, engine, (visit, stage), (act, address));
    }
    if !engine.mailer.is_configured(&stage.config.realm) {
        return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
    }
    match posted_address(visit) {
        Ok(address) => mail_code(tx, engine, (visit, stage), (&act.waiting.user, address)),
        Err(key) => {
            let mut flash = Flash::error("email", key);
            flash
                .fields
                .insert("email".to_owned(), typed(visit, "email"));
            refuse(tx, engine, visit, (stage, flash))
        }
    }
}

/// Mails a code to the address that was typed.
fn mail_code(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (user, address): (&User, String),
) -> Result<Reply, StoreError> {
    let typed = address.clone();
    match verify_code::issue_to(
        tx,
        engine.mailer.tools(),
        (user, address),
        stage.face.locale,
    )? {
        Issued::Mailed => {
            stage.flow.flash = None;
            rows::advance(tx, &mut stage.flow)?;
            steps::go_on(tx, engine, visit, (stage, Where::Elsewhere))
        }
        Issued::TooSoon { .. } | Issued::NoAddress => {
            let mut flash = Flash::error("email", "code-resend-later");
            flash.fields.insert("email".to_owned(), typed);
            refuse(tx, engine, visit, (stage, flash))
        }
    }
}

/// The page that takes the code.
fn proving(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (act, address): (&Act, &str),
) -> Result<Reply, StoreError> {
    let (user, address) = (&act.waiting.user, address.to_owned());
    let flash = if visit.form.has("other") {
        verify_code::forget(tx, &user.id)?;
        Flash::default()
    } else if visit.form.has("resend") {
        let (tools, locale) = (engine.mailer.tools(), stage.face.locale);
        match verify_code::issue_to(tx, tools, (user, address), locale)? {
            Issued::Mailed => Flash::notice("code-sent-again"),
            Issued::TooSoon { .. } | Issued::NoAddress => Flash::error("code", "code-resend-later"),
        }
    } else {
        let typed = visit.form.text("code");
        match verify_code::check_for(tx, &engine.keyring, (&user.id, address), typed)? {
            Checked::Right { email } => {
                let mut changed = user.clone();
                changed.email = Some(email);
                changed.email_verified = true;
                if store(tx, stage, &changed)?.is_ok() {
                    waiting::remove(tx, &user.id, verify_email::NAME)?;
                    let kind = match act.action.as_str() {
                        verify_email::NAME => "VERIFY_EMAIL",
                        _ => "UPDATE_PROFILE",
                    };
                    return completed(tx, engine, (visit, stage), (act, kind));
                }
                // Whoever has the code reads this mailbox, and may know that it serves another account.
                Flash::error("email", "email-taken")
            }
            Checked::Wrong => Flash::error("code", "code-wrong"),
            Checked::Over => Flash::error("code", "code-expired"),
        }
    };
    refuse(tx, engine, visit, (stage, flash))
}

/// The profile that was posted, and the address that was typed where one is asked for. A set address never changes
/// here, whatever was posted (threat V187).
fn posted(
    visit: &Visit,
    user: &User,
    asks_address: bool,
) -> Result<(User, Option<String>), Box<Flash>> {
    let mut changed = user.clone();
    let mut address = None;
    let mut flash = Flash::default();
    let mut wrong = |field: &str, key: &str| {
        flash.errors.push(FlashError {
            field: field.to_owned(),
            key: key.to_owned(),
            value: None,
        });
    };
    let typed = |field: &str| typed(visit, field);
    for field in ["firstName", "lastName"] {
        if typed(field).is_empty() {
            wrong(field, "field-missing");
        }
    }
    changed.first_name = Some(typed("firstName"));
    changed.last_name = Some(typed("lastName"));
    if asks_address {
        match posted_address(visit) {
            Ok(email) => address = Some(email),
            Err(key) => wrong("email", key),
        }
    }
    if flash.errors.is_empty() {
        return Ok((changed, address));
    }
    for field in ["firstName", "lastName", "email"] {
        flash.fields.insert(field.to_owned(), typed(field));
    }
    Err(Box::new(flash))
}

/// The address that was posted, or the key of what is wrong with it.
fn posted_address(visit: &Visit) -> Result<String, &'static str> {
    name::parse_email(visit.form.text("email")).map_err(|error| match error {
        name::NameError::Empty => "field-missing",
        _ => "email-invalid",
    })
}

/// What was typed into a field, as the page shows it again.
fn typed(visit: &Visit, field: &str) -> String {
    visit
        .form
        .text(field)
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(255)
        .collect()
}
