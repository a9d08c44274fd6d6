//! A browser with scripts off, driven by sentences: it keeps cookies, follows redirects inside the
//! server, stops where it would leave for an application, and sends `Origin` with every POST.
//!
//! Every page it sees is held to what all pages promise: the security headers, no unescaped canary,
//! and a redirect as the answer to a POST.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;
use vestibule::kernel::UserId;

use super::answer::{Answer, check};
use super::app::{TestApp, User};
use super::arrival::Arrival;
use super::html::{Form, Page};
use super::oracle::Ledger;
use super::rp::{RelyingParty, Request};

/// A text that may stand on no page unescaped. Put it into names, states and passwords.
pub const CANARY: &str = "\"'><svg/onload=canary()>${7*7}{{7*7}}";

/// The cookies of a browser, by name.
pub type Cookies = BTreeMap<String, String>;

/// A browser.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    public_url: String,
    address: String,
    ledger: Arc<Ledger>,
    cookies: Arc<Mutex<Cookies>>,
    person: Option<UserId>,
    requests: Vec<Request>,
    /// Headers that are sent with every request.
    pub headers: Vec<(String, String)>,
    /// The last answer.
    pub answer: Answer,
    /// The page that is shown, if the last answer was one.
    pub page: Option<Page>,
    /// The URLs at which pages were shown, oldest first.
    pub history: Vec<Url>,
    left: Option<Departure>,
}

/// A way out to an application: where to, and with which parameters.
#[derive(Clone, Debug)]
struct Departure {
    to: String,
    parameters: BTreeMap<String, String>,
}

impl Browser {
    pub(super) fn new(app: &TestApp) -> Self {
        Self {
            ledger: Arc::clone(&app.ledger),
            ..Self::at(&app.http, (app.public_url(), app.address()))
        }
    }

    /// A browser for a server of that public URL, which is reached at that address.
    pub fn at(http: &reqwest::Client, (public_url, address): (&str, &str)) -> Self {
        let nowhere = Url::parse(public_url).expect("the public URL");
        Self {
            http: http.clone(),
            public_url: public_url.to_owned(),
            address: address.to_owned(),
            ledger: Arc::default(),
            cookies: Arc::default(),
            person: None,
            requests: Vec::new(),
            headers: Vec::new(),
            answer: Answer {
                url: nowhere,
                status: 0,
                headers: HeaderMap::new(),
                body: String::new(),
            },
            page: None,
            history: Vec::new(),
            left: None,
        }
    }

    /// Another tab: the same cookies, whatever becomes of them, and pages of its own.
    pub fn tab(&self) -> Self {
        Self {
            page: None,
            history: Vec::new(),
            requests: Vec::new(),
            left: None,
            ..self.clone()
        }
    }

    /// A browser with a copy of the cookies as they are now.
    pub fn copy(&self) -> Self {
        Self {
            cookies: Arc::new(Mutex::new(self.cookies())),
            ..self.tab()
        }
    }

    /// The cookies as they are now.
    pub fn cookies(&self) -> Cookies {
        self.cookies.lock().clone()
    }

    /// Replaces the cookies.
    pub fn set_cookies(&mut self, cookies: Cookies) {
        *self.cookies.lock() = cookies;
    }

    /// The value of the cookie whose name ends so: `flow` or `sid`.
    pub fn cookie(&self, what: &str) -> Option<String> {
        let cookies = self.cookies.lock();
        let mut found = cookies.iter().filter(|(name, _)| name.ends_with(what));
        found.next().map(|(_, value)| value.clone())
    }

    /// The page that is shown.
    #[track_caller]
    pub fn page(&self) -> &Page {
        match &self.page {
            Some(page) => page,
            None => panic!("no page is shown: {self}"),
        }
    }

    // --- going somewhere ---------------------------------------------------------------------

    /// Opens an application's sign-in.
    pub async fn authorize(&mut self, rp: &RelyingParty) -> &mut Self {
        self.authorize_with(rp, &[]).await
    }

    /// Opens an application's sign-in with more parameters.
    pub async fn authorize_with(&mut self, rp: &RelyingParty, extra: &[(&str, &str)]) -> &mut Self {
        let request = rp.request(extra).await;
        let url = request.url.clone();
        self.requests.push(request);
        self.open(url).await
    }

    /// Opens a URL and follows where it leads.
    pub async fn open(&mut self, url: Url) -> &mut Self {
        self.answer = self.send(Method::GET, &url, None).await;
        self.follow().await
    }

    /// Opens a path of the server.
    pub async fn open_path(&mut self, path: &str) -> &mut Self {
        let url = Url::parse(&format!("{}{path}", self.public_url)).expect("a path");
        self.open(url).await
    }

