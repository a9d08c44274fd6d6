//! What stands for itself in a template: the names, what each may be used for, and what they are in one mail.

/// What a mail is built on, which decides the names that its templates have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A link to open.
    Link,
    /// A code to type.
    Code,
    /// News.
    Notice,
    /// News of what a thief could have done: with the link of “this was not me”, where there is one.
    Warning,
}

/// A mail that can have words of a realm's own.
pub struct Purpose {
    /// The name: of the mail's purpose, or of what its link is about.
    pub name: &'static str,
    /// What it is built on.
    pub class: Class,
    /// Whether an administrator can send words along, which no template may lose.
    pub has_message: bool,
}

const fn purpose(name: &'static str, class: Class, has_message: bool) -> Purpose {
    Purpose {
        name,
        class,
        has_message,
    }
}

/// All of them.
pub const PURPOSES: [Purpose; 16] = [
    purpose("pre-registration", Class::Link, true),
    purpose("set-password", Class::Link, true),
    purpose("actions", Class::Link, true),
    purpose("forgotten-password", Class::Link, false),
    purpose("verify-email", Class::Link, false),
    purpose("update-email", Class::Link, false),
    purpose("closed-account", Class::Link, false),
    purpose("verify-email-code", Class::Code, false),
    purpose("password-changed", Class::Warning, false),
    purpose("password-set", Class::Warning, false),
    purpose("temporary-password-set", Class::Warning, false),
    purpose("password-reset-required", Class::Notice, false),
    purpose("action-waived", Class::Notice, false),
    purpose("window-extended", Class::Notice, false),
    purpose("email-changed", Class::Warning, false),
    purpose("account-closed", Class::Notice, false),
];

impl Purpose {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PURPOSES.iter().find(|purpose| purpose.name == name)
    }
}

/// How a value can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One line of text, which filters may change.
    Word,
    /// Lines of text.
    Lines,
    /// A URL of ours, as text or as the whole of an `href`.
    Url,
    /// What `lang` and `dir` say.
    Keyword,
    /// The code to type, which nothing may change.
    Typed,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The realm's name.
    Realm,
    /// What the built-in subject says, or the mailing's own.
    Title,
    /// The built-in sentence that says what happened or what to do.
    Lead,
    /// The built-in sentences on what follows from it.
    Details,
    /// Words of an administrator.
    Message,
    /// The built-in sentence above them.
    MessageTitle,
    /// The built-in sentence that says who sends the mail.
    Origin,
    /// The host that the mail comes from and leads to.
    Host,
    /// The tag of the mail's language.
    Lang,
    /// The direction of its writing.
    Dir,
    /// The person's full name, else the user name.
    Name,
    /// The person's given name.
    FirstName,
    /// The name that the person signs in by.
    Username,
    /// The application that the link leads to.
    App,
    /// The link.
    Link,
    /// The built-in words of its button.
    Button,
    /// The code to type.
    Code,
    /// Where the link's code is typed.
    CodePage,
    /// Where the person signs in from then on.
    SignIn,
    /// The built-in sentence on how long link or code are good.
    Lifetime,
    /// When they stop being good.
    ExpiresAt,
    /// When it happened.
    When,
}

const ALL: &[Class] = &[Class::Link, Class::Code, Class::Notice, Class::Warning];
const LINK: &[Class] = &[Class::Link];
const LINKED: &[Class] = &[Class::Link, Class::Warning];
const TIMED: &[Class] = &[Class::Link, Class::Code];
const NEWS: &[Class] = &[Class::Notice, Class::Warning];

