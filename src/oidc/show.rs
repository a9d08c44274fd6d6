//! From a decision of the dispatcher to what the browser gets: a page, a redirect, and its cookies.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use super::catalog::RealmConfig;
use super::context::Reader;
use super::engine::Engine;
use super::error::log_failure;
use super::next::SessionCookie;
use super::texts;
use crate::client::redirect;
use crate::flow::{Flow, ResponseMode};
use crate::login::device;
use crate::realm::Realm;
use crate::store::StoreError;
use crate::user::User;
use crate::web::cookie::Cookies;
use crate::web::headers::{self, Policy};
use crate::web::pages::{
    self, Brand, Colour, ErrorPage, FormPost, Href, Link, Look, Message, Onwards, Page, PageError,
};
use crate::web::texts::{Locale, Text};

/// What the browser gets.
pub struct Reply {
    body: Body,
    cookies: Option<Cookies>,
    /// The session cookie.
    pub session: SessionCookie,
    /// A new flow id for the browser.
    pub browser: Option<String>,
    /// Whether the session cookie is taken away.
    pub clear_session: bool,
    /// The cookie of a link that was opened: its name and value.
    pub link: Option<(String, String)>,
    /// Cookies of links that are taken away, by name.
    pub drop_links: Vec<String>,
    /// Whom to mail a code, once what was decided is stored: the page asks for it.
    pub mail_code: Option<Box<(User, Locale)>>,
    /// Whether the form that is answered came after its flow had gone on without it.
    pub overtaken: bool,
}

enum Body {
    Html {
        status: StatusCode,
        html: String,
        policy: Policy,
    },
    SeeOther(String),
}

impl Reply {
    /// A redirect that a POST can end with (standards S021). A header holds ASCII, so an address with other letters is
    /// written as browsers write it.
    pub fn see_other(location: String) -> Self {
        let written = match location.is_ascii() {
            true => location,
            false => url::Url::parse(&location).map_or(location, Into::into),
        };
        Self::with(Body::SeeOther(written))
    }

    fn with(body: Body) -> Self {
        Self {
            body,
            cookies: None,
            session: SessionCookie::Keep,
            browser: None,
            clear_session: false,
            link: None,
            drop_links: Vec::new(),
            mail_code: None,
            overtaken: false,
        }
    }

    /// With the cookies of a realm.
    #[must_use]
    pub fn cookies(mut self, cookies: &Cookies) -> Self {
        self.cookies = Some(cookies.clone());
        self
    }

    /// The answer.
    pub fn into_response(self) -> HttpResponse {
        let mut response = match self.body {
            Body::Html {
                status,
                html,
                policy,
            } => headers::page(status, &policy, html),
            Body::SeeOther(location) => HttpResponse::SeeOther()
                .insert_header((header::LOCATION, location))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish(),
        };
        if let Some(cookies) = &self.cookies {
            if let SessionCookie::Set(secret, kept) = &self.session {
                cookies.set_session(&mut response, secret);
                if let Some(remember) = &kept.remember {
                    cookies.set_remember(&mut response, &remember.secret, remember.seconds);
                }
                if let Some(marks) = &kept.devices {
                    cookies.set_devices(&mut response, marks, device::LIFETIME);
                }
            }
            if let Some(browser) = &self.browser {
                cookies.set_browser(&mut response, browser);
            }
            if let Some((name, value)) = &self.link {
                cookies.set_link(&mut response, name, value);
            }
            for name in &self.drop_links {
                cookies.clear_link(&mut response, name);
            }
            if self.clear_session {
                cookies.clear_session(&mut response);
            }
        }
        response
    }
}

/// How the realm's pages look in this language.
#[derive(Clone)]
pub struct Face {
    brand: Brand,
    /// The language.
    pub locale: Locale,
    /// The id of the request that is answered.
    request_id: String,
}

