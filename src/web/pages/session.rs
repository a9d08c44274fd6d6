//! Pages of somebody who is signed in: signing out and the account.

use serde::Serialize;

use super::{Page, PageName};
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
}

impl Page for Account {
    const NAME: PageName = PageName::Account;
    const TEMPLATE: &'static str = "account.html";

    fn title(&self) -> Text {
        Text::key("account-title")
    }
}
