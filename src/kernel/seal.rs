//! The master key and what it protects: sealed values in the database, and keyed digests. Owns the
//! form of a sealed value; `seal/file.rs` owns the key's file. Called by whoever stores a signing
//! key or a secret. Invariant: a sealed value opens only with its key and only at its place, so
//! copying it to another row or realm gives nothing.
//!
//! The master key itself encrypts nothing: each use has a key of its own, derived by HKDF-SHA256
//! (RFC 5869). A sealed value is
//!
//! ```text
//! version (1) | key id (8) | nonce (12) | AES-256-GCM ciphertext and tag (16)
//! ```
//!
//! with the version, the key id and the place as associated data (NIST SP 800-38D).

mod file;
#[cfg(test)]
mod tests;

pub use file::MasterKeyError;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use std::fmt;
use zeroize::Zeroizing;

/// The version of the form above.
const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const HEADER_LEN: usize = 1 + ID_LEN;

/// 32 bytes; wiped when dropped.
pub type DerivedKey = Zeroizing<[u8; 32]>;

/// Why a sealed value cannot be made or opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The value is too short to be a sealed one, or of a version this binary does not know.
    #[error("this is no sealed value that this version can read")]
    Malformed,
    /// The value was sealed by a key that is not at hand.
    #[error("sealed by the master key {0}, which is not configured")]
    UnknownKey(KeyId),
    /// The value was changed, or was sealed for another place.
    #[error("the sealed value was changed or moved here from another place")]
    Broken,
    /// The value is too long to be sealed.
    #[error("the value cannot be sealed")]
    Unsealable,
}

/// The name of a master key: the first bytes of its fingerprint. Not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; ID_LEN]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key that everything else hangs on. Lives in a file outside the database and is wiped from
/// memory when dropped. It has neither `Debug` nor `Display`.
pub struct MasterKey {
    bytes: DerivedKey,
    id: KeyId,
    /// The keys of [`MasterKey::digest`], ready to use: there is one for each label in the source.
    digest_keys: RwLock<Vec<(&'static str, hmac::Key)>>,
}

impl MasterKey {
    /// A new key. `random` must fill its buffer from the system's source of randomness.
    pub fn generate(random: &dyn Fn(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random(bytes.as_mut_slice());
        Self::from_bytes(bytes)
    }

    fn from_bytes(bytes: DerivedKey) -> Self {
        let mut id = [0; ID_LEN];
        let fingerprint = expand(&bytes, "fingerprint", "");
        for (to, from) in id.iter_mut().zip(fingerprint.iter()) {
            *to = *from;
        }
        Self {
            bytes,
            id: KeyId(id),
            digest_keys: RwLock::new(Vec::with_capacity(16)),
        }
    }

    /// The name of this key, as sealed values carry it.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A text that tells this key from others and says nothing about it. It is kept in the
    /// database, so that a node with the wrong key file refuses to start.
    pub fn fingerprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(*expand(&self.bytes, "fingerprint", ""))
    }

    /// A key of its own for one use. Equal labels give equal keys, also on other nodes.
    pub fn derive(&self, label: &str) -> DerivedKey {
        expand(&self.bytes, "derive", label)
    }

    /// HMAC-SHA256 of `data` under a key of its own for `label`. Digests under different labels
    /// have nothing in common.
    pub fn digest(&self, label: &'static str, data: &[u8]) -> [u8; 32] {
        let known = |keys: &[(&str, hmac::Key)]| {
            let (_, key) = keys.iter().find(|(known, _)| *known == label)?;
            Some(bytes_of(&hmac::sign(key, data)))
        };
        if let Some(digest) = known(&self.digest_keys.read()) {
            return digest;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*expand(&self.bytes, "digest", label));
        let digest = bytes_of(&hmac::sign(&key, data));
        let mut keys = self.digest_keys.write();
        if !keys.iter().any(|(known, _)| *known == label) {
            keys.push((label, key));
        }
        digest
    }