    /// Loads the page again.
    pub async fn reload(&mut self) -> &mut Self {
        let url = self.page().url.clone();
        self.open(url).await
    }

    /// Asks again for the page before the one that is shown, as the Back button does without a cache.
    pub async fn back(&mut self) -> &mut Self {
        let before = self.history.len().checked_sub(2).expect("a page before");
        let url = self.history[before].clone();
        self.open(url).await
    }

    // --- forms -------------------------------------------------------------------------------

    /// Presses the button of that name.
    pub async fn press(&mut self, button: &str) -> &mut Self {
        self.submit_form(self.page().form_with(button).clone(), Some(button))
            .await
    }

    /// Fills the fields of the page's form and sends it by its first button.
    pub async fn fill_in(&mut self, fields: &[(&str, &str)]) -> &mut Self {
        let mut form = match fields.first() {
            Some((name, _)) => self.page().form_with(name).clone(),
            None => self.page().only_form().clone(),
        };
        for (name, value) in fields {
            form.fill(name, value);
        }
        self.submit_form(form, None).await
    }

    /// Sends a form.
    pub async fn submit_form(&mut self, form: Form, button: Option<&str>) -> &mut Self {
        let pairs = form.pairs(button);
        self.post(&form.action, &pairs).await
    }

    /// Posts pairs and follows the answer.
    pub async fn post(&mut self, url: &Url, pairs: &[(String, String)]) -> &mut Self {
        let body = encode(pairs);
        self.answer = self.send(Method::POST, url, Some((FORM, body))).await;
        self.follow().await
    }

    /// Signs in with the person's password.
    pub async fn sign_in(&mut self, user: &User) -> &mut Self {
        self.sign_in_with(user, &user.password).await
    }

    /// Signs in with another password. Where the page knows the person already, only the password is typed.
    pub async fn sign_in_with(&mut self, user: &User, password: &str) -> &mut Self {
        self.person = Some(user.id.clone());
        self.ledger.password(&user.id, password);
        let mut form = self.page().form_with("password").clone();
        if form
            .field("username")
            .is_some_and(|field| field.kind != "hidden")
        {
            form.fill("username", &user.username);
        }
        form.fill("password", password);
        self.submit_form(form, Some("login")).await
    }

    /// Sets a new password on the page for it.
    pub async fn set_new_password(&mut self, password: &str) -> &mut Self {
        if let Some(person) = &self.person {
            self.ledger.password(person, password);
        }
        self.fill_in(&[("password-new", password), ("password-confirm", password)])
            .await
    }

    // --- what came of it ---------------------------------------------------------------------

    /// That the page of that name is shown.
    #[track_caller]
    pub fn assert_page(&mut self, marker: &str) -> &mut Self {
        assert_eq!(self.page().marker.as_deref(), Some(marker), "{self}");
        self
    }

    /// That a text is read on the page.
    #[track_caller]
    pub fn assert_text(&mut self, text: &str) -> &mut Self {
        assert!(
            self.page().text.contains(text),
            "{text:?} is not on {}",
            self.page()
        );
        self
    }

    /// That the way led to the application with a code, its `state` and `iss` in order.
    #[track_caller]
    pub fn assert_redirect_to(&mut self, rp: &RelyingParty) -> Arrival {
        let arrival = self.arrival(rp);
        assert!(
            arrival.parameters.contains_key("code"),
            "no code: {:?}",
            arrival.parameters
        );
        arrival
    }

    /// That the way led to the application with this error, its `state` and `iss` in order.
    #[track_caller]
    pub fn assert_error_to(&mut self, rp: &RelyingParty, error: &str) -> Arrival {
        let arrival = self.arrival(rp);
        let parameters = &arrival.parameters;
        assert_eq!(
            parameters.get("error").map(String::as_str),
            Some(error),
            "{parameters:?}"
        );
        assert!(!parameters.contains_key("code"), "{parameters:?}");
        arrival
    }

    #[track_caller]
    fn arrival(&mut self, rp: &RelyingParty) -> Arrival {
        let Some(left) = self.left.clone() else {
            panic!("the browser stayed: {self}");
        };
        assert_eq!(left.to, rp.redirect_uri, "{left:?}");
        let parameters = left.parameters;
        assert_eq!(
            parameters.get("iss"),
            Some(&rp.issuer),
            "iss (RFC 9207): {parameters:?}"
        );
        let asked = self
            .requests
            .iter()
            .find(|request| Some(&request.state) == parameters.get("state"))
            .unwrap_or_else(|| panic!("state of no request: {parameters:?}"))
            .clone();
        assert_eq!(asked.rp.client_id, rp.client_id, "whose request it was");
        Arrival {
            parameters,
            asked,
            ledger: Arc::clone(&self.ledger),
            person: self.person.clone(),
        }
    }

