//! Pages of one-time links: what a link is for, one whose time is over, its typed code, and asking for one.

use serde::Serialize;

use super::{Page, PageName};
use crate::web::texts::Text;

/// The page of a link: whose it is, what will happen, and one button. Further ways to prove who somebody is get their
/// place below the button.
#[derive(Clone, Debug, Serialize)]
pub struct OpenLink {
    /// Where the form is sent.
    pub action: String,
    /// The handle of the link.
    pub handle: String,
    /// What will happen.
    pub lead: Text,
    /// The words of the button.
    pub button: Text,
    /// The account.
    pub account: String,
    /// The application that it leads to.
    pub app: Option<String>,
    /// What to say of another account that is signed in here (`link-other` with `other` and `account`).
    pub other: Option<Text>,
}

impl Page for OpenLink {
    const NAME: PageName = PageName::Link;
    const TEMPLATE: &'static str = "link.html";

    fn title(&self) -> Text {
        Text::key("link-title")
    }
}

/// The page of the link in a notice: whose account it is, what happened, and one button that closes the account.
#[derive(Clone, Debug, Serialize)]
pub struct NotMe {
    /// Where the form is sent.
    pub action: String,
    /// The handle of the link.
    pub handle: String,
    /// What the notice told of, and when it was.
    pub happened: Text,
    /// What the button does.
    pub consequence: Text,
    /// The account.
    pub account: String,
}

impl Page for NotMe {
    const NAME: PageName = PageName::Link;
    const TEMPLATE: &'static str = "link-not-me.html";

    fn title(&self) -> Text {
        Text::key("link-not-me-title")
    }
}

/// The page of a link whose time is over.
#[derive(Clone, Debug, Serialize)]
pub struct LinkExpired {
    /// Where the form is sent; its button `renew` asks for a fresh link.
    pub action: String,
    /// The handle of the link.
    pub handle: String,
    /// The address that a fresh one goes to, masked; `None` where it was not mailed.
    pub address: Option<String>,
    /// What became of the wish for a fresh one.
    pub notice: Option<Text>,
}

impl Page for LinkExpired {
    const NAME: PageName = PageName::LinkExpired;
    const TEMPLATE: &'static str = "link-expired.html";

    fn title(&self) -> Text {
        Text::key("link-expired-title")
    }
}

/// The page that takes the code of a link.
#[derive(Clone, Debug, Serialize)]
pub struct LinkCode {
    /// Where the form is sent.
    pub action: String,
    /// Why the code was refused.
    pub error: Option<Text>,
}

impl Page for LinkCode {
    const NAME: PageName = PageName::LinkCode;
    const TEMPLATE: &'static str = "link-code.html";

    fn title(&self) -> Text {
        Text::key("link-code-title")
    }
}

/// The page on which somebody asks for a link because the password is forgotten.
#[derive(Clone, Debug, Serialize)]
pub struct ForgotPassword {
    /// Where the form is sent.
    pub action: String,
    /// Back to signing in.
    pub back: Option<super::Href>,
}

impl Page for ForgotPassword {
    const NAME: PageName = PageName::ForgotPassword;
    const TEMPLATE: &'static str = "forgot-password.html";

    fn title(&self) -> Text {
        Text::key("forgot-title")
    }
}
