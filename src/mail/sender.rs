//! The sender: on every node, takes due mails under leases and hands them to their servers.
//!
//! Any number of nodes may run it. A realm has at most [`AT_HAND`] mails under way on a node and at most
//! [`CONNECTIONS`] of them in a conversation, so a server that hangs holds up nobody else's mail, and one that is fast
//! does not wait for the next mail to be made or for the last one's outcome to be on the disk. A mail is `sending`,
//! durably, only once its server has accepted the recipient, so few are in doubt when a node dies.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{Id, JoinHandle, JoinSet};

use super::link::{LinkMail, NotMe};
use super::message::{Content, Purpose};
use super::outbox::{self, Claim, Outcome, State};
use super::pause::{self, Door, Trouble};
use super::render::Draft;
use super::said::impersonal;
use super::smtp::{CONNECTIONS, Failure, Permit};
use super::template::{self, Own, Person, Template, Templates};
use super::{Home, Inner, Mailer};
use crate::kernel::RealmId;
use crate::realm;
use crate::store::{Store, StoreError, Tx};
use crate::user;

/// The most mails of a realm that a node has leased at a time while servers are fast: those in a conversation, and
/// three times as many that are being made or settled meanwhile. While they are slow it is as many as there are
/// connections, for nobody's single mail shall wait behind many that take seconds each.
const AT_HAND: usize = 4 * CONNECTIONS;

/// Servers are fast where as many mails as there are connections are done within this.
const FAST: Duration = Duration::from_millis(250);

