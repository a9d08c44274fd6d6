//! A mail in words: subject, text, HTML, and the bytes that go over the wire.
//!
//! Invariants: names and notes are text, never markup, headers or links (threats V054, V055); both parts go out in
//! base64, so no bare CR or LF and no lone dot can be on the wire, whatever anybody has written (V056); nothing is
//! fetched from anywhere when the mail is read (H033).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Message as Mime, MultiPart, MultiPartKind, SinglePart};
use serde::Serialize;
use tera::{Context, Tera};

use super::address;
use super::link::{self, LinkMail, NotMe};
use super::message::{Content, LONGEST_NOTE, Purpose};
use super::outbox::OutboxId;
use super::template::Own;
use super::transport::Sender;
use crate::kernel::Timestamp;
use crate::user::waiting::ResetProof;
use crate::web::texts::{Locale, Text, Texts};

/// The templates. Those that end in `.html` escape every value, the others none.
const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("../../templates/mail/base.html")),
    ("base.txt", include_str!("../../templates/mail/base.txt")),
    ("code.html", include_str!("../../templates/mail/code.html")),
    ("code.txt", include_str!("../../templates/mail/code.txt")),
    ("link.html", include_str!("../../templates/mail/link.html")),
    ("link.txt", include_str!("../../templates/mail/link.txt")),
    (
        "notice.html",
        include_str!("../../templates/mail/notice.html"),
    ),
    (
        "notice.txt",
        include_str!("../../templates/mail/notice.txt"),
    ),
];

/// Everything one mail is made of.
pub struct Draft<'a> {
    /// Its id in the outbox.
    pub id: &'a OutboxId,
    /// The name of the realm that people see.
    pub realm: &'a str,
    /// Who it comes from; a mail that nobody gets has nobody.
    pub sender: Option<&'a Sender>,
    /// The stored address it goes to.
    pub recipient: &'a str,
    /// What it says.
    pub content: &'a Content,
    /// The link that it carries, where it carries one.
    pub link: Option<&'a LinkMail>,
    /// The link of “this was not me” beside a notice, where it has one.
    pub not_me: Option<&'a NotMe>,
    /// Words of the realm's own, in the place of the built-in ones.
    pub own: Option<Own<'a>>,
    /// In which language.
    pub locale: Locale,
    /// When what it says stops being true.
    pub expires_at: Timestamp,
    /// Now: the `Date`, and the start of any lifetime it tells.
    pub now: Timestamp,
}

/// A mail ready to be handed over. Without `Debug`.
pub struct Rendered {
    /// The sender in the envelope.
    pub from: Address,
    /// The one recipient.
    pub to: Address,
    /// Headers and body as they go over the wire, before dot-stuffing.
    pub content: String,
}

