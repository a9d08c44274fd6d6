//! The mailbox's pages: the list, one message, its HTML part alone, its source.
//!
//! A mail is a stranger's document. Its HTML is only ever answered on a path of its own
//! whose CSP sandboxes it (no scripts, no forms, an origin of its own, nothing loaded from
//! anywhere), also when it is opened outside the frame that shows it.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::{self, Data, Path},
};
use serde::Serialize;
use url::Url;

use super::{Mailbox, Received};
use crate::demo::pages;

/// What the HTML part of a mail may do: look as it wants, and open its links in a new tab.
const MAIL_CSP: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; \
    default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";

/// The routes under `/mailbox`; they need a [`Mailbox`] in the app's data.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/mailbox", web::get().to(list))
        .route("/mailbox/{number}", web::get().to(show))
        .route("/mailbox/{number}/html", web::get().to(html_part))
        .route("/mailbox/{number}/source", web::get().to(source));
}

#[derive(Serialize)]
struct List {
    messages: Vec<Line>,
    capacity: usize,
}

#[derive(Serialize)]
struct Line {
    number: u64,
    to: String,
    subject: String,
    date: Option<String>,
}

async fn list(mailbox: Data<Mailbox>) -> HttpResponse {
    let messages = mailbox.messages();
    let messages = messages.iter().map(|message| Line {
        number: message.number,
        to: message.envelope.to.join(", "),
        subject: message.subject.clone(),
        date: message.date.clone(),
    });
    let view = List {
        messages: messages.collect(),
        capacity: super::CAPACITY,
    };
    pages::page(StatusCode::OK, "mailbox.html", &view)
}

#[derive(Serialize)]
struct Message<'a> {
    number: u64,
    from: &'a str,
    to: &'a str,
    recipients: String,
    subject: &'a str,
    date: Option<&'a str>,
    text: Option<Vec<Span<'a>>>,
    has_html: bool,
}

async fn show(mailbox: Data<Mailbox>, number: Path<u64>) -> HttpResponse {
    let Some(message) = mailbox.message(*number) else {
        return gone();
    };
    let view = Message {
        number: message.number,
        from: &message.from,
        to: &message.to,
        recipients: message.envelope.to.join(", "),
        subject: &message.subject,
        date: message.date.as_deref(),
        text: message.text.as_deref().map(spans),
        has_html: message.html.is_some(),
    };
    pages::page(StatusCode::OK, "message.html", &view)
}

async fn html_part(mailbox: Data<Mailbox>, number: Path<u64>) -> HttpResponse {
    let message = mailbox.message(*number);
    let Some(html) = message
        .as_deref()
        .and_then(|message: &Received| message.html.as_deref())
    else {
        return gone();
    };
    // A mail's links have no target, and the frame could not show where they lead. The
    // document's own doctype and head, which follow, are then ignored by the parser.
    let document = format!("<!doctype html><base target=\"_blank\">{html}");
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, MAIL_CSP))
        .insert_header((header::X_FRAME_OPTIONS, "SAMEORIGIN"))
        .body(document)
}

async fn source(mailbox: Data<Mailbox>, number: Path<u64>) -> HttpResponse {
    match mailbox.message(*number) {
        None => gone(),
        Some(message) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(message.raw.clone()),
    }
}

fn gone() -> HttpResponse {
    pages::problem(
        StatusCode::NOT_FOUND,
        "No such message",
        "The mailbox keeps the newest messages only, and forgets all of them when the demo stops.",
    )
}

/// A piece of a text part: words, or an address that can be followed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Span<'a> {
    text: &'a str,
    /// The same text; set where it is an `http` or `https` URL.
    href: Option<&'a str>,
}

