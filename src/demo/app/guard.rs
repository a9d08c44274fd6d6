//! What every answer of the app carries, and which requests it takes at all.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::{DefaultHeaders, Next},
    web::Data,
};
use url::Url;

use super::{Harbour, see_other};

/// The pages' CSP. Forms go to the app itself, and signing out leads on to the identity
/// provider: browsers hold `form-action` against redirects too.
pub(super) fn policy(issuer: &Url) -> String {
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; \
         form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        issuer.origin().ascii_serialization()
    )
}

/// The security headers; an answer that brings its own of that name keeps it.
pub(super) fn headers(csp: &str) -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, csp.to_owned()))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::X_FRAME_OPTIONS, "DENY"))
        // Not `no-referrer`: a form's Origin header would then say `null`.
        .add((header::REFERRER_POLICY, "same-origin"))
        .add(("cross-origin-opener-policy", "same-origin"))
        .add(("cross-origin-resource-policy", "same-origin"))
}

/// Answers only under the app's own name, and takes forms only from its own pages: another
/// page on this machine, or a name that somebody pointed at it, shall not read the mailbox.
pub(super) async fn own_origin_only(
    harbour: Data<Harbour>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let own = harbour.public_url.origin();
    let scheme = harbour.public_url.scheme();
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let called = host.and_then(|host| Url::parse(&format!("{scheme}://{host}")).ok());
    if called.is_none_or(|called| called.origin() != own) {
        let answer = if request.method() == Method::GET {
            see_other(harbour.public_url.as_str())
        } else {
            HttpResponse::MisdirectedRequest().finish()
        };
        return Ok(request.into_response(answer).map_into_right_body());
    }
    let origin = request.headers().get(header::ORIGIN);
    let foreign = origin.is_some_and(|origin| origin != own.ascii_serialization().as_str());
    if request.method() != Method::GET && foreign {
        let answer = HttpResponse::Forbidden().finish();
        return Ok(request.into_response(answer).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}