/// The words of a mail, for a preview.
pub struct Words {
    /// The subject.
    pub subject: String,
    /// The part of plain text.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// Why a mail cannot be made: a sentence for administrators, without the address.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The stored address is not one plain address.
    #[error("the stored address is not one that mail can be sent to")]
    Recipient,
    /// A template and its data disagree.
    #[error("the mail's template cannot be rendered")]
    Template(#[from] tera::Error),
    /// A mail of a link without the link.
    #[error("the mail's link is not at hand")]
    NoLink,
    /// Nobody sends it.
    #[error("the mail has no sender")]
    NoSender,
    /// The bodies are base64 and the headers text, so this does not happen.
    #[error("the mail is not text")]
    Bytes,
    /// A header is missing.
    #[error("the mail cannot be put together: {0}")]
    Mime(#[from] lettre::error::Error),
}

/// All templates. Made once at start.
pub struct Renderer {
    tera: Tera,
    texts: Arc<Texts>,
    host: String,
}

/// What the templates get. Every text is in its language and harmless as plain text.
#[derive(Serialize)]
pub(super) struct View {
    pub lang: &'static str,
    pub dir: &'static str,
    pub realm: String,
    pub title: String,
    /// What happened, or what to do.
    pub lead: String,
    /// A code to type.
    pub code: Option<String>,
    /// A link to press.
    pub button: Option<ButtonView>,
    /// What follows from it, one sentence or two each.
    pub points: Vec<String>,
    pub note: Option<Note>,
    /// Who sends this, and from where.
    pub origin: String,
}

#[derive(Serialize)]
pub(super) struct Note {
    pub title: String,
    pub lines: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct ButtonView {
    pub url: String,
    pub label: String,
    host: String,
    instead: String,
}

/// A purpose, put into keys.
pub(super) struct Outline {
    pub template: &'static str,
    pub subject: &'static str,
    pub lead: Text,
    pub points: Vec<Text>,
    pub code: Option<String>,
    pub button: Option<Button>,
}

/// A link to press, put into keys.
pub(super) struct Button {
    pub url: String,
    pub label: Text,
    /// Says where the link leads, because a button does not show it.
    pub host: Text,
    /// Says where its code can be typed instead.
    pub instead: Text,
}

impl Renderer {
    /// Parses the templates. `host` is the host of the public URL.
    ///
    /// # Errors
    /// Never in a binary whose tests have passed: the templates are compiled in.
    pub fn new(texts: Arc<Texts>, host: &str) -> Result<Self, RenderError> {
        let mut tera = Tera::default();
        tera.autoescape_on(vec![".html"]);
        tera.add_raw_templates(TEMPLATES)?;
        Ok(Self {
            tera,
            texts,
            host: host.to_owned(),
        })
    }

    /// The mail's words.
    ///
    /// # Errors
    /// A template and its data disagree.
    pub fn words(&self, draft: &Draft<'_>) -> Result<Words, RenderError> {
        let plain = |text: &str| address::not_ours(text, &self.host);
        let realm = plain(&address::name(draft.realm));
        let mut outline = self.outline(draft)?;
        if let Some(not_me) = draft.not_me {
            link::put_not_me(&mut outline, not_me, &self.host);
        }
        let say = |text: Text| {
            let text = text.with("realm", realm.as_str());
            self.texts.say(draft.locale, &text)
        };
        let note = draft.content.note.as_deref().map(|note| Note {
            title: say(Text::key("mail-note")),
            lines: address::lines(note, LONGEST_NOTE)
                .iter()
                .map(|line| plain(line))
                .collect(),
        });
        let title = match subject_of(&draft.content.purpose) {
            Some(subject) => plain(&address::name(subject)),
            None => say(Text::key(outline.subject)),
        };
        let view = View {
            lang: draft.locale.tag(),
            dir: draft.locale.direction(),
            title,
            lead: say(outline.lead),
            code: outline.code,
            button: outline.button.map(|button| ButtonView {
                url: button.url,
                label: say(button.label),
                host: say(button.host),
                instead: say(button.instead),
            }),
            points: outline.points.into_iter().map(say).collect(),
            note,
            origin: say(Text::key("mail-origin").with("host", self.host.as_str())),
            realm: realm.clone(),
        };
        if let Some(own) = &draft.own {
            let time = |at| self.texts.time(draft.locale, at);
            match own.words(draft, &view, (&self.host, &time)) {
                Ok(words) => return Ok(words),
                Err(why) => {
                    tracing::warn!(mail = %draft.id, purpose = draft.content.purpose.name(), why,
                    "the template of a mail makes none; the built-in words are sent")
                }
            }
        }
        let context = Context::from_serialize(&view)?;
        let part = |kind: &str| {
            self.tera
                .render(&format!("{}.{kind}", outline.template), &context)
        };
        Ok(Words {
            text: part("txt")?,
            html: part("html")?,
            subject: match &draft.content.purpose {
                Purpose::LinkExample { .. } => format!("[TEST] {realm}: {}", view.title),
                _ => format!("{realm}: {}", view.title),
            },
        })
    }

    /// The mail as it goes over the wire.
    ///
    /// # Errors
    /// The address is none, or a template and its data disagree.
    pub fn mail(&self, draft: &Draft<'_>) -> Result<Rendered, RenderError> {
        let to = address::parse(draft.recipient).ok_or(RenderError::Recipient)?;
        let sender = draft.sender.ok_or(RenderError::NoSender)?;
        let words = self.words(draft)?;
        let parts = MultiPart::builder()
            .kind(MultiPartKind::Alternative)
            .boundary(format!("=_{}", draft.id))
            .singlepart(part(ContentType::TEXT_PLAIN, words.text))
            .singlepart(part(ContentType::TEXT_HTML, words.html));
        let mut mime = Mime::builder()
            .from(sender.from.clone())
            .to(to.clone().into())
            .subject(words.subject)
            .date(system_time(draft.now))
            .message_id(Some(self.message_id(draft.id)))
            .header(AutoSubmitted)
            .header(ContentLanguage(draft.locale.tag()));
        if let Some(reply_to) = &sender.reply_to {
            mime = mime.reply_to(reply_to.clone());
        }
        let content = String::from_utf8(mime.multipart(parts)?.formatted());
        Ok(Rendered {
            from: sender.envelope_from.clone(),
            content: content.map_err(|_| RenderError::Bytes)?,
            to,
        })
    }

    /// The `Message-ID` of a mail: the same whenever and wherever it is sent.
    pub fn message_id(&self, id: &OutboxId) -> String {
        format!("<{id}@{}>", self.host)
    }

    fn outline(&self, draft: &Draft<'_>) -> Result<Outline, RenderError> {
        let when = |at: Timestamp| self.texts.time(draft.locale, at);
        let notice =
            |subject, lead: &'static str, at: Timestamp, points: &[&'static str]| Outline {
                template: "notice",
                subject,
                lead: Text::key(lead).with("when", when(at)),
                points: points.iter().map(|key| Text::key(key)).collect(),
                code: None,
                button: None,
            };
        Ok(match &draft.content.purpose {
            Purpose::VerifyEmailCode { code } => {
                // To the nearest minute: a mail sent at once says ten, not nine.
                let left = draft.expires_at.seconds_since(draft.now).max(0);
                let minutes = left.saturating_add(30) / 60;
                Outline {
                    template: "code",
                    subject: "mail-verify-email-subject",
                    lead: Text::key("mail-verify-email-lead"),
                    points: vec![
                        Text::key("mail-code-lifetime").with("minutes", minutes),
                        Text::key("mail-code-not-asked"),
                    ],
                    code: Some(code.clone()),
                    button: None,
                }
            }
            Purpose::PasswordChanged { when: at } => notice(
                "mail-password-changed-subject",
                "mail-password-changed-lead",
                *at,
                &["mail-password-changed-ended", "mail-not-you"],
            ),
            Purpose::PasswordSet { when: at } => notice(
                "mail-password-set-subject",
                "mail-password-set-lead",
                *at,
                &["mail-password-set-next", "mail-not-expected"],
            ),
            Purpose::TemporaryPasswordSet {
                when: at,
                works_until,
            } => {
                let mut outline = notice(
                    "mail-temporary-password-subject",
                    "mail-temporary-password-lead",
                    *at,
                    &["mail-temporary-password-next"],
                );
                if let Some(until) = works_until {
                    let until =
                        Text::key("mail-temporary-password-until").with("until", when(*until));
                    outline.points.push(until);
                }
                outline.points.push(Text::key("mail-not-expected"));
                outline
            }
            Purpose::PasswordResetRequired {
                when: at,
                proof,
                has_password,
            } => {
                let next = match proof {
                    _ if !has_password => "mail-reset-required-first",
                    ResetProof::Password => "mail-reset-required-next",
                    ResetProof::Mailbox => "mail-reset-required-by-mail",
                };
                let subject = "mail-reset-required-subject";
                let lead = "mail-reset-required-lead";
                notice(subject, lead, *at, &[next, "mail-not-expected"])
            }
            Purpose::ActionWaived { action, when: at } => {
                let mut outline = notice(
                    "mail-action-waived-subject",
                    action_lead(action),
                    *at,
                    &["mail-not-expected"],
                );
                let action = address::not_ours(&address::name(action), &self.host);
                outline.lead = outline.lead.with("action", action);
                outline
            }
            Purpose::WindowExtended { minutes, when: at } => {
                let mut outline = notice(
                    "mail-window-extended-subject",
                    "mail-window-extended-lead",
                    *at,
                    &["mail-not-expected"],
                );
                outline.lead = outline.lead.with("minutes", *minutes);
                outline
            }
            Purpose::EmailChanged { when: at } => notice(
                "mail-email-changed-subject",
                "mail-email-changed-lead",
                *at,
                &["mail-email-changed-next", "mail-not-you"],
            ),
            Purpose::AccountClosed { when: at } => notice(
                "mail-account-closed-subject",
                "mail-account-closed-lead",
                *at,
                &["mail-account-closed-next", "mail-not-expected"],
            ),
            Purpose::Link { .. } => {
                link::outline(draft.link.ok_or(RenderError::NoLink)?, &self.host)
            }
            Purpose::LinkExample {
                kind,
                app,
                issuer,
                seconds,
                username,
                old_password_ended,
                ..
            } => {
                let names = (app.as_deref(), username.as_deref());
                let mut example = LinkMail::example(*kind, issuer, names, *seconds);
                example.old_password_ended = *old_password_ended;
                link::outline(&example, &self.host)
            }
            Purpose::Test => notice(
                "mail-test-subject",
                "mail-test-lead",
                draft.now,
                &["mail-test-next"],
            ),
        })
    }
}

/// The subject that an administrator has written.
pub(super) fn subject_of(purpose: &Purpose) -> Option<&str> {
    match purpose {
        Purpose::Link { subject, .. } | Purpose::LinkExample { subject, .. } => subject.as_deref(),
        _ => None,
    }
}

fn part(kind: ContentType, words: String) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::Base64)
        .body(words)
}

fn system_time(at: Timestamp) -> SystemTime {
    let micros = u64::try_from(at.micros()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

fn action_lead(action: &str) -> &'static str {
    match action {
        "UPDATE_PASSWORD" => "mail-action-waived-password",
        "VERIFY_EMAIL" => "mail-action-waived-email",
        "UPDATE_PROFILE" => "mail-action-waived-profile",
        "TERMS_AND_CONDITIONS" => "mail-action-waived-terms",
        _ => "mail-action-waived-other",
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834 section 5): nobody's absence note answers it.
#[derive(Clone)]
struct AutoSubmitted;

/// `Content-Language` (RFC 3282).
#[derive(Clone)]
struct ContentLanguage(&'static str);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(text: &str) -> Result<Self, BoxError> {
        match text {
            "auto-generated" => Ok(Self),
            other => Err(other.into()),
        }
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(text: &str) -> Result<Self, BoxError> {
        Locale::from_tag(text)
            .map(|locale| Self(locale.tag()))
            .ok_or_else(|| text.into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_owned())
    }
}
