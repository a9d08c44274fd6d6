//! Parameters of a request: no name twice (RFC 6749 section 3.1), empty is absent, unknown ones are ignored.

use std::collections::BTreeMap;

/// The parameters of a query or form.
#[derive(Debug, Clone, Default)]
pub struct Form {
    values: BTreeMap<String, String>,
    duplicate: Option<String>,
}

impl Form {
    /// Parses `application/x-www-form-urlencoded` text; a name that comes twice is remembered as the error it is.
    pub fn parse(text: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            if form.values.contains_key(name.as_ref()) {
                form.duplicate.get_or_insert_with(|| name.into_owned());
            } else {
                form.values.insert(name.into_owned(), value.into_owned());
            }
        }
        form
    }

    /// A form that a page posted. One of another type, or with a name twice, has no parameters at all, so that it
    /// leads no step on (threat V015).
    pub fn posted(content_type: &str, body: &[u8]) -> Self {
        let form = if content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::parse(body)
        } else {
            Self::default()
        };
        if form.duplicate.is_some() {
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

    /// The name that came twice.
    pub fn duplicate(&self) -> Option<&str> {
        self.duplicate.as_deref()
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
