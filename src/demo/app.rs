//! Harbour, the demo's third-party app: berths for visiting boats.
//!
//! It stands for every app that will ever be connected. It lives on an origin of its own,
//! keeps its own sessions, and reaches the identity provider only as any stranger would, by
//! the `openidconnect` crate (see `relying_party`). It shows what it was told: claims,
//! scopes, lifetimes, and refusals in the identity provider's own words.
//!
//! The demo starts it. Tokens stay in this process; the browser holds a random cookie.

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    cookie::{Cookie, SameSite},
    dev::Server,
    error::{InternalError, QueryPayloadError},
    http::{StatusCode, header},
    middleware::from_fn,
    web::{self, Data, Query, QueryConfig},
};
use openidconnect::CsrfToken;
use serde::Deserialize;
use url::Url;

use super::{
    mailbox::{self, Mailbox},
    pages,
};

mod claims;
mod failure;
mod guard;
mod home;
mod relying_party;
mod visits;

use failure::Failure;
use relying_party::{Asked, RelyingParty};
use visits::{Happening, SignedIn, Visits};

/// What the app must be told before it can start; nothing else of the identity provider.
pub struct AppSettings {
    /// The issuer, `http://localhost:8080/realms/demo`; discovered from at the first use.
    pub issuer: String,
    /// The `client_id` it is registered under.
    pub client_id: String,
    /// Its secret; `None` makes it a public client. PKCE is sent either way.
    pub client_secret: Option<String>,
    /// Its own origin, `http://localhost:8081`. To be registered: `{public_url}/callback` as
    /// redirect URI, `{public_url}/signed-out` as post logout redirect URI and
    /// `{public_url}/sign-in` as `initiate_login_uri`.
    pub public_url: String,
    /// Shown under `/mailbox` of the same origin.
    pub mailbox: Mailbox,
}

/// Distinct, because cookies know no ports: the identity provider sees it too on localhost.
const COOKIE: &str = "harbour_visit";

struct Harbour {
    relying_party: RelyingParty,
    visits: Visits,
    public_url: Url,
    issuer: Url,
}

/// Starts to serve the app on `listener`. The server runs when it is awaited and stops by
/// its handle; it takes no signals. A rustls crypto provider must be installed before.
///
/// # Errors
/// Where `public_url` or `issuer` is no URL, or the listener cannot be used.
pub fn serve(listener: std::net::TcpListener, settings: AppSettings) -> std::io::Result<Server> {
    let wrong = |what: &str, error: String| std::io::Error::other(format!("{what}: {error}"));
    let url = |text: &str| Url::parse(text).map_err(|error| wrong(text, error.to_string()));
    let harbour = Data::new(Harbour {
        relying_party: RelyingParty::new(&settings).map_err(|error| wrong("app", error))?,
        visits: Visits::default(),
        public_url: url(&settings.public_url)?,
        issuer: url(&settings.issuer)?,
    });
    let mailbox = Data::new(settings.mailbox);
    let csp = guard::policy(&harbour.issuer);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(harbour.clone())
            .app_data(mailbox.clone())
            .app_data(QueryConfig::default().error_handler(unreadable))
            .wrap(from_fn(guard::own_origin_only))
            .wrap(guard::headers(&csp))
            .route("/", web::get().to(home::show))
            .route("/demo.css", web::get().to(style))
            .route("/sign-in", web::get().to(sign_in))
            .route("/callback", web::get().to(callback))
            .route("/refresh", web::post().to(refresh))
            .route("/userinfo", web::post().to(userinfo))
            .route("/sign-out", web::post().to(sign_out))
            .route("/signed-out", web::get().to(signed_out))
            .configure(mailbox::routes)
            .default_service(web::to(nothing_here))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(pages::STYLE)
}

async fn nothing_here() -> HttpResponse {
    pages::problem(
        StatusCode::NOT_FOUND,
        "Nothing is moored here",
        "This page does not exist.",
    )
}

