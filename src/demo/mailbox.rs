//! The demo's mailbox: every mail that the identity provider sends ends here, by real SMTP
//! over loopback, and is shown on a page.
//!
//! Holds the last messages in memory, newest first; a restart forgets them. The demo starts
//! it before the identity provider and hands the listener's address to it as its relay.

use std::{collections::VecDeque, sync::Arc};

use mail_parser::{Addr, Address, DateTime, Message, MessageParser, PartType};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

pub mod smtp;
mod web;

pub use web::routes;

/// Messages kept; the oldest makes room.
pub const CAPACITY: usize = 200;

/// A handle of the running mailbox. Clones share it; with the last one the listener closes.
#[derive(Clone)]
pub struct Mailbox {
    inner: Arc<Running>,
}

struct Running {
    store: Arc<Mutex<Store>>,
    receiver: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

#[derive(Default)]
struct Store {
    /// Newest first.
    messages: VecDeque<Arc<Received>>,
    arrived: u64,
}

impl Mailbox {
    /// Starts to receive mail on `listener`. Must be called within a tokio runtime.
    pub fn start(listener: std::net::TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let store = Arc::<Mutex<Store>>::default();
        let deliver = {
            let store = store.clone();
            Arc::new(move |envelope, raw| store.lock().add(envelope, raw))
        };
        let receiver = tokio::spawn(smtp::serve(listener, deliver)).abort_handle();
        Ok(Self {
            inner: Arc::new(Running { store, receiver }),
        })
    }

    /// Everything that is kept, newest first.
    pub fn messages(&self) -> Vec<Arc<Received>> {
        self.inner.store.lock().messages.iter().cloned().collect()
    }

    /// The message with this number of arrival, while it is kept.
    pub fn message(&self, number: u64) -> Option<Arc<Received>> {
        let store = self.inner.store.lock();
        store
            .messages
            .iter()
            .find(|message| message.number == number)
            .cloned()
    }
}

impl Store {
    fn add(&mut self, envelope: smtp::Envelope, raw: Vec<u8>) {
        self.arrived += 1;
        self.messages
            .push_front(Arc::new(Received::read(self.arrived, envelope, raw)));
        self.messages.truncate(CAPACITY);
    }
}

/// A message as it arrived and as a mail program would read it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Counts arrivals from 1.
    pub number: u64,
    /// Who the transport said it is from and for.
    pub envelope: smtp::Envelope,
    /// The `From` header, `Name <address>`.
    pub from: String,
    /// The `To` header, likewise.
    pub to: String,
    /// The `Subject` header; empty where there is none.
    pub subject: String,
    /// The `Date` header in RFC 5322 form.
    pub date: Option<String>,
    /// The `text/plain` part.
    pub text: Option<String>,
    /// The `text/html` part, as untrusted as it came.
    pub html: Option<String>,
    /// Headers and body as they came, without the dots of the transport.
    pub raw: Vec<u8>,
}

impl Received {
    fn read(number: u64, envelope: smtp::Envelope, raw: Vec<u8>) -> Self {
        // Without a single header there is no message to the parser.
        let parsed = MessageParser::default().parse(&raw);
        let parsed = parsed.as_ref();
        // A text part stands in for a missing HTML part and the other way round; the page
        // shows what is really there.
        let text = parsed.and_then(|mail| mail.text_bodies().find_map(|part| as_text(&part.body)));
        let html = parsed.and_then(|mail| mail.html_bodies().find_map(|part| as_html(&part.body)));
        let header = |mail: &Message| {
            (
                addresses(mail.from()),
                addresses(mail.to()),
                mail.subject().unwrap_or_default().to_owned(),
                mail.date().map(DateTime::to_rfc822),
            )
        };
        let (from, to, subject, date) = parsed.map(header).unwrap_or_default();
        Self {
            number,
            envelope,
            from,
            to,
            subject,
            date,
            text,
            html,
            raw,
        }
    }
}

fn as_text(part: &PartType) -> Option<String> {
    match part {
        PartType::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

fn as_html(part: &PartType) -> Option<String> {
    match part {
        PartType::Html(html) => Some(html.to_string()),
        _ => None,
    }
}

/// `Ada <ada@example.org>, bob@example.org`.
fn addresses(header: Option<&Address>) -> String {
    let one = |address: &Addr| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    let all: Vec<String> = header
        .into_iter()
        .flat_map(Address::iter)
        .map(one)
        .collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_messages_are_kept_and_come_first() {
        let mut store = Store::default();
        for number in 1..=CAPACITY + 1 {
            let raw = format!("Subject: {number}\r\n\r\n").into_bytes();
            store.add(smtp::Envelope::default(), raw);
        }
        assert_eq!(store.messages.len(), CAPACITY);
        assert_eq!(store.messages[0].number, CAPACITY as u64 + 1);
        assert_eq!(store.messages[0].subject, (CAPACITY + 1).to_string());
        assert_eq!(
            store.messages.back().unwrap().number,
            2,
            "the very first made room"
        );
    }

    #[test]
    fn bytes_that_are_no_mail_are_kept_as_they_are() {
        for raw in [
            &b""[..],
            b"\r\n",
            b"no header\r\n",
            b"\xff\xfe\r\n\r\n\xff",
            b"Content-Type: multipart/mixed\r\n\r\n",
        ] {
            let received = Received::read(1, smtp::Envelope::default(), raw.to_vec());
            assert_eq!(received.raw, raw);
            assert_eq!((received.subject.as_str(), received.html), ("", None));
        }
    }
}