impl Face {
    /// The realm's face for a reader.
    pub fn of(
        engine: &Engine,
        config: &RealmConfig,
        (ui_locales, reader): (Option<&str>, &Reader),
    ) -> Self {
        let realm = &config.realm;
        let default = realm
            .settings
            .default_locale
            .as_deref()
            .filter(|_| realm.settings.internationalization_enabled);
        let locale =
            engine
                .texts
                .negotiate(ui_locales, None, reader.accept_language.as_deref(), default);
        let colour = brand_colour(realm).map(|_| format!("{}/resources/brand.css", config.issuer));
        let logo = realm
            .settings
            .attributes
            .get("logo")
            .filter(|logo| logo.starts_with("data:image/"));
        let brand = Brand {
            name: realm.display_name().to_owned(),
            logo: logo.cloned(),
            colour_stylesheet: colour,
            public_url: engine.public_url.clone(),
        };
        Self {
            brand,
            locale,
            request_id: reader.request_id.clone(),
        }
    }

    /// The product's own face, where no realm is known.
    pub fn plain(engine: &Engine, reader: &Reader) -> Self {
        let asked = reader.accept_language.as_deref();
        let brand = Brand {
            name: "Vestibule".to_owned(),
            logo: None,
            colour_stylesheet: None,
            public_url: engine.public_url.clone(),
        };
        Self {
            brand,
            locale: engine.texts.negotiate(None, None, asked, None),
            request_id: reader.request_id.clone(),
        }
    }

    /// A page with status 200 whose forms may lead to the flow's application.
    pub fn page<P: Page>(&self, engine: &Engine, page: &P, flow: Option<&Flow>) -> Reply {
        let form_action = flow.and_then(|flow| redirect::csp_source(&flow.request.redirect_uri));
        self.render(
            engine,
            StatusCode::OK,
            page,
            Policy {
                form_action,
                script_nonce: None,
            },
        )
    }

    /// A page with status 200 whose forms may lead to one more place.
    pub fn page_to<P: Page>(
        &self,
        engine: &Engine,
        page: &P,
        form_action: Option<String>,
    ) -> Reply {
        self.render(
            engine,
            StatusCode::OK,
            page,
            Policy {
                form_action,
                script_nonce: None,
            },
        )
    }

    fn render<P: Page>(
        &self,
        engine: &Engine,
        status: StatusCode,
        page: &P,
        policy: Policy,
    ) -> Reply {
        let look = Look {
            locale: self.locale,
            realm: &self.brand,
        };
        match engine.pages.render(&look, page) {
            Ok(html) => Reply::with(Body::Html {
                status,
                html,
                policy,
            }),
            Err(error) => broken(&error),
        }
    }

    /// The page for what cannot go on.
    pub fn error(
        &self,
        engine: &Engine,
        status: StatusCode,
        message: Text,
        back: Option<&str>,
    ) -> Reply {
        let request_id = self.request_id.clone();
        tracing::info!(error_page = %status, request_id, "an error page was shown");
        let page = ErrorPage {
            message,
            back: back.and_then(Href::to),
            sign_in: None,
            request_id,
        };
        self.render(engine, status, &page, Policy::default())
    }

    /// The page for what comes too late, such as a form that is sent again because its answer never arrived: with a way
    /// to sign in, for what was saved is saved. It leads to the application, where it is known which one waits.
    pub fn expired(
        &self,
        engine: &Engine,
        config: &RealmConfig,
        application: Option<&str>,
    ) -> Reply {
        let account = format!("{}/account/", config.issuer);
        let page = ErrorPage {
            message: Text::key("action-expired"),
            back: None,
            sign_in: Href::to(application.unwrap_or(&account)),
            request_id: self.request_id.clone(),
        };
        self.render(engine, StatusCode::BAD_REQUEST, &page, Policy::default())
    }

    /// A page that says something.
    pub fn message(&self, engine: &Engine, heading: &'static str, body: &'static str) -> Reply {
        self.message_to(engine, (heading, body), None)
    }