/// Finds the URLs in `text`. What comes out, joined, is the text again.
fn spans(text: &str) -> Vec<Span<'_>> {
    let mut spans = vec![];
    let mut rest = text;
    let mut from = 0;
    while let Some((before, found)) = next_scheme(rest, from) {
        let end = found
            .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'))
            .unwrap_or(found.len());
        let (url, _) = found.split_at(end);
        // A sentence's punctuation is not the URL's.
        let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        if Url::parse(url).is_ok_and(|url| url.has_host()) {
            spans.push(Span {
                text: before,
                href: None,
            });
            spans.push(Span {
                text: url,
                href: Some(url),
            });
            rest = found.split_at(url.len()).1;
            from = 0;
        } else {
            from = before.len() + 1;
        }
    }
    spans.push(Span {
        text: rest,
        href: None,
    });
    spans.retain(|span| !span.text.is_empty());
    spans
}

/// Splits `text` before the first `http://` or `https://` at or after byte `from`.
fn next_scheme(text: &str, from: usize) -> Option<(&str, &str)> {
    let tail = text.get(from..)?;
    let at = ["http://", "https://"]
        .iter()
        .filter_map(|scheme| tail.find(scheme))
        .min()?;
    text.split_at_checked(from + at)
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        test::{TestRequest, call_and_read_body, call_service, init_service, read_body},
    };

    use super::*;

    fn links(text: &str) -> Vec<&str> {
        let found = spans(text);
        let joined: String = found.iter().map(|span| span.text).collect();
        assert_eq!(joined, text);
        found.iter().filter_map(|span| span.href).collect()
    }

    #[test]
    fn urls_in_text_become_links_without_the_sentence_around_them() {
        assert_eq!(
            links("Open http://localhost:8080/link/a.b-c?x=1&y=2. Or (https://example.org/)!"),
            [
                "http://localhost:8080/link/a.b-c?x=1&y=2",
                "https://example.org/"
            ]
        );
        assert_eq!(
            links("<https://example.org/a>\r\nnext"),
            ["https://example.org/a"]
        );
    }

    #[test]
    fn nothing_else_becomes_a_link() {
        assert!(
            links("javascript:alert(1) ftp://x/ http:// and https://. www.example.org").is_empty()
        );
        assert!(links("").is_empty());
    }

    #[actix_web::test]
    async fn the_html_part_is_answered_in_a_sandbox_and_nowhere_else() {
        let mailbox = Mailbox::start(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let html = "Content-Type: text/html\r\n\r\n<script>alert(1)</script><a href=\"/x\">x</a>";
        let envelope = crate::demo::mailbox::smtp::Envelope::default();
        mailbox
            .inner
            .store
            .lock()
            .add(envelope, html.as_bytes().to_vec());
        let app = App::new().app_data(Data::new(mailbox)).configure(routes);
        let app = init_service(app).await;
        let get = |path: &str| TestRequest::get().uri(path).to_request();

        let part = call_service(&app, get("/mailbox/1/html")).await;
        let csp = part
            .headers()
            .get("content-security-policy")
            .unwrap()
            .to_str()
            .unwrap();
        assert!(csp.starts_with("sandbox allow-popups "), "{csp}");
        assert!(
            !csp.contains("allow-scripts") && !csp.contains("allow-same-origin"),
            "{csp}"
        );
        assert!(csp.contains("default-src 'none'"), "{csp}");
        let part = read_body(part).await;
        assert!(part.starts_with(b"<!doctype html><base target=\"_blank\"><script>"));

        for path in ["/mailbox", "/mailbox/1"] {
            let page = call_and_read_body(&app, get(path)).await;
            assert!(
                !String::from_utf8_lossy(&page).contains("<script"),
                "{path}"
            );
        }
        let source = call_service(&app, get("/mailbox/1/source")).await;
        assert_eq!(
            source.headers().get("content-type").unwrap(),
            "text/plain; charset=utf-8"
        );
        for path in ["/mailbox/2", "/mailbox/2/html", "/mailbox/2/source"] {
            let answer = call_service(&app, get(path)).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
