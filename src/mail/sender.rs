//! The sender: on every node, takes due mails under leases and hands them to their servers.
//!
//! Any number of nodes may run it. A realm has at most [`CONNECTIONS`] mails under way on a node, so a server that
//! hangs holds up nobody else's mail. A mail is `sending`, durably, only once its server has accepted the recipient,
//! so few are in doubt when a node dies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinHandle, JoinSet};

use super::link::LinkMail;
use super::message::Purpose;
use super::outbox::{self, Claim, Outcome, State};
use super::pause::{self, Door, Trouble};
use super::render::Draft;
use super::smtp::{CONNECTIONS, Failure};
use super::{Inner, Mailer};
use crate::kernel::RealmId;
use crate::realm::{self, Realm};
use crate::store::{Store, StoreError};
use crate::web::texts::Locale;

/// How often, and how long apart, storing an outcome is tried while the database is away: what is not stored in the
/// end is in doubt.
const STORE_TRIES: u32 = 8;
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// The sender at work.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(mailer: Mailer) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(mailer, stopped));
        Self { stop, task }
    }

    /// Begins no further mail and waits for those under way.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

async fn run(mailer: Mailer, mut stopped: watch::Receiver<bool>) {
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut realms: HashMap<Id, RealmId> = HashMap::new();
    let mut well = true;
    while !*stopped.borrow() {
        let mut busy: HashMap<RealmId, usize> = HashMap::new();
        for realm in realms.values() {
            let count = busy.entry(realm.clone()).or_default();
            *count = count.saturating_add(1);
        }
        match mailer.inner.claim(busy).await {
            Ok(claims) => {
                well = true;
                for claim in claims {
                    let realm = claim.realm_id.clone();
                    let mailer = mailer.clone();
                    let task = under_way.spawn(async move { work(&mailer, claim).await });
                    realms.insert(task.id(), realm);
                }
            }
            Err(error) => {
                if well {
                    tracing::warn!(%error, "the outbox cannot be read; mails wait");
                }
                well = false;
            }
        }
        tokio::select! {
            _ = stopped.changed() => {}
            () = mailer.inner.wake.notified() => {}
            Some(done) = under_way.join_next_with_id() => {
                realms.remove(&match done {
                    Ok((id, ())) => id,
                    Err(panicked) => panicked.id(),
                });
            }
            () = tokio::time::sleep(mailer.inner.options.timing.poll) => {}
        }
        while let Some(done) = under_way.try_join_next_with_id() {
            realms.remove(&match done {
                Ok((id, ())) => id,
                Err(panicked) => panicked.id(),
            });
        }
    }
    while under_way.join_next().await.is_some() {}
}

impl Inner {
    /// Takes what is due and what there is room for, and takes back what dead nodes held. Looks before it writes.
    async fn claim(&self, busy: HashMap<RealmId, usize>) -> Result<Vec<Claim>, StoreError> {
        let (entropy, timing) = (self.entropy, self.options.timing);
        self.store
            .run(move |store| {
                let room = |realm: &RealmId| {
                    CONNECTIONS.saturating_sub(busy.get(realm).copied().unwrap_or(0))
                };
                let (mut due, ended) = store.read(|tx| {
                    let now = tx.now()?;
                    Ok::<_, StoreError>((
                        outbox::due_realms(tx, now)?,
                        outbox::has_ended_leases(tx, now)?,
                    ))
                })?;
                due.retain(|realm| room(realm) > 0);
                if due.is_empty() && !ended {
                    return Ok(Vec::new());
                }
                store.tx(|tx| {
                    if ended {
                        let now = tx.now()?;
                        let recovered = outbox::recover(tx, now)?;
                        if recovered.in_doubt > 0 {
                            tracing::warn!(
                                mails = recovered.in_doubt,
                                "mails are in doubt: leases ended while they were being sent"
                            );
                        }
                    }
                    let mut claims = Vec::new();
                    for realm in &due {
                        let limit = match pause::door(tx, realm, timing.probe)? {
                            Door::Open => i64::try_from(room(realm)).unwrap_or(1),
                            Door::Probe => 1,
                            Door::Shut => continue,
                        };
                        claims.extend(outbox::lease(tx, &entropy, realm, (limit, timing.lease))?);
                    }
                    Ok(claims)
                })
            })
            .await
    }

    async fn realm(&self, id: RealmId) -> Result<Option<Realm>, StoreError> {
        let find = move |store: &Store| store.read(|tx| realm::rows::by_id(tx, &id));
        self.store.run(find).await
    }

    /// The link as its mail shows it now, or why it is not sent.
    async fn link(
        &self,
        realm: &RealmId,
        id: &str,
    ) -> Result<Result<LinkMail, String>, StoreError> {
        let (links, realm, id) = (Arc::clone(&self.links), realm.clone(), id.to_owned());
        self.store
            .run(move |store| store.read(|tx| links.compose(tx, &realm, &id)))
            .await
    }

    /// The note that the content is about to go out; an error says why there is none.
    async fn permit(&self, claim: Claim) -> Result<bool, String> {
        let timing = self.options.timing;
        let limit = timing.command.saturating_add(timing.content).as_secs();
        let seconds = i64::try_from(limit)
            .unwrap_or(i64::MAX)
            .saturating_add(timing.lease);
        self.store
            .run(move |store| store.tx(|tx| outbox::begin_sending(tx, &claim, seconds)))
            .await
            .map_err(|error| format!("not sent, because it could not be noted: {error}"))
    }
}

