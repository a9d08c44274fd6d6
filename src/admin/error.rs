//! Refusals of the admin API: one enum, one match to status and body, in Keycloak's shapes.
//!
//! A refused call leaves nothing behind: these errors roll the call's transaction back, unlike the token endpoint's,
//! whose refusals must be counted.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::{Value, json};

use crate::action::assign::NotAssignable;
use crate::oidc::error::log_failure;
use crate::store::StoreError;

/// Why a call is refused.
#[derive(Debug)]
pub enum AdminError {
    /// No token that stands.
    Unauthorized,
    /// The caller lacks the role, or the right that the target has.
    Forbidden,
    /// The caller has something to do first.
    Gated(Vec<String>),
    /// No such thing, in Keycloak's words for it.
    NotFound(&'static str),
    /// 400 `{"error": …}`.
    Bad(String),
    /// 400 `{"error": …, "error_description": …}`.
    Invalid {
        /// The code or message key.
        error: &'static str,
        /// The sentence.
        description: String,
    },
    /// 400 `{"errorMessage": …}`.
    Message(String),
    /// 400 for one field of a user.
    Field {
        /// Which.
        field: &'static str,
        /// Keycloak's message key.
        message: &'static str,
        /// The field again, and what it may be.
        params: Vec<Value>,
    },
    /// 409 `{"errorMessage": …}`.
    Conflict(String),
    /// 409 in the shape that Keycloak has for renames.
    Duplicate,
    /// 500 `{"errorMessage": …}`: no mail can leave.
    Unsendable(String),
    /// The body is not declared as JSON.
    MediaType,
    /// The body is larger than a megabyte.
    TooLarge,
    /// Too many passwords are being hashed; seconds until a retry makes sense.
    Busy(u64),
    /// The store failed, and this has been logged.
    Store,
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        if error.is_unique_violation() {
            return Self::Duplicate;
        }
        log_failure(&error);
        match error {
            StoreError::Busy => Self::Busy(1),
            _ => Self::Store,
        }
    }
}

impl From<NotAssignable> for AdminError {
    fn from(error: NotAssignable) -> Self {
        Self::Message(error.to_string())
    }
}

impl AdminError {
    /// A body that is not JSON.
    pub fn not_json() -> Self {
        Self::Invalid {
            error: "invalid_request",
            description: "Cannot parse the JSON".to_owned(),
        }
    }

    /// A body that is JSON of another shape.
    pub fn wrong_type(field: &str) -> Self {
        Self::Invalid {
            error: "unknown_error",
            description: format!("Cannot parse the JSON: \"{field}\" has the wrong type"),
        }
    }

    /// A value that cannot be.
    pub fn invalid_input(description: impl Into<String>) -> Self {
        Self::Invalid {
            error: "invalid_input",
            description: description.into(),
        }
    }

    /// The answer.
    pub fn response(&self) -> HttpResponse {
        let error = |status, text: &str| (status, json!({ "error": text }));
        let (status, body) = match self {
            Self::Unauthorized => error(StatusCode::UNAUTHORIZED, "HTTP 401 Unauthorized"),
            Self::Forbidden => error(StatusCode::FORBIDDEN, "HTTP 403 Forbidden"),
            Self::Gated(actions) => (
                StatusCode::FORBIDDEN,
                json!({ "error": "required_action", "required_actions": actions }),
            ),
            Self::NotFound(text) => error(StatusCode::NOT_FOUND, text),
            Self::Bad(text) => error(StatusCode::BAD_REQUEST, text),
            Self::Invalid { error, description } => (
                StatusCode::BAD_REQUEST,
                json!({ "error": error, "error_description": description }),
            ),
            Self::Message(text) => (StatusCode::BAD_REQUEST, json!({ "errorMessage": text })),
            Self::Field {
                field,
                message,
                params,
            } => (
                StatusCode::BAD_REQUEST,
                json!({ "field": field, "errorMessage": message, "params": params }),
            ),
            Self::Conflict(text) => (StatusCode::CONFLICT, json!({ "errorMessage": text })),
            Self::Unsendable(text) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({ "errorMessage": text }),
            ),
            Self::Duplicate => (
                StatusCode::CONFLICT,
                json!({ "error": "conflict", "error_description": "Duplicate resource error" }),
            ),
            Self::MediaType => error(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The content-type header value did not match the value in @Consumes",
            ),
            Self::TooLarge => error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "HTTP 413 Request Entity Too Large",
            ),
            Self::Busy(_) | Self::Store => (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({ "error": "temporarily_unavailable", "error_description": "The server could not answer, try again" }),
            ),
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        match self {
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::Busy(seconds) => {
                response.insert_header((header::RETRY_AFTER, *seconds));
            }
            Self::Store => {
                response.insert_header((header::RETRY_AFTER, 2));
            }
            Self::Forbidden
            | Self::Gated(_)
            | Self::NotFound(_)
            | Self::Bad(_)
            | Self::Invalid { .. }
            | Self::Message(_)
            | Self::Field { .. }
            | Self::Conflict(_)
            | Self::Unsendable(_)
            | Self::Duplicate
            | Self::MediaType
            | Self::TooLarge => {}
        }
        response.json(body)
    }
}
