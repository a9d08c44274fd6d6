//! What a link has done: its end, in the transaction that stores what it was for.
//!
//! Called by the submit of an action's page. Whatever is left to do moves onto the person, and the gate goes on from
//! there as after any other proof.

use super::super::engine::Engine;
use super::super::next::{Act, Next, SessionCookie};
use super::super::show::Reply;
use super::super::steps::{self, Stage, Visit, Where};
use crate::action::assign::{self, Setting};
use crate::action::kinds::{update_password, verify_email};
use crate::flow::BY_LINK;
use crate::link::{self, Link, LinkId};
use crate::login::password::forget_tries;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::{self, User, waiting};

/// Ends the link of a person whose row the caller has locked; `None`: it ended before, and nothing may be changed.
pub(in super::super) fn commit(
    tx: &mut Tx<'_>,
    id: &LinkId,
    user: &User,
) -> Result<Option<Link>, StoreError> {
    let committed = link::rows::commit(tx, id, (&user.id, &user.auth_epoch))?;
    if !committed {
        return Ok(None);
    }
    link::by_id(tx, id)
}

/// The link has set a password: the proof is link and password from now on, and counts from this moment.
pub(in super::super) fn password_set(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (link, user): (&Link, &User),
) -> Result<(), StoreError> {
    let now = tx.now()?;
    if let Some(proof) = &mut stage.flow.proof {
        proof.amr = format!("{BY_LINK} pwd");
        proof.at = now;
    }
    // Whoever guessed at the old password has guessed in vain, and its owner gets in.
    forget_tries(tx, user)?;
    let proved = prove_address(tx, stage, (link, user))?;
    let left: Vec<String> = link
        .actions
        .iter()
        .filter(|action| *action != update_password::NAME)
        .filter(|action| !(proved && *action == verify_email::NAME))
        .cloned()
        .collect();
    leave(tx, user, &left)?;
    redeemed(tx, engine, (visit, Some(&stage.client.client_id)), link)
}

/// Who came by a mailed link has proved its address; answers whether it is proved.
fn prove_address(
    tx: &mut Tx<'_>,
    stage: &Stage,
    (link, user): (&Link, &User),
) -> Result<bool, StoreError> {
    let Some(mut changed) = user::rows::by_id(tx, &user.id)? else {
        return Ok(false);
    };
    if !link.proves_mailbox() || changed.email != link.address {
        return Ok(changed.email_verified);
    }
    changed.email_verified = true;
    let unique = !stage.config.realm.settings.duplicate_emails_allowed;
    if user::rows::update(tx, &changed, unique)?.is_err() {
        return Ok(false);
    }
    waiting::remove(tx, &user.id, verify_email::NAME)?;
    Ok(true)
}

/// Lets actions wait on the person.
fn leave(tx: &mut Tx<'_>, user: &User, actions: &[String]) -> Result<(), StoreError> {
    for action in actions {
        assign::set_missing(tx, &user.id, action, &Setting::by("link"))?;
    }
    Ok(())
}

/// Notes that a link has done what it was for.
pub(super) fn redeemed(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, client_id): (&Visit, Option<&str>),
    link: &Link,
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let mut event = Event::new(&link.realm_id, "LINK_REDEEMED")
        .user(&link.user_id)
        .from(&visit.peer.ip_address)
        .detail("link", link.id.as_str())
        .detail("purpose", link.purpose.as_str());
    if let Some(campaign) = &link.campaign_id {
        event = event.detail("campaign", campaign.as_str());
    }
    if let Some(client_id) = client_id {
        event = event.client(client_id);
    }
    metrics::counter!("idp_link_redeemed_total", "kind" => link.purpose.as_str(), "result" => "success")
        .increment(1);
    events::record(tx, &engine.entropy, now, event)
}

/// A link that asks for nothing, which an administrator can send: it ends with the press, and leads on.
pub(super) fn nothing(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (link, user): (&Link, &User),
) -> Result<Reply, StoreError> {
    // The caller has seen it alive under the user's lock.
    if let Some(link) = commit(tx, &link.id, user)? {
        redeemed(tx, engine, (visit, Some(&stage.client.client_id)), &link)?;
    }
    stage.flow.finished_at = Some(tx.now()?);
    let ended = (Next::Done, SessionCookie::Keep);
    steps::finish(tx, engine, stage, ended, None)
}

/// An action of a link that sets no password was done. After the last one the link ends, and to sign in is the way
/// on: a mailbox alone signs nobody in (standards S077).
pub(in super::super) fn action(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    (id, act): (&LinkId, &Act),
) -> Result<Reply, StoreError> {
    let Some(link) = link::by_id(tx, id)? else {
        return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
    };
    let left: Vec<String> = link
        .actions
        .iter()
        .filter(|action| **action != act.action)
        .cloned()
        .collect();
    if left.iter().any(|action| *action != verify_email::NAME) {
        link::rows::set_actions(tx, id, &left)?;
        stage.flow.flash = None;
        let with = (engine, &stage.config, &stage.client);
        let decided = steps::decide(
            tx,
            with,
            &visit.browser,
            (&visit.peer, true),
            &mut stage.flow,
        )?;
        return steps::finish(tx, engine, stage, decided, None);
    }
    let user = &act.waiting.user;
    let Some(link) = commit(tx, id, user)? else {
        return steps::go_on(tx, engine, visit, (stage, Where::Elsewhere));
    };
    if !user.email_verified {
        leave(tx, user, &left)?;
    }
    redeemed(tx, engine, (visit, Some(&stage.client.client_id)), &link)?;
    stage.flow.flash = None;
    stage.flow.finished_at = Some(tx.now()?);
    let ended = (Next::Done, SessionCookie::Keep);
    steps::finish(tx, engine, stage, ended, None)
}
