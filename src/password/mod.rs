//! Passwords: the typed secret, how it is hashed, and what a new one must be.
//!
//! Owns everything about a password that needs no database: [`Password`] is what a person
//! typed, [`PasswordHash`] what is stored, [`Hasher`] the bounded Argon2id pool between the
//! two, [`PasswordPolicy`] the rules for a new one. The user module stores hashes and
//! history; login, the gate's `UPDATE_PASSWORD`, links, imports and the admin API call here.
//!
//! Invariants: no plain password is ever printed, serialised, cut or compared in a way that
//! tells how much of it was right; no password is hashed outside the pool (NIST SP 800-63B-4
//! section 3.1.1.2, OWASP ASVS 5.0 section 6.2).

mod advice;
mod common;
mod hash;
mod hasher;
mod memory;
pub mod policy;
mod queue;
mod suggest;

pub use advice::{Advice, advice};
pub use common::is_common;
pub use hash::{HashFormatError, PasswordHash, Salt};
pub use hasher::{Hasher, HasherConfig, HasherConfigError, Load, Verdict};
pub use policy::{Context, Origin, PasswordPolicy, PolicyError, Rule};
pub use queue::Busy;
pub use suggest::suggest;

use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::Zeroizing;

/// The longest password, in characters (Unicode code points) after normalisation.
pub const MAXIMUM_CHARACTERS: usize = 1024;

/// The longest input worth normalising, in bytes: 1,024 characters of four bytes each, and
/// each written as up to four code points before normalisation. More cannot fit the cap.
const MAXIMUM_INPUT_BYTES: usize = MAXIMUM_CHARACTERS * 4 * 4;

/// A plain password in Unicode NFC, wiped from memory when dropped.
///
/// Nothing is cut off and every character counts: spaces at the ends, case, and NUL. It has
/// no `Debug`, `Display`, `Serialize` or `PartialEq`, so it cannot be printed or compared by
/// accident:
///
/// ```
/// let password = vestibule::password::Password::parse("correct horse")?;
/// drop(password.clone());
/// # Ok::<(), vestibule::password::PasswordError>(())
/// ```
///
/// ```compile_fail,E0277
/// let password = vestibule::password::Password::parse("correct horse")?;
/// println!("{password:?}");
/// # Ok::<(), vestibule::password::PasswordError>(())
/// ```
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Why a text cannot be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing was typed.
    #[error("the password is empty")]
    Empty,
    /// More than [`MAXIMUM_CHARACTERS`] characters.
    #[error("the password is longer than {MAXIMUM_CHARACTERS} characters")]
    TooLong,
}

impl Password {
    /// Reads a typed password and brings it into NFC, so that the same characters typed on
    /// different keyboards are the same password.
    pub fn parse(typed: &str) -> Result<Password, PasswordError> {
        if typed.is_empty() {
            return Err(PasswordError::Empty);
        }
        if typed.len() > MAXIMUM_INPUT_BYTES {
            return Err(PasswordError::TooLong);
        }
        let normalised = Password(compose(typed));
        if normalised.characters() > MAXIMUM_CHARACTERS {
            return Err(PasswordError::TooLong);
        }
        Ok(normalised)
    }

    /// Reads what somebody typed to sign in. A text that cannot be a password becomes one that
    /// matches nothing, so that an empty or endless attempt costs as much time as a wrong one.
    pub fn attempt(typed: &str) -> Password {
        Password::parse(typed).unwrap_or_else(|_| Password(Zeroizing::new(String::new())))
    }

    /// The plain text, for those who must hand it on (a directory bind); never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the person typed the same password twice. Takes equal time for equal lengths.
    pub fn agrees_with(&self, confirmation: &Password) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(
            self.0.as_bytes(),
            confirmation.0.as_bytes(),
        )
        .is_ok()
    }

    /// The passwords this one may be a trivial change of: other case, other spaces, or both at once, so that `summer`
    /// does not become `Summer `. Of the old password only the hash is left, so a forced change verifies each of these
    /// against it: four spacings (as typed, trimmed, single spaces, none), each in six casings (as typed, lower, upper,
    /// the first letter switched, the first letter alone a capital, each word with a capital).
    ///
    /// This password itself is not among them, and none is there twice. Each costs one verification, 16 ms with the
    /// default Argon2id: six for a few words in lower case with single spaces, 22 at most.
    pub fn slight_changes(&self) -> Vec<Password> {
        let text: &str = &self.0;
        let words: Vec<&str> = text.split_whitespace().collect();
        let (joined, bare) = (
            Zeroizing::new(words.join(" ")),
            Zeroizing::new(words.concat()),
        );
        let mut changes: Vec<Password> = Vec::new();
        for change in [text, text.trim(), joined.as_str(), bare.as_str()]
            .into_iter()
            .flat_map(casings)
        {
            let known = *change == *text || changes.iter().any(|other| *other.0 == *change);
            if !known && let Ok(password) = Password::parse(&change) {
                changes.push(password);
            }
        }
        changes
    }

    /// Length in characters, as NIST SP 800-63B-4 counts them: one code point, one character.
    fn characters(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether this is an attempt that can match nothing.
    fn is_unusable(&self) -> bool {
        self.0.is_empty()
    }

    /// The text in lower case and NFC, as lists and names are compared.
    fn folded(&self) -> Zeroizing<String> {
        fold(&self.0)
    }
}

/// Brings a text into NFC.
fn compose(text: &str) -> Zeroizing<String> {
    if is_nfc(text) {
        return Zeroizing::new(text.to_owned());
    }
    // Room for the worst growth of NFC (threefold), so that no half-built copy is left behind
    // unwiped by a reallocation.
    let mut composed = Zeroizing::new(String::with_capacity(text.len() * 3));
    composed.extend(text.nfc());
    composed
}

