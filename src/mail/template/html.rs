//! What the HTML part of a template may be: elements and attributes of a short list, none of which a program that
//! reads the mail fetches anything by or runs (reliability H033).
//!
//! A strict reader and no parser of HTML: what browsers and mail programs might each read in a way of their own is
//! refused. Values stand in text, or are the whole of an attribute that is made for them; conditions stand between
//! elements. So whatever a value is and whichever branch is taken, the mail has the shape that was checked here.

use super::syntax::{Piece, Placed, Wrong, quote};
use super::value::{Kind, Value};

/// Stands for a value or a condition in the flattened part: no template holds a control character.
const MARK: char = '\u{1}';

const ELEMENTS: &str = "html head meta title style body div span p br hr h1 h2 h3 h4 h5 h6 a table caption colgroup \
    col thead tbody tfoot tr th td ul ol li dl dt dd blockquote pre code strong b em i u s small sub sup center font \
    abbr address section header footer main article";

/// The attributes of every element.
const ATTRIBUTES: &str = "style class id lang dir title role align valign width height bgcolor color border \
    cellpadding cellspacing colspan rowspan nowrap start";

/// Those of some.
const OF_ELEMENTS: &[(&str, &str)] = &[
    ("a", "href target rel"),
    ("meta", "charset name content"),
    ("font", "face size"),
    ("col", "span"),
    ("colgroup", "span"),
    ("th", "scope"),
];

/// The most attributes of an element.
const MOST_ATTRIBUTES: usize = 32;

/// What CSS may call.
const FUNCTIONS: &str = "rgb rgba hsl hsla calc min max clamp";

/// Where a link may lead.
const SCHEMES: &[&str] = &["https://", "http://", "mailto:", "tel:"];

/// Whether a word is one of a list.
fn lists(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|one| one == word)
}

/// What a mark stands for.
#[derive(Clone, Copy)]
enum Mark {
    Value(Value),
    Open,
    Middle,
    Close,
}

