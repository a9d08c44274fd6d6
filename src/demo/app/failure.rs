//! Why the app got no tokens or claims, sorted by whose word it is: the identity
//! provider's, the network's or the library's.

use openidconnect::{
    HttpClientError, RequestTokenError, UserInfoError, core::CoreRequestTokenError,
};
use serde_json::Value;

use crate::demo::causes::in_full;

/// Why there are no (new) tokens or claims.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The identity provider said no, in OAuth's words.
    #[error("{error}")]
    Refused {
        status: Option<u16>,
        error: String,
        description: Option<String>,
    },
    /// No answer, or none that the library could read.
    #[error("no usable answer: {0}")]
    Unreachable(String),
    /// The library did not accept what was answered.
    #[error("not accepted: {0}")]
    NotAccepted(String),
}

/// From what the library says about a token request.
pub(super) fn of_token(error: CoreRequestTokenError<HttpClientError<reqwest::Error>>) -> Failure {
    match error {
        RequestTokenError::ServerResponse(answer) => Failure::Refused {
            status: None,
            error: answer.error().to_string(),
            description: answer.error_description().cloned(),
        },
        RequestTokenError::Parse(error, _) => Failure::NotAccepted(in_full(&error)),
        error @ (RequestTokenError::Request(_) | RequestTokenError::Other(_)) => {
            Failure::Unreachable(in_full(&error))
        }
    }
}

/// From what the library says about a userinfo request.
pub(super) fn of_userinfo(error: UserInfoError<HttpClientError<reqwest::Error>>) -> Failure {
    match error {
        // RFC 6750 puts the error into a header, many providers into the body as well; the
        // library hands on the body.
        UserInfoError::Response(status, body, _) => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let word = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
            Failure::Refused {
                status: Some(status.as_u16()),
                error: word("error").unwrap_or_else(|| status.to_string()),
                description: word("error_description"),
            }
        }
        UserInfoError::ClaimsVerification(error) => Failure::NotAccepted(in_full(&error)),
        UserInfoError::Parse(error) => Failure::NotAccepted(in_full(&error)),
        error => Failure::Unreachable(in_full(&error)),
    }
}
