//! User names and mail addresses: parsed at the edge, compared by one key.
//!
//! Invariant: two names with the same [`name_key`] are the same name, whatever their case or Unicode form, so
//! uniqueness, sign-in and lockout all go by the key (threats V122, V156).

use unicode_normalization::UnicodeNormalization as _;

/// The longest user name and address, in characters.
const MAX: usize = 255;
/// The longest key of one, in bytes: a single character can fold to eighteen, and an index holds no such names.
const LONGEST_KEY: usize = 4 * MAX;

/// Why a name or address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More than 255 characters.
    #[error("must not be longer than 255 characters")]
    TooLong,
    /// Control characters or characters that change how others are read.
    #[error("contains characters that cannot be used")]
    Characters,
    /// Not one address of the form `local@domain`.
    #[error("is not a valid e-mail address")]
    NotAnAddress,
}

/// The form in which names are compared: NFKC, case folded, trimmed. The domain of an address is compared as the name
/// servers know it (RFC 5891), for `bücher.example` and `xn--bcher-kva.example` take the same mail; what is stored and
/// shown is what was typed.
pub fn name_key(text: &str) -> String {
    let text = text.trim();
    // ASCII is its own NFKC form; most names are plain, and an import asks for hundreds of thousands.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    if let Some((local, domain)) = text
        .rsplit_once('@')
        .filter(|(_, domain)| !domain.is_ascii())
        && let Ok(url::Host::Domain(known)) = url::Host::parse(domain)
    {
        return format!("{}@{known}", folded(local));
    }
    folded(text)
}

fn folded(text: &str) -> String {
    let folded = caseless::default_case_fold_str(&text.nfkc().collect::<String>());
    folded.nfkc().collect::<String>().trim().to_owned()
}

fn clean(text: &str) -> Result<&str, NameError> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    // Looked for before trimming, which would take some of them away at the ends.
    if text.chars().any(hidden) {
        return Err(NameError::Characters);
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.chars().count() > MAX || name_key(text).len() > LONGEST_KEY {
        return Err(NameError::TooLong);
    }
    Ok(text)
}

/// A user name as it is stored: trimmed and in lower case, as Keycloak keeps them.
///
/// # Errors
/// The name is empty, too long or has hidden characters.
pub fn parse_username(text: &str) -> Result<String, NameError> {
    let name = clean(text)?;
    if name
        .chars()
        .any(|c| matches!(c, '<' | '>' | '"' | '&' | '\\'))
    {
        return Err(NameError::Characters);
    }
    Ok(name.to_lowercase())
}

/// One mail address: a single ASCII `@`, no quoting, comments or lists; the domain in lower case.
///
/// # Errors
/// The text is not one plain address.
pub fn parse_email(text: &str) -> Result<String, NameError> {
    let text = clean(text)?;
    let (local, domain) = text.rsplit_once('@').ok_or(NameError::NotAnAddress)?;
    let odd = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '(' | ')' | '<' | '>' | ',' | ';' | ':' | '\\' | '[' | ']' | '@' | '%'
            )
    };
    let lookalike = text.chars().any(|c| matches!(c, '＠' | '﹫'));
    let valid = email_address::EmailAddress::is_valid(text);
    if local.chars().any(odd)
        || local.starts_with('-')
        || domain.chars().any(odd)
        || lookalike
        || !valid
    {
        return Err(NameError::NotAnAddress);
    }
    let labels_fine = domain
        .split('.')
        .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    if !labels_fine {
        return Err(NameError::NotAnAddress);
    }
    Ok(format!("{local}@{}", domain.to_lowercase()))
}