/// How often, and how long apart, storing an outcome is tried while the database is away: what is not stored in the
/// end is in doubt.
const STORE_TRIES: u32 = 8;
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Work on the database, under way.
type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

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
    let mut room = CONNECTIONS;
    let (mut done_since, mut since) = (0_usize, Instant::now());
    while !*stopped.borrow() {
        let mut busy: HashMap<RealmId, usize> = HashMap::new();
        for realm in realms.values() {
            let count = busy.entry(realm.clone()).or_default();
            *count = count.saturating_add(1);
        }
        match mailer.inner.claim(busy, room).await {
            Ok(claims) => {
                well = true;
                for claim in claims {
                    let realm = claim.realm_id.clone();
                    let (mailer, stopped) = (mailer.clone(), stopped.clone());
                    let task = under_way.spawn(work(mailer, Arc::new(claim), stopped));
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
        let poll = tokio::time::sleep(mailer.inner.options.timing.poll);
        tokio::pin!(poll);
        // One look at the outbox for several places that have become free: each costs two transactions.
        let mut free: usize = 0;
        loop {
            tokio::select! {
                _ = stopped.changed() => break,
                () = mailer.inner.wake.notified() => break,
                Some(done) = under_way.join_next_with_id() => {
                    realms.remove(&match done {
                        Ok((id, ())) => id,
                        Err(panicked) => panicked.id(),
                    });
                    free = free.saturating_add(1);
                    done_since = done_since.saturating_add(1);
                    if done_since >= CONNECTIONS {
                        room = if since.elapsed() < FAST { AT_HAND } else { CONNECTIONS };
                        (done_since, since) = (0, Instant::now());
                    }
                    if free >= room / CONNECTIONS || under_way.is_empty() {
                        break;
                    }
                }
                () = &mut poll => break,
            }
        }
    }
    while under_way.join_next().await.is_some() {}
}

impl Inner {
    /// Takes what is due and what there is room for, and takes back what dead nodes held. Looks before it writes.
    async fn claim(
        &self,
        busy: HashMap<RealmId, usize>,
        most: usize,
    ) -> Result<Vec<Claim>, StoreError> {
        let (entropy, timing) = (self.entropy, self.options.timing);
        self.store
            .run(move |store| {
                let taken = |realm: &RealmId| busy.get(realm).copied().unwrap_or(0);
                let room = |realm: &RealmId| most.saturating_sub(taken(realm));
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
                            Door::Open => room(realm),
                            Door::Probe => 1,
                            Door::Shut => continue,
                        };
                        let of = (realm, taken(realm));
                        claims.extend(outbox::lease(tx, &entropy, of, (limit, timing.lease))?);
                    }
                    Ok(claims)
                })
            })
            .await
    }

    /// The realm as it is now: the one that is at hand, while it still has that version.
    fn realm(&self, tx: &mut Tx<'_>, id: &RealmId) -> Result<Option<Arc<Home>>, StoreError> {
        let Some(version) = realm::rows::version_of(tx, id)? else {
            return Ok(None);
        };
        let known = self.realms.lock().get(id).cloned();
        if let Some(known) = known.filter(|known| known.realm.version == version) {
            return Ok(Some(known));
        }
        let Some(realm) = realm::rows::by_id(tx, id)? else {
            return Ok(None);
        };
        let templates = Templates::load(tx, &realm)?;
        let home = Arc::new(Home { realm, templates });
        self.realms.lock().insert(id.clone(), Arc::clone(&home));
        Ok(Some(home))
    }

    /// What a mail is made of, read at once: its realm and the link that it carries.
    fn facts(self: &Arc<Self>, claim: Arc<Claim>) -> Task<Result<Facts, StoreError>> {
        let inner = Arc::clone(self);
        let store = self.store.clone();
        Box::pin(async move {
            let read = move |store: &Store| store.read(|tx| inner.making(tx, &claim));
            store.look(read).await
        })
    }

    fn making(&self, tx: &mut Tx<'_>, claim: &Claim) -> Result<Facts, StoreError> {
        let Some(home) = self.realm(tx, &claim.realm_id)? else {
            return Ok(Facts::Gone);
        };
        let content = claim.content(&self.keyring)?;
        let id = match &content.purpose {
            Purpose::Link { link, .. } => Some(link.clone()),
            _ => None,
        };
        let link = match &id {
            Some(id) => match self.links.compose(tx, &home.realm, id)? {
                Ok(link) => Some(link),
                Err(why) => return Ok(Facts::Over(why)),
            },
            None => None,
        };
        let not_me = match content.purpose.may_be_a_thiefs() {
            true => self.links.not_me(tx, &home.realm, &claim.id)?,
            false => None,
        };
        let matter = &content.purpose;
        let template = home.templates.choose(
            template::purpose_of(matter, link.as_ref()),
            template::client_of(matter, link.as_ref()),
            claim.language(),
        );
        // People are read for those templates alone that speak to them by name.
        let asked = template
            .as_ref()
            .filter(|template| template.is_about_the_person());
        let person = match (asked, &claim.user_id) {
            (Some(_), Some(user)) => user::rows::by_id(tx, user)?.as_ref().map(Person::of),
            (_, _) => None,
        };
        Ok(Facts::Mail(Box::new(Making {
            home,
            content,
            id: id.or(not_me.as_ref().map(|carried| carried.link.clone())),
            link,
            not_me,
            template,
            person,
        })))
    }

    /// The note that the content is about to go out; an error says why there is none.
    fn permit(&self, claim: Arc<Claim>) -> Task<Result<bool, String>> {
        let timing = self.options.timing;
        let limit = timing.command.saturating_add(timing.content).as_secs();
        let seconds = i64::try_from(limit)
            .unwrap_or(i64::MAX)
            .saturating_add(timing.lease);
        let store = self.store.clone();
        Box::pin(async move {
            store
                .write(move |tx| outbox::begin_sending(tx, &claim, seconds))
                .await
                .map_err(|error| format!("not sent, because it could not be noted: {error}"))
        })
    }

    /// Stores how an attempt ended, and what that says of the realm's server: `Some(None)` that it can be used,
    /// `Some(Some(_))` that it cannot. Answers the mail's state, and whether the realm's mail has come to rest or goes
    /// on by this.
    fn settle(
        &self,
        claim: Arc<Claim>,
        (outcome, link): (Outcome, Option<String>),
        door: Option<Option<(Trouble, String)>>,
    ) -> Task<Result<(Option<State>, bool), StoreError>> {
        let (entropy, probe) = (self.entropy, self.options.timing.probe);
        let (store, links) = (self.store.clone(), Arc::clone(&self.links));
        Box::pin(async move {
            let work = move |tx: &mut Tx<'_>| {
                let state = outbox::settle(tx, &entropy, &claim, &outcome)?;
                if let (Some(state), Some(link)) = (state, &link) {
                    if state == State::Sent {
                        links.handed_over(tx, link, &claim.id)?;
                    }
                    outbox::audit::settled(tx, &entropy, (&claim, link), (state, &outcome))?;
                }
                let turned = match &door {
                    Some(Some((kind, why))) => {
                        pause::begin(tx, &claim.realm_id, (*kind, why), probe)?
                    }
                    Some(None) => pause::end(tx, &claim.realm_id)?,
                    None => false,
                };
                Ok::<_, StoreError>((state, turned))
            };
            store.write(work).await
        })
    }
}

/// What a mail's attempt means for the mail, and for its realm's other mail.
#[derive(Clone)]
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

/// What a mail is made of.
enum Facts {
    /// Its realm is gone, and it is with it.
    Gone,
    /// What it says is no longer true, for this reason.
    Over(String),
    /// This.
    Mail(Box<Making>),
}