    /// A page that says something with arguments.
    pub fn message_of(&self, engine: &Engine, heading: &'static str, body: Text) -> Reply {
        let page = Message {
            heading: Text::key(heading),
            body,
            link: None,
        };
        self.render(engine, StatusCode::OK, &page, Policy::default())
    }

    /// A page that says something and offers a way on: its words and where it leads.
    pub fn message_to(
        &self,
        engine: &Engine,
        (heading, body): (&'static str, &'static str),
        way_on: Option<(&'static str, &str)>,
    ) -> Reply {
        let link = way_on.and_then(|(text, href)| {
            Some(Link {
                text: Text::key(text),
                href: Href::to(href)?,
            })
        });
        let page = Message {
            heading: Text::key(heading),
            body: Text::key(body),
            link,
        };
        self.render(engine, StatusCode::OK, &page, Policy::default())
    }

    /// A page that leads on by itself: a redirect after a form would be stopped by the policy's `form-action`.
    pub fn onwards(&self, engine: &Engine, to: &str) -> Reply {
        match Href::to(to) {
            Some(href) => self.render(engine, StatusCode::OK, &Onwards { href }, Policy::default()),
            None => self.message(engine, "all-done-title", "all-done"),
        }
    }

    /// The authorization response: parameters to the redirect URI, in the way that was asked for.
    pub fn respond(
        &self,
        engine: &Engine,
        (redirect_uri, mode, app): (&str, ResponseMode, &str),
        parameters: &[(&str, &str)],
    ) -> Reply {
        match mode {
            ResponseMode::Query => Reply::see_other(with_parameters(redirect_uri, '?', parameters)),
            ResponseMode::Fragment => {
                Reply::see_other(with_parameters(redirect_uri, '#', parameters))
            }
            ResponseMode::Page => self.message(engine, "all-done-title", "all-done"),
            ResponseMode::FormPost => {
                let Some(action) = Href::to(redirect_uri) else {
                    return self.error(
                        engine,
                        StatusCode::BAD_REQUEST,
                        texts::parameter("redirect_uri"),
                        None,
                    );
                };
                let nonce = engine.entropy.short_id();
                let fields = parameters
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect();
                let page = FormPost {
                    action,
                    app: app.to_owned(),
                    fields,
                    nonce: nonce.clone(),
                };
                let policy = Policy {
                    form_action: redirect::csp_source(redirect_uri),
                    script_nonce: Some(nonce),
                };
                self.render(engine, StatusCode::OK, &page, policy)
            }
        }
    }
}

/// A page for a failed store: nothing was changed, try again.
pub fn store_failed(engine: &Engine, reader: &Reader, error: &StoreError) -> HttpResponse {
    log_failure(error);
    let face = Face::plain(engine, reader);
    let mut response = face
        .error(
            engine,
            StatusCode::SERVICE_UNAVAILABLE,
            Text::key("try-later"),
            None,
        )
        .into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
    response
}

fn broken(error: &PageError) -> Reply {
    tracing::error!(error = %error, "a page could not be rendered");
    Reply::with(Body::Html {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        html: "<!doctype html><title>Error</title><p>This page could not be shown. Nothing was changed; please try again.".to_owned(),
        policy: Policy::default(),
    })
}

/// The realm's colour (attribute `brandColor`, `#rrggbb`).
pub fn brand_colour(realm: &Realm) -> Option<Colour> {
    realm
        .settings
        .attributes
        .get("brandColor")
        .and_then(|text| Colour::parse(text))
}

/// The realm's colour as a stylesheet.
pub fn brand_css(realm: &Realm) -> Option<String> {
    brand_colour(realm).map(pages::brand_css)
}

/// Parameters after a redirect URI, whose own query stays.
fn with_parameters(redirect_uri: &str, separator: char, parameters: &[(&str, &str)]) -> String {
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(parameters);
    let joint = match separator {
        '?' if redirect_uri.contains('?') => '&',
        other => other,
    };
    format!("{redirect_uri}{joint}{}", encoded.finish())
}
