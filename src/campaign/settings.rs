//! What a mailing is: its kind, its words, its pace. Stored as JSON with its row.

use serde::{Deserialize, Serialize};

use super::quiet::QuietHours;
use crate::kernel::{ImportId, Timestamp, UserId};
use crate::link::{self, NewLink, Sender};
use crate::mail::LinkKind;
use crate::mail::pace::Pace;
use crate::realm::Realm;
use crate::user::User;
use crate::user::audience::Audience;
use crate::web::texts::Locale;

/// What is mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A link to set a new password.
    PasswordReset,
    /// A link to set the first password.
    PreRegistration,
    /// A link to do some required actions.
    Actions,
}

impl Kind {
    const ALL: [Self; 3] = [Self::PasswordReset, Self::PreRegistration, Self::Actions];

    /// The word in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password-reset",
            Self::PreRegistration => "pre-registration",
            Self::Actions => "actions",
        }
    }

    /// The word, read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What the link is for.
    pub const fn purpose(self) -> link::Purpose {
        match self {
            Self::PreRegistration => link::Purpose::PreRegistration,
            Self::PasswordReset | Self::Actions => link::Purpose::Actions,
        }
    }

    /// What its mail is about.
    pub const fn mail(self) -> LinkKind {
        match self {
            Self::PasswordReset => LinkKind::SetPassword,
            Self::PreRegistration => LinkKind::PreRegistration,
            Self::Actions => LinkKind::Actions,
        }
    }
}

/// Everything about a mailing that does not change while it runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// To whom.
    pub audience: Audience,
    /// In the place of an audience: to whom this import has made and who has no password.
    pub import: Option<ImportId>,
    /// The actions of the links, for [`Kind::Actions`]; empty means those that wait on each person.
    pub actions: Vec<String>,
    /// Words of the administrator, as plain text.
    pub message: Option<String>,
    /// A subject in the place of the purpose's own.
    pub subject: Option<String>,
    /// A language for everybody, in the place of each person's own.
    pub locale: Option<String>,
    /// Seconds that a link lives from its hand-over.
    pub lifespan: Option<i64>,
    /// When to start.
    pub start_at: Option<Timestamp>,
    /// Mails in a second.
    pub rate_per_second: Option<i64>,
    /// Mails in a minute.
    pub rate_per_minute: Option<i64>,
    /// Mails in a minute to addresses of one domain.
    pub per_domain_rate_per_minute: Option<i64>,
    /// When nothing is sent.
    pub quiet_hours: Option<QuietHours>,
    /// The part of mails, between 0 and 1, from which on bounces pause the mailing.
    pub stop_at_bounce_rate: Option<f64>,
    /// The bounce rate is that of mails handed over since: when somebody last let the mailing go on.
    pub bounces_since: Option<Timestamp>,
    /// After how many days those who have not come are reminded.
    pub remind_after_days: Option<i64>,
    /// The application that the links lead to.
    pub client_id: Option<String>,
    /// Where in that application.
    pub redirect_uri: Option<String>,
    /// The administrator who ordered it; `None` is whoever has the host.
    pub author: Option<UserId>,
    /// The same order ends the old passwords before the first mail goes, so its samples say that.
    pub ends_passwords: bool,
}

impl Settings {
    /// The pace of its mails.
    pub const fn pace(&self) -> Pace {
        Pace {
            per_second: self.rate_per_second,
            per_minute: self.rate_per_minute,
            per_domain_minute: self.per_domain_rate_per_minute,
        }
    }

    /// How many of its mails wait in the outbox at once: two seconds' worth, so that little has to be taken back, and
    /// enough for the fastest server.
    pub fn window(&self) -> i64 {
        let slowest = [
            self.rate_per_second,
            self.rate_per_minute.map(|count| count / 60),
        ];
        slowest
            .into_iter()
            .flatten()
            .min()
            .map_or(1000, |rate| rate.saturating_mul(2).clamp(10, 1000))
    }

    /// The language for everybody.
    pub fn language(&self) -> Option<Locale> {
        self.locale.as_deref().and_then(Locale::from_tag)
    }

    /// Seconds that a link of this mailing lives in the realm.
    pub fn link_seconds(&self, kind: Kind, realm: &Realm) -> i64 {
        self.lifespan
            .unwrap_or_else(|| kind.purpose().lifespan(realm, Sender::Administrator))
    }

    /// The link for one person.
    pub fn link<'a>(
        &self,
        (campaign, kind): (&str, Kind),
        (realm, user): (&'a Realm, &'a UserId),
        waiting: &[String],
    ) -> NewLink<'a> {
        let actions = match kind {
            Kind::PasswordReset => vec![link::UPDATE_PASSWORD.to_owned()],
            Kind::PreRegistration => Vec::new(),
            Kind::Actions if self.actions.is_empty() => waiting.to_vec(),
            Kind::Actions => self.actions.clone(),
        };
        NewLink {
            actions,
            client_id: self.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            lifespan: self.lifespan,
            message: self.message.clone(),
            subject: self.subject.clone(),
            campaign: Some(campaign.to_owned()),
            bulk: true,
            ..NewLink::of(realm, user, kind.purpose(), Sender::Administrator)
        }
    }

    /// Why somebody is passed over after all, read when their turn has come.
    pub fn passes_over(&self, kind: Kind, person: &Person<'_>) -> Option<&'static str> {
        let for_newcomers =
            kind == Kind::PreRegistration || self.audience.never_signed_in == Some(true);
        let Some(user) = person.user else {
            return Some("deleted");
        };
        if user.service_client.is_some() {
            Some("service-account")
        } else if !user.enabled {
            Some("disabled")
        } else if user.email.is_none() {
            Some("no-address")
        } else if for_newcomers && person.has_signed_in {
            Some("signed-in")
        } else if kind == Kind::PreRegistration && person.has_password {
            Some("has-password")
        } else if kind == Kind::Actions && self.actions.is_empty() && !person.has_waiting {
            Some("nothing-waits")
        } else {
            None
        }
    }
}

/// What is known of a recipient when their turn has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Person<'a> {
    /// The person, as stored now.
    pub user: Option<&'a User>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether they have ever signed in.
    pub has_signed_in: bool,
    /// Whether a required action waits on them.
    pub has_waiting: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_two_seconds_of_the_slowest_pace() {
        let window = |second, minute| {
            Settings {
                rate_per_second: second,
                rate_per_minute: minute,
                ..Settings::default()
            }
            .window()
        };
        assert_eq!(window(None, None), 1000);
        assert_eq!(window(Some(50), None), 100);
        assert_eq!(window(Some(50), Some(600)), 20);
        assert_eq!(window(Some(1), Some(6000)), 10);
        assert_eq!(window(Some(10_000), None), 1000);
    }

    #[test]
    fn settings_are_stored_and_read_back() {
        let settings = Settings {
            stop_at_bounce_rate: Some(0.05),
            import: Some(ImportId::new("i1")),
            start_at: Some(Timestamp::from_seconds(5)),
            ..Settings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        let read: Settings = serde_json::from_str(&text).unwrap();
        assert_eq!(read.stop_at_bounce_rate, Some(0.05));
        assert_eq!(read.start_at, settings.start_at);
        assert_eq!(read.import, settings.import);
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }
}