/// Lower case and NFC: how passwords and the words they are compared with are brought together.
fn fold(text: &str) -> Zeroizing<String> {
    compose(&Zeroizing::new(text.to_lowercase()))
}

/// The casings in which people write the same words.
fn casings(text: &str) -> [Zeroizing<String>; 6] {
    let lower = Zeroizing::new(text.to_lowercase());
    [
        Zeroizing::new(text.to_owned()),
        Zeroizing::new(text.to_uppercase()),
        switched_at(text, |first, _| first),
        switched_at(&lower, |first, _| first),
        switched_at(&lower, |_, of_word| of_word),
        lower,
    ]
}

/// The text with the letters in other case at which `is_switched` says so: whether it is the first letter of all, and
/// whether it is the first of its word.
fn switched_at(text: &str, is_switched: impl Fn(bool, bool) -> bool) -> Zeroizing<String> {
    // Room for the worst growth, so that no half-built copy is left behind unwiped by a reallocation.
    let mut switched = Zeroizing::new(String::with_capacity(text.len() * 3));
    let (mut first, mut of_word) = (true, true);
    for letter in text.chars() {
        let is_space = letter.is_whitespace();
        match !is_space && is_switched(first, of_word) {
            true if letter.is_uppercase() => switched.extend(letter.to_lowercase()),
            true => switched.extend(letter.to_uppercase()),
            false => switched.push(letter),
        }
        first &= is_space;
        of_word = is_space;
    }
    switched
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(typed: &str) -> Password {
        Password::parse(typed).unwrap()
    }

    #[test]
    fn nothing_and_too_much_are_different_errors() {
        assert_eq!(Password::parse("").err(), Some(PasswordError::Empty));
        assert_eq!(
            Password::parse(&"a".repeat(1025)).err(),
            Some(PasswordError::TooLong)
        );
        assert!(Password::parse(&"a".repeat(1024)).is_ok());
        assert!(Password::parse(" ").is_ok(), "a space is a character");
    }

    #[test]
    fn the_cap_counts_characters_after_normalisation() {
        assert!(
            Password::parse(&"\u{1F511}".repeat(1024)).is_ok(),
            "four bytes each"
        );
        assert!(
            Password::parse(&"e\u{301}".repeat(1024)).is_ok(),
            "two code points each before"
        );
        assert_eq!(
            Password::parse(&"e\u{301}".repeat(1025)).err(),
            Some(PasswordError::TooLong)
        );
        assert_eq!(
            Password::parse(&"a".repeat(MAXIMUM_INPUT_BYTES + 1)).err(),
            Some(PasswordError::TooLong)
        );
    }

    #[test]
    fn composed_and_decomposed_spellings_are_one_password() {
        assert!(password("caf\u{e9}").agrees_with(&password("cafe\u{301}")));
        assert_eq!(password("cafe\u{301}").expose(), "caf\u{e9}");
    }

    #[test]
    fn every_character_counts() {
        assert!(!password("secret").agrees_with(&password("Secret")));
        assert!(!password("secret").agrees_with(&password("secret ")));
        assert!(!password("a\0b").agrees_with(&password("a")));
        assert_eq!(password("a\0b").expose(), "a\0b");
    }

    #[test]
    fn an_attempt_always_yields_something_to_verify() {
        assert!(Password::attempt("").is_unusable());
        assert!(Password::attempt(&"a".repeat(5000)).is_unusable());
        assert!(!Password::attempt("secret").is_unusable());
    }

    #[test]
    fn slight_changes_lead_back_to_the_old_password() {
        let leads = |new: &str, old: &str| {
            password(new)
                .slight_changes()
                .iter()
                .any(|change| change.expose() == old)
        };
        assert!(leads("Summer rain", "summer rain"));
        assert!(leads("summer rain", "Summer rain"));
        assert!(leads("summer rain", "SUMMER RAIN"));
        assert!(leads("SUMMER RAIN", "Summer rain"));
        assert!(leads(" summer  rain ", "summer rain"));
        assert!(leads("summer rain", "summerrain"));
        for (old, new) in [
            ("summer days are long", "Summer days are long "),
            ("Summer Days Are Long", "summer days are long  "),
            ("summer days are long", "SUMMER  DAYS ARE LONG"),
            ("quiet harbour at noon", "Quiet harbour at noon "),
            ("quietharbouratnoon", "Quiet Harbour At Noon"),
            (" Summer rain", " summer rain"),
            ("summer  rain", "Summer  rain\u{a0}"),
        ] {
            assert!(leads(new, old), "{old:?} -> {new:?}");
        }
        assert!(
            !leads("summer rain", "summer rain"),
            "itself is the caller's own check"
        );
        assert!(!leads("summer rain", "winter rain"));
    }

    #[test]
    fn slight_changes_are_few_and_none_is_there_twice() {
        let count = |new: &str| {
            let changes = password(new).slight_changes();
            let mut texts: Vec<&str> = changes.iter().map(Password::expose).collect();
            assert!(!texts.contains(&new), "{new:?} itself");
            texts.sort_unstable();
            texts.dedup();
            assert_eq!(texts.len(), changes.len(), "{new:?}");
            changes.len()
        };
        assert_eq!(count("quiet harbour at noon"), 6);
        assert_eq!(count("1234 5678"), 1, "no letters");
        assert_eq!(count(" qUiet  harbour "), 22, "the most there can be");
        assert_eq!(count(" "), 0, "what is empty is no password");
    }
}
