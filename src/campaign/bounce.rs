//! Delivery reports (RFC 3464): relays bounce later than they accept.
//!
//! A report is matched by the `Message-ID` of the mail that it tells of, which is our id of it: whoever cannot know
//! that id cannot make a mail bounce. What else it says is text for administrators.

use mail_parser::{Message, MessageParser, MimeHeaders as _, PartType};

use super::recipients;
use crate::kernel::{Entropy, RealmId, UserId};
use crate::link;
use crate::mail::OutboxId;
use crate::mail::outbox::{audit, batch};
use crate::mail::said::impersonal;
use crate::store::events;
use crate::store::{StoreError, Tx};

/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `Message-ID`s of mails that it may be about, without brackets.
    pub message_ids: Vec<String>,
    /// Whether it says that a mail was not and will not be delivered.
    pub failed: bool,
    /// `Status` and `Diagnostic-Code` (RFC 3464 section 2.3).
    pub reason: String,
}

/// Reads a report. `None`: it is none.
pub fn read(bytes: &[u8]) -> Option<Report> {
    let message = MessageParser::default().parse(bytes)?;
    let mut status = None;
    let mut message_ids = Vec::new();
    collect(&message, &mut status, &mut message_ids);
    let status = status?;
    let field = |name: &str| field_of(&status, name);
    let failed = field("Action").is_some_and(|action| action.eq_ignore_ascii_case("failed"));
    let reason = [field("Status"), field("Diagnostic-Code")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    Some(Report {
        message_ids,
        failed,
        reason: impersonal(&reason, "")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST_REASON)
            .collect(),
    })
}

/// Looks through the parts: the fields of the report, and the returned mail or its headers.
fn collect(message: &Message<'_>, status: &mut Option<String>, ids: &mut Vec<String>) {
    for part in &message.parts {
        let kind = part.content_type().map(|kind| {
            let sub = kind.subtype().unwrap_or_default();
            format!("{}/{sub}", kind.ctype()).to_ascii_lowercase()
        });
        match (kind.as_deref(), &part.body) {
            (Some("message/delivery-status"), body) => {
                let text = match body {
                    PartType::Message(inner) => {
                        String::from_utf8_lossy(inner.raw_message()).into_owned()
                    }
                    _ => String::from_utf8_lossy(part.contents()).into_owned(),
                };
                status.get_or_insert(text);
            }
            (_, PartType::Message(inner)) => ids.extend(inner.message_id().map(str::to_owned)),
            (Some("text/rfc822-headers"), _) => {
                let headers = MessageParser::default().parse(part.contents());
                let id = headers.and_then(|headers| headers.message_id().map(str::to_owned));
                ids.extend(id);
            }
            _ => {}
        }
    }
    for name in ["In-Reply-To", "References"] {
        if let Some(text) = message.header_raw(name) {
            ids.extend(
                text.split(['<', '>', ' ', '\r', '\n', '\t'])
                    .filter(|id| id.contains('@'))
                    .map(str::to_owned),
            );
        }
    }
}

/// A field of the report; folded lines are one.
fn field_of(status: &str, wanted: &str) -> Option<String> {
    let unfolded = status
        .replace("\r\n", "\n")
        .replace("\n ", " ")
        .replace("\n\t", " ");
    unfolded
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.trim().to_owned())
}

/// Notes a report about a mail of the realm. Answers how many mails it has turned into bounced ones.
///
/// # Errors
/// The database fails.
pub fn note(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    (realm, host): (&RealmId, &str),
    report: &Report,
) -> Result<usize, StoreError> {
    if !report.failed {
        return Ok(0);
    }
    let now = tx.now()?;
    let mut count = 0_usize;
    for id in &report.message_ids {
        let Some(mail) = id
            .strip_suffix(host)
            .and_then(|rest| rest.strip_suffix('@'))
            .map(OutboxId::new)
        else {
            continue;
        };
        let reason = report.reason.as_str();
        let Some((user, address)) = batch::came_back(tx, (realm, &mail), reason, now)? else {
            continue;
        };
        let (campaign, first) = recipients::came_back(tx, &mail, reason, now)?.unzip();
        let link = match &user {
            Some(user) => link_of(tx, user, &mail)?,
            None => None,
        };
        let link = link.or(first.flatten());
        let part = (campaign.as_deref(), link.as_deref());
        let event = audit::event(audit::BOUNCED, (realm, &mail), user.as_ref(), part)
            .detail("reason", impersonal(reason, &address));
        events::record(tx, entropy, now, event)?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

/// The link that was made for that mail.
fn link_of(tx: &mut Tx<'_>, user: &UserId, mail: &OutboxId) -> Result<Option<String>, StoreError> {
    let links = link::of_user(tx, user)?;
    let found = links
        .into_iter()
        .find(|link| link.mail_id.as_ref() == Some(mail));
    Ok(found.map(|link| link.id.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "From: MAILER-DAEMON@relay.example\r\nTo: idp@t1.example\r\nSubject: Undelivered\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nIt did not work.\r\n\
        --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
        Final-Recipient: rfc822; bob@people.example\r\nAction: ACTION\r\nStatus: 5.1.1\r\n\
        Diagnostic-Code: smtp; 550 no\r\n such user\r\n\r\n\
        --b\r\nContent-Type: RETURNED\r\n\r\nMessage-ID: <0199-a@id.example>\r\nSubject: Set your password\r\n\r\n\
        --b--\r\n";

    fn report(action: &str, returned: &str) -> Option<Report> {
        let text = REPORT
            .replace("ACTION", action)
            .replace("RETURNED", returned);
        read(text.as_bytes())
    }

    #[test]
    fn a_report_names_the_mail_and_why_it_came_back() {
        for returned in ["message/rfc822", "text/rfc822-headers"] {
            let read = report("failed", returned).unwrap();
            assert_eq!(read.message_ids, ["0199-a@id.example"], "{returned}");
            assert!(read.failed);
            assert_eq!(read.reason, "5.1.1 smtp; 550 no such user");
        }
        assert!(!report("delayed", "message/rfc822").unwrap().failed);
    }

    #[test]
    fn what_is_no_report_is_none() {
        for text in ["", "hello", "Subject: out of office\r\n\r\nI am away.\r\n"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
