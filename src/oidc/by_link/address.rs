//! Links that prove or change an address: they commit only while their own person is signed in.
//!
//! A mailbox proves an address and signs nobody in; so where the person is not signed in, signing in comes first, in a
//! flow that remembers the link ([`after_sign_in`]).

use super::super::engine::Engine;
use super::super::next::{Next, SessionCookie};
use super::super::notices;
use super::super::show::Reply;
use super::super::steps::{self, Stage, Visit};
use super::done;
use crate::action::assign;
use crate::action::gate::Outstanding;
use crate::action::gate::{Provenance, Subject, standing};
use crate::action::kinds::verify_email;
use crate::flow::Flow;
use crate::kernel::{UserId, sha256_base64};
use crate::link::{self, Link, Purpose};
use crate::mail;
use crate::session;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::former::{self, Standing};
use crate::user::name::name_key;
use crate::user::{self, User, waiting};

/// The press: done at once where its person is signed in here, else after signing in.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (stage, link, user): (&mut Stage, &Link, &User),
) -> Result<Reply, StoreError> {
    if is_signed_in(tx, visit, stage, user)? {
        let word = confirm(tx, engine, (visit, stage), (link, user))?;
        stage.flow.finished_at = Some(tx.now()?);
        crate::flow::rows::advance(tx, &mut stage.flow)?;
        return Ok(said(engine, stage, word));
    }
    stage.flow.request.prompt_login = true;
    stage.flow.request.login_hint = Some(user.username.clone());
    let browser = steps::rebind(tx, engine, &mut stage.flow)?;
    let asked = (Next::SignIn { again: None }, SessionCookie::Keep);
    steps::finish(tx, engine, stage, asked, browser)
}

/// Whether the browser's session is this person's and as good as at the authorization endpoint, but for an address
/// that is still to be proved.
fn is_signed_in(
    tx: &mut Tx<'_>,
    visit: &Visit,
    stage: &Stage,
    user: &User,
) -> Result<bool, StoreError> {
    let Some(secret) = visit.browser.session(&stage.cookies) else {
        return Ok(false);
    };
    let realm = &stage.config.realm;
    let now = tx.now()?;
    let session = session::rows::by_cookie(tx, &realm.id, &sha256_base64(secret.as_bytes()))?
        .filter(|session| session.user_id == user.id && session.is_live(realm, now));
    let Some(session) = session else {
        return Ok(false);
    };
    let subject = Subject {
        realm: realm.id.clone(),
        user: user.id.clone(),
        provenance: Provenance::Session {
            session: session.id,
            interactive: true,
        },
    };
    is_free_but_for_the_address(tx, &subject)
}

/// Whether nothing stands between somebody and their tokens but an address that is still to be proved.
fn is_free_but_for_the_address(tx: &mut Tx<'_>, subject: &Subject) -> Result<bool, StoreError> {
    Ok(match standing(tx, subject)? {
        Ok(_) => true,
        Err(Outstanding::Actions(waiting)) => waiting
            .actions
            .iter()
            .all(|action| action == verify_email::NAME),
        Err(_) => false,
    })
}

/// Whether a flow began with such a link of another person than `user`: whoever is signed in here is then not asked to
/// prove it once more, because that would lead nowhere.
pub(in super::super) fn is_for_somebody_else(
    tx: &mut Tx<'_>,
    flow: &Flow,
    user: &UserId,
) -> Result<bool, StoreError> {
    let Some(id) = &flow.link_id else {
        return Ok(false);
    };
    let link = link::by_id(tx, id)?;
    Ok(link.is_some_and(|link| link.purpose.is_about_an_address() && link.user_id != *user))
}