/// Such as a parameter given twice, which no honest answer holds.
fn unreadable(error: QueryPayloadError, _: &HttpRequest) -> Error {
    let page = pages::problem(
        StatusCode::BAD_REQUEST,
        "This address makes no sense",
        "Something in it is missing, said twice or garbled.",
    );
    InternalError::from_response(error, page).into()
}

/// Also the `initiate_login_uri` (OpenID Connect Core, section 4), hence `iss`.
#[derive(Deserialize)]
struct SignIn {
    prompt: Option<String>,
    iss: Option<String>,
    login_hint: Option<String>,
}

async fn sign_in(
    harbour: Data<Harbour>,
    request: HttpRequest,
    Query(query): Query<SignIn>,
) -> HttpResponse {
    if query
        .iss
        .is_some_and(|iss| iss != harbour.relying_party.issuer())
    {
        return pages::problem(
            StatusCode::BAD_REQUEST,
            "Unknown identity provider",
            "Harbour signs people in with one identity provider, and this is another.",
        );
    }
    let asked = match query.prompt.as_deref() {
        Some("login") => Asked::Again,
        Some("none") => Asked::Silent,
        Some(_) | None => Asked::SignIn,
    };
    match harbour
        .relying_party
        .authorize(asked, query.login_hint)
        .await
    {
        Ok((url, pending)) => {
            let id = harbour.visits.begin(visit_id(&request).as_deref(), pending);
            harbour.with_cookie(see_other(url.as_str()), id)
        }
        Err(failure) => pages::problem(
            StatusCode::BAD_GATEWAY,
            "The identity provider does not answer",
            &failure.to_string(),
        ),
    }
}

/// The authorization response (OpenID Connect Core, sections 3.1.2.5 and 3.1.2.6).
#[derive(Deserialize)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

async fn callback(
    harbour: Data<Harbour>,
    request: HttpRequest,
    Query(query): Query<Callback>,
) -> HttpResponse {
    let id = visit_id(&request);
    let state = query.state.unwrap_or_default();
    let Some(pending) = harbour.visits.take_pending(id.as_deref(), &state) else {
        return pages::problem(
            StatusCode::BAD_REQUEST,
            "This answer belongs to no sign-in of yours",
            "It was not asked for by this browser, or it was used already. Start again from the \
             quay.",
        );
    };
    let asked = pending.asked;
    // RFC 9207: an answer that names another issuer is not an answer to this question.
    let foreign = query
        .iss
        .is_some_and(|iss| iss != harbour.relying_party.issuer());
    let got = match (foreign, query.error, query.code) {
        (true, _, _) => Err(Failure::NotAccepted(
            "it names another issuer (iss)".to_owned(),
        )),
        (false, Some(error), _) => Err(Failure::Refused {
            status: None,
            error,
            description: query.error_description,
        }),
        (false, None, Some(code)) => harbour.relying_party.exchange(pending, code).await,
        (false, None, None) => Err(Failure::NotAccepted("it holds no code".to_owned())),
    };
    let signed_in = match got {
        Ok(tokens) => {
            let mut signed_in = SignedIn::new(tokens);
            // A stranger would greet people by what userinfo says; that it may refuse is
            // shown by its own button.
            signed_in.userinfo = harbour.relying_party.userinfo(&signed_in.tokens).await.ok();
            Ok(signed_in)
        }
        Err(failure) => Err(failure),
    };
    let fresh = signed_in.is_ok();
    harbour.visits.with(id.as_deref(), |visit| match signed_in {
        Ok(signed_in) => {
            visit.signed_in = Some(signed_in);
            visit.happening = Some(asked.done());
        }
        Err(failure) => visit.happening = Some(Happening::bad(asked.failed(), failure)),
    });
    harbour.home(id.filter(|_| fresh))
}

