//! Renders the pages of the demo's app and mailbox; the identity provider's own pages know
//! nothing of them.

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::StatusCode, http::header};
use serde::Serialize;
use tera::{Context, Tera};

use super::causes::in_full;

/// The one style sheet, served at `/demo.css`.
pub(super) const STYLE: &str = include_str!("../../assets/demo.css");

/// Names end with `.html`, so tera escapes whatever is put in.
static TEMPLATES: LazyLock<Result<Tera, tera::Error>> = LazyLock::new(|| {
    let mut tera = Tera::default();
    tera.add_raw_templates([
        (
            "layout.html",
            include_str!("../../templates/demo/layout.html"),
        ),
        ("home.html", include_str!("../../templates/demo/home.html")),
        (
            "problem.html",
            include_str!("../../templates/demo/problem.html"),
        ),
        (
            "mailbox.html",
            include_str!("../../templates/demo/mailbox.html"),
        ),
        (
            "message.html",
            include_str!("../../templates/demo/message.html"),
        ),
    ])?;
    Ok(tera)
});

/// The page `name` filled with `view`.
pub(super) fn page(status: StatusCode, name: &str, view: &impl Serialize) -> HttpResponse {
    match render(name, view) {
        Ok(html) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(html),
        Err(error) => {
            tracing::error!(%error, page = name, "a page of the demo could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Something that went wrong before there was a page to say it on.
#[derive(Serialize)]
pub(super) struct Problem<'a> {
    pub title: &'a str,
    pub text: &'a str,
}

/// A page that says what went wrong and leads back.
pub(super) fn problem(status: StatusCode, title: &str, text: &str) -> HttpResponse {
    page(status, "problem.html", &Problem { title, text })
}

fn render(name: &str, view: &impl Serialize) -> Result<String, String> {
    let tera = TEMPLATES.as_ref().map_err(|error| in_full(error))?;
    let context = Context::from_serialize(view).map_err(|error| in_full(&error))?;
    tera.render(name, &context).map_err(|error| in_full(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_page_is_escaped() {
        let view = Problem {
            title: "<script>",
            text: "a & b",
        };
        let html = render("problem.html", &view).unwrap();
        assert!(html.contains("&lt;script&gt;"), "{html}");
        assert!(!html.contains("<script"), "{html}");
    }
}
