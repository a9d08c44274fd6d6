//! Pages of required actions: what a person must do before any token is issued.

use serde::Serialize;

use super::{Page, PageName};
use crate::web::texts::Text;

/// The page that sets a new password.
#[derive(Clone, Debug, Serialize)]
pub struct UpdatePassword {
    /// Where the form is sent.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    /// The account whose password it is: shown, and told to password managers.
    pub account: String,
    /// Why the person is here (`update-password-reason`).
    pub reason: Option<Text>,
    /// Whether it is the first password, so that there is no older one to end.
    pub first: bool,
    /// The policy, one sentence part each (`rule-min-length` with `count`, …).
    pub rules: Vec<Text>,
    /// How long the page is good: minutes, the nearest; 0 below one. Never a time of day, whose zone the reader would
    /// have to guess.
    pub minutes_left: u32,
    /// A few words made up for this page, for the person to take.
    pub suggestion: Option<String>,
    /// What is wrong with the new password, each a sentence (`invalid-password-…`).
    pub new_errors: Vec<Text>,
    /// What is wrong with the repetition (`passwords-do-not-match`).
    pub confirm_error: Option<Text>,
    /// Advice for a stronger password.
    pub hint: Option<Text>,
}

impl Page for UpdatePassword {
    const NAME: PageName = PageName::UpdatePassword;
    const TEMPLATE: &'static str = "update-password.html";

    fn title(&self) -> Text {
        Text::key(match self.first {
            true => "update-password-first-title",
            false => "update-password-title",
        })
    }
}

/// The page that takes the code mailed to an address.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyEmail {
    /// Where the form is sent; its button `resend` asks for another mail.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    /// The address; masked, unless the person has just typed it.
    pub address: String,
    /// Whether another address may be typed instead: a button `other`.
    pub other: bool,
    /// Why the code was refused (`code-wrong`).
    pub error: Option<Text>,
    /// What else to say (`code-sent-again`).
    pub notice: Option<Text>,
}

impl Page for VerifyEmail {
    const NAME: PageName = PageName::VerifyEmail;
    const TEMPLATE: &'static str = "verify-email.html";

    fn title(&self) -> Text {
        Text::key("verify-email-title")
    }
}

/// The page that asks for an address where there is none that could be proved.
#[derive(Clone, Debug, Serialize)]
pub struct AskEmail {
    /// Where the form is sent.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    /// The field `email`.
    pub email: Field,
}

impl Page for AskEmail {
    const NAME: PageName = PageName::VerifyEmail;
    const TEMPLATE: &'static str = "ask-email.html";

    fn title(&self) -> Text {
        Text::key("verify-email-title")
    }
}

/// A form field as it comes back to the person.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Field {
    /// What it holds.
    pub value: String,
    /// What is wrong with that.
    pub error: Option<Text>,
}

/// The address on the profile page.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Email {
    /// One is set, and an action page never changes it.
    Fixed {
        /// The address.
        address: String,
    },
    /// None is set: it is asked for.
    Asked(Field),
    /// None is set, and the realm has no mail server by which one could be proved.
    Absent,
}

/// The page that fills in what a profile lacks.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateProfile {
    /// Where the form is sent.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    /// Why the person is here (`update-profile-reason`).
    pub reason: Option<Text>,
    /// The field `firstName`.
    pub first_name: Field,
    /// The field `lastName`.
    pub last_name: Field,
    /// The field `email`, or the address that stands.
    pub email: Email,
}

impl Page for UpdateProfile {
    const NAME: PageName = PageName::UpdateProfile;
    const TEMPLATE: &'static str = "update-profile.html";

    fn title(&self) -> Text {
        Text::key("update-profile-title")
    }
}

/// The page with the realm's terms, to accept or decline.
#[derive(Clone, Debug, Serialize)]
pub struct Terms {
    /// Where the form is sent.
    pub action: String,
    /// The hidden one-hop token of flow and step.
    pub flow: String,
    paragraphs: Vec<String>,
}

impl Terms {
    /// The page for these terms: plain text whose paragraphs are parted by empty lines.
    #[must_use]
    pub fn new(action: String, flow: String, text: &str) -> Terms {
        let mut paragraphs = vec![String::new()];
        for line in text.lines().map(str::trim) {
            match paragraphs.last_mut() {
                Some(paragraph) if !line.is_empty() => {
                    let parting = if paragraph.is_empty() { "" } else { "\n" };
                    paragraph.push_str(parting);
                    paragraph.push_str(line);
                }
                _ => paragraphs.push(String::new()),
            }
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        Terms {
            action,
            flow,
            paragraphs,
        }
    }
}

impl Page for Terms {
    const NAME: PageName = PageName::Terms;
    const TEMPLATE: &'static str = "terms.html";

    fn title(&self) -> Text {
        Text::key("terms-title")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_part_the_paragraphs_of_terms() {
        let terms = |text| Terms::new(String::new(), String::new(), text).paragraphs;
        assert_eq!(terms("One\r\ntwo\n \n\n\nthree\n"), ["One\ntwo", "three"]);
        assert!(terms(" \n\n").is_empty());
    }
}