/// An address that says whose it is to its owner and to nobody else: `a•••@people.example`.
pub fn masked(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}•••@{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_one_name() {
        for (one, two) in [
            ("Alice", "alice"),
            ("ＡＬＩＣＥ", "alice"),
            ("Straße", "STRASSE"),
            ("José", "Jose\u{301}"),
            (" bob ", "bob"),
        ] {
            assert_eq!(name_key(one), name_key(two), "{one} {two}");
            assert_eq!(name_key(&name_key(one)), name_key(one));
        }
        assert_ne!(name_key("alice"), name_key("alicia"));
    }

    /// V156: one mailbox is one name, however its domain is written.
    #[test]
    fn a_domain_is_one_in_unicode_and_in_ascii() {
        for (one, two) in [
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@BÜCHER.example", "A@XN--BCHER-KVA.EXAMPLE"),
            ("a@bu\u{308}cher.example", "a@bücher.example"),
            ("a@bücher\u{3002}example", "a@bücher.example"),
            ("a@straße.example", "a@xn--strae-oqa.example"),
            ("jörg@bücher.example", "JÖRG@xn--bcher-kva.example"),
            ("ａ@ｐｅｏｐｌｅ.example", "a@people.example"),
            ("a@почта.example", "a@xn--80a1acny.example"),
        ] {
            assert_eq!(name_key(one), name_key(two), "{one} {two}");
            assert_eq!(name_key(&name_key(one)), name_key(one));
        }
        // Another domain, although its letters fold to the same ones; and another mailbox.
        assert_ne!(name_key("a@straße.example"), name_key("a@strasse.example"));
        assert_ne!(name_key("a@bücher.example"), name_key("b@bücher.example"));
        // What is no domain is compared as any name is.
        assert_eq!(name_key("josé@home é"), name_key("JOSÉ@HOME É"));
        assert_eq!(name_key("x@１２７.0.0.1"), "x@127.0.0.1");
    }

    /// V156: 550 addresses, of which only the plain ones are any, each stored as it was typed.
    #[test]
    fn of_hundreds_of_addresses_the_plain_ones_are_taken() {
        let locals = [
            "a", "Alice", "a.b", "a+tag", "o'neil", "a_b", "1", "x-y", "jörg", "a=b",
        ];
        let domains = [
            "people.example",
            "mail.people.example",
            "xn--bcher-kva.example",
            "bücher.example",
            "a-b.example",
        ];
        let mut taken = 0;
        let mut refused = 0;
        for local in locals {
            for domain in domains {
                let address = format!("{local}@{domain}");
                assert_eq!(parse_email(&address).as_deref(), Ok(address.as_str()));
                taken += 1;
                for bad in [
                    format!("{local}@evil@{domain}"),
                    format!("{local}@{domain}@"),
                    format!("{local}＠{domain}"),
                    format!("{local}﹫{domain}"),
                    format!("{local}@{domain},eve@evil.example"),
                    format!("{local}@{domain}\r\nRCPT TO:<eve@evil.example>"),
                    format!("{local}@{domain}\0"),
                    format!("\u{202e}{local}@{domain}"),
                    format!("{local}%evil.example@{domain}"),
                    format!("{local} @{domain}"),
                ] {
                    assert!(parse_email(&bad).is_err(), "{bad:?}");
                    refused += 1;
                }
            }
        }
        assert_eq!((taken, refused), (50, 500));
    }

    #[test]
    fn a_name_whose_key_is_out_of_all_proportion_is_too_long() {
        assert_eq!(parse_username(&"a".repeat(255)), Ok("a".repeat(255)));
        assert!(parse_username(&"\u{1F98A}".repeat(255)).is_ok());
        assert_eq!(parse_username(&"a".repeat(256)), Err(NameError::TooLong));
        let folds_to_eighteen = "\u{fdfa}";
        assert_eq!(
            parse_username(&folds_to_eighteen.repeat(255)),
            Err(NameError::TooLong)
        );
    }

    #[test]
    fn only_plain_addresses_are_addresses() {
        assert_eq!(
            parse_email("Alice@People.Example").as_deref(),
            Ok("Alice@people.example")
        );
        assert!(parse_email("a+b.c@people.example").is_ok());
        for bad in [
            "",
            "a",
            "a@",
            "@b.example",
            "a@evil@corp.example",
            "a b@c.example",
            "a@c.example,b@d.example",
            "\"a\"@b.example",
            "a(x)@b.example",
            "a@b.example\r\nBcc: x@y.example",
            "a＠b.example",
            "a@-b.example",
            "a@b..example",
            "-oQ@b.example",
            "a@b.example\u{2028}",
            "a%b@c.example",
            "a@[127.0.0.1]",
        ] {
            assert!(parse_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn user_names_keep_out_what_hides() {
        assert_eq!(parse_username(" Alice ").as_deref(), Ok("alice"));
        for bad in ["", "  ", "a\u{202e}b", "a\nb", "<b>", &"x".repeat(256)] {
            assert!(parse_username(bad).is_err(), "{bad}");
        }
    }
}
