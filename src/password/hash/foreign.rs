//! Hashes that other systems made: read, capped, verified; never made here.
//!
//! Each of them is replaced by an Argon2id hash at the first sign-in, because each counts as outdated. A cost above
//! the caps is refused when the hash is read, so that a hostile file cannot make sign-ins expensive (threats V127,
//! V148). PBKDF2, the SHA family and AES are aws-lc's; bcrypt, scrypt and MD5, which it has not, are RustCrypto's.

mod forms;

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{
    Algorithm as Sha, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use md5::Digest as _;

use super::{HashFormatError, MAXIMUM_MEMORY_KIB, MAXIMUM_PARALLELISM, Work};

/// A hash of another system.
#[derive(Clone)]
pub(super) enum Foreign {
    /// bcrypt as it is written everywhere, `$2b$12$…`; Django hashes with SHA-256 first, where it says so.
    Bcrypt {
        text: String,
        cost: u32,
        sha256_first: bool,
    },
    /// PBKDF2 with HMAC.
    Pbkdf2 {
        hash: Function,
        rounds: NonZeroU32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// scrypt.
    Scrypt {
        cost: ScryptCost,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    /// scrypt that makes a key, with which the project's signer key is encrypted (Firebase).
    Firebase {
        cost: ScryptCost,
        salt: Vec<u8>,
        signer: Vec<u8>,
        output: Vec<u8>,
    },
    /// One pass of a hash function over salt and password: LDAP's, Django's and Auth0's oldest.
    Digest {
        hash: Function,
        salt: Vec<u8>,
        salt_first: bool,
        output: Vec<u8>,
    },
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// What a run of scrypt costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScryptCost {
    log_n: u8,
    r: u32,
    p: u32,
}

impl Function {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "md5" => Self::Md5,
            "sha1" | "sha" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn sha(self) -> Option<&'static Sha> {
        match self {
            Self::Md5 => None,
            Self::Sha1 => Some(&SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => Some(&SHA256),
            Self::Sha384 => Some(&SHA384),
            Self::Sha512 => Some(&SHA512),
        }
    }

    fn of(self, data: &[u8]) -> Vec<u8> {
        match self.sha() {
            Some(sha) => digest(sha, data).as_ref().to_vec(),
            None => md5::Md5::digest(data).to_vec(),
        }
    }

    fn pbkdf2(self) -> Option<pbkdf2::Algorithm> {
        match self {
            Self::Md5 => None,
            Self::Sha1 => Some(pbkdf2::PBKDF2_HMAC_SHA1),
            Self::Sha256 => Some(pbkdf2::PBKDF2_HMAC_SHA256),
            Self::Sha384 => Some(pbkdf2::PBKDF2_HMAC_SHA384),
            Self::Sha512 => Some(pbkdf2::PBKDF2_HMAC_SHA512),
        }
    }
}

impl ScryptCost {
    fn checked(log_n: u64, r: u32, p: u32) -> Result<Self, HashFormatError> {
        let log_n = u8::try_from(log_n).map_err(|_| HashFormatError::Cost)?;
        let cost = Self { log_n, r, p };
        let sane = (1..=24).contains(&log_n) && (1..=64).contains(&r);
        if !sane || !(1..=MAXIMUM_PARALLELISM).contains(&p) || cost.kib() > MAXIMUM_MEMORY_KIB {
            return Err(HashFormatError::Cost);
        }
        Ok(cost)
    }

    /// The memory of one run.
    fn kib(self) -> u32 {
        (1_u32 << self.log_n.min(24)).saturating_mul(self.r) / 8
    }

    fn run(self, password: &[u8], salt: &[u8], into: &mut [u8]) -> bool {
        scrypt::Params::new(self.log_n, self.r, self.p)
            .is_ok_and(|params| scrypt::scrypt(password, salt, &params, into).is_ok())
    }
}

impl Foreign {
    /// Reads a hash.
    ///
    /// # Errors
    /// It is of no form that is known, incomplete, or too expensive.
    pub(super) fn parse(text: &str) -> Result<Self, HashFormatError> {
        forms::parse(text)
    }

    /// What it costs to verify, beside an Argon2 of so many KiB and passes.
    pub(super) fn work(&self) -> Work {
        let (units, memory_kib) = match self {
            // About a quarter of a second at cost 12, as 300,000 KiB of Argon2 take.
            Self::Bcrypt { cost, .. } => (80_u64 << (*cost).min(31), 4),
            Self::Pbkdf2 { rounds, .. } => (u64::from(rounds.get()) / 2, 0),
            Self::Scrypt { cost, .. } | Self::Firebase { cost, .. } => {
                let passes = u64::from(cost.p).saturating_mul(2);
                (u64::from(cost.kib()).saturating_mul(passes), cost.kib())
            }
            Self::Digest { .. } => (1, 0),
        };
        Work {
            units: units.max(1),
            memory_kib,
            blocks: 0,
        }
    }

    /// Whether the password is the one that was hashed.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let equal = |one: &[u8], two: &[u8]| verify_slices_are_equal(one, two).is_ok();
        match self {
            Self::Bcrypt {
                text,
                sha256_first: false,
                ..
            } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Bcrypt { text, .. } => {
                bcrypt::verify(hex(&Function::Sha256.of(password)), text).unwrap_or(false)
            }
            Self::Pbkdf2 {
                hash,
                rounds,
                salt,
                output,
            } => {
                let Some(algorithm) = hash.pbkdf2() else {
                    return false;
                };
                // The first block says all that there is to say; further ones would cost as much again.
                let first = output.get(..hash.bytes()).unwrap_or(output);
                pbkdf2::verify(algorithm, *rounds, salt, password, first).is_ok()
            }
            Self::Scrypt { cost, salt, output } => {
                let mut computed = vec![0; output.len()];
                cost.run(password, salt, &mut computed) && equal(&computed, output)
            }
            Self::Firebase {
                cost,
                salt,
                signer,
                output,
            } => {
                let mut key = [0; 32];
                cost.run(password, salt, &mut key)
                    && encrypted(&key, signer).is_some_and(|sealed| equal(&sealed, output))
            }
            Self::Digest {
                hash,
                salt,
                salt_first,
                output,
            } => {
                let parts = if *salt_first {
                    [salt.as_slice(), password]
                } else {
                    [password, salt.as_slice()]
                };
                let data = zeroize::Zeroizing::new(parts.concat());
                equal(&hash.of(&data), output)
            }
        }
    }

    /// What to say of a hash that a stolen copy gives away quickly.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Digest {
                hash: Function::Md5,
                ..
            } => Some("one pass of MD5"),
            Self::Digest {
                hash: Function::Sha1,
                ..
            } => Some("one pass of SHA-1"),
            Self::Digest { .. } => Some("one pass of a hash function"),
            Self::Pbkdf2 {
                hash: Function::Sha1,
                rounds,
                ..
            } if rounds.get() < 100_000 => Some("PBKDF2 with SHA-1 and few rounds"),
            Self::Bcrypt { .. }
            | Self::Pbkdf2 { .. }
            | Self::Scrypt { .. }
            | Self::Firebase { .. } => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// AES-256 in counter mode from zero, as Firebase encrypts its signer key.
fn encrypted(key: &[u8; 32], signer: &[u8]) -> Option<Vec<u8>> {
    let key = UnboundCipherKey::new(&AES_256, key).ok()?;
    let mut data = signer.to_vec();
    EncryptingKey::ctr(key)
        .ok()?
        .less_safe_encrypt(
            &mut data,
            EncryptionContext::Iv128(FixedLength::from([0; 16])),
        )
        .ok()?;
    Some(data)
}

#[cfg(test)]
mod tests;
