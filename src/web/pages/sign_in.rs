//! Pages on the way into an application: the password page and consent.

use serde::Serialize;

use super::{Href, Page, PageName};
use crate::web::texts::Text;

/// The application that a person is on the way to, as the client calls itself.
#[derive(Clone, Debug, Serialize)]
pub struct App {
    /// The client's name, or its id where it has none.
    pub name: String,
    /// Its privacy policy (`policy_uri`, OpenID Connect Registration section 2).
    pub policy: Option<Href>,
    /// Its terms of service (`tos_uri`, same place).
    pub terms: Option<Href>,
}

/// The page that asks for a password.
#[derive(Clone, Debug, Serialize)]
pub struct Login {
    /// Where the form is sent.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    /// Who is asked.
    pub asking: Asking,
    /// What the person is signing in to.
    pub app: Option<App>,
    /// Why the last attempt failed (`invalid-username-or-password`).
    pub error: Option<Text>,
    /// What else to say above the form (`window-expired`, `temporary-password-expired`).
    pub notice: Option<Text>,
    /// The page for a forgotten password, where the realm has one.
    pub forgot_password: Option<Href>,
}

/// Whom the password page asks.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Asking {
    /// Whoever is there.
    Anyone {
        /// What the user name field holds already (`login_hint`, or the last attempt).
        username: String,
        /// Whether the box "Remember me" is ticked; `None` shows no box.
        #[serde(skip_serializing_if = "Option::is_none")]
        remember_me: Option<bool>,
    },
    /// The person who is signed in already (`prompt=login`, `max_age`).
    Again {
        /// The account's name, shown, not asked.
        account: String,
    },
}

impl Page for Login {
    const NAME: PageName = PageName::Login;
    const TEMPLATE: &'static str = "login.html";

    fn title(&self) -> Text {
        match self.asking {
            Asking::Anyone { .. } => Text::key("login-title"),
            Asking::Again { .. } => Text::key("login-again-title"),
        }
    }
}

/// The page that asks whether a client may have what it asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Consent {
    /// Where the form is sent.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    /// Who asks.
    pub app: App,
    /// What it asks for: one entry for each scope.
    pub scopes: Vec<Text>,
}

impl Page for Consent {
    const NAME: PageName = PageName::Consent;
    const TEMPLATE: &'static str = "consent.html";

    fn title(&self) -> Text {
        Text::key("consent-title").with("app", self.app.name.as_str())
    }
}
