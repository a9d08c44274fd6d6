//! The language of templates: of Tera's, values, filters without arguments, `if` and comments.
//!
//! Read by a parser of its own, and not by Tera, for what there is no word for cannot be said: nothing here calls a
//! function, reads a file or the environment, loops, or takes escaping off. What this parser takes means the same to
//! Tera (a property test compares). It goes over a text once, and no deeper than [`DEEPEST`].

use super::value::{Class, Kind, Value};

/// How deep conditions may stand in one another.
const DEEPEST: usize = 8;

/// The longest piece of a template that an error repeats, in characters.
const LONGEST_QUOTE: usize = 40;

/// What is wrong, and in which line, counted from 1.
pub type Wrong = (usize, String);

/// Changes a word without taking anything from it that makes it harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// In capitals.
    Upper,
    /// In small letters.
    Lower,
    /// Without white space around it.
    Trim,
    /// The first letter as a capital, the others small.
    Capitalize,
}

impl Filter {
    fn named(name: &str) -> Option<Self> {
        match name {
            "upper" => Some(Self::Upper),
            "lower" => Some(Self::Lower),
            "trim" => Some(Self::Trim),
            "capitalize" => Some(Self::Capitalize),
            _ => None,
        }
    }

    /// The word, changed.
    pub fn of(self, word: &str) -> String {
        match self {
            Self::Upper => word.to_uppercase(),
            Self::Lower => word.to_lowercase(),
            Self::Trim => word.trim().to_owned(),
            Self::Capitalize => {
                let mut letters = word.chars();
                letters.next().map_or_else(String::new, |first| {
                    first.to_uppercase().collect::<String>() + &letters.as_str().to_lowercase()
                })
            }
        }
    }
}

/// Values, each as it is or denied: one group of which all are true makes it true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(pub Vec<Vec<(bool, Value)>>);

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text as it is.
    Text(&'a str),
    /// `{{ value | filter }}`.
    Value(Value, Vec<Filter>),
    /// `{% if … %}`.
    If(Condition),
    /// `{% elif … %}`.
    Elif(Condition),
    /// `{% else %}`.
    Else,
    /// `{% endif %}`.
    Endif,
    /// `{# … #}`.
    Comment,
}

/// A piece, and the line in which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The line, counted from 1.
    pub line: usize,
    /// The piece.
    pub piece: Piece<'a>,
}

/// A template's meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Text as it is.
    Text(String),
    /// A value, changed.
    Value(Value, Vec<Filter>),
    /// What stands under the first condition that is true, else the last.
    If(Vec<(Condition, Vec<Node>)>, Vec<Node>),
}

/// The beginning of somebody's words, for an error.
pub fn quote(text: &str) -> String {
    let mut letters = text.trim().chars().map(|c| if c == '\n' { ' ' } else { c });
    let start: String = letters.by_ref().take(LONGEST_QUOTE).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    format!("`{start}{more}`")
}

/// Takes a template apart.
///
/// # Errors
/// Something in braces that is not allowed, or does not end.
pub fn pieces(source: &str, class: Class) -> Result<Vec<Placed<'_>>, Wrong> {
    let mut pieces: Vec<Placed<'_>> = Vec::new();
    let (mut rest, mut line, mut trims) = (source, 1, false);
    while !rest.is_empty() {
        let start = rest
            .match_indices('{')
            .find(|(at, _)| starts(rest.split_at(*at).1))
            .map_or(rest.len(), |(at, _)| at);
        let (text, tail) = rest.split_at(start);
        if !text.is_empty() {
            let kept = if trims { text.trim_start() } else { text };
            let skipped = text.len().saturating_sub(kept.len());
            let begins = line + lines_in(text.split_at(skipped).0);
            if !kept.is_empty() {
                pieces.push(Placed {
                    line: begins,
                    piece: Piece::Text(kept),
                });
            }
            line += lines_in(text);
        }
        if tail.is_empty() {
            break;
        }
        let (open, close) = match tail.split_at(2).0 {
            "{{" => ("{{", "}}"),
            "{%" => ("{%", "%}"),
            _ => ("{#", "#}"),
        };
        let inner = tail.split_at(2).1;
        let Some((inside, after)) = inner.split_once(close) else {
            return Err((line, format!("{} has no {close} at its end", quote(tail))));
        };
        let (inside, left) = match inside.strip_prefix('-') {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let (inside, right) = match inside.strip_suffix('-') {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        if left {
            trim_last(&mut pieces);
        }
        let piece = match open {
            "{{" => value(inside, class),
            "{%" => tag(inside, class),
            _ if inside.is_empty() => Err("a comment says nothing: take it away".to_owned()),
            _ => Ok(Piece::Comment),
        };
        let piece = piece.map_err(|reason| (line, reason))?;
        pieces.push(Placed { line, piece });
        line += lines_in(inner.split_at(inner.len().saturating_sub(after.len())).0);
        (rest, trims) = (after, right);
    }
    Ok(pieces)
}

/// Whether something in braces starts here.
fn starts(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.starts_with(open))
}

