//! What is let in at all, before any handler sees it: methods, paths that proxy and server could read differently,
//! sizes, and how long a body may take (threat V065, reliability H014, H015).
//!
//! Called around every route of the public listener. What the HTTP parser refuses by itself (400 for a
//! malformed head, 431 for more than 96 headers or more than 128 KiB) never comes here.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use futures_util::Stream;
use serde_json::json;
use tokio::time::{Sleep, sleep};

use crate::config::limits;

/// The middleware, for `actix_web::middleware::from_fn`.
///
/// # Errors
/// What the layers below refuse.
pub async fn admit(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(refusal) = refusal(&request) {
        let response = request.into_response(refusal.answer());
        return Ok(response.map_into_right_body());
    }
    let late = limit_body(&mut request);
    let response = next.call(request).await?;
    if late.is_some_and(|late| late.get()) {
        let answer = Refusal::SlowBody.answer();
        return Ok(response.into_response(answer).map_into_right_body());
    }
    Ok(response.map_into_left_body())
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Method,
    LongUrl,
    LargeHead,
    Host,
    Path,
    Nul,
    SlowBody,
}

impl Refusal {
    fn answer(self) -> HttpResponse {
        let (status, error, description) = match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "This method is not served",
            ),
            Self::LongUrl => (
                StatusCode::URI_TOO_LONG,
                "invalid_request",
                "The URL is too long",
            ),
            Self::LargeHead => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "invalid_request",
                "The headers are too large",
            ),
            Self::Host => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "The Host header is no name of a server",
            ),
            Self::Path => return not_found(),
            Self::Nul => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "The query holds the character U+0000: send it without",
            ),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "invalid_request",
                "The request took too long to arrive",
            ),
        };
        // What is left of the request is not read, so the connection cannot go on.
        HttpResponse::build(status)
            .force_close()
            .json(json!({ "error": error, "error_description": description }))
    }
}

/// The answer where nothing is, with Keycloak's text.
pub fn not_found() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": "HTTP 404 Not Found" }))
}

fn refusal(request: &ServiceRequest) -> Option<Refusal> {
    let head = request.head();
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if target > limits::URL_BYTES {
        return Some(Refusal::LongUrl);
    }
    if head.headers.len() > limits::HEADERS || head_bytes(request, target) > limits::HEADERS_BYTES {
        return Some(Refusal::LargeHead);
    }
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Some(Refusal::Method);
    }
    let mut hosts = head.headers.get_all(header::HOST);
    if !hosts.all(|host| is_authority(host.as_bytes())) {
        return Some(Refusal::Host);
    }
    if !is_plain(head.uri.path()) {
        return Some(Refusal::Path);
    }
    // A raw one is no URL, and PostgreSQL has it in no text. The protocol's forms look for it by themselves, so that a
    // browser is shown a page.
    let query = head.uri.query().unwrap_or_default();
    (head.uri.path().starts_with("/admin/") && query.contains("%00")).then_some(Refusal::Nul)
}

/// The length of a head as HTTP/1.1 writes it with one space after each colon (RFC 9112 sections 3 and 5).
fn head_bytes(request: &ServiceRequest, target: usize) -> usize {
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let headers: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    line + headers + "\r\n".len()
}

/// Whether a Host header can be one (RFC 9110 section 7.2): a name or address, perhaps a port, and neither a user nor a
/// path nor a second name, which proxy and server could read differently. Which name it is does not matter: nothing
/// that is answered depends on it (threat V031).
fn is_authority(host: &[u8]) -> bool {
    host.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(byte))
}

/// Whether a path has one reading only: no empty or dot segment, no parameters after a semicolon, no backslash,
/// and nothing escaped that need not be or that would change the structure once unescaped.
fn is_plain(path: &str) -> bool {
    let Some(inner) = path.strip_prefix('/') else {
        return false;
    };
    let segments_are_plain = inner
        .strip_suffix('/')
        .unwrap_or(inner)
        .split('/')
        .all(|segment| !matches!(segment, "." | "..") && (!segment.is_empty() || inner.is_empty()));
    let no_parameters = !inner.contains([';', '\\']);
    let escapes_are_needed = inner.split('%').skip(1).all(|rest| {
        let byte = rest
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        byte.is_some_and(|byte| {
            !byte.is_ascii_control()
                && !byte.is_ascii_alphanumeric()
                && !matches!(byte, b'/' | b'\\' | b';' | b'.' | b'-' | b'_')
        })
    });
    segments_are_plain && no_parameters && escapes_are_needed
}

/// Gives the body its time. Answers a flag that says whether it was too slow; `None` where there is no body.
fn limit_body(request: &mut ServiceRequest) -> Option<Rc<Cell<bool>>> {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return None;
    }
    let time = if request.path().ends_with("/user-imports") {
        limits::IMPORT_BODY
    } else {
        limits::REQUEST_BODY
    };
    let late = Rc::new(Cell::new(false));
    let body = TimedBody {
        inner: payload,
        end: Box::pin(sleep(time)),
        late: Rc::clone(&late),
    };
    request.set_payload(Payload::Stream {
        payload: Box::pin(body),
    });
    Some(late)
}