    /// Encrypts `plaintext` for one place, which is `table/column/row id/realm id`; the ids must
    /// not hold a slash. `random` fills the nonce.
    ///
    /// # Errors
    ///
    /// Only when the plaintext is longer than AES-GCM allows (64 GiB).
    pub fn seal(
        &self,
        plaintext: &[u8],
        place: &str,
        random: &dyn Fn(&mut [u8]),
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let header = self.header();
        let mut body = plaintext.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated_data(&header, place)),
                &mut body,
            )
            .map_err(|_| SealError::Unsealable)?;
        Ok([header.as_slice(), nonce.as_slice(), body.as_slice()].concat())
    }

    /// Decrypts what [`seal`](Self::seal) made with this key for this place.
    ///
    /// # Errors
    ///
    /// When the value is of another key, was changed, or belongs to another place.
    pub fn open(&self, sealed: &[u8], place: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let parts = Parts::of(sealed)?;
        if parts.key != self.id {
            return Err(SealError::UnknownKey(parts.key));
        }
        let mut body = Zeroizing::new(parts.body.to_vec());
        let length = self
            .cipher()?
            .open_in_place(
                Nonce::assume_unique_for_key(parts.nonce),
                Aad::from(associated_data(&self.header(), place)),
                &mut body,
            )
            .map_err(|_| SealError::Broken)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = [VERSION; HEADER_LEN];
        for (to, from) in header.iter_mut().skip(1).zip(self.id.0) {
            *to = from;
        }
        header
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&AES_256_GCM, &*expand(&self.bytes, "seal", ""))
            .map(LessSafeKey::new)
            .map_err(|_| SealError::Unsealable)
    }
}

/// The key in use and, while `keys rotate-master` runs, those before it.
pub struct Keyring {
    /// Seals, and opens what it sealed.
    pub current: MasterKey,
    /// Open what they sealed.
    pub older: Vec<MasterKey>,
}

impl Keyring {
    /// A ring of one key.
    pub fn new(current: MasterKey) -> Self {
        Self {
            current,
            older: Vec::new(),
        }
    }

    /// Encrypts with the current key, see [`MasterKey::seal`].
    ///
    /// # Errors
    ///
    /// As [`MasterKey::seal`].
    pub fn seal(
        &self,
        plaintext: &[u8],
        place: &str,
        random: &dyn Fn(&mut [u8]),
    ) -> Result<Vec<u8>, SealError> {
        self.current.seal(plaintext, place, random)
    }

    /// Decrypts with the key that the value names.
    ///
    /// # Errors
    ///
    /// As [`MasterKey::open`], and when no key of the ring has that name.
    pub fn open(&self, sealed: &[u8], place: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = sealed_by(sealed)?;
        self.keys()
            .find(|key| key.id == id)
            .ok_or(SealError::UnknownKey(id))?
            .open(sealed, place)
    }

    /// Whether an older key sealed this value, so that it waits to be sealed again.
    ///
    /// # Errors
    ///
    /// When it is no sealed value.
    pub fn is_outdated(&self, sealed: &[u8]) -> Result<bool, SealError> {
        Ok(sealed_by(sealed)? != self.current.id)
    }

    /// Whether `expected` is the [`MasterKey::digest`] of `data` under any key of the ring, in a
    /// time that says nothing about where they differ. A stored digest works no longer than its
    /// key is in the ring.
    pub fn is_digest(&self, label: &'static str, data: &[u8], expected: &[u8]) -> bool {
        self.keys().any(|key| {
            let digest = key.digest(label, data);
            aws_lc_rs::constant_time::verify_slices_are_equal(&digest, expected).is_ok()
        })
    }

    /// A keyed digest under the current key, see [`MasterKey::digest`].
    pub fn digest(&self, label: &'static str, data: &[u8]) -> [u8; 32] {
        self.current.digest(label, data)
    }

    fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

/// The name of the key that sealed a value.
///
/// # Errors
///
/// When it is no sealed value.
pub fn sealed_by(sealed: &[u8]) -> Result<KeyId, SealError> {
    Parts::of(sealed).map(|parts| parts.key)
}

/// A sealed value, taken apart.
struct Parts<'a> {
    key: KeyId,
    nonce: [u8; NONCE_LEN],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
        let (key, rest) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        let (nonce, body) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        if *version != VERSION || body.len() < AES_256_GCM.tag_len() {
            return Err(SealError::Malformed);
        }
        Ok(Self {
            key: KeyId(*key),
            nonce: *nonce,
            body,
        })
    }
}

fn associated_data(header: &[u8; HEADER_LEN], place: &str) -> Vec<u8> {
    [header.as_slice(), place.as_bytes()].concat()
}

/// HKDF-SHA256 without salt, 32 bytes. For one block of output it is two HMACs, which, unlike the
/// library's HKDF, have no error to pass on; a test compares the two.
fn expand(master: &[u8; 32], purpose: &str, label: &str) -> DerivedKey {
    let extracted = Zeroizing::new(hmac_sha256(&[0; 32], &[master]));
    let info = format!("vestibule master key v1/{purpose}/{label}");
    Zeroizing::new(hmac_sha256(&*extracted, &[info.as_bytes(), &[1]]))
}

/// HMAC-SHA256 (RFC 2104) of the joined `data` under a key that is not the master key: for keys kept sealed.
pub fn hmac_sha256(key: &[u8], data: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in data {
        context.update(part);
    }
    bytes_of(&context.sign())
}

fn bytes_of(tag: &hmac::Tag) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}
