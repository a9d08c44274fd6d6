//! `regexPattern`: an administrator's regular expression, written for Java.
//!
//! Matched in linear time by the `regex` crate, so no pattern can hang the server. Java's
//! spellings that differ are translated; a pattern matches as a whole, as Java's does. The
//! look-aheads with which password patterns usually begin (`^(?=.*[0-9])(?!.*\s).{8,}$`) are
//! taken off and tried on their own, which means the same; look-around anywhere else, and
//! back-references, are refused with the reason.

use regex::{Regex, RegexBuilder};

/// Enough for any sensible pattern, and little enough for any machine.
const MAXIMUM_COMPILED_BYTES: usize = 1 << 20;

/// A parsed pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    whole: Regex,
    ahead: Vec<LookAhead>,
}

#[derive(Debug, Clone)]
struct LookAhead {
    expected: bool,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source
    }
}

impl Pattern {
    /// Reads a Java pattern; the error is a reason in English.
    pub fn parse(source: &str) -> Result<Pattern, String> {
        let mut rest = source.strip_prefix('^').unwrap_or(source);
        let mut ahead = Vec::new();
        while let Some((expected, body, after)) = split_look_ahead(rest) {
            ahead.push(LookAhead {
                expected,
                regex: compile(body, "")?,
            });
            rest = after;
        }
        if !ahead.is_empty() && alternates(rest) {
            // The look-aheads would belong to the first alternative only.
            return Err(
                "look-ahead beside a top-level | is not supported; put the alternatives in (?: )"
                    .to_owned(),
            );
        }
        let whole = compile(rest, r"\z")?;
        Ok(Pattern {
            source: source.to_owned(),
            whole,
            ahead,
        })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.ahead
            .iter()
            .all(|ahead| ahead.regex.is_match(text) == ahead.expected)
            && self.whole.is_match(text)
    }
}

fn compile(java: &str, end: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!(r"\A(?:{}){end}", translate(java)))
        .size_limit(MAXIMUM_COMPILED_BYTES)
        .build()
        .map_err(|error| reason(&error))
}

/// The last line of the crate's report; those before draw the pattern.
fn reason(error: &regex::Error) -> String {
    let report = error.to_string();
    let last = report.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// Takes a look-ahead off the front: whether it is positive, its body, and what follows.
fn split_look_ahead(pattern: &str) -> Option<(bool, &str, &str)> {
    let (expected, inside) = match (pattern.strip_prefix("(?="), pattern.strip_prefix("(?!")) {
        (Some(inside), _) => (true, inside),
        (None, Some(inside)) => (false, inside),
        (None, None) => return None,
    };
    let (end, _) = structure(inside).find(|(_, token)| *token == Token::Close(0))?;
    let (body, rest) = inside.split_at_checked(end)?;
    Some((expected, body, rest.strip_prefix(')')?))
}

fn alternates(pattern: &str) -> bool {
    structure(pattern).any(|(_, token)| token == Token::Alternation(0))
}

/// What shapes a pattern, with the number of groups around it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Close(u32),
    Alternation(u32),
}

/// The tokens outside of escapes and character classes, with their byte offsets.
fn structure(pattern: &str) -> impl Iterator<Item = (usize, Token)> {
    let (mut escaped, mut classes, mut groups) = (false, 0_u32, 0_u32);
    pattern
        .char_indices()
        .filter_map(move |(offset, character)| {
            if std::mem::take(&mut escaped) {
                return None;
            }
            match character {
                '\\' => escaped = true,
                '[' => classes += 1,
                ']' => classes = classes.saturating_sub(1),
                _ if classes > 0 => {}
                '(' => groups += 1,
                ')' => {
                    let around = groups;
                    groups = groups.saturating_sub(1);
                    return Some((offset, Token::Close(around)));
                }
                '|' => return Some((offset, Token::Alternation(groups))),
                _ => {}
            }
            None
        })
}

/// Spells a Java pattern for the `regex` crate.
fn translate(java: &str) -> String {
    let mut rust = String::with_capacity(java.len());
    let mut classes = 0_u32;
    let mut rest = java.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => translate_escape(&mut rest, &mut rust),
            '[' => {
                classes += 1;
                rust.push('[');
            }
            ']' => {
                classes = classes.saturating_sub(1);
                rust.push(']');
            }
            // In a class of the crate's, `--` and `~~` are operators; in Java's they are not.
            '-' | '~' if classes > 0 && rest.as_str().starts_with(character) => {
                rest.next();
                rust.extend([character, '\\', character]);
            }
            other => rust.push(other),
        }
    }
    rust
}

