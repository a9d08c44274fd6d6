//! Parameters of a request: no name twice (RFC 6749 section 3.1), no U+0000, empty is absent, unknown ones are ignored.

use std::collections::BTreeMap;

/// Parameters that are hashed and never looked up or stored as they are, so that any character may be in them.
const SECRETS: [&str; 4] = [
    "password",
    "password-new",
    "password-confirm",
    "client_secret",
];

/// What is wrong with the parameters as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A name comes twice.
    Twice,
    /// A name or value holds U+0000, which PostgreSQL has in no text.
    Nul,
}

/// The parameters of a query or form.
#[derive(Debug, Clone, Default)]
pub struct Form {
    values: BTreeMap<String, String>,
    fault: Option<(Fault, String)>,
}

impl Form {
    /// Parses `application/x-www-form-urlencoded` text; what is wrong is remembered as the error it is, and a
    /// parameter with U+0000 is not there.
    pub fn parse(text: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            let secret = SECRETS.contains(&name.as_ref());
            if name.contains('\0') || (value.contains('\0') && !secret) {
                form.fault
                    .get_or_insert_with(|| (Fault::Nul, name.into_owned()));
            } else if form.values.contains_key(name.as_ref()) {
                form.fault
                    .get_or_insert_with(|| (Fault::Twice, name.into_owned()));
            } else {
                form.values.insert(name.into_owned(), value.into_owned());
            }
        }
        form
    }

    /// A form that a page posted. One of another type, or with a fault, has no parameters at all, so that it
    /// leads no step on (threat V015).
    pub fn posted(content_type: &str, body: &[u8]) -> Self {
        let form = if content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::parse(body)
        } else {
            Self::default()
        };
        if form.fault.is_some() {
            Self::default()
        } else {
            form
        }
    }

    /// These parameters, and from `below` those that are not here.
    #[must_use]
    pub fn over(mut self, below: Self) -> Self {
        for (name, value) in below.values {
            self.values.entry(name).or_insert(value);
        }
        self
    }

    /// These parameters, and this one in place of its namesake.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The first fault.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.as_ref().map(|(fault, _)| *fault)
    }

    /// The name of the parameter that the first fault is about.
    pub fn faulty(&self) -> Option<&str> {
        self.fault.as_ref().map(|(_, name)| name.as_str())
    }

    /// A parameter that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A parameter, empty where it is absent: for fields whose white space counts.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Whether the parameter came at all: how a pressed button shows itself.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_with_a_zero_byte_is_not_there() {
        let form = Form::parse(b"client_id=a%00b&state=x&password=p%00q");
        assert_eq!(
            (form.fault(), form.faulty()),
            (Some(Fault::Nul), Some("client_id"))
        );
        assert_eq!(
            (form.get("client_id"), form.get("state")),
            (None, Some("x"))
        );
        assert_eq!(form.text("password"), "p\0q", "hashed, and nothing else");
        assert_eq!(Form::parse(b"a%00=x").fault(), Some(Fault::Nul));
        assert_eq!(Form::parse(b"a=x&a=y").fault(), Some(Fault::Twice));
        assert_eq!(Form::parse(b"a=%2500&b=x").fault(), None);
        let posted = |body: &[u8]| Form::posted("application/x-www-form-urlencoded", body);
        assert!(!posted(b"username=a%00&flow=x").has("flow"));
        assert!(posted(b"username=a&flow=x").has("flow"));
    }
}
