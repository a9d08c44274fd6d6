//! The pages people see: typed values in, HTML out.
//!
//! A page is one struct of this folder and one template of the same name. Handlers fill the
//! struct and call [`Pages::render`]; no handler writes HTML and no template knows a rule.
//! Templates are compiled in and escape every value; every form works with scripts off; the
//! names of pages, fields and buttons are promised in the contract.

mod actions;
mod assets;
mod colour;
mod href;
mod link;
mod messages;
mod session;
mod sign_in;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tera::{Context, Tera};
use thiserror::Error;

pub use actions::{AskEmail, Email, Field, Terms, UpdatePassword, UpdateProfile, VerifyEmail};
pub use assets::{icon, stylesheet};
pub use colour::{Colour, brand_css};
pub use href::Href;
pub use link::{ForgotPassword, LinkCode, LinkExpired, NotMe, OpenLink};
pub use messages::{ErrorPage, FormPost, Link, Message, Onwards};
pub use session::{Account, ChangeEmail, Logout};
pub use sign_in::{App, Asking, Consent, Login};

use crate::web::texts::{Locale, Text, Texts, Value};

/// The templates, by the names under which they include each other.
const TEMPLATES: [(&str, &str); 21] = [
    (
        "base.html",
        include_str!("../../../templates/pages/base.html"),
    ),
    (
        "parts.html",
        include_str!("../../../templates/pages/parts.html"),
    ),
    (
        "account.html",
        include_str!("../../../templates/pages/account.html"),
    ),
    (
        "ask-email.html",
        include_str!("../../../templates/pages/ask-email.html"),
    ),
    (
        "change-email.html",
        include_str!("../../../templates/pages/change-email.html"),
    ),
    (
        "consent.html",
        include_str!("../../../templates/pages/consent.html"),
    ),
    (
        "error.html",
        include_str!("../../../templates/pages/error.html"),
    ),
    (
        "form-post.html",
        include_str!("../../../templates/pages/form-post.html"),
    ),
    (
        "forgot-password.html",
        include_str!("../../../templates/pages/forgot-password.html"),
    ),
    (
        "link.html",
        include_str!("../../../templates/pages/link.html"),
    ),
    (
        "link-code.html",
        include_str!("../../../templates/pages/link-code.html"),
    ),
    (
        "link-expired.html",
        include_str!("../../../templates/pages/link-expired.html"),
    ),
    (
        "link-not-me.html",
        include_str!("../../../templates/pages/link-not-me.html"),
    ),
    (
        "login.html",
        include_str!("../../../templates/pages/login.html"),
    ),
    (
        "logout.html",
        include_str!("../../../templates/pages/logout.html"),
    ),
    (
        "message.html",
        include_str!("../../../templates/pages/message.html"),
    ),
    (
        "onwards.html",
        include_str!("../../../templates/pages/onwards.html"),
    ),
    (
        "terms.html",
        include_str!("../../../templates/pages/terms.html"),
    ),
    (
        "update-password.html",
        include_str!("../../../templates/pages/update-password.html"),
    ),
    (
        "update-profile.html",
        include_str!("../../../templates/pages/update-profile.html"),
    ),
    (
        "verify-email.html",
        include_str!("../../../templates/pages/verify-email.html"),
    ),
];

/// What `<meta name="vestibule-page">` says, so that programs know where they are in any
/// language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageName {
    /// Asking for a password.
    Login,
    /// Setting a new password.
    UpdatePassword,
    /// Typing the code that was mailed to an address, or the address where there is none yet.
    VerifyEmail,
    /// Filling in what the profile lacks.
    UpdateProfile,
    /// Accepting the realm's terms.
    Terms,
    /// Allowing a client the scopes it asked for.
    Consent,
    /// Confirming to sign out.
    Logout,
    /// Something failed and there is no way on from here.
    Error,
    /// Something was said, or leads on by itself.
    Message,
    /// The person's own account.
    Account,
    /// Asking for another address.
    ChangeEmail,
    /// What a link is for, and one button.
    Link,
    /// A link whose time is over.
    LinkExpired,
    /// Typing the code of a link.
    LinkCode,
    /// Asking for a link because the password is forgotten.
    ForgotPassword,
}

/// A page: data for the template of the same name.
pub trait Page: Serialize {
    /// What the page calls itself to programs.
    const NAME: PageName;
    /// The template's name.
    const TEMPLATE: &'static str;
    /// The heading, which is also the title of the window.
    fn title(&self) -> Text;
}