    /// Whether the browser was sent to an application with a code.
    pub fn got_a_code(&self) -> bool {
        self.left
            .as_ref()
            .is_some_and(|left| left.parameters.contains_key("code"))
    }

    // --- raw requests ------------------------------------------------------------------------

    /// Sends one request with this browser's cookies and follows nothing.
    pub async fn send(
        &mut self,
        method: Method,
        url: &Url,
        body: Option<(&str, String)>,
    ) -> Answer {
        let target = match url.as_str().strip_prefix(&self.public_url) {
            Some(rest) => format!("{}{rest}", self.address),
            None => panic!("{url} is not the server's"),
        };
        let mut request = self.http.request(method.clone(), target);
        let cookies: Vec<String> = self
            .cookies
            .lock()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let overridden = |wanted: &str| {
            self.headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
        };
        if !cookies.is_empty() && !overridden("cookie") {
            request = request.header("cookie", cookies.join("; "));
        }
        if method == Method::POST && !overridden("origin") {
            request = request.header("origin", &self.public_url);
        }
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_bytes());
        }
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let answer = Answer {
            url: url.clone(),
            status,
            headers,
            body: answer.text().await.expect("a body"),
        };
        self.keep_cookies(&answer);
        check(&method, &answer);
        answer
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        let mut changed = false;
        for header in answer.headers.get_all("set-cookie") {
            let header = header.to_str().expect("a cookie in ASCII");
            let mut parts = header.split(';').map(str::trim);
            let (name, value) = parts
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a cookie with a name");
            let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            for wanted in ["httponly", "samesite=lax", "path=/"] {
                assert!(
                    attributes.iter().any(|attribute| attribute == wanted),
                    "{header} is not {wanted}"
                );
            }
            let mut cookies = self.cookies.lock();
            if attributes.iter().any(|attribute| attribute == "max-age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
            changed = true;
        }
        if let (true, Some(person)) = (changed, &self.person) {
            self.ledger.cookies(person, self.cookies.lock().clone());
        }
    }

    /// Follows redirects inside the server; stops at a page or at the way out.
    async fn follow(&mut self) -> &mut Self {
        self.page = None;
        self.left = None;
        for _ in 0..10 {
            let Some(to) = self.answer.location() else {
                self.arrived();
                return self;
            };
            if !to.as_str().starts_with(&format!("{}/", self.public_url)) {
                self.leave(to);
                return self;
            }
            assert!(
                matches!(self.answer.status, 302 | 303),
                "a redirect of status {}",
                self.answer.status
            );
            self.answer = self.send(Method::GET, &to, None).await;
        }
        panic!("redirects without an end: {self}");
    }

    fn arrived(&mut self) {
        if !self.answer.header("content-type").starts_with("text/html") {
            return;
        }
        let page = Page::parse(&self.answer.url, &self.answer.body);
        let leading_out = page.forms.iter().find(|form| {
            !form
                .action
                .as_str()
                .starts_with(&format!("{}/", self.public_url))
        });
        if let Some(form) = leading_out {
            self.depart(form.action.to_string(), form.pairs(None));
        }
        self.history.push(self.answer.url.clone());
        self.page = Some(page);
    }

    fn leave(&mut self, mut to: Url) {
        let query = to.query().or(to.fragment()).unwrap_or_default().to_owned();
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        to.set_query(None);
        to.set_fragment(None);
        self.depart(to.to_string(), pairs);
    }

    fn depart(&mut self, to: String, pairs: Vec<(String, String)>) {
        let parameters: BTreeMap<_, _> = pairs.into_iter().collect();
        let asked = self
            .requests
            .iter()
            .find(|request| Some(&request.state) == parameters.get("state"));
        if let (Some(code), Some(asked), Some(person)) =
            (parameters.get("code"), asked, &self.person)
        {
            self.ledger.code(person, code, asked);
        }
        self.left = Some(Departure { to, parameters });
    }
}

impl std::fmt::Display for Browser {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (status, url) = (self.answer.status, &self.answer.url);
        write!(formatter, "{status} at {url}")?;
        match (&self.page, &self.left) {
            (Some(page), _) => write!(formatter, ", page {page}"),
            (None, Some(left)) => write!(formatter, ", left for {left:?}"),
            (None, None) => write!(formatter, ", {}", self.answer.body),
        }
    }
}

/// The content type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Pairs as a form is sent.
pub fn encode(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
