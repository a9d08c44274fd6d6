//! The forms in which other systems write their hashes, read into [`Foreign`] within the caps.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Foreign, Function, ScryptCost};
use crate::password::hash::{HashFormatError, MINIMUM_OUTPUT_BYTES};

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

/// Reads a hash.
///
/// # Errors
/// It is of no form that is known, incomplete, or too expensive.
pub(super) fn parse(text: &str) -> Result<Foreign, HashFormatError> {
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

/// `Vec::split_off` that answers `None` where it would panic.
trait SplitOff: Sized {
    fn split_off_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitOff for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Self> {
        (at <= self.len()).then(|| self.split_off(at))
    }
}
