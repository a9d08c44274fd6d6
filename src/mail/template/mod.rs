//! Mails in a realm's own words, in the place of the built-in ones, for all of its mails of a purpose or for those of a
//! client or a language.
//!
//! Owns the table `mail_templates`. The admin API stores what [`Template::compile`] has proved; the sender asks
//! [`Templates::choose`] and renders. A template is of Tera's language, and of that only what can neither fetch, run nor
//! reveal anything ([`syntax`], [`html`]): what it shows are the values of [`value`], each harmless before it comes here.
//!
//! Invariants: a template holds the link or code that its mail is there for, whatever its conditions say; nothing that
//! reads the mail fetches anything by it (reliability H033); it is rendered in less than 50 ms to less than
//! [`LARGEST_PART`] (F-11). Where it cannot be used after all, the built-in words are sent.

mod html;
pub mod rows;
pub mod sample;
mod syntax;
mod value;
mod words;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use self::syntax::{Filter, Node, Piece, Placed, Wrong};
use self::value::{Class, Kind, Purpose, Value, Values};
pub(super) use self::words::Own;
pub use self::words::Person;
use super::link::LinkMail;
use super::message::Purpose as Matter;
use super::render::Words;
use crate::kernel::ClientUuid;
use crate::realm::Realm;
use crate::store::{StoreError, Tx};
use crate::web::texts::Locale;

/// The longest template of a part, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// The longest template of a subject, in bytes.
const LONGEST_SUBJECT: usize = 255;

/// The largest part that may come of a template, in bytes.
pub const LARGEST_PART: usize = 1024 * 1024;

/// The most templates of a realm.
pub const MOST: i64 = 200;

/// A template as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Of the subject.
    pub subject: String,
    /// Of the part of plain text.
    pub text: String,
    /// Of the HTML part.
    pub html: String,
}

/// Why a template is refused: for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `subject`, `text` or `html`.
    pub part: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.part, self.line, self.reason)
    }
}

/// A template that can be used.
#[derive(Debug)]
pub struct Template {
    subject: Vec<Node>,
    text: Vec<Node>,
    html: Vec<Node>,
    about_person: bool,
}

/// What a value or text is written into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Line,
    Text,
    Html,
}

impl Template {
    /// Proves a template of that purpose.
    ///
    /// # Errors
    /// The purpose is none, or something in the template is not allowed or is missing.
    pub fn compile(purpose: &str, source: &Source) -> Result<Self, Fault> {
        let Some(purpose) = Purpose::named(purpose) else {
            return Err(Fault {
                part: "purpose",
                line: 1,
                reason: format!("no mail has it; these are: {}", purposes().join(", ")),
            });
        };
        let fault = |part| move |(line, reason): Wrong| Fault { part, line, reason };
        let subject = subject(&source.subject, purpose).map_err(fault("subject"))?;
        let text = text(&source.text, purpose).map_err(fault("text"))?;
        let html = html_part(&source.html, purpose).map_err(fault("html"))?;
        let about_person = [&subject, &text, &html].iter().any(|part| {
            [Value::Name, Value::FirstName, Value::Username]
                .iter()
                .any(|value| shows(part, *value))
        });
        Ok(Self {
            subject,
            text,
            html,
            about_person,
        })
    }

    /// Whether it shows who the person is.
    pub const fn is_about_the_person(&self) -> bool {
        self.about_person
    }

    /// The mail's words.
    ///
    /// # Errors
    /// A part is too large, or the subject says nothing.
    fn render(&self, values: &Values) -> Result<Words, &'static str> {
        let part = |nodes: &[Node], form| -> Result<String, &'static str> {
            let mut out = String::new();
            write(nodes, values, form, &mut out)?;
            Ok(out)
        };
        // What reads as an encoded word (RFC 2047) would be decoded by whoever reads the header.
        let subject = part(&self.subject, Form::Line)?.replace("=?", "= ?");
        if subject.trim().is_empty() {
            return Err("its subject says nothing");
        }
        Ok(Words {
            subject,
            text: part(&self.text, Form::Text)?,
            html: part(&self.html, Form::Html)?,
        })
    }
}

/// The names of all purposes.
pub fn purposes() -> Vec<&'static str> {
    value::PURPOSES.iter().map(|purpose| purpose.name).collect()
}

/// The purpose of that name, as its templates are stored under.
pub fn purpose_named(name: &str) -> Option<&'static str> {
    Purpose::named(name).map(|purpose| purpose.name)
}

/// Whether an administrator can send words along with mails of that purpose.
pub fn carries_message(purpose: &str) -> bool {
    Purpose::named(purpose).is_some_and(|purpose| purpose.has_message)
}