/// Each value's name, what it may be used for, and which mails have it.
const TABLE: [(Value, &str, Kind, &[Class]); 22] = [
    (Value::Realm, "realm", Kind::Word, ALL),
    (Value::Title, "title", Kind::Word, ALL),
    (Value::Lead, "lead", Kind::Word, ALL),
    (Value::Details, "details", Kind::Lines, ALL),
    (Value::Message, "message", Kind::Lines, ALL),
    (Value::MessageTitle, "message_title", Kind::Word, ALL),
    (Value::Origin, "origin", Kind::Word, ALL),
    (Value::Host, "host", Kind::Word, ALL),
    (Value::Lang, "lang", Kind::Keyword, ALL),
    (Value::Dir, "dir", Kind::Keyword, ALL),
    (Value::Name, "name", Kind::Word, ALL),
    (Value::FirstName, "first_name", Kind::Word, ALL),
    (Value::Username, "username", Kind::Word, ALL),
    (Value::App, "app", Kind::Word, LINK),
    (Value::Link, "link", Kind::Url, LINKED),
    (Value::Button, "button", Kind::Word, LINKED),
    (Value::Code, "code", Kind::Typed, TIMED),
    (Value::CodePage, "code_page", Kind::Url, LINK),
    (Value::SignIn, "sign_in", Kind::Url, LINK),
    (Value::Lifetime, "lifetime", Kind::Word, TIMED),
    (Value::ExpiresAt, "expires_at", Kind::Word, TIMED),
    (Value::When, "when", Kind::Word, NEWS),
];

impl Value {
    /// The value of that name in mails of that class, or the names that there are.
    ///
    /// # Errors
    /// These mails have none of that name.
    pub fn named(name: &str, class: Class) -> Result<Self, String> {
        let has = |classes: &[Class]| classes.contains(&class);
        let found = TABLE.iter().find(|row| row.1 == name && has(row.3));
        found.map(|row| row.0).ok_or_else(|| {
            let names: Vec<&str> = TABLE
                .iter()
                .filter(|row| has(row.3))
                .map(|row| row.1)
                .collect();
            names.join(", ")
        })
    }

    /// Its name in templates.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.1)
    }

    /// What it may be used for.
    pub fn kind(self) -> Kind {
        self.row().map_or(Kind::Keyword, |row| row.2)
    }

    fn row(self) -> Option<&'static (Self, &'static str, Kind, &'static [Class])> {
        TABLE.iter().find(|row| row.0 == self)
    }

    /// The most bytes that it takes in a part, escaped.
    pub fn most(self) -> usize {
        match self.kind() {
            Kind::Word => 2 * 1024,
            Kind::Lines => 64 * 1024,
            Kind::Url => 4 * 1024,
            Kind::Keyword | Kind::Typed => 64,
        }
    }
}

/// What the values are in one mail: lines of harmless text. One that is not there is empty. Without `Debug`: a link is
/// as good as a password.
#[derive(Default)]
pub struct Values(Vec<(Value, Vec<String>)>);

impl Values {
    /// With a value of one line.
    pub fn set(&mut self, value: Value, text: impl Into<String>) {
        self.set_lines(value, vec![text.into()]);
    }

    /// With a value of some lines.
    pub fn set_lines(&mut self, value: Value, lines: Vec<String>) {
        self.0.push((value, lines));
    }

    /// With a value of one line in the place of the one that was there.
    pub fn replace(&mut self, value: Value, text: impl Into<String>) {
        self.0.retain(|(known, _)| *known != value);
        self.set(value, text);
    }

    /// A value's lines.
    pub fn lines(&self, value: Value) -> &[String] {
        let found = self.0.iter().find(|(known, _)| *known == value);
        found.map_or(&[], |(_, lines)| lines.as_slice())
    }

    /// Whether a condition takes it as true: there is something to say.
    pub fn is_said(&self, value: Value) -> bool {
        self.lines(value).iter().any(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::LinkKind;

    #[test]
    fn every_value_has_one_name_and_every_mail_one_row() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, place, "{}", row.1);
            for class in row.3 {
                assert_eq!(Value::named(row.1, *class), Ok(row.0));
            }
            assert_eq!(row.0.name(), row.1);
        }
        for kind in LinkKind::ALL {
            let purpose = Purpose::named(kind.as_str()).unwrap();
            assert_eq!(purpose.class, Class::Link);
        }
        assert!(Purpose::named("test").is_none() && Purpose::named("link").is_none());
        let names = Value::named("link", Class::Notice).unwrap_err();
        assert!(names.contains("when") && !names.contains("link"), "{names}");
    }
}
