//! Advice on a candidate password: a hint for the page, never a refusal.
//!
//! `zxcvbn` says how the password would be guessed; this file turns that into one key that the
//! page translates. It looks at the first 100 characters only, so that a long input costs
//! milliseconds at most; still, call it off the async threads or for one person at a time.

use zxcvbn::feedback::{Suggestion, Warning};

use super::{Context, Password};

/// What would make the password harder to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Keys that lie in a row.
    Keyboard,
    /// The same characters or words again.
    Repeats,
    /// Among the most used, or close to one.
    Common,
    /// Counting, or the alphabet.
    Sequence,
    /// A year or a date.
    Dates,
    /// One word alone.
    SingleWord,
    /// A name, or something else about the person.
    Names,
    /// Nothing in particular; more words would help.
    AddWords,
}

impl Advice {
    /// The message key of the hint.
    pub fn key(self) -> &'static str {
        match self {
            Advice::Keyboard => "password-advice-keyboard",
            Advice::Repeats => "password-advice-repeats",
            Advice::Common => "password-advice-common",
            Advice::Sequence => "password-advice-sequence",
            Advice::Dates => "password-advice-dates",
            Advice::SingleWord => "password-advice-single-word",
            Advice::Names => "password-advice-names",
            Advice::AddWords => "password-advice-add-words",
        }
    }
}

/// A hint where the password would be guessed soon, `None` where it is good.
pub fn advice(candidate: &Password, context: &Context<'_>) -> Option<Advice> {
    let words = context.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let estimate = zxcvbn::zxcvbn(candidate.expose(), &words);
    let feedback = estimate.feedback()?;
    let advice = match feedback.warning() {
        Some(
            Warning::StraightRowsOfKeysAreEasyToGuess
            | Warning::ShortKeyboardPatternsAreEasyToGuess,
        ) => Advice::Keyboard,
        Some(
            Warning::RepeatsLikeAaaAreEasyToGuess
            | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess,
        ) => Advice::Repeats,
        Some(
            Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
            | Warning::ThisIsSimilarToACommonlyUsedPassword,
        ) => Advice::Common,
        Some(Warning::SequencesLikeAbcAreEasyToGuess) => Advice::Sequence,
        Some(Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess) => {
            Advice::Dates
        }
        Some(Warning::AWordByItselfIsEasyToGuess) => Advice::SingleWord,
        Some(
            Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
            | Warning::CommonNamesAndSurnamesAreEasyToGuess,
        ) => Advice::Names,
        None if feedback
            .suggestions()
            .contains(&Suggestion::AvoidRepeatedWordsAndCharacters) =>
        {
            Advice::Repeats
        }
        None => Advice::AddWords,
    };
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advised(typed: &str) -> Option<Advice> {
        let context = Context {
            username: "hedwig.rosen",
            email: Some("hedwig.rosen@example.org"),
            first_name: Some("Hedwig"),
            last_name: Some("Rosen"),
            realm: "harbour",
        };
        advice(&Password::parse(typed).unwrap(), &context)
    }

    #[test]
    fn weak_passwords_get_a_hint_that_fits() {
        assert_eq!(advised("password"), Some(Advice::Common));
        assert_eq!(advised("aaaaaaaaaaaa"), Some(Advice::Repeats));
        assert_eq!(advised("zxcvbhjkl"), Some(Advice::Keyboard));
        assert_eq!(advised("abcdefghijkl"), Some(Advice::Sequence));
        assert_eq!(advised("12.10.1987"), Some(Advice::Dates));
        assert!(advised("hedwigrosen").is_some());
    }

    #[test]
    fn a_good_passphrase_gets_none() {
        assert_eq!(advised("cedar-lunar-mug-onion-wheat"), None);
    }

    #[test]
    fn the_longest_password_is_answered_in_time() {
        let started = std::time::Instant::now();
        let _ = advised(&"aB3$".repeat(256));
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }
}
