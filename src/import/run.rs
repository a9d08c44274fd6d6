//! Working a job: one thread reads and judges rows, another commits them chunk by chunk.
//!
//! A chunk's outcome that is not known, because the connection broke at its commit, is found out by reading the marker
//! again and never guessed (reliability R-02). Names that somebody else took between the look and the write make the
//! database refuse the chunk, which is then judged again.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::check::Rules;
use super::format::{FileError, Format};
use super::invite;
use super::jobs::{Job, State};
use super::lease::{self, LEASE};
use super::produce::{Chunk, produce};
use super::scan::{Scan, scan};
use super::seen::Seen;
use super::verdicts;
use super::{Counts, Options};
use crate::kernel::{Entropy, RealmId, RoleId};
use crate::mail::Mailer;
use crate::password::Hasher;
use crate::realm::{self, Realm, RequiredActionConfig};
use crate::store::events::{self, Event};
use crate::store::{Store, StoreError, Tx};

/// Says which roles whoever began a job may hand out now; `None` where they may import nobody any more. Asked anew for
/// every chunk: powers change while a million people are gone through (threats V137, V145).
pub type Rights =
    Arc<dyn Fn(&mut Tx<'_>, &Job) -> Result<Option<Vec<RoleId>>, StoreError> + Send + Sync>;

/// Where a job's file is read from, more than once.
pub trait Source: Send + Sync + 'static {
    /// The file from its start.
    ///
    /// # Errors
    /// It cannot be read.
    fn open(&self) -> Result<Box<dyn Read + Send>, FileError>;
}

/// What imports work with.
#[derive(Clone)]
pub struct Importer {
    /// The database.
    pub store: Store,
    /// Hashes plain passwords.
    pub hasher: Hasher,
    /// Randomness.
    pub entropy: Entropy,
    /// Tells people whose own password a file replaces, and knows the master key.
    pub mailer: Mailer,
    /// Who judges those who began a job over HTTP; absent on the host's command line, which may all.
    pub rights: Option<Rights>,
}

/// A job and the lease on it.
pub struct Held {
    /// The job as it was when the lease was taken.
    pub job: Job,
    pub(super) token: String,
}

/// How far a running job is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How many rows the file has.
    pub total: i64,
    /// What became of those so far.
    pub counts: Counts,
}

/// How work on a job ended.
#[derive(Debug)]
pub enum Ended {
    /// Every row has its verdict.
    Done(Progress),
    /// The file could not be read to its end: why, and what is stored.
    Failed(String, Counts),
    /// It goes on from where it stands when somebody takes it up again.
    Stopped(Stop, Counts),
}

/// Why work stopped before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Whoever watches asked for it.
    Asked,
    /// The job was cancelled, or another worker has it.
    Lost,
}

/// Why a job ends whose author has lost the right to it.
const NO_LONGER: &str = "Whoever began this import may no longer manage these people: another administrator can \
    import the rest of the file";

/// What became of a chunk.
pub(super) enum Step {
    /// It is stored.
    Committed,
    /// The lease is somebody else's.
    Lost,
    /// Whoever began the job may import nobody any more.
    NoLonger,
}

/// A job at work.
pub(super) struct Work {
    pub(super) importer: Importer,
    pub(super) job: Job,
    pub(super) token: String,
    pub(super) rules: Arc<Rules>,
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) counts: Counts,
}

impl Importer {
    /// Takes a job's lease; `steal` also takes that of a worker who still has it. `None` where another was faster.
    ///
    /// # Errors
    /// The database fails.
    pub async fn take(&self, job: Job, steal: bool) -> Result<Option<Held>, StoreError> {
        let token = self.entropy.token();
        let with = token.clone();
        let job = self
            .store
            .run(move |store| store.tx(|tx| lease::claim(tx, &job, &with, steal)))
            .await?;
        Ok(job.map(|job| Held { job, token }))
    }

