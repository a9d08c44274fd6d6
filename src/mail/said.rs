//! What a mail server said, for those who are not to read whom a mail went to or what it says.

/// A word longer than this is none: an address of the web, a token.
const LONGEST: usize = 40;

/// Stands in the place of what was left out.
const LEFT_OUT: char = '…';

/// The words without addresses, without the name before the recipient's `@`, and without whatever is too long to be a
/// word: servers repeat what displeases them.
pub fn impersonal(words: &str, recipient: &str) -> String {
    let name = recipient.rsplit_once('@').map_or("", |(name, _)| name);
    let mut said = String::with_capacity(words.len());
    for piece in words.split_inclusive(separates) {
        let word = piece.trim_end_matches(separates);
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let tells = word.contains('@')
            || word.contains("//")
            || word.chars().count() > LONGEST
            || (!name.is_empty() && (same(word, name) || same(bare, name)));
        if tells {
            said.push(LEFT_OUT);
        } else {
            said.push_str(word);
        }
        said.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    said
}

/// What stands between words.
fn separates(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '<' | '>' | '(' | ')' | '[' | ']' | '"' | '\'' | '=' | ':' | ';' | ','
        )
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_tells_whom_a_mail_went_to() {
        for (words, said) in [
            (
                "550 5.1.1 <bob@people.example>: Recipient address rejected",
                "550 5.1.1 <…>: Recipient address rejected",
            ),
            ("550 5.1.1 Bob... User unknown", "550 5.1.1 … User unknown"),
            (
                "554 user 'bob' (BOB@PEOPLE.EXAMPLE) is gone",
                "554 user '…' (…) is gone",
            ),
            ("5.1.1 smtp;550 rcpt=bob", "5.1.1 smtp;550 rcpt=…"),
            ("550 bobsled is no name", "550 bobsled is no name"),
        ] {
            assert_eq!(impersonal(words, "bob@people.example"), said);
        }
    }

    #[test]
    fn nothing_tells_what_a_mail_says() {
        let url =
            "https://id.example/realms/t1/login-actions/link/AbCd-0123456789_AbCd-0123456789_AbCd";
        for words in [
            format!("554 5.7.1 blocked URL {url} found"),
            format!("554 5.7.1 blocked URL <{url}> found"),
            "554 5.7.1 blocked AbCd-0123456789_AbCd-0123456789_AbCd-0123456789 found".to_owned(),
        ] {
            let said = impersonal(&words, "bob@people.example");
            assert!(!said.contains("AbCd"), "{said}");
            assert!(said.contains("554 5.7.1 blocked"), "{said}");
        }
    }

    #[test]
    fn a_recipient_that_is_no_address_hides_nothing_else() {
        assert_eq!(impersonal("550 no such user", ""), "550 no such user");
    }
}
