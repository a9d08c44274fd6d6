//! Pages of somebody who is signed in: signing out and the account.

use serde::Serialize;

use super::{Field, Href, Page, PageName};
use crate::web::texts::Text;

/// The page that asks before signing out, where no client proved who it asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Logout {
    /// Where the form is sent.
    pub action: String,
    /// The hidden token that keeps other sites from sending this form.
    pub flow: String,
    /// The account that is signed in.
    pub account: Option<String>,
}

impl Page for Logout {
    const NAME: PageName = PageName::Logout;
    const TEMPLATE: &'static str = "logout.html";

    fn title(&self) -> Text {
        Text::key("logout-title")
    }
}

/// The page of the person's own account.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Where the form that signs out is sent.
    pub sign_out: String,
    /// The hidden token of that form.
    pub flow: String,
    /// The user name.
    pub username: String,
    /// First and last name, as far as they are known.
    pub name: String,
    /// The address, where one is set.
    pub email: Option<String>,
    /// Another one that was asked for and is not confirmed yet.
    pub new_email: Option<String>,
    /// Where the address is changed, by whoever may.
    pub change_email: Option<Href>,
}

impl Page for Account {
    const NAME: PageName = PageName::Account;
    const TEMPLATE: &'static str = "account.html";

    fn title(&self) -> Text {
        Text::key("account-title")
    }
}

/// The page on which somebody asks for another address.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeEmail {
    /// Where the form is sent.
    pub action: String,
    /// The hidden token that keeps other sites from sending this form.
    pub flow: String,
    /// The account whose address it is.
    pub account: String,
    /// The address now, where one is set.
    pub present: Option<String>,
    /// Another one that was asked for and is not confirmed yet.
    pub pending: Option<String>,
    /// The field `email`.
    pub email: Field,
    /// Back to the account.
    pub back: Option<Href>,
}

impl Page for ChangeEmail {
    const NAME: PageName = PageName::ChangeEmail;
    const TEMPLATE: &'static str = "change-email.html";

    fn title(&self) -> Text {
        Text::key("change-email-title")
    }
}
