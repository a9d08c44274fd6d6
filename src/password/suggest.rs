//! A suggested passphrase: a few short words, easier to type than to guess.
//!
//! Shown beside the field where a person sets a password; never stored. The words are EFF's
//! first short list (NOTICE), without its one hyphenated word, because hyphens join them.

const WORDS: &str = include_str!("words.txt");
/// Five of 1,295 words are 51.6 bits.
const COUNT: usize = 5;

/// Draws a passphrase such as `cedar-lunar-mug-onion-wheat`, of 19 characters or more and
/// 51 bits: `suggest(|out| entropy.fill(out))`.
pub fn suggest<F: Fn(&mut [u8])>(fill: F) -> String {
    let words: Vec<&str> = WORDS.lines().collect();
    let drawn: Vec<&str> = (0..COUNT)
        .filter_map(|_| {
            let mut random = [0; 8];
            fill(&mut random);
            // The upper half of the product is uniform over the list to within 2^-53.
            let index = (u128::from(u64::from_le_bytes(random)) * words.len() as u128) >> 64;
            words.get(index as usize).copied()
        })
        .collect();
    drawn.join("-")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_list_is_large_and_plain_enough() {
        let words: HashSet<&str> = WORDS.lines().collect();
        assert_eq!(words.len(), WORDS.lines().count(), "no word twice");
        assert!(words.iter().all(|word| (3..=5).contains(&word.len())));
        assert!(
            words
                .iter()
                .all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        );
        assert!((words.len() as f64).log2() * COUNT as f64 >= 51.0);
    }

    #[test]
    fn the_bounds_of_randomness_are_the_ends_of_the_list() {
        assert_eq!(suggest(|out| out.fill(0)), "acid-acid-acid-acid-acid");
        assert_eq!(suggest(|out| out.fill(0xff)), "zoom-zoom-zoom-zoom-zoom");
    }

    #[test]
    fn suggestions_are_long_and_differ() {
        // Weyl's sequence is random enough to see that every draw is used.
        let state = Cell::new(1_u64);
        let fill = |out: &mut [u8]| {
            state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            out.copy_from_slice(&state.get().to_le_bytes());
        };
        let suggestions: HashSet<String> = (0..500).map(|_| suggest(fill)).collect();
        assert_eq!(suggestions.len(), 500);
        for suggestion in suggestions {
            assert!(suggestion.len() >= 19, "{suggestion}");
            assert_eq!(suggestion.split('-').count(), 5);
        }
    }
}