/// Checks the part; answers whether it holds the link as a button or text to press, whatever its conditions say.
///
/// # Errors
/// Something that is not allowed.
pub fn check(pieces: &[Placed<'_>]) -> Result<bool, Wrong> {
    let (mut flat, mut marks, mut lines) = (String::new(), Vec::new(), Vec::new());
    for Placed { line, piece } in pieces {
        lines.push((flat.len(), *line));
        let mark = match piece {
            Piece::Text(text) => {
                flat.push_str(text);
                continue;
            }
            Piece::Comment => continue,
            Piece::Value(value, _) => Mark::Value(*value),
            Piece::If(_) => Mark::Open,
            Piece::Elif(_) | Piece::Else => Mark::Middle,
            Piece::Endif => Mark::Close,
        };
        flat.push(MARK);
        marks.push(mark);
    }
    let mut reader = Reader {
        rest: &flat,
        marks: marks.into_iter(),
        depth: 0,
        anchor: None,
        has_link: false,
    };
    reader.read().map_err(|reason| {
        let at = flat.len().saturating_sub(reader.rest.len());
        let known = lines.iter().rev().find(|(start, _)| *start <= at);
        let (start, line) = known.copied().unwrap_or((0, 1));
        let between = flat.get(start..at).unwrap_or_default();
        (line + between.matches('\n').count(), reason)
    })?;
    Ok(reader.has_link)
}

struct Reader<'a> {
    /// What is not read yet. Where something is wrong it begins there.
    rest: &'a str,
    marks: std::vec::IntoIter<Mark>,
    /// How many conditions are open.
    depth: usize,
    /// An `a` that is open: whether it leads to the link in every case, and whether something to press was seen in it.
    anchor: Option<(bool, bool)>,
    has_link: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(next) = self.rest.chars().next() {
            match next {
                MARK => self.mark(),
                '<' => {
                    self.markup()?;
                    continue;
                }
                letter if letter.is_whitespace() => {}
                _ => self.press(),
            }
            self.skip(next.len_utf8());
        }
        match self.anchor {
            Some(_) => Err("<a> has no </a>".to_owned()),
            None => Ok(()),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Takes letters for as long as they are of a kind.
    fn take(&mut self, of: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Something to press was seen, if an `a` is open and this stands in it in every case.
    fn press(&mut self) {
        if let Some((true, pressed)) = &mut self.anchor {
            *pressed |= self.depth == 0;
        }
    }

    fn mark(&mut self) {
        match self.marks.next() {
            // The others may say nothing in some mail.
            Some(Mark::Value(
                Value::Button | Value::Link | Value::Realm | Value::Title | Value::Host,
            )) => self.press(),
            Some(Mark::Open) => self.depth += 1,
            Some(Mark::Close) => self.depth = self.depth.saturating_sub(1),
            Some(Mark::Value(_) | Mark::Middle) | None => {}
        }
    }

    fn markup(&mut self) -> Result<(), String> {
        let after = self.rest.get(1..).unwrap_or_default();
        match after.chars().next() {
            Some('/') => self.end_tag(),
            Some('!') => self.declaration(),
            Some(c) if c.is_ascii_alphabetic() => self.element(),
            _ => Err("a < that is text is written as &lt;".to_owned()),
        }
    }

    fn declaration(&mut self) -> Result<(), String> {
        if self.rest.starts_with("<!--") {
            return Err(
                "a comment of HTML is not allowed, because some programs read what stands in it: write {# … #}"
                    .to_owned(),
            );
        }
        let end = self.rest.find('>').unwrap_or(self.rest.len());
        let words: Vec<String> = self
            .rest
            .get(2..end)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        if words != ["doctype", "html"] {
            return Err("the only declaration is <!DOCTYPE html>".to_owned());
        }
        self.skip(end + 1);
        Ok(())
    }

    fn end_tag(&mut self) -> Result<(), String> {
        let start = self.rest;
        self.skip(2);
        let name = self
            .take(|c| c.is_ascii_alphanumeric())
            .to_ascii_lowercase();
        self.take(char::is_whitespace);
        if !lists(ELEMENTS, &name) || !self.rest.starts_with('>') {
            self.rest = start;
            let shown = start.split('>').next().unwrap_or_default();
            return Err(format!("{} ends no element that is allowed", quote(shown)));
        }
        self.skip(1);
        if name == "a" {
            match self.anchor.take() {
                None => {
                    self.rest = start;
                    return Err("</a> has no <a>".to_owned());
                }
                Some((true, false)) => {
                    self.rest = start;
                    return Err("the link has nothing to press: write words before </a>".to_owned());
                }
                Some((leads, _)) => self.has_link |= leads,
            }
        }
        Ok(())
    }

    fn element(&mut self) -> Result<(), String> {
        let start = self.rest;
        self.skip(1);
        let name = self
            .take(|c| c.is_ascii_alphanumeric())
            .to_ascii_lowercase();
        if !lists(ELEMENTS, &name) {
            self.rest = start;
            return Err(format!(
                "the element <{name}> is not allowed; these are: {ELEMENTS}"
            ));
        }
        let mut seen: Vec<String> = Vec::new();
        let mut leads = false;
        loop {
            let spaces = self.take(char::is_whitespace);
            let closes = ["/>", ">"];
            if let Some(close) = closes.iter().find(|close| self.rest.starts_with(**close)) {
                self.skip(close.len());
                break;
            }
            if self.rest.is_empty() {
                self.rest = start;
                return Err(format!("<{name} has no > at its end"));
            }
            let attribute = self.rest;
            let key = self
                .take(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))
                .to_ascii_lowercase();
            if key.is_empty() || spaces.is_empty() {
                return Err(format!(
                    "in <{name}> stands something that is no attribute: a value can be the whole of an attribute, as \
                     in href=\"{{{{ link }}}}\", and conditions stand outside of < and >"
                ));
            }
            allow(&name, &key).inspect_err(|_| self.rest = attribute)?;
            if seen.contains(&key) || seen.len() == MOST_ATTRIBUTES {
                self.rest = attribute;
                return Err(format!(
                    "<{name}> has the attribute {key} twice, or more than {MOST_ATTRIBUTES} attributes"
                ));
            }
            let after = self.rest.trim_start();
            if after.starts_with('=') {
                self.rest = after;
                self.skip(1);
                self.take(char::is_whitespace);
                let is_link = self
                    .attribute(&name, &key)
                    .inspect_err(|_| self.rest = attribute)?;
                leads |= is_link && self.depth == 0;
            }
            seen.push(key);
        }
        match name.as_str() {
            "a" if self.anchor.is_some() => {
                self.rest = start;
                Err("an <a> stands in another: end the first by </a>".to_owned())
            }
            "a" => {
                self.anchor = Some((leads, false));
                Ok(())
            }
            "style" => self.raw("</style", |text, _| css(text)),
            "title" => self.raw("</title", title),
            _ => Ok(()),
        }
    }

    /// Reads the value of an attribute; answers whether it is the link.
    fn attribute(&mut self, element: &str, key: &str) -> Result<bool, String> {
        let Some(mark) = self.rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Err(format!("the attribute {key} is written {key}=\"…\""));
        };
        self.skip(1);
        let Some((value, rest)) = self.rest.split_once(mark) else {
            return Err(format!("the attribute {key} has no {mark} at its end"));
        };
        self.rest = rest;
        if value.contains(MARK) {
            let whole = value.chars().count() == 1;
            return match (self.marks.next(), key, element) {
                (Some(Mark::Value(value)), "href", "a") if whole && value.kind() == Kind::Url => {
                    Ok(matches!(value, Value::Link))
                }
                (Some(Mark::Value(Value::Lang)), "lang", _) if whole => Ok(false),
                (Some(Mark::Value(Value::Dir)), "dir", _) if whole => Ok(false),
                _ => Err(format!(
                    "{key}=\"…\" cannot hold this: href can be the whole of {{{{ link }}}}, {{{{ code_page }}}} or \
                     {{{{ sign_in }}}}, lang and dir the values of their names, and no other attribute a value"
                )),
            };
        }
        match (element, key) {
            (_, "style") if value.contains('&') => {
                Err("style=\"…\" cannot hold &: write the character itself".to_owned())
            }
            (_, "style") => css(value).map(|()| false),
            ("meta", "charset") if !value.eq_ignore_ascii_case("utf-8") => {
                Err("the only charset is utf-8".to_owned())
            }
            ("a", "href") => {
                let leads = SCHEMES.iter().any(|scheme| value.starts_with(scheme));
                if leads && !value.contains(char::is_whitespace) {
                    Ok(false)
                } else {
                    Err(format!(
                        "href=\"…\" is the whole of {{{{ link }}}}, or begins with one of: {}",
                        SCHEMES.join(" ")
                    ))
                }
            }
            _ => Ok(false),
        }
    }

    /// Reads what stands in an element that holds no elements, up to its end tag.
    fn raw(
        &mut self,
        end: &str,
        allowed: impl Fn(&str, &mut std::vec::IntoIter<Mark>) -> Result<(), String>,
    ) -> Result<(), String> {
        let (inside, after) = match self.rest.find('<') {
            Some(at) => self.rest.split_at(at),
            None => return Err(format!("there is no {end}>")),
        };
        let ends = after.get(..end.len());
        if !ends.is_some_and(|found| found.eq_ignore_ascii_case(end)) {
            return Err(format!("there can be no < before {end}>"));
        }
        allowed(inside, &mut self.marks)?;
        self.skip(inside.len());
        Ok(())
    }
}

