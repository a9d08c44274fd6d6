//! Working a job: one thread reads and judges rows, another commits them chunk by chunk.
//!
//! A chunk's outcome that is not known, because the connection broke at its commit, is found out by reading the marker
//! again and never guessed (reliability R-02). Names that somebody else took between the look and the write make the
//! database refuse the chunk, which is then judged again.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::check::{NewPassword, Rules};
use super::draft::Problem;
use super::format::{self, FileError, Format, Rows};
use super::invite;
use super::jobs::{self, Job, LEASE, State};
use super::plan::{self, Directory, Item, Refusal};
use super::scan::{Scan, scan};
use super::seen::Seen;
use super::verdicts::{self, Verdict};
use super::write::Pen;
use super::{Counts, Options};
use crate::kernel::{Entropy, RealmId};
use crate::mail::Mailer;
use crate::password::{Hasher, Password, Salt};
use crate::realm::{self, Realm, RequiredActionConfig};
use crate::store::events::{self, Event};
use crate::store::{Store, StoreError, Tx};

/// The most rows of a chunk.
const CHUNK_ROWS: usize = 1000;
/// The most plain passwords of a chunk: each costs an Argon2, and a chunk should not take minutes.
const CHUNK_PASSWORDS: usize = 100;
/// About how many bytes of the file a chunk has at most.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// How often a chunk is tried while the database is away, each time after twice as long a pause.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);

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
    /// Mails links, where that is asked for.
    pub mailer: Mailer,
}