    /// Works a job to its end, or until `watch` answers false.
    ///
    /// # Errors
    /// The database fails for longer than half a minute; the job goes on later from its marker.
    pub async fn work(
        &self,
        held: Held,
        source: Arc<dyn Source>,
        watch: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<Ended, StoreError> {
        let Held { job, token } = held;
        let _beat = Beat::start(self.store.clone(), &job, &token);
        let counts = job.counts;
        let (realm, actions) = match self.realm(&job.realm_id).await? {
            Some(found) => found,
            None => return Ok(Ended::Stopped(Stop::Lost, counts)),
        };
        let first_look = {
            let (source, format) = (Arc::clone(&source), job.options.format);
            tokio::task::spawn_blocking(move || scan(source.open()?, format)).await
        };
        let scanned = first_look
            .unwrap_or_else(|_| Err(FileError::Format("the file could not be read".into())));
        let Scan {
            format,
            rows: total,
            shared,
        } = match scanned {
            Ok(scan) => scan,
            Err(error) => return self.fail(&job, &token, counts, &error).await,
        };
        let rules = match Rules::new(realm, actions, &job.options, shared) {
            Ok(rules) => Arc::new(rules),
            Err(text) => {
                return self
                    .fail(&job, &token, counts, &FileError::Format(text))
                    .await;
            }
        };
        let mut work = Work {
            importer: self.clone(),
            token,
            rules,
            seen: Arc::new(Mutex::new(Seen::new())),
            counts,
            job,
        };
        work.note_total(total).await?;
        work.run(source, format, total, watch).await
    }

    /// How a job is meant, as far as whoever began it may still mean it; `None` where they may not at all.
    pub(super) fn still_meant(
        &self,
        tx: &mut Tx<'_>,
        job: &Job,
    ) -> Result<Option<Options>, StoreError> {
        let (Some(rights), Some(_)) = (&self.rights, &job.options.roles) else {
            return Ok(Some(job.options.clone()));
        };
        let roles = rights(tx, job)?;
        Ok(roles.map(|roles| Options {
            roles: Some(roles),
            ..job.options.clone()
        }))
    }

    async fn realm(
        &self,
        id: &RealmId,
    ) -> Result<Option<(Realm, Vec<RequiredActionConfig>)>, StoreError> {
        let id = id.clone();
        self.store
            .run(move |store| {
                store.read(|tx| {
                    let Some(realm) = realm::rows::by_id(tx, &id)? else {
                        return Ok(None);
                    };
                    let actions = realm::rows::required_actions(tx, &id)?;
                    Ok(Some((realm, actions)))
                })
            })
            .await
    }

    /// Ends a job whose file cannot be read on.
    async fn fail(
        &self,
        job: &Job,
        token: &str,
        counts: Counts,
        error: &FileError,
    ) -> Result<Ended, StoreError> {
        let text = error.to_string();
        let ended = self
            .conclude(job, token, (State::Failed, Some(text.clone())), counts)
            .await?;
        Ok(if ended {
            Ended::Failed(text, counts)
        } else {
            Ended::Stopped(Stop::Lost, counts)
        })
    }

    /// Writes a job's end, with an event that says what came of it.
    async fn conclude(
        &self,
        job: &Job,
        token: &str,
        (state, error): (State, Option<String>),
        counts: Counts,
    ) -> Result<bool, StoreError> {
        let (job, token, entropy) = (job.clone(), token.to_owned(), self.entropy);
        self.store
            .run(move |store| {
                store.tx(|tx| {
                    if !lease::finish(tx, &job.id, &token, state, error.as_deref())? {
                        return Ok(false);
                    }
                    let mut event = Event::new(&job.realm_id, "USERS_IMPORTED")
                        .detail("import", job.id.as_str())
                        .detail("state", state.as_str())
                        .detail("dry_run", job.options.dry_run)
                        .detail("accepted", counts.accepted)
                        .detail("updated", counts.updated)
                        .detail("skipped", counts.skipped)
                        .detail("rejected", counts.rejected);
                    let options = &job.options;
                    if state == State::Done && options.pre_register && !options.dry_run {
                        event = event.detail("campaign", invite::start(tx, &entropy, &job)?);
                    }
                    let now = tx.now()?;
                    events::record(tx, &entropy, now, event)?;
                    Ok(true)
                })
            })
            .await
    }
}

impl Work {
    async fn note_total(&self, total: i64) -> Result<(), StoreError> {
        let (id, token) = (self.job.id.clone(), self.token.clone());
        self.importer
            .store
            .run(move |store| store.tx(|tx| lease::set_total(tx, &id, &token, total)))
            .await
    }