/// How a realm presents itself.
#[derive(Clone, Debug, Serialize)]
pub struct Brand {
    /// The realm's display name, as plain text.
    pub name: String,
    /// Address of its logo, shown instead of our mark; of our own origin or a `data:` image,
    /// since the content security policy allows no other.
    pub logo: Option<String>,
    /// Address of the realm's [`brand_css`], where the realm has a colour of its own.
    pub colour_stylesheet: Option<String>,
    /// The server's public URL without a slash at its end: assets are found below it.
    pub public_url: String,
}

/// How one page is to look: whose it is and in which language.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The language.
    pub locale: Locale,
    /// The realm's face.
    pub realm: &'a Brand,
}

/// A page that could not be made: a template and its struct disagree.
#[derive(Debug, Error)]
pub enum PageError {
    /// The template engine's account of it; for the log, never for people.
    #[error("a page cannot be rendered")]
    Template(#[from] tera::Error),
    /// A [`Locale`] without templates, which [`Pages::new`] rules out.
    #[error("there are no templates in the language {0}")]
    Locale(&'static str),
}

/// All templates in all languages. Made once at start and shared.
pub struct Pages {
    by_locale: HashMap<&'static str, Tera>,
}

impl Pages {
    /// Parses the templates once for each language, so that `t` in a template can only ever
    /// speak the language of the page.
    pub fn new(texts: &Arc<Texts>) -> Result<Pages, PageError> {
        let mut parsed = Tera::default();
        // The empty suffix ends every name: nothing is ever put in unescaped.
        parsed.autoescape_on(vec![""]);
        parsed.set_escape_fn(escape);
        parsed.add_raw_templates(TEMPLATES)?;
        let by_locale = Locale::all()
            .map(|locale| {
                let mut tera = parsed.clone();
                speak(&mut tera, texts, locale);
                (locale.tag(), tera)
            })
            .collect();
        Ok(Pages { by_locale })
    }

    /// The page as HTML.
    pub fn render<P: Page>(&self, look: &Look<'_>, page: &P) -> Result<String, PageError> {
        let tag = look.locale.tag();
        let tera = self.by_locale.get(tag).ok_or(PageError::Locale(tag))?;
        let mut context = Context::new();
        context.insert("lang", tag);
        context.insert("dir", look.locale.direction());
        context.insert("brand", look.realm);
        context.insert("stylesheet", stylesheet().0);
        context.insert("icon", icon().0);
        context.insert("name", &P::NAME);
        context.insert("title", &page.title());
        context.insert("page", page);
        Ok(tera.render(P::TEMPLATE, &context)?)
    }
}

/// Escapes for text and quoted attributes, which is all that templates have. Tera's own way
/// also escapes the slash, which would make every address unreadable to people and scripts.
fn escape(words: &str) -> String {
    let mut escaped = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Gives templates their voice: the function `t(key="…", variable=…)` for sentences that a
/// template chooses, and the filter `t` for a [`Text`] that the page carries.
fn speak(tera: &mut Tera, texts: &Arc<Texts>, locale: Locale) {
    let voice = Arc::clone(texts);
    tera.register_function("t", move |args: &HashMap<String, tera::Value>| {
        let key = args
            .get("key")
            .and_then(tera::Value::as_str)
            .unwrap_or_default();
        let args: Vec<_> = args
            .iter()
            .map(|(name, v)| (name.as_str(), variable(v)))
            .collect();
        Ok(tera::Value::String(voice.text(locale, key, &args)))
    });
    let voice = Arc::clone(texts);
    tera.register_filter(
        "t",
        move |text: &tera::Value, _: &HashMap<String, tera::Value>| {
            let Some(key) = text.get("key").and_then(tera::Value::as_str) else {
                return Ok(text.clone());
            };
            let args = text.get("args").and_then(tera::Value::as_object);
            let args: Vec<_> = args
                .into_iter()
                .flatten()
                .map(|(name, v)| (name.as_str(), variable(v)))
                .collect();
            Ok(tera::Value::String(voice.text(locale, key, &args)))
        },
    );
}

fn variable(value: &tera::Value) -> Value {
    match value {
        tera::Value::Number(number) => Value::Number(number.as_i64().unwrap_or(i64::MAX)),
        tera::Value::String(words) => Value::Words(words.clone()),
        other => Value::Words(other.to_string()),
    }
}
