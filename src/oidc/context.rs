//! What a request says about itself: where it came from and which credentials it brought.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest};

use super::engine::Engine;
use crate::kernel::Entropy;
use crate::login::password::Origin;
use crate::web::client_ip;
use crate::web::request_log::RequestId;

/// The content type of written JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Who reads a page: in which languages, and by which number the log tells the rest of their request.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The `Accept-Language` header.
    pub accept_language: Option<String>,
    /// The request's id, as in the header `x-request-id` and on its lines in the log.
    pub request_id: String,
}

impl Reader {
    /// Reads a request.
    pub fn of(request: &HttpRequest) -> Self {
        let id = request.extensions().get::<RequestId>().cloned();
        Self {
            accept_language: header_text(request, &header::ACCEPT_LANGUAGE).map(str::to_owned),
            request_id: id.map_or_else(|| Entropy.short_id(), |id| id.0),
        }
    }
}

/// The other end of a request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address: the socket's, unless a trusted proxy says otherwise.
    pub ip_address: String,
    ip: Option<IpAddr>,
}

impl Peer {
    /// Reads a request.
    pub fn of(request: &HttpRequest, engine: &Engine) -> Self {
        let socket = request.peer_addr().map(|address| address.ip());
        let ip =
            socket.map(|socket| client_ip::client_ip(socket, &engine.proxies, request.headers()));
        Self {
            ip_address: named(ip),
            ip,
        }
    }

    /// The network by which tries are counted.
    pub fn network(&self) -> String {
        named(self.ip.map(client_ip::throttle_key))
    }

    /// This peer, trying through a client.
    pub fn origin(&self, client_id: &str) -> Origin {
        Origin {
            ip_address: self.ip_address.clone(),
            network: self.network(),
            client_id: client_id.to_owned(),
        }
    }
}

fn named(found: Option<impl ToString>) -> String {
    found.map_or_else(|| "unknown".to_owned(), |found| found.to_string())
}

/// The Authorization header's text.
pub fn authorization(request: &HttpRequest) -> Option<String> {
    request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| text(value).unwrap_or("unreadable").to_owned())
}

/// What [`HeaderValue::to_str`] answers, which looks at one byte after the other; tokens are long.
fn text(value: &HeaderValue) -> Option<&str> {
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    text.is_ascii().then_some(text)
}

/// A header's text.
pub fn header_text<'a>(request: &'a HttpRequest, name: &header::HeaderName) -> Option<&'a str> {
    request
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
}

/// The bearer token of the Authorization header (RFC 6750 section 2.1).
pub fn bearer(request: &HttpRequest) -> Option<String> {
    let text = authorization(request)?;
    let (scheme, token) = text.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
        .then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_its_own_type_reads_it() {
        for byte in 0..=u8::MAX {
            for bytes in [vec![byte], vec![b'a', byte, b'b'], vec![0xc3, byte]] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    assert_eq!(text(&value), value.to_str().ok(), "{bytes:?}");
                }
            }
        }
    }
}
