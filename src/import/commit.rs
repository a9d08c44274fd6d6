//! Committing a chunk with its marker, in one transaction, until it is known what became of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Counts;
use super::check::{NewPassword, Rules};
use super::draft::Problem;
use super::jobs::{self, Job};
use super::lease;
use super::plan::{self, Directory, Item, Refusal};
use super::produce::Chunk;
use super::run::{Importer, Step, Work};
use super::seen::Seen;
use super::verdicts::{self, Verdict};
use super::write::Pen;
use crate::kernel::Entropy;
use crate::password::{Hasher, Password, Salt};
use crate::store::{StoreError, Tx};

/// How often a chunk is tried while the database is away, each time after twice as long a pause.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);

enum Outcome {
    Committed(Vec<Verdict>),
    /// The marker is not where this chunk begins, or the lease is not ours.
    Elsewhere(Option<Box<Job>>),
    /// Whoever began the job may import nobody any more.
    NoLonger,
}

impl Work {
    /// Commits a chunk.
    pub(super) async fn commit(&mut self, chunk: Arc<Chunk>) -> Result<Step, StoreError> {
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
                    return Ok(Step::Committed);
                }
                Ok(Outcome::NoLonger) => return Ok(Step::NoLonger),
                Ok(Outcome::Elsewhere(job)) => {
                    let ours = job.filter(|job| {
                        job.lease_token.as_deref() == Some(&self.token)
                            && job.counts.done == chunk.last
                    });
                    // The commit whose answer never came had gone through.
                    let Some(job) = ours else {
                        return Ok(Step::Lost);
                    };
                    self.counts = job.counts;
                    self.replay(&chunk).await?;
                    return Ok(Step::Committed);
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
        let (importer, entropy) = (self.importer.clone(), self.importer.entropy);
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
                    if !lease::advance(tx, &job.id, &token, from, &here)? {
                        let now = jobs::in_realm(tx, &job.realm_id, &job.id)?;
                        return Ok(Outcome::Elsewhere(now.map(Box::new)));
                    }
                    let Some(options) = importer.still_meant(tx, &job)? else {
                        return Ok(Outcome::NoLonger);
                    };
                    let pen = Pen {
                        rules: &rules,
                        options: &options,
                        entropy: &entropy,
                        mailer: &importer.mailer,
                        now: tx.now()?,
                        hashes: &hashes,
                    };
                    let verdicts = judge_and_write(tx, &pen, &seen, &chunk.items)?;
                    verdicts::insert(tx, &job.id, &verdicts)?;
                    let counts = counted(before, chunk.last, &verdicts);
                    if !lease::advance(tx, &job.id, &token, from, &counts)? {
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
            let (seen, job) = (Arc::clone(&self.seen), self.job.clone());
            let importer = self.importer.clone();
            self.importer
                .store
                .run(move |store| {
                    store.read(|tx| worth_hashing(tx, (&importer, &job), &rules, &seen, &chunk))
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
    (importer, job): (&Importer, &Job),
    rules: &Rules,
    seen: &Mutex<Seen>,
    chunk: &Chunk,
) -> Result<Vec<(i64, Password)>, StoreError> {
    let Some(options) = importer.still_meant(tx, job)? else {
        return Ok(Vec::new());
    };
    let directory = Directory::load(tx, rules, &chunk.items)?;
    let fates = plan::decide(
        tx,
        (rules, &options),
        (&directory, &seen.lock()),
        &chunk.items,
    )?;
    let taken: HashSet<i64> = chunk
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
