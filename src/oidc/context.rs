//! What a request says about itself: where it came from and which credentials it brought.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::engine::Engine;
use crate::login::password::Origin;
use crate::web::client_ip;

/// The other end of a request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address: the socket's, unless a trusted proxy says otherwise.
    pub ip_address: String,
    /// The network by which tries are counted.
    pub network: String,
}

impl Peer {
    /// Reads a request.
    pub fn of(request: &HttpRequest, engine: &Engine) -> Self {
        let socket = request.peer_addr().map(|address| address.ip());
        let ip =
            socket.map(|socket| client_ip::client_ip(socket, &engine.proxies, request.headers()));
        Self {
            ip_address: ip.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string()),
            network: ip.map_or_else(
                || "unknown".to_owned(),
                |ip| client_ip::throttle_key(ip).to_string(),
            ),
        }
    }

    /// This peer, trying through a client.
    pub fn origin(&self, client_id: &str) -> Origin {
        Origin {
            ip_address: self.ip_address.clone(),
            network: self.network.clone(),
            client_id: client_id.to_owned(),
        }
    }
}

/// The Authorization header's text.
pub fn authorization(request: &HttpRequest) -> Option<String> {
    request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or("unreadable").to_owned())
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
