//! The outermost layer of both listeners: every request gets an id, one line in the log and one observation in the
//! metrics, and a panic below becomes an answer instead of a broken connection (reliability R-34, H024, H027).
//!
//! The id is ours alone: one that a client sends is neither read nor echoed. The line names the route's pattern,
//! never the path or query, which may hold a code, a link or a name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use futures_util::FutureExt as _;
use serde_json::json;
use tracing::Instrument as _;

use super::headers;
use crate::kernel::Entropy;

/// The header that tells a client under which id its request was logged.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// What stands for the route where no pattern fits the path.
const NO_ROUTE: &str = "none";

/// What this layer has to know about its listener; part of the app's data.
#[derive(Debug, Default)]
pub struct Edge {
    /// Whether the public URL is https.
    pub https: bool,
    /// Whether requests are logged at `debug` only: health checks and metrics come every few seconds.
    pub quiet: bool,
    /// Routes that are told by their ends.
    pub fixed: Fixed,
}

/// Routes in which one segment varies, told without the router, which compares patterns with paths a second time when
/// it is asked: what machines call most is here.
#[derive(Debug, Default)]
pub struct Fixed {
    prefix: &'static str,
    patterns: HashMap<&'static str, &'static str>,
}

impl Fixed {
    /// Routes with what follows the segment behind `prefix`.
    pub fn new(
        prefix: &'static str,
        routes: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        Self {
            prefix,
            patterns: routes
                .into_iter()
                .map(|(pattern, end)| (end, pattern))
                .collect(),
        }
    }

    /// The pattern of a path.
    fn pattern(&self, path: &str) -> Option<&'static str> {
        let rest = path.strip_prefix(self.prefix)?;
        let (segment, end) = rest.split_at_checked(rest.find('/')?)?;
        self.patterns
            .get(end)
            .copied()
            .filter(|_| !segment.is_empty())
    }
}

/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The middleware, for `actix_web::middleware::from_fn`.
///
/// # Errors
/// What the layers below refuse, or the answer to a panic, with this request's id on it.
pub async fn log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let edge = request.app_data::<web::Data<Edge>>();
    let id = Entropy.short_id();
    request.extensions_mut().insert(RequestId(id.clone()));
    let fixed = edge.and_then(|edge| edge.fixed.pattern(request.path()));
    let seen = Seen {
        https: edge.is_some_and(|edge| edge.https),
        quiet: edge.is_some_and(|edge| edge.quiet),
        method: method(request.method()),
        route: match fixed {
            Some(pattern) => Cow::Borrowed(pattern),
            None => request
                .match_pattern()
                .map_or(Cow::Borrowed(NO_ROUTE), Cow::Owned),
        },
        started,
    };
    let https = seen.https;
    // At level `error`, so that the id is on every line of this request whatever the filter lets through.
    let span = tracing::error_span!("request", request_id = %id);
    let answered = AssertUnwindSafe(next.call(request).instrument(span.clone()))
        .catch_unwind()
        .await;
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"));
    let _entered = span.enter();
    match answered {
        Ok(Ok(mut response)) => {
            seen.note(response.status());
            response.headers_mut().insert(HEADER, header);
            Ok(response)
        }
        Ok(Err(error)) => {
            let mut response = error.error_response();
            seen.note(response.status());
            response.headers_mut().insert(HEADER, header);
            Err(InternalError::from_response(error, response).into())
        }
        Err(_) => {
            seen.note(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = HttpResponse::InternalServerError().json(json!({
                "error": "server_error",
                "error_description": "The server could not answer",
                "request_id": id,
            }));
            for (name, value) in headers::list(https) {
                response.headers_mut().insert(name, value);
            }
            response.headers_mut().insert(HEADER, header);
            Err(InternalError::from_response("a handler panicked", response).into())
        }
    }
}

/// What is known of a request before it is answered.
struct Seen {
    https: bool,
    quiet: bool,
    method: &'static str,
    route: Cow<'static, str>,
    started: Instant,
}

impl Seen {
    /// The one line and the one observation.
    fn note(self, status: StatusCode) {
        let took = self.started.elapsed();
        let duration_ms = (took.as_secs_f64() * 10_000.0).round() / 10.0;
        let (method, route) = (self.method, self.route.as_ref());
        if self.quiet {
            tracing::debug!(
                method,
                route,
                status = status.as_u16(),
                duration_ms,
                "answered"
            );
            return;
        }
        tracing::info!(
            method,
            route,
            status = status.as_u16(),
            duration_ms,
            "answered"
        );
        metrics::histogram!(
            "idp_http_request_duration_seconds",
            "route" => self.route, "method" => method, "status" => status.as_str().to_owned(),
        )
        .record(took.as_secs_f64());
    }
}

/// The method as a word out of a short list: anybody can send any other, and each would be a time series.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::{App, test};

    async fn ask(path: &str, sent: Option<&str>) -> (StatusCode, Vec<(String, String)>, String) {
        let service = test::init_service(
            App::new()
                .app_data(web::Data::new(Edge {
                    https: true,
                    ..Edge::default()
                }))
                .wrap(headers::everywhere(true))
                .wrap(from_fn(log))
                .route("/panic", web::get().to(boom))
                .route("/fine", web::get().to(HttpResponse::Ok)),
        )
        .await;
        let mut request = test::TestRequest::get().uri(path);
        if let Some(sent) = sent {
            request = request.insert_header((HEADER, sent));
        }
        let response = match test::try_call_service(&service, request.to_request()).await {
            Ok(response) => response.into_parts().1.map_into_boxed_body(),
            Err(error) => error.error_response(),
        };
        let status = response.status();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = actix_web::body::to_bytes(response.into_body())
            .await
            .unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn boom() -> HttpResponse {
        panic!("as a broken handler does")
    }

    fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
        let found: Vec<_> = headers.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(found.len(), 1, "{name} in {headers:?}");
        &found[0].1
    }

    #[actix_web::test]
    async fn a_panic_is_an_answer_with_the_request_id_and_all_headers() {
        let (status, headers, body) = ask("/panic", None).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let id = header(&headers, "x-request-id");
        assert!(body.contains(id), "{body}");
        assert!(!body.contains("broken handler"), "{body}");
        for name in [
            "strict-transport-security",
            "x-frame-options",
            "x-content-type-options",
        ] {
            header(&headers, name);
        }
        let (status, _, _) = ask("/fine", None).await;
        assert_eq!(status, StatusCode::OK);
    }

    #[actix_web::test]
    async fn every_request_has_an_id_of_ours() {
        let (_, first, _) = ask("/fine", Some("forged")).await;
        let (_, second, _) = ask("/nowhere", Some("forged")).await;
        let (first, second) = (
            header(&first, "x-request-id"),
            header(&second, "x-request-id"),
        );
        assert_eq!((first.len(), second.len()), (24, 24));
        assert_ne!(first, second);
    }

    #[test]
    async fn a_fixed_route_is_told_by_its_end() {
        let fixed = Fixed::new("/realms/", [("/realms/{realm}/token", "/token")]);
        assert_eq!(
            fixed.pattern("/realms/a.b/token"),
            Some("/realms/{realm}/token")
        );
        for path in [
            "",
            "/",
            "/realms/",
            "/realms/token",
            "/realms//token",
            "/realms/a/b/token",
            "/realms/a/token/",
            "/realms/a/tokens",
            "/x/a/token",
        ] {
            assert_eq!(fixed.pattern(path), None, "{path}");
        }
    }

    #[test]
    async fn a_made_up_method_makes_no_time_series() {
        assert_eq!(method(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(method(&Method::GET), "GET");
    }
}
