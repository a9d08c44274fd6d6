//! Cookies: named after the realm's id, `HttpOnly`, `SameSite=Lax`, `__Host-` and `Secure` wherever there is TLS.
//!
//! A cookie holds a random id (or such with a keyed digest) and never a parameter of the request (threat V074). Browsers do not send `Secure`
//! cookies back over plain http, so on plain http at loopback prefix and flag are dropped.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

/// How long a browser is known by its flow cookie (reliability H008).
const FLOW_COOKIE: Duration = Duration::minutes(30);

/// How long a browser remembers a link that it has opened.
const LINK_COOKIE: Duration = Duration::hours(2);

/// The cookies of one realm.
#[derive(Debug, Clone)]
pub struct Cookies {
    tag: String,
    secure: bool,
}

impl Cookies {
    /// Those of the realm with that tag.
    pub fn new(tag: String, secure: bool) -> Self {
        Self { tag, secure }
    }

    /// The name of the cookie for `sid`, `remember`, `device` or `flow`.
    pub fn name(&self, what: &str) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}{}_{what}", self.tag)
    }

    fn cookie(&self, what: &str, value: &str, max_age: Option<Duration>) -> Cookie<'static> {
        let mut cookie = Cookie::build(self.name(what), value.to_owned())
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax);
        if let Some(max_age) = max_age {
            cookie = cookie.max_age(max_age);
        }
        cookie.finish()
    }

    /// Gives the browser a session, until it closes.
    pub fn set_session(&self, response: &mut HttpResponse, secret: &str) {
        let _ = response.add_cookie(&self.cookie("sid", secret, None));
    }

    /// Gives the browser what brings its session back, for so many seconds.
    pub fn set_remember(&self, response: &mut HttpResponse, secret: &str, seconds: i64) {
        let cookie = self.cookie("remember", secret, Some(Duration::seconds(seconds)));
        let _ = response.add_cookie(&cookie);
    }

    /// Gives the browser the marks by which it is known as its people's, for so many seconds.
    pub fn set_devices(&self, response: &mut HttpResponse, marks: &str, seconds: i64) {
        let cookie = self.cookie("device", marks, Some(Duration::seconds(seconds)));
        let _ = response.add_cookie(&cookie);
    }

    /// Gives the browser its flow id.
    pub fn set_browser(&self, response: &mut HttpResponse, id: &str) {
        let _ = response.add_cookie(&self.cookie("flow", id, Some(FLOW_COOKIE)));
    }

    /// Gives the browser a cookie for a link that it has opened.
    pub fn set_link(&self, response: &mut HttpResponse, what: &str, value: &str) {
        let _ = response.add_cookie(&self.cookie(what, value, Some(LINK_COOKIE)));
    }

    /// Takes such a cookie from the browser.
    pub fn clear_link(&self, response: &mut HttpResponse, what: &str) {
        let _ = response.add_cookie(&self.cookie(what, "", Some(Duration::ZERO)));
    }

    /// Takes the session, and what would bring it back, from the browser.
    pub fn clear_session(&self, response: &mut HttpResponse) {
        for what in ["sid", "remember"] {
            let _ = response.add_cookie(&self.cookie(what, "", Some(Duration::ZERO)));
        }
    }
}
