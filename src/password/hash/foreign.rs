//! Hashes that other systems made: read, capped, verified; never made here.
//!
//! Each of them is replaced by an Argon2id hash at the first sign-in, because each counts as outdated. A cost above
//! the caps is refused when the hash is read, so that a hostile file cannot make sign-ins expensive (threats V127,
//! V148). PBKDF2, the SHA family and AES are aws-lc's; bcrypt, scrypt and MD5, which it has not, are RustCrypto's.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{
    Algorithm as Sha, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::Digest as _;

use super::{HashFormatError, MAXIMUM_MEMORY_KIB, MAXIMUM_PARALLELISM, MINIMUM_OUTPUT_BYTES, Work};

/// The most rounds of PBKDF2: twice Keycloak's most expensive default.
const MAXIMUM_ROUNDS: u32 = 3_000_000;
/// The highest cost of bcrypt: about two seconds.
const MAXIMUM_BCRYPT: u32 = 15;
/// The longest salt, in bytes.
const LONGEST_SALT: usize = 256;

/// base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

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
        if let Some(rest) = text.strip_prefix('{') {
            let (scheme, rest) = rest.split_once('}').ok_or(HashFormatError::Malformed)?;
            return ldap(&scheme.to_ascii_lowercase(), rest);
        }
        if let Some(rest) = text.strip_prefix('$') {
            let (scheme, rest) = rest.split_once('$').ok_or(HashFormatError::Malformed)?;
            return match scheme {
                "2a" | "2b" | "2y" => bcrypt(text, false),
                "scrypt" => phc_scrypt(rest),
                "fbscrypt" => firebase(rest),
                "digest" => own_digest(rest),
                "pbkdf2" => phc_pbkdf2(Function::Sha1, rest),
                _ => match scheme.strip_prefix("pbkdf2-").and_then(Function::parse) {
                    Some(Function::Md5) | None => Err(HashFormatError::Unsupported),
                    Some(function) => phc_pbkdf2(function, rest),
                },
            };
        }
        django(text)
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

fn unhex(text: &str) -> Result<Vec<u8>, HashFormatError> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| {
        let digit = |one: u8| char::from(one).to_digit(16);
        u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
    };
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes
        .filter(|_| rest.is_empty())
        .ok_or(HashFormatError::Malformed)
}

/// base64, also in passlib's spelling with a dot for the plus.
fn base64(text: &str) -> Result<Vec<u8>, HashFormatError> {
    BASE64
        .decode(text.replace('.', "+"))
        .map_err(|_| HashFormatError::Malformed)
}

fn salted(salt: Vec<u8>) -> Result<Vec<u8>, HashFormatError> {
    if salt.len() > LONGEST_SALT {
        return Err(HashFormatError::Malformed);
    }
    Ok(salt)
}

fn output(bytes: Vec<u8>) -> Result<Vec<u8>, HashFormatError> {
    if bytes.len() < MINIMUM_OUTPUT_BYTES {
        return Err(HashFormatError::Malformed);
    }
    Ok(bytes)
}

fn bcrypt(text: &str, sha256_first: bool) -> Result<Foreign, HashFormatError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashFormatError::Malformed)?;
    let cost = parts.get_cost();
    if !(4..=MAXIMUM_BCRYPT).contains(&cost) {
        return Err(HashFormatError::Cost);
    }
    Ok(Foreign::Bcrypt {
        text: text.to_owned(),
        cost,
        sha256_first,
    })
}

fn pbkdf2(
    hash: Function,
    rounds: &str,
    salt: Vec<u8>,
    bytes: Vec<u8>,
) -> Result<Foreign, HashFormatError> {
    let rounds: u32 = rounds.parse().map_err(|_| HashFormatError::Malformed)?;
    let rounds = NonZeroU32::new(rounds)
        .filter(|rounds| rounds.get() <= MAXIMUM_ROUNDS)
        .ok_or(HashFormatError::Cost)?;
    Ok(Foreign::Pbkdf2 {
        hash,
        rounds,
        salt: salted(salt)?,
        output: output(bytes)?,
    })
}

/// `i=600000,l=32$salt$hash` as PHC strings have it, `600000$salt$hash` as passlib has it.
fn phc_pbkdf2(hash: Function, rest: &str) -> Result<Foreign, HashFormatError> {
    let [parameters, salt, bytes] = fields(rest)?;
    let rounds = match named(parameters, "i") {
        Some(rounds) => rounds,
        None => parameters,
    };
    pbkdf2(hash, rounds, base64(salt)?, base64(bytes)?)
}

fn phc_scrypt(rest: &str) -> Result<Foreign, HashFormatError> {
    let [parameters, salt, bytes] = fields(rest)?;
    Ok(Foreign::Scrypt {
        cost: ScryptCost::checked(
            number(parameters, "ln")?,
            small(parameters, "r")?,
            small(parameters, "p")?,
        )?,
        salt: salted(base64(salt)?)?,
        output: output(base64(bytes)?)?,
    })
}