/// A job and the lease on it.
pub struct Held {
    /// The job as it was when the lease was taken.
    pub job: Job,
    token: String,
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

/// Rows that are committed together.
struct Chunk {
    first: i64,
    last: i64,
    items: Vec<Item>,
}

enum Outcome {
    Committed(Vec<Verdict>),
    /// The marker is not where this chunk begins, or the lease is not ours.
    Elsewhere(Option<Job>),
}

/// A job at work.
struct Work {
    importer: Importer,
    job: Job,
    token: String,
    rules: Arc<Rules>,
    seen: Arc<Mutex<Seen>>,
    counts: Counts,
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
            .run(move |store| store.tx(|tx| jobs::claim(tx, &job, &with, steal)))
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
                    if !jobs::finish(tx, &job.id, &token, state, error.as_deref())? {
                        return Ok(false);
                    }
                    let event = Event::new(&job.realm_id, "USERS_IMPORTED")
                        .detail("import", job.id.as_str())
                        .detail("state", state.as_str())
                        .detail("dry_run", job.options.dry_run)
                        .detail("accepted", counts.accepted)
                        .detail("updated", counts.updated)
                        .detail("skipped", counts.skipped)
                        .detail("rejected", counts.rejected);
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
            .run(move |store| store.tx(|tx| jobs::set_total(tx, &id, &token, total)))
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
            } else if !self.commit(chunk).await? {
                return Ok(Ended::Stopped(Stop::Lost, self.counts));
            }
        }
        let progress = Progress {
            total,
            counts: self.counts,
        };
        let go_on = || watch(progress);
        let options = &self.job.options;
        if options.pre_register && !options.dry_run {
            let importer = &self.importer;
            let held = (&self.job, self.token.as_str());
            let all = invite::everybody(
                &importer.store,
                &importer.mailer,
                held,
                &self.rules.realm,
                &go_on,
            );
            if !all.await? {
                self.release().await?;
                let stop = if go_on() { Stop::Lost } else { Stop::Asked };
                return Ok(Ended::Stopped(stop, self.counts));
            }
        }
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
            .run(move |store| store.tx(|tx| jobs::release(tx, &id, &token)))
            .await
    }

    /// Notes the names of rows that were committed before.
    async fn replay(&self, chunk: &Chunk) -> Result<(), StoreError> {
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

    /// Commits a chunk; `false` where the lease is lost.
    async fn commit(&mut self, chunk: Arc<Chunk>) -> Result<bool, StoreError> {
        let hashes = Arc::new(self.hashes(&chunk).await?);
        let mut tried = 0;
        loop {
            match self.attempt(&chunk, &hashes).await {
                Ok(Outcome::Committed(verdicts)) => {
                    self.counts = counted(self.counts, chunk.last, &verdicts);
                    let mut seen = self.seen.lock();
                    for (item, verdict) in chunk.items.iter().zip(&verdicts) {
                        metrics::counter!("idp_import_rows_total", "result" => verdict.state.as_str())
                            .increment(1);
                        if let (true, Ok(person)) = (verdict.state.is_taken(), &item.person) {
                            seen.take(person, item.line);
                        }
                    }
                    return Ok(true);
                }
                Ok(Outcome::Elsewhere(job)) => {
                    let ours = job.filter(|job| {
                        job.lease_token.as_deref() == Some(&self.token)
                            && job.counts.done == chunk.last
                    });
                    // The commit whose answer never came had gone through.
                    let Some(job) = ours else {
                        return Ok(false);
                    };
                    self.counts = job.counts;
                    self.replay(&chunk).await?;
                    return Ok(true);
                }
                Err(error) if tried < TRIES => {
                    tried += 1;
                    if !is_race(&error) {
                        tracing::warn!(%error, import = %self.job.id, "a chunk could not be stored; trying again");
                        tokio::time::sleep(PAUSE * 2_u32.pow(tried)).await;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        chunk: &Arc<Chunk>,
        hashes: &Arc<HashMap<i64, String>>,
    ) -> Result<Outcome, StoreError> {
        let (chunk, hashes) = (Arc::clone(chunk), Arc::clone(hashes));
        let (rules, seen) = (Arc::clone(&self.rules), Arc::clone(&self.seen));
        let (job, token, before) = (self.job.clone(), self.token.clone(), self.counts);
        let entropy = self.importer.entropy;
        self.importer
            .store
            .run(move |store| {
                store.tx(|tx| {
                    let from = chunk.first.saturating_sub(1);
                    let here = Counts {
                        done: from,
                        ..before
                    };
                    // The marker first: its row is the lock that another worker of this job waits for.
                    if !jobs::advance(tx, &job.id, &token, from, &here)? {
                        let now = jobs::in_realm(tx, &job.realm_id, &job.id)?;
                        return Ok(Outcome::Elsewhere(now));
                    }
                    let pen = Pen {
                        rules: &rules,
                        options: &job.options,
                        entropy: &entropy,
                        now: tx.now()?,
                        hashes: &hashes,
                    };
                    let verdicts = judge_and_write(tx, &pen, &seen, &chunk.items)?;
                    verdicts::insert(tx, &job.id, &verdicts)?;
                    let counts = counted(before, chunk.last, &verdicts);
                    if !jobs::advance(tx, &job.id, &token, from, &counts)? {
                        return Err(StoreError::Locked("the import's marker moved".into()));
                    }
                    Ok(Outcome::Committed(verdicts))
                })
            })
            .await
    }

    /// The hashes of the plain passwords of those rows that will be taken, made before the transaction.
    async fn hashes(&self, chunk: &Arc<Chunk>) -> Result<HashMap<i64, String>, StoreError> {
        if self.job.options.dry_run || plain(&chunk.items).next().is_none() {
            return Ok(HashMap::new());
        }
        let wanted = {
            let (chunk, rules) = (Arc::clone(chunk), Arc::clone(&self.rules));
            let (seen, options) = (Arc::clone(&self.seen), self.job.options.clone());
            self.importer
                .store
                .run(move |store| {
                    store.read(|tx| worth_hashing(tx, &rules, &options, &seen, &chunk))
                })
                .await?
        };
        let mut hashes = HashMap::new();
        // One place of the pool is left for people who sign in.
        let at_once = std::thread::available_parallelism()
            .map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        let mut waiting = wanted.into_iter();
        let mut running = tokio::task::JoinSet::new();
        loop {
            while running.len() < at_once
                && let Some((number, password)) = waiting.next()
            {
                let (hasher, entropy) = (self.importer.hasher.clone(), self.importer.entropy);
                running.spawn(async move { (number, hash(&hasher, entropy, &password).await) });
            }
            match running.join_next().await {
                None => return Ok(hashes),
                Some(Ok((number, hash))) => {
                    hashes.insert(number, hash);
                }
                Some(Err(_)) => return Err(StoreError::Panicked),
            }
        }
    }
}

fn plain(items: &[Item]) -> impl Iterator<Item = (i64, &Password)> {
    items.iter().filter_map(|item| match &item.person {
        Ok(person) => match &person.password {
            NewPassword::Plain { password, .. } => Some((item.number, password)),
            NewPassword::None | NewPassword::Stored { .. } => None,
        },
        Err(_) => None,
    })
}

fn worth_hashing(
    tx: &mut Tx<'_>,
    rules: &Rules,
    options: &Options,
    seen: &Mutex<Seen>,
    chunk: &Chunk,
) -> Result<Vec<(i64, Password)>, StoreError> {
    let directory = Directory::load(tx, rules, &chunk.items)?;
    let fates = plan::decide(
        tx,
        (rules, options),
        (&directory, &seen.lock()),
        &chunk.items,
    )?;
    let taken: std::collections::HashSet<i64> = chunk
        .items
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| fate.is_ok())
        .map(|(item, _)| item.number)
        .collect();
    Ok(plain(&chunk.items)
        .filter(|(number, _)| taken.contains(number))
        .map(|(number, password)| (number, password.clone()))
        .collect())
}

/// Hashes a password as soon as the pool has room: people who sign in come first.
async fn hash(hasher: &Hasher, entropy: Entropy, password: &Password) -> String {
    loop {
        let salt = Salt::new(|out: &mut [u8]| entropy.fill(out));
        match hasher.hash(password.clone(), salt).await {
            Ok(hash) => return hash.as_str().to_owned(),
            Err(busy) => tokio::time::sleep(busy.retry_after).await,
        }
    }
}

fn judge_and_write(
    tx: &mut Tx<'_>,
    pen: &Pen<'_>,
    seen: &Mutex<Seen>,
    items: &[Item],
) -> Result<Vec<Verdict>, StoreError> {
    let mut directory = Directory::load(tx, pen.rules, items)?;
    let mut fates = {
        let seen = seen.lock();
        plan::decide(tx, (pen.rules, pen.options), (&directory, &seen), items)?
    };
    if !pen.options.dry_run {
        // Free since the passwords were hashed, and so without a hash: the next run of the file takes it.
        for (item, fate) in items.iter().zip(fates.iter_mut()) {
            let unhashed = plain(std::slice::from_ref(item))
                .any(|(number, _)| !pen.hashes.contains_key(&number));
            if fate.is_ok() && unhashed {
                *fate = Err(Refusal::Reject(Problem::row(
                    "somebody else changed this name while the import ran: import the row again",
                )));
            }
        }
    }
    pen.write(tx, &mut directory, items, fates)
}

/// Whether somebody else was faster, so that the chunk is to be judged again at once.
fn is_race(error: &StoreError) -> bool {
    error.is_unique_violation()
        || matches!(
            error,
            StoreError::Query(diesel::result::Error::RollbackTransaction)
        )
}

fn counted(before: Counts, done: i64, verdicts: &[Verdict]) -> Counts {
    let mut counts = Counts { done, ..before };
    for verdict in verdicts {
        let count = match verdict.state {
            verdicts::State::Accepted => &mut counts.accepted,
            verdicts::State::Updated => &mut counts.updated,
            verdicts::State::Skipped => &mut counts.skipped,
            verdicts::State::Rejected => &mut counts.rejected,
        };
        *count = count.saturating_add(1);
        if verdict.state.is_taken() && verdict.problem.is_some() {
            counts.noted = counts.noted.saturating_add(1);
        }
    }
    counts
}

/// Reads and judges rows, and hands them on in chunks; one ends where the marker stands.
fn produce(
    source: &dyn Source,
    format: Format,
    rules: &Rules,
    done: i64,
    to: &mpsc::Sender<Result<Chunk, FileError>>,
) {
    let opened = source
        .open()
        .and_then(|input| format::open(input, Some(format)));
    let result = opened.and_then(|(_, rows)| produce_from(rows, rules, done, to));
    if let Err(error) = result {
        // Nobody listens any more where the work was stopped.
        let _ = to.blocking_send(Err(error));
    }
}

fn produce_from(
    mut rows: Box<dyn Rows>,
    rules: &Rules,
    done: i64,
    to: &mpsc::Sender<Result<Chunk, FileError>>,
) -> Result<(), FileError> {
    let mut number: i64 = 0;
    let mut ended = Ok(());
    loop {
        let mut chunk = Chunk {
            first: number.saturating_add(1),
            last: number,
            items: Vec::new(),
        };
        let (mut bytes, mut passwords) = (0_usize, 0_usize);
        while chunk.items.len() < CHUNK_ROWS
            && bytes < CHUNK_BYTES
            && passwords < CHUNK_PASSWORDS
            && (number != done || chunk.items.is_empty())
        {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // What came before it is good.
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            };
            number = number.saturating_add(1);
            bytes = bytes.saturating_add(row.bytes);
            let person =
                row.draft
                    .map_err(Refusal::Reject)
                    .and_then(|draft| match draft.passed_over {
                        Some(reason) => Err(Refusal::Skip(Problem::row(reason), None)),
                        None => rules.judge(draft).map(Box::new).map_err(Refusal::Reject),
                    });
            let is_plain = person
                .as_ref()
                .is_ok_and(|person| matches!(person.password, NewPassword::Plain { .. }));
            passwords = passwords.saturating_add(usize::from(is_plain));
            chunk.items.push(Item {
                number,
                line: row.line,
                person,
            });
        }
        if chunk.items.is_empty() {
            return ended;
        }
        chunk.last = number;
        if to.blocking_send(Ok(chunk)).is_err() || ended.is_err() {
            return ended;
        }
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
                    .run(move |store| store.tx(|tx| jobs::renew(tx, &id, &token)))
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
