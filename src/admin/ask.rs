//! What a call asks for: the names in its path, its query, its body.

use std::collections::HashMap;

use actix_web::HttpRequest;
use actix_web::http::{Method, header};
use actix_web::web::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::error::AdminError;
use super::json::{self, Shape};

/// The parts of a request that handlers read.
#[derive(Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// The hash of the password in the body, made before the transaction.
    pub hash: Option<String>,
    /// Whether the caller asks for CSV rather than JSON.
    pub wants_csv: bool,
    names: HashMap<String, String>,
    query: Vec<(String, String)>,
    is_json: bool,
    body: Option<Bytes>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many to skip.
    pub first: i64,
    /// How many to give; `None` for all.
    pub max: Option<i64>,
}

impl Page {
    /// This part of a list that is in memory.
    pub fn of<T>(self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        let first = usize::try_from(self.first).unwrap_or(0);
        let max = self
            .max
            .map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0));
        all.skip(first).take(max)
    }
}

impl Ask {
    /// Reads a request; no body where it was too large.
    pub fn of(request: &HttpRequest, body: Option<Bytes>) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let names = request
            .match_info()
            .iter()
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self {
            method: request.method().clone(),
            hash: None,
            wants_csv: accepts_csv(request),
            names,
            query: form_urlencoded::parse(request.query_string().as_bytes())
                .into_owned()
                .collect(),
            is_json: essence.eq_ignore_ascii_case("application/json"),
            body,
        }
    }

    /// The realm's name in the path.
    pub fn realm(&self) -> Option<&str> {
        self.names.get("realm").map(String::as_str)
    }

    /// A name in the path; empty where the route has none of that name.
    pub fn path(&self, name: &str) -> &str {
        self.names.get(name).map_or("", String::as_str)
    }

    /// A name in the path, if the route has one.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    /// The first value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A query parameter's text, absent when empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query(name).filter(|text| !text.is_empty())
    }

    /// All values of a query parameter that are not empty.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.query.iter().filter(move |(key, _)| key == name);
        named
            .map(|(_, value)| value.as_str())
            .filter(|text| !text.is_empty())
    }

    /// A query parameter that is `true` when it says so, and false with any other text.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.text(name)
            .map(|text| text.eq_ignore_ascii_case("true"))
    }

    /// A query parameter that is `true` or `false`: for parameters that Keycloak has not, where a slip would do another
    /// thing than was meant.
    ///
    /// # Errors
    /// It says neither.
    pub fn switch(&self, name: &str) -> Result<Option<bool>, AdminError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(AdminError::Bad(format!(
                "{name} is true or false, not {text:.32}"
            ))),
        }
    }

    /// Looks whether every query parameter is one of these.
    ///
    /// # Errors
    /// One is not.
    pub fn only(&self, known: &[&str]) -> Result<(), AdminError> {
        let odd = self
            .query
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()));
        odd.map_or(Ok(()), |(name, _)| {
            Err(AdminError::Bad(format!(
                "Unknown parameter {name:.32}: one of {}",
                known.join(", ")
            )))
        })
    }

    /// Which part of a list is wanted: by default the first `default`, all for -1.
    ///
    /// # Errors
    /// `first` or `max` is no number, which Keycloak answers with 404.
    pub fn page(&self, default: Option<i64>) -> Result<Page, AdminError> {
        let number = |name: &str| match self.text(name) {
            None => Ok(None),
            Some(text) => text
                .parse::<i64>()
                .map(Some)
                .map_err(|_| AdminError::NotFound("HTTP 404 Not Found")),
        };
        let max = match number("max")? {
            None => default,
            Some(max) => (max >= 0).then_some(max),
        };
        Ok(Page {
            first: number("first")?.unwrap_or(0).max(0),
            max,
        })
    }

    /// The body as it came.
    ///
    /// # Errors
    /// It is too large.
    pub fn raw(&self) -> Result<&[u8], AdminError> {
        self.body.as_deref().ok_or(AdminError::TooLarge)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is too large, not declared as JSON, or not JSON.
    pub fn json(&self) -> Result<Value, AdminError> {
        let body = self.body.as_ref().ok_or(AdminError::TooLarge)?;
        if !self.is_json {
            return Err(AdminError::MediaType);
        }
        json::parse(body)
    }

    /// The body as JSON, if there is one.
    ///
    /// # Errors
    /// As for [`Ask::json`].
    pub fn json_if_any(&self) -> Result<Option<Value>, AdminError> {
        match &self.body {
            Some(body) if body.is_empty() => Ok(None),
            _ => self.json().map(Some),
        }
    }

    /// The body as a representation.
    ///
    /// # Errors
    /// As for [`Ask::json`] and [`Shape::read`].
    pub fn object(&self, shape: &Shape) -> Result<Map<String, Value>, AdminError> {
        shape.read(self.json()?)
    }
}

/// Whether the first media type that the caller accepts is CSV.
fn accepts_csv(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split([',', ';']).next())
        .is_some_and(|first| first.trim().eq_ignore_ascii_case("text/csv"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn ask(uri: &str) -> Ask {
        Ask::of(&TestRequest::with_uri(uri).to_http_request(), None)
    }

    #[test]
    fn pages_have_keycloaks_limits() {
        let page = |uri: &str| {
            ask(uri)
                .page(Some(100))
                .ok()
                .map(|page| (page.first, page.max))
        };
        assert_eq!(page("/"), Some((0, Some(100))));
        assert_eq!(page("/?first=3&max=2"), Some((3, Some(2))));
        assert_eq!(page("/?first=-1&max=-1"), Some((0, None)));
        assert_eq!(page("/?max=0"), Some((0, Some(0))));
        assert_eq!(page("/?max=abc"), None);
        let part: Vec<u8> = ask("/?first=1&max=2")
            .page(None)
            .unwrap()
            .of(1..9)
            .collect();
        assert_eq!(part, [2, 3]);
    }

    #[test]
    fn flags_are_true_only_when_they_say_so() {
        assert_eq!(ask("/?a=TRUE").flag("a"), Some(true));
        assert_eq!(ask("/?a=maybe").flag("a"), Some(false));
        assert_eq!(ask("/?a=").flag("a"), None);
        assert_eq!(ask("/?a=True").switch("a").unwrap(), Some(true));
        assert_eq!(ask("/?a=false").switch("a").unwrap(), Some(false));
        assert_eq!(ask("/?b=1").switch("a").unwrap(), None);
        assert!(ask("/?a=1").switch("a").is_err());
        assert!(ask("/?a=1&b=2").only(&["a", "b"]).is_ok());
        assert!(ask("/?a=1&c=2").only(&["a", "b"]).is_err());
        assert_eq!(ask("/?a=x%20y").query("a"), Some("x y"));
    }

    #[test]
    fn a_body_must_say_that_it_is_json() {
        let with = |kind: &str| {
            let request = TestRequest::default()
                .insert_header((header::CONTENT_TYPE, kind.to_owned()))
                .to_http_request();
            Ask::of(&request, Some(Bytes::from_static(b"{}"))).json()
        };
        assert!(with("application/json; charset=utf-8").is_ok());
        assert!(matches!(with("text/plain"), Err(AdminError::MediaType)));
        assert!(matches!(ask("/").json(), Err(AdminError::TooLarge)));
    }
}
