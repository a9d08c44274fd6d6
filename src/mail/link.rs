//! Mails that carry a link: what they need to know of it, and their words.
//!
//! This module knows no link: what implements [`Links`] is given to the [`Mailer`](super::Mailer) when the server is
//! put together. The outbox holds the link's id alone, so no mail that waits holds anything usable.

use super::OutboxId;
use super::address;
use super::render::Outline;
use crate::kernel::ClientUuid;
use crate::realm::Realm;
use crate::store::{StoreError, Tx};
use crate::web::texts::Text;

/// What a mail with a link is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkKind {
    /// An account was prepared; its person sets the first password.
    PreRegistration,
    /// Somebody asked for a new password.
    ForgottenPassword,
    /// An administrator asks for a new password.
    SetPassword,
    /// An administrator asks for some steps.
    Actions,
    /// The address is to be proved.
    VerifyEmail,
    /// A new address is to be proved.
    UpdateEmail,
    /// The account was closed by the link in a notice; its person sets a new password.
    ClosedAccount,
}

/// The link in a notice, with which its reader says “this was not me”. Without `Debug`: it closes the account.
pub struct NotMe {
    /// Its id.
    pub link: String,
    /// The address to open.
    pub url: String,
    /// Seconds that it is good for from now.
    pub seconds: i64,
}

impl LinkKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::PreRegistration,
        Self::ForgottenPassword,
        Self::SetPassword,
        Self::Actions,
        Self::VerifyEmail,
        Self::UpdateEmail,
        Self::ClosedAccount,
    ];

    /// The word under which templates of its mail are found.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreRegistration => "pre-registration",
            Self::ForgottenPassword => "forgotten-password",
            Self::SetPassword => "set-password",
            Self::Actions => "actions",
            Self::VerifyEmail => "verify-email",
            Self::UpdateEmail => "update-email",
            Self::ClosedAccount => "closed-account",
        }
    }
}

/// A link as its mail shows it. Without `Debug`: it is as good as a password.
pub struct LinkMail {
    /// What it is about.
    pub kind: LinkKind,
    /// The address to open.
    pub url: String,
    /// The code to type instead.
    pub code: String,
    /// Where it is typed.
    pub code_page: String,
    /// The application that it leads to.
    pub app: Option<String>,
    /// The id of that application, whose templates its mail uses.
    pub client: Option<ClientUuid>,
    /// Where the person signs in from then on.
    pub sign_in: String,
    /// The name that the person signs in by.
    pub username: String,
    /// Seconds that it is good for from now.
    pub seconds: i64,
    /// Whether the person's old password has ended, so that this link is the way to a new one.
    pub old_password_ended: bool,
}

impl LinkMail {
    /// An example that opens nothing, for previews and tries.
    pub fn example(
        kind: LinkKind,
        issuer: &str,
        (app, username): (Option<&str>, Option<&str>),
        seconds: i64,
    ) -> Self {
        Self {
            kind,
            url: format!("{issuer}/login-actions/link/EXAMPLE"),
            code: "EXAMP-1E000".to_owned(),
            code_page: format!("{issuer}/login-actions/link"),
            app: app.map(str::to_owned),
            client: None,
            sign_in: format!("{issuer}/account/"),
            username: username.unwrap_or("somebody").to_owned(),
            seconds,
            old_password_ended: false,
        }
    }
}

/// What the sender asks about links.
pub trait Links: Send + Sync {
    /// The link as its mail shows it now, or why it must not be sent any more: a sentence for administrators.
    ///
    /// # Errors
    /// The database fails, or a key cannot be opened.
    fn compose(
        &self,
        tx: &mut Tx<'_>,
        realm: &Realm,
        link: &str,
    ) -> Result<Result<LinkMail, String>, StoreError>;

    /// The link that the notice with this id carries, while it still does something.
    ///
    /// # Errors
    /// The database fails, or a key cannot be opened.
    fn not_me(
        &self,
        tx: &mut Tx<'_>,
        realm: &Realm,
        mail: &OutboxId,
    ) -> Result<Option<NotMe>, StoreError>;

