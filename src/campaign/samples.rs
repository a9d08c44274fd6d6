//! What a mailing would look like: rendered for the first few of its audience, with a link that opens nothing.

use serde::Serialize;

use super::settings::{Kind, Person, Settings};
use crate::client;
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::mail;
use crate::mail::template;
use crate::mail::transport::NoRoute;
use crate::mail::{Content, Mailer, Message, OutboxId, Purpose, Tools, language_of};
use crate::realm::Realm;
use crate::store::{StoreError, Tx};
use crate::user::{self, User, credential, search, waiting};

/// How many mails are rendered.
const SAMPLES: usize = 3;
/// How many people are looked at for them.
const LOOKED_AT: i64 = 50;
/// Seconds for which a test mail may wait.
const TEST_WAIT: i64 = 3600;

/// A rendered mail.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Whom it would go to.
    pub username: String,
    /// Where.
    pub email: String,
    /// In which language.
    pub locale: &'static str,
    /// Its subject.
    pub subject: String,
    /// Its part of plain text.
    pub text: String,
    /// Its HTML part.
    pub html: String,
}

/// Why there are no samples.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The realm's mail cannot leave.
    #[error("no mail can leave: {0}")]
    NoRoute(NoRoute),
    /// The words cannot be made.
    #[error("the mail cannot be rendered: {0}")]
    Render(mail::RenderError),
}

impl From<mail::PreviewError> for SampleError {
    fn from(error: mail::PreviewError) -> Self {
        match error {
            mail::PreviewError::Store(error) => Self::Store(error),
            mail::PreviewError::NoRoute(no) => Self::NoRoute(no),
            mail::PreviewError::Render(error) => Self::Render(error),
        }
    }
}

/// What a mail of the mailing says to somebody.
fn content(
    tx: &mut Tx<'_>,
    (realm, issuer): (&Realm, &str),
    (kind, settings): (Kind, &Settings),
    (username, has_password): (&str, bool),
) -> Result<Content, StoreError> {
    let app = match &settings.client_id {
        Some(client_id) => client::rows::by_client_id(tx, &realm.id, client_id)?,
        None => None,
    };
    Ok(Content {
        purpose: Purpose::LinkExample {
            kind: kind.mail(),
            subject: settings.subject.clone(),
            app: app.as_ref().map(|app| app.display_name().to_owned()),
            client: app.map(|app| app.id),
            issuer: issuer.to_owned(),
            seconds: settings.link_seconds(kind, realm),
            username: Some(username.to_owned()),
            old_password_ended: settings.ends_passwords && has_password,
        },
        note: settings.message.clone(),
    })
}

/// The first few mails of a mailing.
///
/// # Errors
/// The database fails, or no mail can be made.
pub fn render(
    tx: &mut Tx<'_>,
    mailer: &Mailer,
    (realm, issuer): (&Realm, &str),
    (kind, settings): (Kind, &Settings),
) -> Result<Vec<Sample>, SampleError> {
    let mut samples = Vec::new();
    let people = search::list(tx, &realm.id, &settings.audience, (0, Some(LOOKED_AT)))?;
    for user in people {
        if samples.len() == SAMPLES {
            break;
        }
        let person = Person {
            user: Some(&user),
            has_password: credential::password(tx, &user.id)?.is_some(),
            has_signed_in: user::rows::last_sign_in(tx, &user.id)?.is_some(),
            has_waiting: !waiting::of_user(tx, &user.id)?.is_empty(),
        };
        if settings.passes_over(kind, &person).is_some() {
            continue;
        }
        let Some(email) = user.email.clone() else {
            continue;
        };
        let locale = settings
            .language()
            .unwrap_or_else(|| language_of(realm, &user));
        let sampled = (user.username.as_str(), person.has_password);
        let content = content(tx, (realm, issuer), (kind, settings), sampled)?;
        let words = mailer.preview(tx, realm, (&content, &template::Person::of(&user)), locale)?;
        samples.push(Sample {
            email,
            locale: locale.tag(),
            subject: words.subject.trim_start_matches("[TEST] ").to_owned(),
            text: words.text,
            html: words.html,
            username: user.username,
        });
    }
    Ok(samples)
}

/// Mails an example to one administrator. `None`: the administrator has no address.
///
/// # Errors
/// The database fails.
pub fn test_send(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (realm, issuer): (&Realm, &str),
    (kind, settings): (Kind, &Settings),
    to: &User,
) -> Result<Option<OutboxId>, StoreError> {
    let Some(address) = to.email.clone() else {
        return Ok(None);
    };
    let now: Timestamp = tx.now()?;
    let own = |realm: &RealmId, id: &UserId| (to.realm_id == *realm).then(|| id.clone());
    let message = Message {
        realm_id: realm.id.clone(),
        user_id: own(&realm.id, &to.id),
        recipient: address,
        content: content(tx, (realm, issuer), (kind, settings), (&to.username, true))?,
        locale: settings
            .language()
            .unwrap_or_else(|| language_of(realm, to)),
        bulk: false,
        expires_at: now.plus_seconds(TEST_WAIT),
    };
    let id = mail::queue(tx, tools, &message)?;
    Ok(Some(id))
}