struct Making {
    home: Arc<Home>,
    content: Content,
    /// The id of the link that it is about, or that it carries.
    id: Option<String>,
    link: Option<LinkMail>,
    not_me: Option<NotMe>,
    template: Option<Arc<Template>>,
    person: Option<Person>,
}

async fn work(mailer: Mailer, claim: Arc<Claim>, stopped: watch::Receiver<bool>) {
    let inner = mailer.inner;
    let tried = attempt(Arc::clone(&inner), Arc::clone(&claim), stopped).await;
    let (verdict, link) = match tried {
        Ok(attempted) => attempted,
        Err(error) => {
            tracing::error!(mail = %claim.id, %error, "a mail cannot be made now");
            (Verdict::Unmade(Outcome::TryLater(error.to_string())), None)
        }
    };
    for _ in 0..STORE_TRIES {
        let outcome = (verdict.clone(), link.clone());
        match store_verdict(Arc::clone(&inner), Arc::clone(&claim), outcome).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(mail = %claim.id, %error, "the outcome of a mail is not yet stored");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
    tracing::error!(mail = %claim.id, "the outcome of a mail could not be stored");
}

/// Waits until the sender is told to stop.
async fn ended(mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if stopped.changed().await.is_err() {
            return;
        }
    }
}

/// Tries to send a mail; answers what came of it, and the id of the link that it carries.
async fn attempt(
    inner: Arc<Inner>,
    claim: Arc<Claim>,
    stopped: watch::Receiver<bool>,
) -> Result<(Verdict, Option<String>), StoreError> {
    let making = match inner.facts(Arc::clone(&claim)).await? {
        Facts::Gone => return Ok((Verdict::Lost, None)),
        Facts::Over(why) => return Ok((Verdict::Unmade(Outcome::Cancelled(why)), None)),
        Facts::Mail(making) => making,
    };
    let realm = &making.home.realm;
    let route = match inner.route(realm) {
        Ok(route) => route,
        Err(no) => return Ok((Verdict::Realm(no.trouble, no.reason), None)),
    };
    let made = inner.renderer.mail(&Draft {
        id: &claim.id,
        realm: realm.display_name(),
        sender: Some(&route.sender),
        recipient: &claim.recipient,
        content: &making.content,
        link: making.link.as_ref(),
        not_me: making.not_me.as_ref(),
        own: making.template.as_deref().map(|template| Own {
            template,
            person: making.person.as_ref(),
        }),
        locale: claim.language(),
        expires_at: claim.expires_at,
        now: inner.store.clock().now(),
    });
    let mail = match made {
        Ok(mail) => mail,
        Err(error) => {
            return Ok((Verdict::Unmade(Outcome::Failed(error.to_string())), None));
        }
    };
    let pool = inner.pool(&route.server);
    let handed = tokio::select! {
        biased;
        () = ended(stopped) => {
            return Ok((Verdict::Unmade(Outcome::Released), None));
        }
        place = pool.place() => place,
    };
    let handed = match handed {
        Ok(place) => {
            let (asked, own) = (Arc::clone(&inner), Arc::clone(&claim));
            let permit: Permit = Box::new(move || asked.permit(own));
            pool.deliver(place, &mail, permit).await
        }
        Err(failure) => Err(failure),
    };
    // Servers repeat what displeases them, and a link is in none of our tables.
    let said = |why: String| impersonal(&why, &claim.recipient);
    let verdict = match handed {
        Ok(()) => Verdict::Mail(Outcome::Sent),
        Err(Failure::Later(why)) => Verdict::Mail(Outcome::TryLater(said(why))),
        Err(Failure::Refused(why)) => Verdict::Mail(Outcome::Bounced(said(why))),
        Err(Failure::Unknown(why)) => Verdict::Mail(Outcome::InDoubt(said(why))),
        Err(Failure::Server(trouble, why)) => Verdict::Realm(trouble, why),
        Err(Failure::NotPermitted) => Verdict::Lost,
    };
    Ok((verdict, making.id))
}

async fn store_verdict(
    inner: Arc<Inner>,
    claim: Arc<Claim>,
    (verdict, link): (Verdict, Option<String>),
) -> Result<(), StoreError> {
    let (outcome, door) = match verdict {
        Verdict::Mail(outcome) => (outcome, Some(None)),
        Verdict::Unmade(outcome) => (outcome, None),
        Verdict::Realm(trouble, why) => (Outcome::Released, Some(Some((trouble, why)))),
        Verdict::Lost => {
            tracing::info!(mail = %claim.id, "the lease of a mail was lost; nothing was sent");
            return Ok(());
        }
    };
    let settled = inner.settle(Arc::clone(&claim), (outcome, link), door.clone());
    let (state, turned) = settled.await?;
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