/// Java's classes are ASCII where the crate's are Unicode, and a few escapes differ.
fn translate_escape(rest: &mut std::str::Chars<'_>, rust: &mut String) {
    match rest.next() {
        Some('d') => rust.push_str("[0-9]"),
        Some('D') => rust.push_str("[^0-9]"),
        Some('w') => rust.push_str("[A-Za-z0-9_]"),
        Some('W') => rust.push_str("[^A-Za-z0-9_]"),
        Some('s') => rust.push_str(r"[ \t\n\x0B\f\r]"),
        Some('S') => rust.push_str(r"[^ \t\n\x0B\f\r]"),
        Some('Z') => rust.push_str(r"\z"),
        // Elsewhere an escaped angle bracket is itself; in the crate it is a word boundary.
        Some(literal @ ('<' | '>')) => rust.push(literal),
        Some(property @ ('p' | 'P')) => {
            let posix = rest
                .as_str()
                .strip_prefix('{')
                .and_then(|name| name.split_once('}'));
            match posix.and_then(|(name, after)| Some((posix_class(name)?, after))) {
                Some((name, after)) => {
                    let not = if property == 'P' { "^" } else { "" };
                    rust.push_str(&format!("[[:{not}{name}:]]"));
                    *rest = after.chars();
                }
                None => rust.extend(['\\', property]),
            }
        }
        Some(other) => rust.extend(['\\', other]),
        None => rust.push('\\'),
    }
}

fn posix_class(java: &str) -> Option<&'static str> {
    Some(match java {
        "Lower" => "lower",
        "Upper" => "upper",
        "ASCII" => "ascii",
        "Alpha" => "alpha",
        "Digit" => "digit",
        "Alnum" => "alnum",
        "Punct" => "punct",
        "Graph" => "graph",
        "Print" => "print",
        "Blank" => "blank",
        "Cntrl" => "cntrl",
        "XDigit" => "xdigit",
        "Space" => "space",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(text)
    }

    #[test]
    fn a_pattern_matches_as_a_whole() {
        assert!(matches("[a-z]+", "abc"));
        assert!(!matches("[a-z]+", "abc1"));
        assert!(matches("^x.*$", "xyz"));
        assert!(!matches("a|b", "ab"));
    }

    #[test]
    fn leading_look_aheads_mean_what_they_mean_in_java() {
        let pattern = r"^(?=.*[0-9])(?=.*[a-z])(?=.*[@#$%^&+=)(])(?!.*\s).{8,}$";
        assert!(matches(pattern, "tulip#93x"));
        for broken in ["tulip#xx", "93839#83", "tulip93xx", "tulip #93", "tu#93"] {
            assert!(!matches(pattern, broken), "{broken}");
        }
        assert!(matches(r"(?=(a|b)\)).*", "b)x"));
        assert!(!matches(r"(?=(a|b)\)).*", "bx)"));
    }

    #[test]
    fn javas_spellings_are_translated() {
        assert!(!matches(r"\d", "\u{663}"), "Java's digits are ASCII");
        assert!(!matches(r"\w", "\u{e9}"));
        assert!(matches(r"[^\w]", "\u{e9}"));
        assert!(matches(r"\W\D\S", "\u{e9}\u{e9}\u{e9}"));
        assert!(matches(r"\p{Punct}+", "$+<=>^`|~!"));
        assert!(matches(r"[\p{Upper}\p{Digit}]+", "A1"));
        assert!(matches(r"\P{Punct}", "a"));
        assert!(matches(r"\p{Lu}\p{L}+", "\u{c9}mile"));
        assert!(matches(r"\<\>\-\/\@\Z", "<>-/@"));
        assert!(matches(r"[!--]+", "#$-"), "a range up to the hyphen");
        assert!(!matches(r"[!--]+", "."));
        assert!(matches(r"[~~]", "~"));
        assert!(matches(r"[a-z&&[^b]]", "c"));
        assert!(!matches(r"[a-z&&[^b]]", "b"));
    }

    #[test]
    fn what_cannot_be_translated_is_refused_with_a_reason() {
        for (pattern, word) in [
            (r".*(?=a).*", "look-around"),
            (r"(?<=a)b", "look-around"),
            (r"(a)\1", "backreferences"),
            (r"[a", "unclosed"),
            (r"(?=a)b|c", "alternatives"),
            (r"\p{javaLowerCase}", "property"),
            (r"((((a{100}){100}){100}){100})", "size"),
        ] {
            let reason = Pattern::parse(pattern).unwrap_err();
            assert!(reason.contains(word), "{pattern}: {reason}");
            assert!(!reason.contains('\n'));
        }
    }

    #[test]
    fn a_pattern_that_hangs_java_does_not_hang_here() {
        assert!(!matches("(a+)+b", &"a".repeat(1024)));
    }
}
