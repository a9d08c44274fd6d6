//! Whose password it is: the words that somebody who knows the person would try first.

use std::cmp::Reverse;

use super::super::{Password, fold};

/// The product's own name, which every installation has in common.
const PRODUCT: &str = "vestibule";
/// Shorter words are in every passphrase by chance.
const SHORTEST_WORD: usize = 3;

/// Whose password is judged, and where.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The user name.
    pub username: &'a str,
    /// The e-mail address.
    pub email: Option<&'a str>,
    /// The first name.
    pub first_name: Option<&'a str>,
    /// The last name.
    pub last_name: Option<&'a str>,
    /// The realm's name.
    pub realm: &'a str,
}

impl Context<'_> {
    /// User name, mail local part, names, realm and product, whole and in parts, in lower
    /// case, longest first.
    pub(in super::super) fn words(&self) -> Vec<String> {
        let local_part = self
            .email
            .map(|email| email.rsplit_once('@').map_or(email, |(local, _)| local));
        let sources = [
            Some(self.username),
            local_part,
            self.first_name,
            self.last_name,
            Some(self.realm),
            Some(PRODUCT),
        ];
        let mut words = Vec::new();
        for source in sources.into_iter().flatten() {
            let source = fold(source.trim());
            words.push(source.to_string());
            words.extend(
                source
                    .split(|c: char| !c.is_alphanumeric())
                    .map(str::to_owned),
            );
        }
        words.retain(|word| word.chars().count() >= SHORTEST_WORD);
        words.sort_by_key(|word| Reverse(word.len()));
        words.dedup();
        words
    }

    /// How many characters of the candidate remain once these words are taken out.
    pub(super) fn remaining(&self, candidate: &Password) -> usize {
        let folded = candidate.folded();
        let mut pieces = vec![folded.as_str()];
        for word in self.words() {
            pieces = pieces
                .iter()
                .flat_map(|piece| piece.split(word.as_str()))
                .collect();
        }
        pieces.iter().map(|piece| piece.chars().count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JO: Context<'_> = Context {
        username: "jo.ann-smith",
        email: Some("JSmith+home@example.org"),
        first_name: Some("Jo"),
        last_name: Some("\u{c5}ngstr\u{f6}m"),
        realm: "city",
    };

    fn remaining(typed: &str) -> usize {
        JO.remaining(&Password::parse(typed).unwrap())
    }

    #[test]
    fn words_come_whole_and_in_parts_longest_first() {
        assert_eq!(
            JO.words(),
            [
                "jo.ann-smith",
                "jsmith+home",
                "\u{e5}ngstr\u{f6}m",
                "vestibule",
                "jsmith",
                "smith",
                "home",
                "city",
                "ann",
            ]
        );
    }

    #[test]
    fn words_are_taken_out_wherever_and_however_they_are_written() {
        assert_eq!(remaining("jo.ann-smith"), 0);
        assert_eq!(remaining("SmithANNcity99"), 2);
        assert_eq!(remaining("A\u{30a}ngstro\u{308}m!!"), 2, "decomposed");
        assert_eq!(remaining("jojo"), 4, "two letters are nobody's secret");
        assert_eq!(
            remaining("smiannth"),
            5,
            "what is left does not join to new words"
        );
        assert_eq!(
            remaining("example.org"),
            11,
            "the mail domain is not the person's"
        );
    }
}