/// `v=1,n=14,r=8,p=1,ss=<separator>,sk=<signer key>$salt$hash`, all in base64.
fn firebase(rest: &str) -> Result<Foreign, HashFormatError> {
    let [parameters, salt, bytes] = fields(rest)?;
    let part = |name| named(parameters, name).ok_or(HashFormatError::Malformed);
    let signer = base64(part("sk")?)?;
    let bytes = output(base64(bytes)?)?;
    if part("v")? != "1" || signer.len() != bytes.len() {
        return Err(HashFormatError::Unsupported);
    }
    let mut salt = base64(salt)?;
    salt.extend(base64(part("ss")?)?);
    Ok(Foreign::Firebase {
        cost: ScryptCost::checked(
            number(parameters, "n")?,
            small(parameters, "r")?,
            small(parameters, "p")?,
        )?,
        salt: salted(salt)?,
        signer,
        output: bytes,
    })
}

/// `a=sha256,s=suffix$salt$hash`, the string that stands for Auth0's salted digests.
fn own_digest(rest: &str) -> Result<Foreign, HashFormatError> {
    let [parameters, salt, bytes] = fields(rest)?;
    let hash = named(parameters, "a")
        .and_then(Function::parse)
        .ok_or(HashFormatError::Unsupported)?;
    let salt_first = match named(parameters, "s") {
        Some("prefix") => true,
        Some("suffix") => false,
        _ => return Err(HashFormatError::Malformed),
    };
    one_pass(hash, base64(salt)?, salt_first, base64(bytes)?)
}

fn one_pass(
    hash: Function,
    salt: Vec<u8>,
    salt_first: bool,
    output: Vec<u8>,
) -> Result<Foreign, HashFormatError> {
    if output.len() != hash.bytes() {
        return Err(HashFormatError::Malformed);
    }
    Ok(Foreign::Digest {
        hash,
        salt: salted(salt)?,
        salt_first,
        output,
    })
}

/// What directories keep in `userPassword` (RFC 2307 section 5.3, and OpenLDAP's additions).
fn ldap(scheme: &str, rest: &str) -> Result<Foreign, HashFormatError> {
    if matches!(scheme, "crypt" | "bcrypt") {
        return if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|start| rest.starts_with(start))
        {
            bcrypt(rest, false)
        } else {
            Err(HashFormatError::Unsupported)
        };
    }
    if let Some(function) = scheme.strip_prefix("pbkdf2") {
        let function = match function {
            "" => Function::Sha1,
            other => Function::parse(other.trim_start_matches('-'))
                .filter(|function| *function != Function::Md5)
                .ok_or(HashFormatError::Unsupported)?,
        };
        return phc_pbkdf2(function, rest);
    }
    let function = match scheme {
        "md5" | "smd5" => Function::Md5,
        "sha" | "ssha" | "sha1" | "ssha1" => Function::Sha1,
        "sha256" | "ssha256" => Function::Sha256,
        "sha384" | "ssha384" => Function::Sha384,
        "sha512" | "ssha512" => Function::Sha512,
        _ => return Err(HashFormatError::Unsupported),
    };
    let mut output = base64(rest)?;
    let salt = output
        .split_off_checked(function.bytes())
        .ok_or(HashFormatError::Malformed)?;
    one_pass(function, salt, false, output)
}

/// `algorithm$…`, as Django's hashers write it.
fn django(text: &str) -> Result<Foreign, HashFormatError> {
    let (algorithm, rest) = text.split_once('$').ok_or(HashFormatError::Malformed)?;
    match algorithm {
        "pbkdf2_sha256" | "pbkdf2_sha1" => {
            let [rounds, salt, bytes] = fields(rest)?;
            let function = if algorithm == "pbkdf2_sha1" {
                Function::Sha1
            } else {
                Function::Sha256
            };
            pbkdf2(function, rounds, salt.as_bytes().to_vec(), base64(bytes)?)
        }
        "bcrypt" => bcrypt(rest, false),
        "bcrypt_sha256" => bcrypt(rest, true),
        "scrypt" => {
            let [n, salt, r, p, bytes] = fields(rest)?;
            let whole = |text: &str| text.parse::<u32>().map_err(|_| HashFormatError::Malformed);
            let n = whole(n)?;
            if !n.is_power_of_two() {
                return Err(HashFormatError::Cost);
            }
            Ok(Foreign::Scrypt {
                cost: ScryptCost::checked(u64::from(n.trailing_zeros()), whole(r)?, whole(p)?)?,
                salt: salted(salt.as_bytes().to_vec())?,
                output: output(base64(bytes)?)?,
            })
        }
        "md5" | "sha1" => {
            let [salt, bytes] = fields(rest)?;
            let function = Function::parse(algorithm).ok_or(HashFormatError::Unsupported)?;
            one_pass(function, salt.as_bytes().to_vec(), true, unhex(bytes)?)
        }
        _ => Err(HashFormatError::Unsupported),
    }
}

/// Exactly `N` parts between dollar signs.
fn fields<const N: usize>(text: &str) -> Result<[&str; N], HashFormatError> {
    let parts: Vec<&str> = text.split('$').collect();
    parts.try_into().map_err(|_| HashFormatError::Malformed)
}

/// The value of one of `a=1,b=2`.
fn named<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn number(parameters: &str, name: &str) -> Result<u64, HashFormatError> {
    named(parameters, name)
        .and_then(|value| value.parse().ok())
        .ok_or(HashFormatError::Malformed)
}

fn small(parameters: &str, name: &str) -> Result<u32, HashFormatError> {
    u32::try_from(number(parameters, name)?).map_err(|_| HashFormatError::Cost)
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

/// `Vec::split_off` that answers `None` where it would panic.
trait SplitOff: Sized {
    fn split_off_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitOff for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_off(at))
    }
}

#[cfg(test)]
mod tests;
