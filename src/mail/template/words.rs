//! What the values of a template are in one mail.

use super::value::{Value, Values};
use super::{Matter, Template};
use crate::kernel::Timestamp;
use crate::mail::address;
use crate::mail::link::LinkMail;
use crate::mail::render::{Draft, View, Words, subject_of};
use crate::user::User;

/// Whom a mail is for, as its template may call them.
#[derive(Debug, Clone, Default)]
pub struct Person {
    /// The full name, else the user name.
    pub name: String,
    /// The given name; empty where there is none.
    pub first_name: String,
    /// The user name.
    pub username: String,
}

impl Person {
    /// What is known of a user.
    pub fn of(user: &User) -> Self {
        Self {
            name: user.full_name().unwrap_or_else(|| user.username.clone()),
            first_name: user.first_name.clone().unwrap_or_default(),
            username: user.username.clone(),
        }
    }
}

/// The words of its own that a mail has.
pub(in crate::mail) struct Own<'a> {
    /// The template.
    pub template: &'a Template,
    /// Whom it is for, where that is known and the template asks.
    pub person: Option<&'a Person>,
}

impl Own<'_> {
    /// The mail in these words. `view` is what the built-in ones are made of, `host` the host of the public URL, `time`
    /// says a time in the mail's language.
    ///
    /// # Errors
    /// The template makes no mail of these values.
    pub fn words(
        &self,
        draft: &Draft<'_>,
        view: &View,
        (host, time): (&str, &dyn Fn(Timestamp) -> String),
    ) -> Result<Words, &'static str> {
        let plain = |text: &str| address::not_ours(&address::name(text), host);
        let example = example_of(&draft.content.purpose);
        let link = draft.link.or(example.as_ref());
        let mut values = Values::default();
        values.set(Value::Realm, &view.realm);
        values.set(Value::Title, &view.title);
        values.set(Value::Lead, &view.lead);
        values.set_lines(Value::Details, view.points.clone());
        values.set(Value::Origin, &view.origin);
        values.set(Value::Host, host);
        values.set(Value::Lang, view.lang);
        values.set(Value::Dir, view.dir);
        if let Some(note) = &view.note {
            values.set(Value::MessageTitle, &note.title);
            values.set_lines(Value::Message, note.lines.clone());
        }
        let username = match (self.person, link) {
            (Some(person), _) => plain(&person.username),
            (None, Some(link)) => plain(&link.username),
            (None, None) => String::new(),
        };
        if let Some(person) = self.person {
            values.set(Value::Name, plain(&person.name));
            values.set(Value::FirstName, plain(&person.first_name));
        } else {
            values.set(Value::Name, &username);
        }
        values.set(Value::Username, username);
        if let Some(code) = &view.code {
            values.set(Value::Code, code);
            values.set(Value::ExpiresAt, time(draft.expires_at));
            values.set_lines(
                Value::Lifetime,
                view.points.iter().take(1).cloned().collect(),
            );
        }
        if let Some(button) = &view.button {
            values.set(Value::Link, &button.url);
            values.set(Value::Button, &button.label);
        }
        if let Some(link) = link {
            values.set(Value::CodePage, &link.code_page);
            values.set(Value::SignIn, &link.sign_in);
            if let Some(app) = &link.app {
                values.set(Value::App, plain(app));
            }
            let end = draft.now.plus_seconds(link.seconds);
            values.replace(Value::ExpiresAt, time(end));
        }
        if let Some(when) = when(&draft.content.purpose) {
            values.set(Value::When, time(when));
        }
        let mut words = self.template.render(&values)?;
        // What somebody wrote for this one mailing goes before what was written for all of them.
        if subject_of(&draft.content.purpose).is_some() {
            words.subject = format!("{}: {}", view.realm, view.title);
        }
        if matches!(draft.content.purpose, Matter::LinkExample { .. }) {
            words.subject.insert_str(0, "[TEST] ");
        }
        Ok(words)
    }
}

/// The link that an example shows.
fn example_of(matter: &Matter) -> Option<LinkMail> {
    let Matter::LinkExample {
        kind,
        app,
        issuer,
        seconds,
        username,
        ..
    } = matter
    else {
        return None;
    };
    let names = (app.as_deref(), username.as_deref());
    Some(LinkMail::example(*kind, issuer, names, *seconds))
}

/// When the thing happened that a notice tells of.
fn when(matter: &Matter) -> Option<Timestamp> {
    match matter {
        Matter::PasswordChanged { when }
        | Matter::PasswordSet { when }
        | Matter::TemporaryPasswordSet { when, .. }
        | Matter::PasswordResetRequired { when, .. }
        | Matter::AccountClosed { when }
        | Matter::ActionWaived { when, .. }
        | Matter::WindowExtended { when, .. }
        | Matter::EmailChanged { when } => Some(*when),
        Matter::VerifyEmailCode { .. }
        | Matter::Link { .. }
        | Matter::LinkExample { .. }
        | Matter::Test => None,
    }
}