    async fn run(
        &mut self,
        source: Arc<dyn Source>,
        format: Format,
        total: i64,
        watch: &(dyn Fn(Progress) -> bool + Sync),
    ) -> Result<Ended, StoreError> {
        // Two chunks ahead: reading and writing go on at the same time, and memory stays flat.
        let (to, mut chunks) = mpsc::channel(2);
        let (rules, done) = (Arc::clone(&self.rules), self.job.counts.done);
        tokio::task::spawn_blocking(move || produce(&*source, format, &rules, done, &to));
        while let Some(chunk) = chunks.recv().await {
            let chunk = match chunk {
                Ok(chunk) => Arc::new(chunk),
                Err(error) => {
                    return self
                        .importer
                        .fail(&self.job, &self.token, self.counts, &error)
                        .await;
                }
            };
            if !watch(Progress {
                total,
                counts: self.counts,
            }) {
                self.release().await?;
                return Ok(Ended::Stopped(Stop::Asked, self.counts));
            }
            if chunk.last <= done {
                self.replay(&chunk).await?;
                continue;
            }
            match self.commit(chunk).await? {
                Step::Committed => {}
                Step::Lost => return Ok(Ended::Stopped(Stop::Lost, self.counts)),
                Step::NoLonger => {
                    let error = FileError::Format(NO_LONGER.to_owned());
                    return self
                        .importer
                        .fail(&self.job, &self.token, self.counts, &error)
                        .await;
                }
            }
        }
        let progress = Progress {
            total,
            counts: self.counts,
        };
        watch(progress);
        let ended = self
            .importer
            .conclude(&self.job, &self.token, (State::Done, None), self.counts)
            .await?;
        Ok(if ended {
            Ended::Done(progress)
        } else {
            Ended::Stopped(Stop::Lost, self.counts)
        })
    }

    async fn release(&self) -> Result<(), StoreError> {
        let (id, token) = (self.job.id.clone(), self.token.clone());
        self.importer
            .store
            .run(move |store| store.tx(|tx| lease::release(tx, &id, &token)))
            .await
    }

    /// Notes the names of rows that were committed before.
    pub(super) async fn replay(&self, chunk: &Chunk) -> Result<(), StoreError> {
        let (id, range) = (self.job.id.clone(), (chunk.first, chunk.last));
        let taken = self
            .importer
            .store
            .run(move |store| store.read(|tx| verdicts::taken(tx, &id, range)))
            .await?;
        let mut seen = self.seen.lock();
        for item in &chunk.items {
            if let (true, Ok(person)) = (taken.contains_key(&item.number), &item.person) {
                seen.take(person, item.line);
            }
        }
        Ok(())
    }
}

/// Keeps a lease alive while a chunk takes its time.
struct Beat(JoinHandle<()>);

impl Beat {
    fn start(store: Store, job: &Job, token: &str) -> Self {
        let (id, token) = (job.id.clone(), token.to_owned());
        let every = Duration::from_secs(u64::try_from(LEASE / 4).unwrap_or(1).max(1));
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let (id, token) = (id.clone(), token.clone());
                let held = store
                    .run(move |store| store.tx(|tx| lease::renew(tx, &id, &token)))
                    .await;
                if matches!(held, Ok(false)) {
                    break;
                }
            }
        }))
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.abort();
    }
}
