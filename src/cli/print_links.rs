//! `vestibule user pre-register --print-link`: links that are handed out in another way than by mail.

use serde_json::json;

use super::Failure;
use super::mailing::Desk;
use super::output::{self, Format, say};
use crate::kernel::UserId;
use crate::link::{self, NewLink, Purpose, Refused, Revealed, Sender};
use crate::store::StoreError;
use crate::store::events::{self, Event};
use crate::user::audience::Audience;
use crate::user::{self, search};

/// So many people are looked up at a time.
const PORTION: i64 = 100;

/// How many people would get a link.
pub(super) fn eligible(desk: &Desk, audience: &Audience) -> Result<i64, Failure> {
    totals(desk, audience).map(|(_, total)| total)
}

/// How many people are meant, and how many of them would get a link.
fn totals(desk: &Desk, audience: &Audience) -> Result<(i64, i64), Failure> {
    let eligible = Audience {
        enabled: Some(true),
        has_password: Some(false),
        ..audience.clone()
    };
    let id = &desk.realm.id;
    let counted = desk.engine.store.read(|tx| {
        Ok::<_, StoreError>((
            search::count(tx, id, audience)?,
            search::count(tx, id, &eligible)?,
        ))
    });
    counted.map_err(Failure::failed)
}

/// Counts who would get a link; nothing is made, and no link that was mailed ends.
pub(super) fn count(desk: &Desk, audience: &Audience, format: Format) -> Result<(), Failure> {
    let (all, total) = totals(desk, audience)?;
    if format.json {
        output::json(&json!({ "total": total }))?;
    } else {
        output::text(&format!(
            "{total} people would get a link. This was a dry run: none was made."
        ))?;
    }
    refuse(usize::try_from(all.saturating_sub(total)).unwrap_or(0))
}

/// Makes links and prints them. Each is audited.
pub(super) fn print(desk: &Desk, audience: &Audience, format: Format) -> Result<(), Failure> {
    let mut shown = Vec::new();
    let mut refused = 0_usize;
    let mut place = String::new();
    loop {
        let ids: Vec<UserId> = desk
            .engine
            .store
            .read(|tx| search::ids(tx, &desk.realm.id, audience, (&place, PORTION)))
            .map_err(Failure::failed)?;
        let Some(last) = ids.last() else { break };
        last.as_str().clone_into(&mut place);
        for id in &ids {
            match reveal(desk, id).map_err(Failure::failed)? {
                (name, Ok(link)) => shown.push((name, link)),
                (name, Err(why)) => {
                    refused = refused.saturating_add(1);
                    say(&format!("{name}: {why}"));
                }
            }
        }
    }
    if format.json {
        let list: Vec<serde_json::Value> = shown
            .iter()
            .map(|(name, link)| {
                json!({ "username": name, "link": link.link, "code": link.code,
                    "expiresAt": link.expires_at.millis() })
            })
            .collect();
        output::json(&list)?;
    } else {
        let rows: Vec<String> = shown
            .iter()
            .map(|(name, link)| format!("{name}  {}  {}", link.link, link.code))
            .collect();
        output::lines(&rows)?;
    }
    refuse(refused)
}

/// A link for one person, with the user name.
fn reveal(desk: &Desk, id: &UserId) -> Result<(String, Result<Revealed, Refused>), StoreError> {
    let (engine, realm) = (&desk.engine, &desk.realm);
    let issuer = engine.issuer(&realm.name);
    let new = NewLink::of(realm, id, Purpose::PreRegistration, Sender::Administrator);
    engine.store.tx(|tx| {
        let made = link::reveal(tx, engine.mailer.tools(), &issuer, &new)?;
        if made.is_ok() {
            let event = Event::new(&realm.id, "ADMIN_LINK_REVEAL")
                .user(id)
                .detail("command", "host");
            let now = tx.now()?;
            events::record(tx, &engine.entropy, now, event)?;
        }
        let user = user::rows::by_id(tx, id)?;
        Ok((user.map(|user| user.username).unwrap_or_default(), made))
    })
}

fn refuse(count: usize) -> Result<(), Failure> {
    match count {
        0 => Ok(()),
        some => Err(Failure::failed(format!(
            "{some} get no link: a link is for people who are switched on and have no password"
        ))),
    }
}
