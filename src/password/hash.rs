//! Stored password hashes: what a row holds, how it is read, what it costs to verify.
//!
//! A hash is a PHC string. Its cost is read and capped before anything is computed, because a
//! row may come from an import, and a hostile cost would take the machine. Formats of other
//! systems are further variants of [`Scheme`] and touch only this file. Called by the hasher,
//! the user module's rows, and imports.

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::Password;

/// The most memory a stored hash may ask for, in KiB (256 MiB).
const MAXIMUM_MEMORY_KIB: u32 = 256 * 1024;
/// The most passes a stored hash may ask for.
const MAXIMUM_ITERATIONS: u32 = 10;
/// The most lanes a stored hash may ask for.
const MAXIMUM_PARALLELISM: u32 = 16;
/// The shortest digest that is worth comparing, in bytes.
const MINIMUM_OUTPUT_BYTES: usize = 16;
/// The longest PHC string that is looked at, in bytes.
const MAXIMUM_TEXT_BYTES: usize = 512;
/// The length of the digests made here, in bytes.
const OUTPUT_BYTES: usize = 32;

/// A random salt of 128 bits, one for each hash.
pub struct Salt([u8; 16]);

impl Salt {
    /// Draws a salt: `Salt::new(|out| entropy.fill(out))`.
    pub fn new<F: Fn(&mut [u8])>(fill: F) -> Salt {
        let mut bytes = [0; 16];
        fill(&mut bytes);
        Salt(bytes)
    }
}

/// What a hash costs: memory in KiB, passes over it, lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

impl Cost {
    /// Time is proportional to this: KiB visited.
    pub fn units(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }

    /// How many blocks of memory the computation needs.
    pub fn blocks(self) -> Result<usize, argon2::Error> {
        Ok(self.params(OUTPUT_BYTES)?.block_count())
    }

    fn params(self, output_bytes: usize) -> Result<Params, argon2::Error> {
        Params::new(
            self.memory_kib,
            self.iterations,
            self.parallelism,
            Some(output_bytes),
        )
    }

    fn within_caps(self) -> bool {
        self.memory_kib <= MAXIMUM_MEMORY_KIB
            && self.iterations <= MAXIMUM_ITERATIONS
            && self.parallelism <= MAXIMUM_PARALLELISM
    }
}

/// A stored password hash. It has no `Debug` or `Display`; [`PasswordHash::as_str`] is for the
/// database column alone.
#[derive(Clone)]
pub struct PasswordHash {
    text: String,
    scheme: Scheme,
}

/// The formats that are understood.
#[derive(Clone)]
enum Scheme {
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        cost: Cost,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
}

/// Why a stored hash is refused. The hash itself is in none of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashFormatError {
    /// Not a PHC string, or one with parts missing or to spare.
    #[error("the password hash is not a complete PHC string")]
    Malformed,
    /// A PHC string of an algorithm or version that is not understood.
    #[error("the password hash uses an algorithm or version that is not supported")]
    Unsupported,
    /// The cost is above the caps or below what the algorithm allows.
    #[error(
        "the cost of the password hash is out of bounds (at most m={MAXIMUM_MEMORY_KIB}, \
         t={MAXIMUM_ITERATIONS}, p={MAXIMUM_PARALLELISM})"
    )]
    Cost,
}

impl PasswordHash {
    /// Reads a stored or imported PHC string (`$argon2id$v=19$m=19456,t=2,p=1$salt$output`).
    pub fn parse(text: &str) -> Result<PasswordHash, HashFormatError> {
        if text.len() > MAXIMUM_TEXT_BYTES {
            return Err(HashFormatError::Malformed);
        }
        let phc = phc::PasswordHash::new(text).map_err(|_| HashFormatError::Malformed)?;
        let algorithm = match phc.algorithm.as_str() {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            _ => return Err(HashFormatError::Unsupported),
        };
        let version = match phc.version {
            Some(19) => Version::V0x13,
            // The reference implementation leaves the version out where it is 16.
            Some(16) | None => Version::V0x10,
            Some(_) => return Err(HashFormatError::Unsupported),
        };
        let number = |name| {
            phc.params
                .get_decimal(name)
                .ok_or(HashFormatError::Malformed)
        };
        let cost = Cost {
            memory_kib: number("m")?,
            iterations: number("t")?,
            parallelism: number("p")?,
        };
        if phc.params.iter().count() != 3 {
            return Err(HashFormatError::Malformed);
        }
        let salt = phc
            .salt
            .as_ref()
            .ok_or(HashFormatError::Malformed)?
            .to_vec();
        let output = phc
            .hash
            .as_ref()
            .ok_or(HashFormatError::Malformed)?
            .as_bytes()
            .to_vec();
        if output.len() < MINIMUM_OUTPUT_BYTES {
            return Err(HashFormatError::Malformed);
        }
        if !cost.within_caps() || cost.params(output.len()).is_err() {
            return Err(HashFormatError::Cost);
        }
        Ok(PasswordHash {
            text: text.to_owned(),
            scheme: Scheme::Argon2 {
                algorithm,
                version,
                cost,
                salt,
                output,
            },
        })
    }