/// The title shows values, and has no conditions.
fn title(text: &str, marks: &mut std::vec::IntoIter<Mark>) -> Result<(), String> {
    for _ in text.matches(MARK) {
        match marks.next() {
            Some(Mark::Value(value)) if value.kind() == Kind::Word => {}
            _ => {
                return Err(
                    "<title> can hold text and values of one line, such as {{ title }}".to_owned(),
                );
            }
        }
    }
    Ok(())
}

fn allow(element: &str, key: &str) -> Result<(), String> {
    let own = OF_ELEMENTS.iter().find(|(name, _)| *name == element);
    let more = own.map_or("", |(_, keys)| keys);
    if lists(ATTRIBUTES, key) || lists(more, key) || key.starts_with("aria-") {
        return Ok(());
    }
    let why = if key.starts_with("on") {
        "would run a script"
    } else if matches!(key, "src" | "srcset" | "background" | "poster" | "data") {
        "would be fetched when the mail is read, which tells who reads it"
    } else {
        "is not on the list"
    };
    Err(format!(
        "the attribute {key} of <{element}> is not allowed: it {why}; these are: {ATTRIBUTES} {more}"
    ))
}

/// Styles that fetch nothing and call nothing.
pub(super) fn css(text: &str) -> Result<(), String> {
    let lower = text.to_ascii_lowercase();
    if lower.contains(MARK) {
        return Err("styles can hold no value and no condition".to_owned());
    }
    if lower.contains('\\') {
        return Err("styles can hold no \\, which could hide a word".to_owned());
    }
    for (at, _) in lower.match_indices('@') {
        let rule = lower.get(at..).unwrap_or_default();
        if !["@media", "@supports"]
            .iter()
            .any(|known| rule.starts_with(known))
        {
            let word =
                rule.split(|c: char| c.is_whitespace() || matches!(c, '{' | ';' | '"' | '('));
            return Err(format!(
                "{} is not allowed in styles; these are: @media, @supports",
                quote(word.take(1).collect::<String>().as_str())
            ));
        }
    }
    for (at, _) in lower.match_indices('(') {
        let before = lower.get(..at).unwrap_or_default();
        let named = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let start = before.trim_end_matches(named).len();
        let name = before.get(start..).unwrap_or_default();
        if !name.is_empty() && !lists(FUNCTIONS, name) {
            return Err(format!(
                "{} is not allowed in styles: a mail fetches nothing when it is read; these are: {FUNCTIONS}",
                quote(&format!("{name}("))
            ));
        }
    }
    Ok(())
}