/// A body that fails once its time is over, however steadily it drips.
struct TimedBody {
    inner: Payload,
    end: Pin<Box<Sleep>>,
    late: Rc<Cell<bool>>,
}

impl Stream for TimedBody {
    type Item = Result<web::Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.end.as_mut().poll(context).is_ready() {
            self.late.set(true);
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(PayloadError::Io(late))));
        }
        Pin::new(&mut self.inner).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn paths_with_a_second_reading_go_nowhere() {
        for path in [
            "",
            "*",
            "//",
            "//realms/demo",
            "/realms//demo",
            "/realms/demo//",
            "/realms/./demo",
            "/realms/../demo",
            "/realms/demo/..",
            "/realms;x/demo",
            "/realms/demo;v=1",
            "/realms\\demo",
            "/realms%2fdemo",
            "/realms%2Fdemo",
            "/realms%5cdemo",
            "/realms%3bx/demo",
            "/realms/%2e%2e/demo",
            "/realms/d%65mo",
            "/realms/demo%00",
            "/realms/demo%0d%0a",
            "/realms/demo%",
            "/realms/demo%2",
            "/realms/demo%zz",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn paths_with_one_reading_go_on() {
        for path in [
            "/",
            "/realms/demo",
            "/admin/demo/console/",
            "/admin/realms/demo/roles/caf%C3%A9%20%26%20bar",
            "/.well-known/oauth-authorization-server/realms/demo",
            "/realms/demo/a..b",
        ] {
            assert!(is_plain(path), "{path}");
        }
    }

    fn judged(request: TestRequest) -> Option<Refusal> {
        refusal(&request.to_srv_request())
    }

    #[test]
    fn sizes_are_exact() {
        let url = |bytes: usize| {
            let target = format!("/?{}", "a".repeat(bytes - 2));
            judged(TestRequest::get().uri(&target))
        };
        assert_eq!(url(limits::URL_BYTES - 1), None);
        assert_eq!(url(limits::URL_BYTES), None);
        assert_eq!(url(limits::URL_BYTES + 1), Some(Refusal::LongUrl));
        // "GET / HTTP/1.1", "x: …" and the empty line, each with its line end.
        let head = |bytes: usize| {
            let value = "a".repeat(bytes - 16 - 5 - 2);
            judged(TestRequest::get().uri("/").insert_header(("x", value)))
        };
        assert_eq!(head(limits::HEADERS_BYTES - 1), None);
        assert_eq!(head(limits::HEADERS_BYTES), None);
        assert_eq!(head(limits::HEADERS_BYTES + 1), Some(Refusal::LargeHead));
        let count = |count: usize| {
            let many = (0..count).fold(TestRequest::get().uri("/"), |request, number| {
                request.append_header((format!("x-{number}"), "1"))
            });
            judged(many)
        };
        assert_eq!(count(limits::HEADERS), None);
        assert_eq!(count(limits::HEADERS + 1), Some(Refusal::LargeHead));
    }

    #[test]
    fn a_query_of_the_admin_api_with_a_zero_byte_is_refused() {
        for (target, refused) in [
            ("/admin/realms?a=x%00y", true),
            ("/admin/realms?a%00=x", true),
            ("/admin/realms?a=%%00", true),
            ("/admin/realms?a=%2500", false),
            ("/admin/realms?a=%0", false),
            ("/admin/realms?a=000", false),
            ("/realms/demo?a=%00", false),
        ] {
            let expected = refused.then_some(Refusal::Nul);
            assert_eq!(judged(TestRequest::get().uri(target)), expected, "{target}");
        }
    }

    #[test]
    fn a_host_is_a_name_and_a_port_and_nothing_else() {
        let of = |host: &str| {
            let request = TestRequest::get().uri("/");
            judged(request.insert_header(("host", host.to_owned())))
        };
        for host in [
            "id.example",
            "ID.Example:8443",
            "127.0.0.1",
            "[::1]:80",
            "a_b",
            "",
        ] {
            assert_eq!(of(host), None, "{host}");
        }
        for host in [
            "id.example@evil.example",
            "id.example/evil",
            "id.example?evil",
            "id.example#evil",
            "id.example, evil.example",
            "id.example evil",
            "id.example\\evil",
            "id.example%00",
        ] {
            assert_eq!(of(host), Some(Refusal::Host), "{host}");
        }
    }

    #[test]
    fn methods_that_reflect_or_tunnel_are_refused() {
        for method in [Method::TRACE, Method::CONNECT] {
            let request = TestRequest::default().method(method).uri("/");
            assert_eq!(judged(request), Some(Refusal::Method));
        }
    }
}