/// The name under which a mail's templates are found.
pub(super) fn purpose_of(matter: &Matter, link: Option<&LinkMail>) -> &'static str {
    match (matter, link) {
        (Matter::LinkExample { kind, .. }, _) => kind.as_str(),
        (_, Some(link)) => link.kind.as_str(),
        (matter, None) => matter.name(),
    }
}

/// The client that a mail is about.
pub(super) fn client_of<'a>(
    matter: &'a Matter,
    link: Option<&'a LinkMail>,
) -> Option<&'a ClientUuid> {
    match (matter, link) {
        (Matter::LinkExample { client, .. }, _) => client.as_ref(),
        (_, link) => link.and_then(|link| link.client.as_ref()),
    }
}

/// What holds for every part.
fn sound(source: &str, longest: usize) -> Result<(), Wrong> {
    if source.len() > longest {
        return Err((1, format!("it is longer than {longest} bytes: shorten it")));
    }
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if let Some(at) = source.find(odd) {
        let line = source.get(..at).unwrap_or_default().matches('\n').count() + 1;
        return Err((
            line,
            "a control character stands there: take it away".to_owned(),
        ));
    }
    if source.trim().is_empty() {
        return Err((
            1,
            "it is empty: write it, or delete the template".to_owned(),
        ));
    }
    Ok(())
}

fn subject(source: &str, purpose: &Purpose) -> Result<Vec<Node>, Wrong> {
    sound(source, LONGEST_SUBJECT)?;
    if source.contains(['\n', '\t']) {
        return Err((1, "a subject is one line without tabs".to_owned()));
    }
    let pieces = syntax::pieces(source, purpose.class)?;
    for Placed { line, piece } in &pieces {
        let Piece::Value(value, _) = piece else {
            continue;
        };
        if value.kind() != Kind::Word {
            let name = value.name();
            return Err((
                *line,
                format!(
                    "a subject cannot show {name}: it is read on locked screens, and has one line"
                ),
            ));
        }
    }
    syntax::tree(pieces)
}

fn text(source: &str, purpose: &Purpose) -> Result<Vec<Node>, Wrong> {
    sound(source, LONGEST)?;
    let pieces = syntax::pieces(source, purpose.class)?;
    let required: &[Value] = match purpose.class {
        Class::Link => &[Value::Link],
        Class::Code => &[Value::Code],
        Class::Notice | Class::Warning => &[],
    };
    complete(pieces, purpose, required)
}

fn html_part(source: &str, purpose: &Purpose) -> Result<Vec<Node>, Wrong> {
    sound(source, LONGEST)?;
    let pieces = syntax::pieces(source, purpose.class)?;
    let has_link = html::check(&pieces)?;
    if purpose.class == Class::Link && !has_link {
        return Err((
            1,
            "the link is missing: write <a href=\"{{ link }}\">{{ button }}</a> outside of conditions".to_owned(),
        ));
    }
    let required: &[Value] = match purpose.class {
        Class::Code => &[Value::Code],
        Class::Link | Class::Notice | Class::Warning => &[],
    };
    complete(pieces, purpose, required)
}

/// Puts the pieces together, once nothing is missing that the mail is there for.
fn complete(
    pieces: Vec<Placed<'_>>,
    purpose: &Purpose,
    required: &[Value],
) -> Result<Vec<Node>, Wrong> {
    let mut depth = 0_usize;
    let mut always: Vec<Value> = Vec::new();
    for placed in &pieces {
        match &placed.piece {
            Piece::If(_) => depth += 1,
            Piece::Endif => depth = depth.saturating_sub(1),
            Piece::Value(value, _) if depth == 0 => always.push(*value),
            _ => {}
        }
    }
    let last = pieces.last().map_or(1, |placed| placed.line);
    let nodes = syntax::tree(pieces)?;
    if let Some(missing) = required.iter().find(|value| !always.contains(value)) {
        let name = missing.name();
        let reason = format!("{{{{ {name} }}}} is missing: write it outside of conditions");
        return Err((last, reason));
    }
    if purpose.has_message && !shows(&nodes, Value::Message) {
        let reason = "{{ message }} is missing: what an administrator writes to people would be lost; write \
                      {% if message %}{{ message_title }} {{ message }}{% endif %}";
        return Err((last, reason.to_owned()));
    }
    if purpose.class == Class::Warning && !shows(&nodes, Value::Link) {
        let reason = "{{ link }} is missing: by it somebody says that it was not them; write {% if link %}{{ link }}\
                      {% endif %}, in HTML {% if link %}<a href=\"{{ link }}\">{{ button }}</a>{% endif %}";
        return Err((last, reason.to_owned()));
    }
    if most(&nodes) > LARGEST_PART {
        let reason = format!(
            "it shows long values so often that the part could be larger than {LARGEST_PART} bytes: show them less often"
        );
        return Err((1, reason));
    }
    Ok(nodes)
}