    /// A mail server has taken the mail of this link; in the transaction that stores so.
    ///
    /// # Errors
    /// The database fails.
    fn handed_over(&self, tx: &mut Tx<'_>, link: &str, mail: &OutboxId) -> Result<(), StoreError>;
}

/// The lifetime as people read it: rounded down, so that it is true.
fn lifetime(seconds: i64) -> Text {
    let (key, count) = match seconds {
        172_800.. => ("mail-link-days", seconds / 86_400),
        7_200.. => ("mail-link-hours", seconds / 3600),
        _ => ("mail-link-minutes", seconds.max(0) / 60),
    };
    Text::key(key).with("count", count)
}

/// The mail's words, as keys.
pub(super) fn outline(link: &LinkMail, host: &str) -> Outline {
    let plain = |text: &str| address::not_ours(&address::name(text), host);
    let app = link.app.as_deref().map(plain);
    let lead = |plain: &'static str, with_app: &'static str| match &app {
        Some(app) => Text::key(with_app).with("app", app.as_str()),
        None => Text::key(plain),
    };
    let (subject, lead, button) = match link.kind {
        LinkKind::PreRegistration => (
            "mail-pre-registration-subject",
            lead(
                "mail-pre-registration-lead",
                "mail-pre-registration-lead-app",
            ),
            "mail-link-set-password",
        ),
        LinkKind::ForgottenPassword => (
            "mail-forgotten-password-subject",
            Text::key("mail-forgotten-password-lead"),
            "mail-link-set-password",
        ),
        LinkKind::SetPassword => (
            "mail-set-password-subject",
            lead("mail-set-password-lead", "mail-set-password-lead-app"),
            "mail-link-set-password",
        ),
        LinkKind::Actions => (
            "mail-actions-subject",
            lead("mail-actions-lead", "mail-actions-lead-app"),
            "mail-link-go-on",
        ),
        LinkKind::VerifyEmail => (
            "mail-verify-link-subject",
            Text::key("mail-verify-link-lead"),
            "mail-link-confirm",
        ),
        LinkKind::UpdateEmail => (
            "mail-update-email-subject",
            Text::key("mail-update-email-lead"),
            "mail-link-confirm",
        ),
        LinkKind::ClosedAccount => (
            "mail-closed-account-subject",
            Text::key("mail-closed-account-lead"),
            "mail-link-set-password",
        ),
    };
    let mut points = Vec::new();
    if link.old_password_ended {
        points.push(Text::key("mail-link-old-password-ended"));
    }
    points.push(lifetime(link.seconds));
    if matches!(
        link.kind,
        LinkKind::PreRegistration
            | LinkKind::SetPassword
            | LinkKind::ForgottenPassword
            | LinkKind::ClosedAccount
    ) {
        points.push(Text::key("mail-link-username").with("username", plain(&link.username)));
    }
    if link.kind == LinkKind::PreRegistration {
        points.push(Text::key("mail-link-sign-in").with("url", link.sign_in.as_str()));
    }
    points.push(Text::key(match link.kind {
        LinkKind::ForgottenPassword if !link.old_password_ended => {
            "mail-forgotten-password-not-you"
        }
        _ => "mail-link-not-expected",
    }));
    Outline {
        template: "link",
        subject,
        lead,
        points,
        code: Some(link.code.clone()),
        button: Some(super::render::Button {
            url: link.url.clone(),
            label: Text::key(button),
            host: Text::key("mail-link-host").with("host", host),
            instead: Text::key("mail-link-code").with("url", link.code_page.as_str()),
        }),
    }
}

/// Puts the link of “this was not me” into a notice, in the place of its last sentence, which says whom to ask.
pub(super) fn put_not_me(notice: &mut Outline, not_me: &NotMe, host: &str) {
    let asks = notice.points.pop();
    notice.points.push(match asks {
        Some(text) if text == Text::key("mail-not-you") => Text::key("mail-not-me"),
        _ => Text::key("mail-not-me-unexpected"),
    });
    notice.button = Some(super::render::Button {
        url: not_me.url.clone(),
        label: Text::key("mail-not-me-button"),
        host: Text::key("mail-link-host").with("host", host),
        instead: lifetime(not_me.seconds),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_that_an_ended_password_still_works() {
        let keys = |ended| {
            let mut link =
                LinkMail::example(LinkKind::ForgottenPassword, "https://x", (None, None), 60);
            link.old_password_ended = ended;
            outline(&link, "x").points
        };
        let (ended, works) = (
            Text::key("mail-link-old-password-ended"),
            Text::key("mail-forgotten-password-not-you"),
        );
        assert!(keys(true).contains(&ended) && !keys(true).contains(&works));
        assert!(!keys(false).contains(&ended) && keys(false).contains(&works));
    }

    #[test]
    fn a_lifetime_is_never_told_longer_than_it_is() {
        for (seconds, key, count) in [
            (7 * 86_400, "mail-link-days", 7_i64),
            (172_799, "mail-link-hours", 47),
            (43_200, "mail-link-hours", 12),
            (7_199, "mail-link-minutes", 119),
            (1800, "mail-link-minutes", 30),
            (59, "mail-link-minutes", 0),
            (-5, "mail-link-minutes", 0),
        ] {
            assert_eq!(
                lifetime(seconds),
                Text::key(key).with("count", count),
                "{seconds}"
            );
        }
    }
}
