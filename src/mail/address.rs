//! Addresses and names on their way into headers and commands.
//!
//! Invariant: what comes out holds no control character, line separator or mark that reorders text, so no name and
//! no address can add a header, a recipient or a command (threat V055).

use lettre::Address;
use lettre::message::Mailbox;

/// The longest path of SMTP without its brackets (RFC 5321 section 4.5.3.1.3).
const LONGEST_ADDRESS: usize = 254;

/// The longest name of a person, realm or app that a mail shows, in characters.
const LONGEST_NAME: usize = 100;

/// One plain address: no quoting, comments or lists. Its bytes stay what they are, except that a domain in Unicode
/// is written in ASCII (RFC 5891) where the rest is, so that every server can take it.
pub fn parse(text: &str) -> Option<Address> {
    let odd = |c: char| {
        hidden(c)
            || c.is_whitespace()
            || matches!(
                c,
                '"' | '(' | ')' | '<' | '>' | ',' | ';' | ':' | '\\' | '[' | ']'
            )
    };
    let (local, domain) = text.rsplit_once('@')?;
    if text.len() > LONGEST_ADDRESS || text.chars().any(odd) || local.contains('@') {
        return None;
    }
    let address: Address = text.parse().ok()?;
    if !local.is_ascii() || domain.is_ascii() {
        return Some(address);
    }
    match url::Host::parse(domain).ok()? {
        url::Host::Domain(ascii) => Address::new(local, ascii).ok(),
        url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
    }
}

/// An address with a name in front, where one is left after [`name`].
pub fn mailbox(shown: Option<&str>, address: Address) -> Mailbox {
    let shown = shown.map(name).filter(|name| !name.is_empty());
    Mailbox::new(shown, address)
}

/// A name as one short line of harmless text. An address of the web in it is no longer one that a mail program
/// makes into a link (threat V054).
pub fn name(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if breaks_line(c) { ' ' } else { c })
        .filter(|c| !hidden(*c))
        .collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    // What reads as an encoded word (RFC 2047) would be decoded by whoever reads the header, line ends and all.
    let line = unlinked(&line).replace("=?", "= ?");
    if line.chars().count() <= LONGEST_NAME {
        return line;
    }
    let cut: String = line.chars().take(LONGEST_NAME).collect();
    format!("{cut}…")
}

/// The words with every name taken apart that holds our host's and is another one's: mail programs make links of bare
/// names as well, and `OUR.HOST.elsewhere.example/login` would seem to be ours (threat V054).
pub fn not_ours(text: &str, host: &str) -> String {
    let host = host.to_ascii_lowercase();
    text.split_inclusive(char::is_whitespace)
        .map(|word| {
            if poses_as(&word.to_ascii_lowercase(), &host) {
                word.replace('.', "[.]")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

/// Whether the host's name stands in the word as a part of a longer name, or before an `@`.
fn poses_as(word: &str, host: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@' | '%' | ':');
    !host.is_empty()
        && word.match_indices(host).any(|(at, _)| {
            let (before, rest) = word.split_at(at);
            let after = rest.strip_prefix(host).unwrap_or_default();
            let before = before.chars().next_back();
            let dotted = after.strip_prefix('.').unwrap_or(after);
            before.is_some_and(|c| c.is_alphanumeric() || c == '-') || dotted.starts_with(goes_on)
        })
}

/// Somebody's words as lines of harmless text, cut at `longest` bytes.
pub fn lines(text: &str, longest: usize) -> Vec<String> {
    let end = (0..=longest.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let (kept, cut) = text.split_at(end);
    let kept = kept.replace("\r\n", "\n");
    let mut lines: Vec<String> = kept
        .split(breaks_line)
        .map(|line| {
            let clean: String = line.chars().filter(|c| !hidden(*c)).collect();
            unlinked(clean.trim_end())
        })
        .collect();
    if !cut.is_empty() {
        lines.push("…".to_owned());
    }
    lines
}

fn unlinked(text: &str) -> String {
    text.replace("://", ": //")
}

fn breaks_line(c: char) -> bool {
    matches!(
        c,
        '\r' | '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Characters that nobody sees and that change how others are read.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_bytes_or_is_none() {
        for plain in [
            "bob@example.org",
            "Bob+Tag@example.org",
            "-oQ@example.org",
            "o'neil@example.org",
        ] {
            assert_eq!(parse(plain).unwrap().as_ref() as &str, plain);
        }
        assert_eq!(
            parse("jo@bücher.example").unwrap().as_ref() as &str,
            "jo@xn--bcher-kva.example"
        );
        let long = format!("{}@example.org", "a".repeat(250));
        for bad in [
            "",
            "bob",
            "@example.org",
            "bob@",
            "bob@example.org\r\nRCPT TO:<eve@evil.example>",
            "bob@example.org\n",
            "bob\u{2028}@example.org",
            "bob@example.org,eve@evil.example",
            "bob@example.org> SIZE=1",
            "<bob@example.org>",
            "\"a b\"@example.org",
            "\"a>\\r\\n\"@example.org",
            "bob(comment)@example.org",
            "eve@evil.example@example.org",
            "bob@[127.0.0.1]",
            " bob@example.org",
            &long,
        ] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(
            name("  Bob\r\nBcc: eve@evil.example "),
            "Bob Bcc: eve@evil.example"
        );
        assert_eq!(name("Sh\u{202e}op\u{200b}\0"), "Shop");
        assert_eq!(
            name("Shop https://evil.example"),
            "Shop https: //evil.example"
        );
        assert_eq!(
            name("=?utf-8?Q?=0D=0ABcc:_eve@evil.example?="),
            "= ?utf-8?Q?=0D=0ABcc:_eve@evil.example?="
        );
        assert_eq!(name("\u{2028}\t"), "");
        assert_eq!(name(&"ä".repeat(500)).chars().count(), LONGEST_NAME + 1);
    }

    #[test]
    fn a_name_of_a_host_like_ours_is_no_link() {
        for (said, shown) in [
            (
                "see id.school.example.evil.example/login now",
                "see id[.]school[.]example[.]evil[.]example/login now",
            ),
            (
                "ID.School.Example@evil.example",
                "ID[.]School[.]Example@evil[.]example",
            ),
            ("evil-id.school.example", "evil-id[.]school[.]example"),
            // What leads to us, or has nothing to do with us, stays as it was written.
            ("at id.school.example.", "at id.school.example."),
            ("bob@id.school.example", "bob@id.school.example"),
            ("id.school.example/account", "id.school.example/account"),
            ("other.example is fine", "other.example is fine"),
            ("", ""),
        ] {
            assert_eq!(not_ours(said, "id.school.example"), shown);
        }
        assert_eq!(not_ours("a.b", ""), "a.b");
    }

    #[test]
    fn words_are_cut_at_a_character() {
        assert_eq!(lines("a\r\nb\rc\u{2028}d", 100), ["a", "b", "c", "d"]);
        assert_eq!(lines("äää", 3), ["ä", "…"]);
        assert_eq!(lines("", 3), [""]);
        assert_eq!(lines("x\n.\ny", 100), ["x", ".", "y"]);
    }
}