fn lines_in(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn trim_last(pieces: &mut Vec<Placed<'_>>) {
    let Some(last) = pieces.last_mut() else {
        return;
    };
    if let Piece::Text(text) = &mut last.piece {
        *text = text.trim_end();
        if text.is_empty() {
            pieces.pop();
        }
    }
}

/// Whether it could be the name of a value.
fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    letters.next().is_some_and(first) && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn named(name: &str, class: Class) -> Result<Value, String> {
    if !is_name(name) {
        return Err(format!(
            "{} is not the name of a value: write {{{{ realm }}}}; functions, literals, operators and paths are not \
             possible",
            quote(name)
        ));
    }
    Value::named(name, class).map_err(|names| {
        format!(
            "there is no value {} in this mail; it has {names}",
            quote(name)
        )
    })
}

fn value(inside: &str, class: Class) -> Result<Piece<'_>, String> {
    let mut parts = inside.split('|').map(str::trim);
    let value = named(parts.next().unwrap_or_default(), class)?;
    let mut filters = Vec::new();
    for name in parts {
        let filter = Filter::named(name).ok_or_else(|| {
            format!(
                "the filter {} is not allowed; these are: upper, lower, trim, capitalize",
                quote(name)
            )
        })?;
        if value.kind() != Kind::Word {
            return Err(format!(
                "no filter can be used on {}: take it away",
                value.name()
            ));
        }
        filters.push(filter);
    }
    Ok(Piece::Value(value, filters))
}

fn tag(inside: &str, class: Class) -> Result<Piece<'_>, String> {
    let inside = inside.trim();
    let (word, rest) = match inside.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (inside, ""),
    };
    match word {
        "if" => Ok(Piece::If(condition(rest, class)?)),
        "elif" => Ok(Piece::Elif(condition(rest, class)?)),
        "else" | "endif" if !rest.is_empty() => Err(format!(
            "nothing can follow {word}: take {} away",
            quote(rest)
        )),
        "else" => Ok(Piece::Else),
        "endif" => Ok(Piece::Endif),
        _ => Err(format!(
            "the tag {} is not allowed; these are: if, elif, else, endif",
            quote(inside)
        )),
    }
}

/// `[not] value { and | or [not] value }`, where `and` binds before `or`.
fn condition(text: &str, class: Class) -> Result<Condition, String> {
    let mut words = text.split_whitespace();
    let (mut groups, mut group) = (Vec::new(), Vec::new());
    loop {
        let mut word = words.next().unwrap_or_default();
        let denied = word == "not";
        if denied {
            word = words.next().unwrap_or_default();
        }
        if word.is_empty() {
            return Err(
                "a condition is missing: write {% if app %} or {% if not app %}".to_owned(),
            );
        }
        group.push((denied, named(word, class)?));
        match words.next() {
            None => break,
            Some("and") => {}
            Some("or") => groups.push(std::mem::take(&mut group)),
            Some(other) => {
                return Err(format!(
                    "a condition cannot hold {}: only values, not, and, or",
                    quote(other)
                ));
            }
        }
    }
    groups.push(group);
    Ok(Condition(groups))
}

/// An `if` that has not ended.
struct Open {
    line: usize,
    /// The branches that have.
    done: Vec<(Condition, Vec<Node>)>,
    /// The condition of the branch that goes on; `None` is that of `else`.
    condition: Option<Condition>,
    /// What stood before the `if`.
    before: Vec<Node>,
}

/// Puts pieces together.
///
/// # Errors
/// Conditions that do not begin, do not end or stand too deep.
pub fn tree(pieces: Vec<Placed<'_>>) -> Result<Vec<Node>, Wrong> {
    let mut nodes = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let stray = |line, word: &str| {
        (
            line,
            format!("{{% {word} %}} has no {{% if … %}} before it"),
        )
    };
    for Placed { line, piece } in pieces {
        match piece {
            Piece::Comment => {}
            Piece::Text(text) => nodes.push(Node::Text(text.to_owned())),
            Piece::Value(value, filters) => nodes.push(Node::Value(value, filters)),
            Piece::If(condition) => {
                if open.len() == DEEPEST {
                    return Err((
                        line,
                        format!("conditions stand in one another more than {DEEPEST} deep"),
                    ));
                }
                open.push(Open {
                    line,
                    done: Vec::new(),
                    condition: Some(condition),
                    before: std::mem::take(&mut nodes),
                });
            }
            Piece::Elif(next) => {
                let frame = open.last_mut().ok_or_else(|| stray(line, "elif"))?;
                let Some(condition) = frame.condition.replace(next) else {
                    return Err((line, "{% elif %} stands after {% else %}".to_owned()));
                };
                frame.done.push((condition, std::mem::take(&mut nodes)));
            }
            Piece::Else => {
                let frame = open.last_mut().ok_or_else(|| stray(line, "else"))?;
                let Some(condition) = frame.condition.take() else {
                    return Err((line, "there are two {% else %} for one {% if %}".to_owned()));
                };
                frame.done.push((condition, std::mem::take(&mut nodes)));
            }
            Piece::Endif => {
                let mut frame = open.pop().ok_or_else(|| stray(line, "endif"))?;
                let last = std::mem::replace(&mut nodes, frame.before);
                let otherwise = match frame.condition {
                    Some(condition) => {
                        frame.done.push((condition, last));
                        Vec::new()
                    }
                    None => last,
                };
                nodes.push(Node::If(frame.done, otherwise));
            }
        }
    }
    match open.pop() {
        Some(frame) => Err((
            frame.line,
            "{% if %} has no {% endif %}: write one where it ends".to_owned(),
        )),
        None => Ok(nodes),
    }
}
