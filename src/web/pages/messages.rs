//! Pages that tell something or lead on: messages, errors and the way back to a client.

use serde::Serialize;

use super::{Href, Page, PageName};
use crate::web::texts::Text;

/// A link with its words.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// The words (`continue`, `back-to-application`).
    pub text: Text,
    /// Where it leads.
    pub href: Href,
}

/// A page that says something: signed out, done already, all done.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// The heading (`signed-out-title`).
    pub heading: Text,
    /// What there is to say.
    pub body: Text,
    /// The way on, where there is one.
    pub link: Option<Link>,
}

impl Page for Message {
    const NAME: PageName = PageName::Message;
    const TEMPLATE: &'static str = "message.html";

    fn title(&self) -> Text {
        self.heading.clone()
    }
}

/// The page for what cannot go on.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorPage {
    /// What is wrong, in public words (`invalid-parameter` with `name`).
    pub message: Text,
    /// Back to the client, where it is known and proven.
    pub back: Option<Href>,
    /// Where a person may sign in, for whom this page came too late.
    pub sign_in: Option<Href>,
    /// The number under which the log tells the rest.
    pub request_id: String,
}

impl Page for ErrorPage {
    const NAME: PageName = PageName::Error;
    const TEMPLATE: &'static str = "error.html";

    fn title(&self) -> Text {
        Text::key("error-title")
    }
}

/// A page that leads on by itself: the way to another origin after a form, where the content
/// security policy's `form-action` would stop a redirect.
#[derive(Clone, Debug, Serialize)]
pub struct Onwards {
    /// Where it leads.
    pub href: Href,
}

impl Page for Onwards {
    const NAME: PageName = PageName::Message;
    const TEMPLATE: &'static str = "onwards.html";

    fn title(&self) -> Text {
        Text::key("onwards-title")
    }
}

/// The answer to a client in `response_mode=form_post` (OAuth 2.0 Form Post Response Mode):
/// a form that sends itself, with the one script of all pages.
#[derive(Clone, Debug, Serialize)]
pub struct FormPost {
    /// The client's validated redirect URI.
    pub action: Href,
    /// The client's name, for people whose browser runs no scripts.
    pub app: String,
    /// The response's parameters and their values, in order.
    pub fields: Vec<(String, String)>,
    /// The nonce of the content security policy's `script-src`.
    pub nonce: String,
}

impl Page for FormPost {
    const NAME: PageName = PageName::Message;
    const TEMPLATE: &'static str = "form-post.html";

    fn title(&self) -> Text {
        Text::key("onwards-title")
    }
}
