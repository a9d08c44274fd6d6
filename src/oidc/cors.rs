//! Cross-origin reading: answers of the token endpoint and its neighbours may be read by scripts of the origins
//! that the authenticated client has registered, never with credentials; pages by nobody.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};

/// The `Origin` of a request.
pub fn origin(request: &HttpRequest) -> Option<String> {
    request
        .headers()
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// Lets scripts of `origin` read the answer.
pub fn allow(response: &mut HttpResponse, origin: Option<&str>) {
    if let Some(value) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        response
            .headers_mut()
            .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, value);
        response
            .headers_mut()
            .append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

/// The answer to a preflight: what may be sent, not what may be read; that is decided by the answer itself.
pub fn preflight(request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::NoContent().finish();
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, DPoP, X-Requested-With"),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("3600"),
    );
    let asked = origin(request);
    allow(&mut response, asked.as_deref());
    response
}