async fn refresh(harbour: Data<Harbour>, request: HttpRequest) -> HttpResponse {
    let id = visit_id(&request);
    if let Some(signed_in) = harbour.signed_in(id.as_deref()) {
        let got = harbour.relying_party.refresh(signed_in.tokens).await;
        harbour.visits.with(id.as_deref(), |visit| {
            visit.happening = Some(match got {
                Err(failure) => Happening::bad("No new tokens", failure),
                Ok(tokens) => {
                    if let Some(signed_in) = &mut visit.signed_in {
                        signed_in.tokens = tokens;
                        signed_in.refreshes += 1;
                    }
                    Happening::good("New tokens", "The refresh token was good for fresh ones.")
                }
            });
        });
    }
    harbour.home(None)
}

async fn userinfo(harbour: Data<Harbour>, request: HttpRequest) -> HttpResponse {
    let id = visit_id(&request);
    if let Some(signed_in) = harbour.signed_in(id.as_deref()) {
        let got = harbour.relying_party.userinfo(&signed_in.tokens).await;
        harbour.visits.with(id.as_deref(), |visit| {
            let (userinfo, happening) = match got {
                Ok(claims) => (
                    Some(claims),
                    Happening::good("Userinfo answered", "The access token is good right now."),
                ),
                Err(failure) => (None, Happening::bad("No userinfo", failure)),
            };
            visit.happening = Some(happening);
            if let Some(signed_in) = &mut visit.signed_in {
                signed_in.userinfo = userinfo;
            }
        });
    }
    harbour.home(None)
}

/// Forgets the person here, then asks the identity provider to do the same
/// (OpenID Connect RP-Initiated Logout 1.0).
async fn sign_out(harbour: Data<Harbour>, request: HttpRequest) -> HttpResponse {
    let id = visit_id(&request);
    let state = CsrfToken::new_random();
    let left = harbour.visits.with(id.as_deref(), |visit| {
        visit.signing_out = Some(state.clone());
        visit.happening = Some(Happening::good(
            "Signed out of Harbour",
            "You may still be signed in at the identity provider: it did not say otherwise.",
        ));
        visit.signed_in.take()
    });
    let Some(left) = left.flatten() else {
        return harbour.home(None);
    };
    let renewed = id.and_then(|id| harbour.visits.renew(&id));
    let answer = match harbour.relying_party.end_session(&left.tokens, state).await {
        Ok(Some(url)) => see_other(url.as_str()),
        Ok(None) | Err(_) => see_other("/"),
    };
    match renewed {
        Some(id) => harbour.with_cookie(answer, id),
        None => answer,
    }
}

#[derive(Deserialize)]
struct SignedOut {
    state: Option<String>,
}

async fn signed_out(
    harbour: Data<Harbour>,
    request: HttpRequest,
    Query(query): Query<SignedOut>,
) -> HttpResponse {
    harbour.visits.with(visit_id(&request).as_deref(), |visit| {
        let awaited = visit.signing_out.take();
        if awaited.is_some_and(|awaited| Some(awaited.into_secret()) == query.state) {
            visit.happening = Some(Happening::good(
                "Signed out",
                "Here and at the identity provider, which sent you back.",
            ));
        }
    });
    harbour.home(None)
}

impl Harbour {
    fn signed_in(&self, id: Option<&str>) -> Option<SignedIn> {
        self.visits.with(id, |visit| visit.signed_in.clone())?
    }

    /// Back to the first page; `renew` names the visit that gets a new id on the way.
    fn home(&self, renew: Option<String>) -> HttpResponse {
        match renew.and_then(|id| self.visits.renew(&id)) {
            Some(id) => self.with_cookie(see_other("/"), id),
            None => see_other("/"),
        }
    }

    fn with_cookie(&self, mut answer: HttpResponse, id: String) -> HttpResponse {
        let cookie = Cookie::build(COOKIE, id)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.public_url.scheme() == "https")
            .finish();
        match answer.add_cookie(&cookie) {
            Ok(()) => answer,
            Err(_) => HttpResponse::InternalServerError().finish(),
        }
    }
}

fn visit_id(request: &HttpRequest) -> Option<String> {
    request
        .cookie(COOKIE)
        .map(|cookie| cookie.value().to_owned())
}

fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, to))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

#[cfg(test)]
mod tests;
