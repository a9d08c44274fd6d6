//! Refusals of the token endpoint and its neighbours: one enum, one match to status, code and text.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use serde_json::{Map, json};

use super::scope::InvalidScope;
use crate::store::StoreError;

/// Why the token endpoint refuses. Texts are Keycloak's where clients know them.
#[derive(Debug, Clone)]
pub enum TokenError {
    /// No `grant_type`.
    NoGrantType,
    /// A parameter came twice.
    Duplicate,
    /// A parameter holds U+0000.
    Nul,
    /// A parameter is missing.
    Missing(&'static str),
    /// A grant that this server does not know.
    UnsupportedGrant,
    /// The client did not authenticate; the flag says whether it tried by the Authorization header.
    InvalidClient(bool),
    /// The client authenticated by two methods at once (RFC 6749 section 2.3).
    TwoMethods,
    /// The client may not use this grant.
    GrantNotAllowed(&'static str),
    /// A client without service account asks for one.
    NoServiceAccount(&'static str),
    /// The scope is not the client's.
    Scope(InvalidScope),
    /// The client wants consent, which nobody can give here.
    ConsentRequired,
    /// Wrong user name or password, or nobody of that name, or no try left.
    InvalidUserCredentials,
    /// The user is switched off; said only to who knows the password.
    AccountDisabled,
    /// The gate: said only to who proved the credentials.
    NotFullySetUp {
        /// What has to be done.
        actions: Vec<String>,
        /// Where a browser can do it.
        continue_uri: String,
    },
    /// The grant does not hold.
    InvalidGrant(&'static str),
    /// Too many failed authentications of this client from here; seconds until the next.
    TooMany(i64),
    /// The realm does not exist.
    NoRealm,
    /// The realm is switched off.
    RealmDisabled,
    /// The server is too busy; seconds until a retry makes sense.
    Busy(u64),
    /// The server failed.
    Server,
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        log_failure(&error);
        match error {
            StoreError::Busy => Self::Busy(1),
            _ => Self::Server,
        }
    }
}

/// Logs a failure of the infrastructure, once, at the boundary.
pub fn log_failure(error: &StoreError) {
    metrics::counter!("idp_store_failures_total").increment(1);
    tracing::error!(error = %error, "the store failed");
}

impl TokenError {
    fn parts(&self) -> (StatusCode, &'static str, Cow<'static, str>) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::NoGrantType => (
                bad,
                "invalid_request",
                "Missing form parameter: grant_type".into(),
            ),
            Self::Duplicate => (bad, "invalid_request", "duplicated parameter".into()),
            Self::Nul => (
                bad,
                "invalid_request",
                "A parameter holds the character U+0000".into(),
            ),
            Self::Missing(name) => (
                bad,
                "invalid_request",
                format!("Missing parameter: {name}").into(),
            ),
            Self::UnsupportedGrant => (
                bad,
                "unsupported_grant_type",
                "Unsupported grant_type".into(),
            ),
            Self::InvalidClient(_) => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "Invalid client or Invalid client credentials".into(),
            ),
            Self::TwoMethods => (
                bad,
                "invalid_request",
                "Multiple authentication methods used".into(),
            ),
            Self::GrantNotAllowed(text) => (bad, "unauthorized_client", (*text).into()),
            Self::NoServiceAccount(text) => (
                StatusCode::UNAUTHORIZED,
                "unauthorized_client",
                (*text).into(),
            ),
            Self::Scope(invalid) => (bad, "invalid_scope", invalid.to_string().into()),
            Self::ConsentRequired => (bad, "invalid_client", "Client requires user consent".into()),
            Self::InvalidUserCredentials => {
                (bad, "invalid_grant", "Invalid user credentials".into())
            }
            Self::AccountDisabled => (bad, "invalid_grant", "Account disabled".into()),
            Self::NotFullySetUp { .. } => {
                (bad, "invalid_grant", "Account is not fully set up".into())
            }
            Self::InvalidGrant(text) => (bad, "invalid_grant", (*text).into()),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "invalid_client",
                "Too many failed attempts, try again later".into(),
            ),
            Self::NoRealm => (StatusCode::NOT_FOUND, "Realm does not exist", "".into()),
            Self::RealmDisabled => (
                StatusCode::FORBIDDEN,
                "access_denied",
                "Realm not enabled".into(),
            ),
            Self::Busy(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "The server is busy, try again".into(),
            ),
            Self::Server => (
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                "The server could not answer, try again".into(),
            ),
        }
    }

    /// The answer: never cached, no more said than the enum says.
    pub fn response(&self) -> HttpResponse {
        let (status, error, description) = self.parts();
        let mut body = Map::new();
        body.insert("error".to_owned(), json!(error));
        if !description.is_empty() {
            body.insert("error_description".to_owned(), json!(description));
        }
        if let Self::NotFullySetUp {
            actions,
            continue_uri,
        } = self
        {
            body.insert("required_actions".to_owned(), json!(actions));
            body.insert("continue_uri".to_owned(), json!(continue_uri));
        }
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"));
        match self {
            Self::InvalidClient(true) => {
                response.insert_header((
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"clients\""),
                ));
            }
            Self::TooMany(seconds) => {
                response.insert_header((header::RETRY_AFTER, *seconds));
            }
            Self::Busy(seconds) => {
                response.insert_header((header::RETRY_AFTER, *seconds));
            }
            Self::Server => {
                response.insert_header((header::RETRY_AFTER, 2));
            }
            _ => {}
        }
        response.json(body)
    }
}