/// Whether a value is shown in some case.
fn shows(nodes: &[Node], wanted: Value) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) => false,
        Node::Value(value, _) => *value == wanted,
        Node::If(branches, otherwise) => {
            branches.iter().any(|(_, nodes)| shows(nodes, wanted)) || shows(otherwise, wanted)
        }
    })
}

/// The most bytes that may come of it.
fn most(nodes: &[Node]) -> usize {
    let sizes = nodes.iter().map(|node| match node {
        Node::Text(text) => text.len(),
        Node::Value(value, _) => value.most(),
        Node::If(branches, otherwise) => {
            let branches = branches.iter().map(|(_, nodes)| most(nodes));
            branches.max().unwrap_or(0).max(most(otherwise))
        }
    });
    sizes.fold(0, usize::saturating_add)
}

fn write(
    nodes: &[Node],
    values: &Values,
    form: Form,
    out: &mut String,
) -> Result<(), &'static str> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Value(value, filters) => say(*value, filters, values, form, out),
            Node::If(branches, otherwise) => {
                let met = branches.iter().find(|(condition, _)| {
                    let holds = |(denied, value): &(bool, Value)| values.is_said(*value) != *denied;
                    condition.0.iter().any(|group| group.iter().all(holds))
                });
                let branch = met.map_or(otherwise, |(_, nodes)| nodes);
                write(branch, values, form, out)?;
            }
        }
        if out.len() > LARGEST_PART {
            return Err("a part of it is too large");
        }
    }
    Ok(())
}

fn say(value: Value, filters: &[Filter], values: &Values, form: Form, out: &mut String) {
    // Lines of plain text are marked, so that nobody's message passes for the mail's own words.
    let (mark, end) = match (value, form) {
        (Value::Message, Form::Text) => ("| ", "\n"),
        (_, Form::Html) => ("", "<br>\n"),
        (_, Form::Text) => ("", "\n"),
        (_, Form::Line) => ("", " "),
    };
    for (place, line) in values.lines(value).iter().enumerate() {
        if place > 0 {
            out.push_str(end);
        }
        out.push_str(mark);
        let line = filters
            .iter()
            .fold(line.clone(), |line, filter| filter.of(&line));
        match form {
            Form::Html => out.push_str(&tera::escape_html(&line)),
            Form::Line | Form::Text => out.push_str(&line),
        }
    }
}

/// Where a stored template is used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// For mails of this purpose.
    pub purpose: String,
    /// For those about this client; `None` is whatever client, and none.
    pub client: Option<ClientUuid>,
    /// For those in the language of this tag; `None` is every language.
    pub locale: Option<String>,
}

/// A realm's templates, ready to be used.
#[derive(Default)]
pub struct Templates(HashMap<Place, Option<Arc<Template>>>);

impl Templates {
    /// Reads and proves all of a realm. One that is not proved, as another version may have stored it, stands for the
    /// built-in words.
    ///
    /// # Errors
    /// The database fails.
    pub fn load(tx: &mut Tx<'_>, realm: &Realm) -> Result<Self, StoreError> {
        let mut all = HashMap::new();
        for row in rows::all(tx, &realm.id)? {
            let template = match Template::compile(&row.place.purpose, &row.source) {
                Ok(template) => Some(Arc::new(template)),
                Err(fault) => {
                    tracing::warn!(realm = %realm.id, purpose = row.place.purpose, %fault,
                        "a mail template cannot be used; the built-in words are sent");
                    None
                }
            };
            all.insert(row.place, template);
        }
        Ok(Self(all))
    }

    /// The template for a mail: of its client in its language, of its client, of its language, of the realm. `None`:
    /// the built-in words.
    pub fn choose(
        &self,
        purpose: &str,
        client: Option<&ClientUuid>,
        locale: Locale,
    ) -> Option<Arc<Template>> {
        if self.0.is_empty() {
            return None;
        }
        let tag = Some(locale.tag().to_owned());
        let places = [
            (client, tag.clone()),
            (client, None),
            (None, tag),
            (None, None),
        ];
        let found = places.into_iter().find_map(|(client, locale)| {
            self.0.get(&Place {
                purpose: purpose.to_owned(),
                client: client.cloned(),
                locale,
            })
        });
        found.cloned().flatten()
    }
}
