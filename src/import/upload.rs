//! The files of uploaded jobs: sealed pieces in the database, so that any node can work them and a dump of the
//! database gives no password away.

use std::io::Read;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;

use super::format::FileError;
use super::jobs::{self, Job, NewJob, State};
use super::run::Source;
use crate::kernel::seal::Keyring;
use crate::kernel::{Entropy, ImportId, Timestamp};
use crate::store::schema::{import_jobs, import_pieces};
use crate::store::{Store, StoreError, Tx, db};

/// The size of a piece, in bytes.
pub const PIECE: usize = 512 * 1024;
/// The longest idempotency key, in bytes.
pub const LONGEST_KEY: usize = 255;

fn place(job: &ImportId, piece: i64) -> String {
    format!("import_pieces/content_sealed/{job}/{piece}")
}

/// A file on its way in.
pub struct Upload {
    id: ImportId,
    digest: digest::Context,
    pieces: i64,
}

impl Upload {
    /// Begins a job whose file is still to come.
    ///
    /// # Errors
    /// The database fails.
    pub fn begin(tx: &mut Tx<'_>, new: &NewJob<'_>) -> Result<Self, StoreError> {
        let now = tx.now()?;
        jobs::insert(tx, new, now)?;
        Ok(Self {
            id: new.id.clone(),
            digest: digest::Context::new(&SHA256),
            pieces: 0,
        })
    }

    /// The job.
    pub fn id(&self) -> &ImportId {
        &self.id
    }

    /// Stores the next piece.
    ///
    /// # Errors
    /// The database or the master key fails.
    pub fn put(
        &mut self,
        tx: &mut Tx<'_>,
        (keyring, entropy): (&Keyring, &Entropy),
        content: &[u8],
    ) -> Result<(), StoreError> {
        let fill = |out: &mut [u8]| entropy.fill(out);
        let sealed = keyring
            .seal(content, &place(&self.id, self.pieces), &fill)
            .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
        db!(tx, |c| diesel::insert_into(import_pieces::table)
            .values((
                import_pieces::job_id.eq(&self.id),
                import_pieces::piece.eq(self.pieces),
                import_pieces::content_sealed.eq(&sealed),
            ))
            .execute(c))?;
        self.digest.update(content);
        self.pieces = self.pieces.saturating_add(1);
        Ok(())
    }

    /// The digest of the whole file.
    pub fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest.clone().finish())
    }

    /// Lets the job wait for a worker, under an idempotency key where the caller gave one.
    ///
    /// # Errors
    /// The database fails; a unique violation where another request with that key was faster.
    pub fn queue(&self, tx: &mut Tx<'_>, key: Option<&str>) -> Result<(), StoreError> {
        let digest = self.digest();
        db!(tx, |c| diesel::update(
            import_jobs::table
                .filter(import_jobs::id.eq(&self.id))
                .filter(import_jobs::state.eq(State::Receiving.as_str()))
        )
        .set((
            import_jobs::state.eq(State::Queued.as_str()),
            import_jobs::digest.eq(&digest),
            import_jobs::idempotency_key.eq(key),
        ))
        .execute(c))?;
        Ok(())
    }
}

/// Forgets a job whose file did not come to its end.
///
/// # Errors
/// The database fails.
pub fn forget(tx: &mut Tx<'_>, id: &ImportId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        import_jobs::table
            .filter(import_jobs::id.eq(id))
            .filter(import_jobs::state.eq(State::Receiving.as_str()))
    )
    .execute(c))?;
    Ok(())
}

/// Forgets the jobs whose files stopped coming before `before`.
///
/// # Errors
/// The database fails.
pub fn forget_broken(tx: &mut Tx<'_>, before: Timestamp) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::delete(
        import_jobs::table
            .filter(import_jobs::state.eq(State::Receiving.as_str()))
            .filter(import_jobs::created_at.lt(before))
    )
    .execute(c))
}

/// Seals every piece anew under the ring's current key; answers how many.
///
/// # Errors
/// The database fails, or a piece opens under none of the ring's keys.
pub fn reseal(tx: &mut Tx<'_>, keyring: &Keyring, entropy: &Entropy) -> Result<usize, StoreError> {
    let keys: Vec<(ImportId, i64)> = db!(tx, |c| import_pieces::table
        .select((import_pieces::job_id, import_pieces::piece))
        .load(c))?;
    let fill = |out: &mut [u8]| entropy.fill(out);
    for (job, piece) in &keys {
        let Some(plain) = read(tx, keyring, job, *piece)? else {
            continue;
        };
        let sealed = keyring
            .seal(&plain, &place(job, *piece), &fill)
            .map_err(|cause| StoreError::Sealed(cause.to_string()))?;
        db!(tx, |c| diesel::update(
            import_pieces::table
                .filter(import_pieces::job_id.eq(job))
                .filter(import_pieces::piece.eq(piece))
        )
        .set(import_pieces::content_sealed.eq(&sealed))
        .execute(c))?;
    }
    Ok(keys.len())
}

fn read(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    job: &ImportId,
    piece: i64,
) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
    let sealed: Option<Vec<u8>> = db!(tx, |c| import_pieces::table
        .filter(import_pieces::job_id.eq(job))
        .filter(import_pieces::piece.eq(piece))
        .select(import_pieces::content_sealed)
        .first(c)
        .optional())?;
    sealed
        .map(|sealed| {
            keyring
                .open(&sealed, &place(job, piece))
                .map_err(|cause| StoreError::Sealed(cause.to_string()))
        })
        .transpose()
}

/// The file of an uploaded job.
pub struct Uploaded {
    store: Store,
    keyring: Arc<Keyring>,
    job: ImportId,
}

impl Uploaded {
    /// The file of that job.
    pub fn of(store: &Store, keyring: &Arc<Keyring>, job: &Job) -> Self {
        Self {
            store: store.clone(),
            keyring: Arc::clone(keyring),
            job: job.id.clone(),
        }
    }
}

impl Source for Uploaded {
    fn open(&self) -> Result<Box<dyn Read + Send>, FileError> {
        Ok(Box::new(Pieces {
            store: self.store.clone(),
            keyring: Arc::clone(&self.keyring),
            job: self.job.clone(),
            next: 0,
            piece: std::io::Cursor::new(zeroize::Zeroizing::new(Vec::new())),
        }))
    }
}

/// Reads one piece after the other, each in a transaction of its own.
struct Pieces {
    store: Store,
    keyring: Arc<Keyring>,
    job: ImportId,
    next: i64,
    piece: std::io::Cursor<zeroize::Zeroizing<Vec<u8>>>,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let at = usize::try_from(self.piece.position()).unwrap_or(usize::MAX);
            let left = self.piece.get_ref().get(at..).unwrap_or_default();
            if !left.is_empty() {
                let read = left.len().min(into.len());
                for (to, from) in into.iter_mut().zip(left) {
                    *to = *from;
                }
                self.piece.set_position(at.saturating_add(read) as u64);
                return Ok(read);
            }
            let (keyring, job, piece) = (&self.keyring, &self.job, self.next);
            let next = self
                .store
                .read(|tx| read(tx, keyring, job, piece))
                .map_err(std::io::Error::other)?;
            let Some(content) = next else {
                return Ok(0);
            };
            self.next = self.next.saturating_add(1);
            self.piece = std::io::Cursor::new(content);
        }
    }
}