/// After somebody has signed in, in a flow that began with such a link: it is done if it is theirs and nothing else
/// waits on them. Whoever has to pass the gate passes it first, and the link stays as it is: a password that has to be
/// changed proves too little to change an address. Answers what to say where it cannot be done.
pub(in super::super) fn after_sign_in(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
) -> Result<Option<Reply>, StoreError> {
    let Some(id) = stage.flow.link_id.clone().filter(|_| stage.flow.leads_on()) else {
        return Ok(None);
    };
    let Some((link, user)) = link::with_user(tx, &stage.config.realm.id, &id)? else {
        return Ok(None);
    };
    if !link.purpose.is_about_an_address() {
        return Ok(None);
    }
    if stage.flow.user_id.as_ref() != Some(&user.id) {
        stage.flow.finished_at = Some(tx.now()?);
        crate::flow::rows::advance(tx, &mut stage.flow)?;
        return Ok(Some(said(engine, stage, "link-somebody-else")));
    }
    let Some(epoch) = stage.flow.proof.as_ref().map(|proof| proof.epoch.clone()) else {
        return Ok(None);
    };
    let subject = Subject {
        realm: link.realm_id.clone(),
        user: user.id.clone(),
        provenance: Provenance::Proof { epoch },
    };
    if !is_free_but_for_the_address(tx, &subject)? {
        return Ok(None);
    }
    let word = confirm(tx, engine, (visit, stage), (&link, &user))?;
    if word == "link-address-confirmed" {
        return Ok(None);
    }
    stage.flow.finished_at = Some(tx.now()?);
    crate::flow::rows::advance(tx, &mut stage.flow)?;
    Ok(Some(said(engine, stage, word)))
}

fn said(engine: &Engine, stage: &Stage, word: &'static str) -> Reply {
    let title = if word == "link-address-confirmed" {
        "link-address-title"
    } else {
        "link-over-title"
    };
    let to = stage.flow.request.redirect_uri.clone();
    stage
        .face
        .message_to(engine, (title, word), Some(("continue", &to)))
        .cookies(&stage.cookies)
}

/// Proves the address that the person has now, or changes to another; answers what to say. Ends the link in the same
/// statement as ever.
fn confirm(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (link, user): (&Link, &User),
) -> Result<&'static str, StoreError> {
    let (Some(mut changed), Some(address)) =
        (user::rows::by_id(tx, &user.id)?, link.address.clone())
    else {
        return Ok("link-revoked");
    };
    // The press may be long ago, and the person may have another address since (threat V047).
    if link.purpose == Purpose::VerifyEmail && changed.email.as_ref() != Some(&address) {
        return Ok("link-revoked");
    }
    let Some(link) = done::commit(tx, &link.id, user)? else {
        return Ok("link-revoked");
    };
    let moved = link.purpose == Purpose::UpdateEmail && changed.email.as_ref() != Some(&address);
    let settings = &stage.config.realm.settings;
    let named_by_it = changed.email.as_deref().map(name_key) == Some(name_key(&changed.username));
    if moved && named_by_it && settings.registration_email_as_username {
        changed.username = address.to_lowercase();
    }
    changed.email = Some(address);
    changed.email_verified = true;
    let unique = !settings.duplicate_emails_allowed;
    if user::rows::update(tx, &changed, unique)?.is_err() {
        return Ok("link-address-taken");
    }
    waiting::remove(tx, &user.id, verify_email::NAME)?;
    let now = tx.now()?;
    if moved {
        if let Some(before) = &user.email {
            let id = engine.entropy.uuid(now);
            // Whoever had proved the old address can have it back, should this be a thief's doing (threat V157).
            let standing = match user.email_verified {
                true => Standing::Returns,
                false => Standing::Shuts,
            };
            former::keep(tx, &id, &user.id, (before, standing))?;
        }
        let purpose = mail::Purpose::EmailChanged { when: now };
        let from = (&*stage.config, Some(stage.client.client_id.as_str()));
        notices::tell(tx, engine, from, &changed, &purpose)?;
        // What hung on the old address ends, this sign-in's proof apart: it goes on in the new epoch.
        assign::end_everything(tx, &user.id, &engine.entropy)?;
        if let (Some(proof), Some(now)) = (&mut stage.flow.proof, user::rows::by_id(tx, &user.id)?)
        {
            proof.epoch = now.auth_epoch;
        }
    }
    let client = Some(stage.client.client_id.as_str());
    done::redeemed(tx, engine, (visit, client), &link)?;
    let kind = if moved {
        "UPDATE_EMAIL"
    } else {
        "VERIFY_EMAIL"
    };
    let event = Event::new(&link.realm_id, kind)
        .user(&user.id)
        .client(&stage.client.client_id)
        .from(&visit.peer.ip_address);
    events::record(tx, &engine.entropy, now, event)?;
    Ok("link-address-confirmed")
}