    /// The PHC string, for the database.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Hashes with Argon2id version 19; `memory` holds at least [`Cost::blocks`] blocks.
    pub(super) fn compute(
        password: &Password,
        salt: &Salt,
        cost: Cost,
        memory: &mut [Block],
    ) -> Result<PasswordHash, argon2::Error> {
        let mut output = vec![0; OUTPUT_BYTES];
        Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            cost.params(OUTPUT_BYTES)?,
        )
        .hash_password_into_with_memory(
            password.expose().as_bytes(),
            &salt.0,
            &mut output,
            memory,
        )?;
        Ok(PasswordHash::assemble(cost, salt, output))
    }

    /// A hash of nothing that costs the same to verify as a real one.
    pub(super) fn dummy(cost: Cost) -> PasswordHash {
        PasswordHash::assemble(cost, &Salt([0; 16]), vec![0; OUTPUT_BYTES])
    }

    /// Whether the password is the one that was hashed. `memory` as for [`Self::compute`], for
    /// the cost of this hash.
    pub(super) fn verify(
        &self,
        password: &Password,
        memory: &mut [Block],
    ) -> Result<bool, argon2::Error> {
        let Scheme::Argon2 {
            algorithm,
            version,
            cost,
            salt,
            output,
        } = &self.scheme;
        let mut computed = vec![0; output.len()];
        Argon2::new(*algorithm, *version, cost.params(output.len())?)
            .hash_password_into_with_memory(
                password.expose().as_bytes(),
                salt,
                &mut computed,
                memory,
            )?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&computed, output).is_ok())
    }

    /// What verifying this hash costs.
    pub(super) fn cost(&self) -> Cost {
        let Scheme::Argon2 { cost, .. } = &self.scheme;
        *cost
    }

    /// Whether this hash is weaker than one made now: another algorithm or version, less
    /// memory, less work, or a shorter salt or digest.
    pub(super) fn is_weaker_than(&self, now: Cost) -> bool {
        let Scheme::Argon2 {
            algorithm,
            version,
            cost,
            salt,
            output,
        } = &self.scheme;
        *algorithm != Algorithm::Argon2id
            || *version != Version::V0x13
            || cost.memory_kib < now.memory_kib
            || cost.units() < now.units()
            || salt.len() < 16
            || output.len() < OUTPUT_BYTES
    }

    fn assemble(cost: Cost, salt: &Salt, output: Vec<u8>) -> PasswordHash {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD_NO_PAD;
        let Cost {
            memory_kib,
            iterations,
            parallelism,
        } = cost;
        let text = format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${}${}",
            STANDARD_NO_PAD.encode(salt.0),
            STANDARD_NO_PAD.encode(&output)
        );
        let scheme = Scheme::Argon2 {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            cost,
            salt: salt.0.to_vec(),
            output,
        };
        PasswordHash { text, scheme }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "AAECAwQFBgcICQoLDA0ODw";
    const OUTPUT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn refusal(text: &str) -> Option<HashFormatError> {
        PasswordHash::parse(text).err()
    }

    fn with_parameters(parameters: &str) -> String {
        format!("$argon2id$v=19${parameters}${SALT}${OUTPUT}")
    }

    fn memory(cost: Cost) -> Vec<Block> {
        vec![Block::new(); cost.blocks().unwrap()]
    }

    #[test]
    fn a_hash_survives_its_own_text() {
        let cost = Cost {
            memory_kib: 16,
            iterations: 1,
            parallelism: 2,
        };
        let password = Password::parse("correct horse").unwrap();
        let salt = Salt::new(|out| out.fill(7));
        let made = PasswordHash::compute(&password, &salt, cost, &mut memory(cost)).unwrap();
        assert!(
            made.as_str()
                .starts_with("$argon2id$v=19$m=16,t=1,p=2$BwcHBwcHBwcHBwcHBwcHBw$")
        );
        let read = PasswordHash::parse(made.as_str()).unwrap();
        assert!(read.verify(&password, &mut memory(cost)).unwrap());
        let other = Password::parse("correct horsf").unwrap();
        assert!(!read.verify(&other, &mut memory(cost)).unwrap());
    }

    #[test]
    fn the_reference_implementation_agrees() {
        // `echo -n password | argon2 somesalt -id -t 2 -k 256 -p 1 -l 32 -e`
        let stored = PasswordHash::parse(
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        )
        .unwrap();
        let password = Password::parse("password").unwrap();
        assert!(
            stored
                .verify(&password, &mut memory(stored.cost()))
                .unwrap()
        );
    }

    /// Threat V127: what an imported hash may ask for.
    #[test]
    fn hostile_costs_are_refused_before_they_are_paid() {
        for parameters in [
            "m=262145,t=1,p=1",
            "m=4294967295,t=1,p=1",
            "m=65536,t=11,p=1",
            "m=65536,t=4294967295,p=1",
            "m=65536,t=1,p=17",
            "m=65536,t=0,p=1",
            "m=65536,t=1,p=0",
            "m=7,t=1,p=1",
            "m=64,t=1,p=16",
        ] {
            let refused = refusal(&with_parameters(parameters));
            assert_eq!(refused, Some(HashFormatError::Cost), "{parameters}");
        }
        assert_eq!(refusal(&with_parameters("m=262144,t=10,p=16")), None);
    }

    #[test]
    fn incomplete_or_strange_strings_are_refused() {
        for text in [
            String::new(),
            "plain text".to_owned(),
            with_parameters("m=99999999999,t=1,p=1"),
            with_parameters("m=65536,t=1"),
            with_parameters("m=65536,m=8,t=1,p=1"),
            with_parameters("m=65536,t=1,p=1,x=1"),
            with_parameters("m=65536,t=1,p=1,keyid=AAAA"),
            format!("$argon2id$v=19$m=65536,t=1,p=1${SALT}"),
            format!("$argon2id$v=19$m=65536,t=1,p=1${SALT}$AAECAwQFBgcICQoLDA"),
            format!("$argon2id$v=19$m=65536,t=1,p=1$AAEC${OUTPUT}"),
            format!("$argon2id$v=19$m=65536,t=1,p=1${SALT}${}", "A".repeat(600)),
        ] {
            assert_eq!(refusal(&text), Some(HashFormatError::Malformed), "{text}");
        }
        for text in [
            format!("$argon2d$v=19$m=65536,t=1,p=1${SALT}${OUTPUT}"),
            format!("$argon2id$v=20$m=65536,t=1,p=1${SALT}${OUTPUT}"),
            format!("$scrypt$ln=10,r=8,p=1${SALT}${OUTPUT}"),
        ] {
            assert_eq!(refusal(&text), Some(HashFormatError::Unsupported), "{text}");
        }
    }

    #[test]
    fn weaker_hashes_are_outdated_and_stronger_ones_are_not() {
        let now = Cost {
            memory_kib: 19456,
            iterations: 2,
            parallelism: 1,
        };
        let weaker = |text: &str| PasswordHash::parse(text).unwrap().is_weaker_than(now);
        assert!(!weaker(&with_parameters("m=19456,t=2,p=1")));
        assert!(
            !weaker(&with_parameters("m=65536,t=1,p=4")),
            "more memory, more work"
        );
        assert!(weaker(&with_parameters("m=19456,t=1,p=1")));
        assert!(
            weaker(&with_parameters("m=7168,t=5,p=1")),
            "Keycloak's default"
        );
        assert!(weaker(&with_parameters("m=8192,t=10,p=1")), "less memory");
        assert!(weaker(&format!(
            "$argon2i$v=19$m=65536,t=3,p=1${SALT}${OUTPUT}"
        )));
        assert!(weaker(&format!(
            "$argon2id$v=16$m=65536,t=3,p=1${SALT}${OUTPUT}"
        )));
        assert!(weaker(&format!(
            "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHQ${OUTPUT}"
        )));
    }
}