/// What a mail's attempt means for the mail, and for its realm's other mail.
enum Verdict {
    /// The server could be used.
    Mail(Outcome),
    /// It never came to the server.
    Unmade(Outcome),
    /// The server cannot be used.
    Realm(Trouble, String),
    /// Another node has it now.
    Lost,
}

async fn work(mailer: &Mailer, claim: Claim) {
    let inner = &mailer.inner;
    let (verdict, link) = match attempt(inner, &claim).await {
        Ok(attempted) => attempted,
        Err(error) => {
            tracing::error!(mail = %claim.id, %error, "a mail cannot be made now");
            (Verdict::Unmade(Outcome::TryLater(error.to_string())), None)
        }
    };
    for _ in 0..STORE_TRIES {
        match store_verdict(inner, &claim, (&verdict, link.as_deref())).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(mail = %claim.id, %error, "the outcome of a mail is not yet stored");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
    tracing::error!(mail = %claim.id, "the outcome of a mail could not be stored");
}

/// Tries to send a mail; answers what came of it, and the id of the link that it carries.
async fn attempt(inner: &Inner, claim: &Claim) -> Result<(Verdict, Option<String>), StoreError> {
    let Some(realm) = inner.realm(claim.realm_id.clone()).await? else {
        return Ok((Verdict::Lost, None));
    };
    let route = match inner.route(&realm) {
        Ok(route) => route,
        Err(no) => return Ok((Verdict::Realm(no.trouble, no.reason), None)),
    };
    let content = claim.content(&inner.keyring)?;
    let id = match &content.purpose {
        Purpose::Link { link, .. } => Some(link.clone()),
        _ => None,
    };
    let link = match &id {
        Some(id) => match inner.link(&realm.id, id).await? {
            Ok(link) => Some(link),
            Err(why) => return Ok((Verdict::Unmade(Outcome::Cancelled(why)), None)),
        },
        None => None,
    };
    let draft = Draft {
        id: &claim.id,
        realm: realm.display_name(),
        sender: &route.sender,
        recipient: &claim.recipient,
        content: &content,
        link: link.as_ref(),
        locale: Locale::from_tag(&claim.locale).unwrap_or(Locale::ENGLISH),
        expires_at: claim.expires_at,
        now: inner.store.clock().now(),
    };
    let mail = match inner.renderer.mail(&draft) {
        Ok(mail) => mail,
        Err(error) => {
            return Ok((Verdict::Unmade(Outcome::Failed(error.to_string())), None));
        }
    };
    let pool = inner.pool(&route.server);
    let handed = pool.deliver(&mail, || inner.permit(claim.clone())).await;
    let verdict = match handed {
        Ok(()) => Verdict::Mail(Outcome::Sent),
        Err(Failure::Later(why)) => Verdict::Mail(Outcome::TryLater(why)),
        Err(Failure::Refused(why)) => Verdict::Mail(Outcome::Bounced(why)),
        Err(Failure::Unknown(why)) => Verdict::Mail(Outcome::InDoubt(why)),
        Err(Failure::Server(trouble, why)) => Verdict::Realm(trouble, why),
        Err(Failure::NotPermitted) => Verdict::Lost,
    };
    Ok((verdict, id))
}

async fn store_verdict(
    inner: &Inner,
    claim: &Claim,
    (verdict, link): (&Verdict, Option<&str>),
) -> Result<(), StoreError> {
    let (outcome, door) = match verdict {
        Verdict::Mail(outcome) => (outcome.clone(), Some(None)),
        Verdict::Unmade(outcome) => (outcome.clone(), None),
        Verdict::Realm(trouble, why) => (Outcome::Released, Some(Some((*trouble, why.clone())))),
        Verdict::Lost => {
            tracing::info!(mail = %claim.id, "the lease of a mail was lost; nothing was sent");
            return Ok(());
        }
    };
    let (entropy, probe) = (inner.entropy, inner.options.timing.probe);
    let (own, seen) = (claim.clone(), door.clone());
    let (links, link) = (Arc::clone(&inner.links), link.map(str::to_owned));
    let (state, turned) = inner
        .store
        .run(move |store| {
            store.tx(|tx| {
                let state = outbox::settle(tx, &entropy, &own, &outcome)?;
                if let (Some(State::Sent), Some(link)) = (state, &link) {
                    links.handed_over(tx, link, &own.id)?;
                }
                let turned = match &seen {
                    Some(Some((kind, why))) => {
                        pause::begin(tx, &own.realm_id, (*kind, why), probe)?
                    }
                    Some(None) => pause::end(tx, &own.realm_id)?,
                    None => false,
                };
                Ok::<_, StoreError>((state, turned))
            })
        })
        .await?;
    match (door, turned) {
        (Some(Some((kind, _))), true) => {
            tracing::warn!(realm = %claim.realm_id, trouble = %kind, "the realm's mail rests: its server cannot be used");
        }
        (Some(None), true) => tracing::info!(realm = %claim.realm_id, "the realm's mail goes on"),
        (_, _) => {}
    }
    let state = state.map_or("taken by another node", State::as_str);
    tracing::info!(mail = %claim.id, realm = %claim.realm_id, state, "a mail was tried");
    Ok(())
}
