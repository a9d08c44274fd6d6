//! The receiver over real TCP: lettre as the client that the identity provider uses, and
//! raw sockets for what lettre would never say.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor, message::MultiPart,
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::*;
use crate::demo::mailbox::Mailbox;

fn start() -> (Mailbox, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (Mailbox::start(listener).unwrap(), address)
}

fn relay(address: SocketAddr) -> AsyncSmtpTransport<Tokio1Executor> {
    let host = address.ip().to_string();
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(address.port())
        .build()
}

/// A client that says what it is told to and reads one reply at a time.
struct Raw(BufStream<TcpStream>);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let mut raw = Self(BufStream::new(TcpStream::connect(address).await.unwrap()));
        assert!(raw.reply().await.starts_with("220 "));
        raw
    }

    async fn greeted(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        assert!(raw.say("EHLO client.test\r\n").await.starts_with("250"));
        raw
    }

    /// As far as the dot: sender, recipient and `DATA`.
    async fn in_data(address: SocketAddr) -> Self {
        let mut raw = Self::greeted(address).await;
        raw.expect("MAIL FROM:<a@example.org>\r\n", "250").await;
        raw.expect("RCPT TO:<b@example.org>\r\n", "250").await;
        raw.expect("DATA\r\n", "354").await;
        raw
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.0.write_all(bytes.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
        self.reply().await
    }

    async fn expect(&mut self, bytes: impl AsRef<[u8]>, code: &str) {
        let said = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        let reply = self.say(bytes).await;
        let said: String = said.chars().take(60).collect();
        assert!(
            reply.starts_with(code),
            "{said:?} was answered {reply:?}, not {code}"
        );
    }

    async fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line);
            tokio::time::timeout(Duration::from_secs(10), read)
                .await
                .unwrap()
                .unwrap();
            let last = line.as_bytes().get(3) != Some(&b'-');
            all.push_str(&line);
            if last {
                return all;
            }
        }
    }

    async fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0; 1]).await.unwrap() == 0
    }
}

#[tokio::test]
async fn a_mail_sent_by_lettre_arrives_with_both_parts() {
    let (mailbox, address) = start();
    let mail = Message::builder()
        .from("Vestibule <no-reply@demo.test>".parse().unwrap())
        .to("Zoë Ångström <zoe@example.org>".parse().unwrap())
        .subject("Grüße: set your password")
        .multipart(MultiPart::alternative_plain_html(
            "Open http://localhost:8080/x?a=1\r\n.a line with a dot\r\n".to_owned(),
            "<p>Open <a href='http://localhost:8080/x?a=1'>this</a></p>".to_owned(),
        ))
        .unwrap();
    relay(address).send(mail).await.unwrap();

    let messages = mailbox.messages();
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!(message.number, 1);
    assert_eq!(message.subject, "Grüße: set your password");
    assert_eq!(message.from, "Vestibule <no-reply@demo.test>");
    assert_eq!(message.to, "Zoë Ångström <zoe@example.org>");
    assert_eq!(message.envelope.from, "no-reply@demo.test");
    assert_eq!(message.envelope.to, ["zoe@example.org"]);
    let text = message.text.as_deref().unwrap().replace("\r\n", "\n");
    assert_eq!(
        text.trim_end(),
        "Open http://localhost:8080/x?a=1\n.a line with a dot"
    );
    assert!(
        message
            .html
            .as_deref()
            .unwrap()
            .contains("<a href='http://localhost:8080/x?a=1'>")
    );
    assert!(message.date.is_some());
}

#[tokio::test]
async fn a_text_mail_has_no_html_part() {
    let (mailbox, address) = start();
    let mail = Message::builder()
        .from("a@example.org".parse().unwrap())
        .to("b@example.org".parse().unwrap())
        .subject("plain")
        .body("<b>not bold</b>".to_owned())
        .unwrap();
    relay(address).send(mail).await.unwrap();
    let message = mailbox.message(1).unwrap();
    assert_eq!(message.html, None);
    assert_eq!(
        message.text.as_deref().map(str::trim_end),
        Some("<b>not bold</b>")
    );
}

#[tokio::test]
async fn one_connection_carries_many_messages_and_the_newest_is_first() {
    let (mailbox, address) = start();
    let relay = relay(address);
    for number in 1..=3 {
        let mail = Message::builder()
            .from("a@example.org".parse().unwrap())
            .to("b@example.org".parse().unwrap())
            .subject(number.to_string())
            .body(String::new())
            .unwrap();
        relay.send(mail).await.unwrap();
    }
    let messages = mailbox.messages();
    let subjects: Vec<_> = messages
        .iter()
        .map(|message| message.subject.as_str())
        .collect();
    assert_eq!(subjects, ["3", "2", "1"]);
}

#[tokio::test]
async fn stuffed_dots_are_taken_off_and_the_lone_dot_ends() {
    let (mailbox, address) = start();
    let mut raw = Raw::in_data(address).await;
    raw.expect("Subject: x\r\n\r\n..\r\n..two\r\nend\r\n.\r\n", "250")
        .await;
    assert_eq!(
        mailbox.message(1).unwrap().raw,
        b"Subject: x\r\n\r\n.\r\n.two\r\nend\r\n"
    );
    raw.expect("QUIT\r\n", "221").await;
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let (mailbox, address) = start();
    let mut raw = Raw::greeted(address).await;
    let all = "MAIL FROM:<> BODY=8BITMIME SIZE=10\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n";
    raw.expect(all, "250").await;
    for code in ["250", "250", "354"] {
        assert!(raw.reply().await.starts_with(code));
    }
    raw.expect("hello\r\n.\r\n", "250").await;
    let message = mailbox.message(1).unwrap();
    assert_eq!(
        message.envelope,
        Envelope {
            from: String::new(),
            to: vec!["a@x".into(), "b@x".into()]
        }
    );
}

#[tokio::test]
async fn a_bare_line_feed_never_ends_a_message() {
    let (mailbox, address) = start();
    for smuggled in [
        "one\n.\nMAIL FROM:<x@x>\r\n",
        "one\n.\r\nMAIL FROM:<x@x>\r\n",
        "one\r.\r\n",
    ] {
        let mut raw = Raw::in_data(address).await;
        raw.expect(format!("{smuggled}two\r\n.\r\n"), "554").await;
        raw.expect("NOOP\r\n", "250").await;
    }
    assert!(mailbox.messages().is_empty());
}

#[tokio::test]
async fn lines_and_messages_have_a_largest_size() {
    let (mailbox, address) = start();
    let mut raw = Raw::in_data(address).await;
    raw.expect(
        format!("{}\r\n.{}\r\n.\r\n", "x".repeat(998), ".".repeat(998)),
        "250",
    )
    .await;
    let mut raw = Raw::in_data(address).await;
    raw.expect(format!("{}\r\n.\r\n", "x".repeat(999)), "554")
        .await;
    let mut raw = Raw::in_data(address).await;
    raw.expect(format!("{}\r\n.\r\n", "x".repeat(100_000)), "554")
        .await;

    let line = format!("{}\r\n", "x".repeat(62));
    let mut raw = Raw::in_data(address).await;
    raw.expect(format!("{}.\r\n", line.repeat(MAX_MESSAGE / 64)), "250")
        .await;
    let mut raw = Raw::in_data(address).await;
    raw.expect(format!("{}.\r\n", line.repeat(MAX_MESSAGE / 64 + 1)), "552")
        .await;
    raw.expect(
        format!("MAIL FROM:<a@x> SIZE={}\r\n", MAX_MESSAGE + 1),
        "552",
    )
    .await;
    assert_eq!(mailbox.messages().len(), 2);

    raw.expect(format!("NOOP {}\r\n", "x".repeat(505)), "250")
        .await;
    raw.expect(format!("NOOP {}\r\n", "x".repeat(506)), "500")
        .await;
    raw.expect("NOOP\r\n", "250").await;
}

#[tokio::test]
async fn commands_out_of_turn_are_refused() {
    let (mailbox, address) = start();
    let mut raw = Raw::connect(address).await;
    for (said, code) in [
        ("MAIL FROM:<a@x>\r\n", "503"),
        ("EHLO\r\n", "501"),
        ("HELO me\r\n", "250 "),
        ("RCPT TO:<b@x>\r\n", "503"),
        ("DATA\r\n", "503"),
        ("MAIL FROM: <a@x>\r\n", "250"),
        ("MAIL FROM:<a@x>\r\n", "503"),
        ("DATA\r\n", "554"),
        ("RCPT TO:<>\r\n", "501"),
        ("RCPT TO:<b@x> NOTIFY=NEVER\r\n", "555"),
        ("RCPT TO:b@x\r\n", "501"),
        ("rcpt to:<b@x>\r\n", "250"),
        ("RSET\r\n", "250"),
        ("DATA\r\n", "503"),
        ("MAIL FROM:<a@x> AUTH=<>\r\n", "555"),
        ("MAIL FROM:<a@x> SIZE=no\r\n", "501"),
        ("MAIL TO:<a@x>\r\n", "501"),
        ("STARTTLS\r\n", "502"),
        ("VRFY a@x\r\n", "252"),
        ("NOOP\nQUIT\r\n", "500"),
        ("\u{0}\r\n", "500"),
    ] {
        raw.expect(said, code).await;
    }
    raw.expect(b"\xff\xfe\r\n", "500").await;
    assert!(mailbox.messages().is_empty());
}

#[tokio::test]
async fn recipients_have_a_largest_number_and_patience_ends() {
    let (_mailbox, address) = start();
    let mut raw = Raw::greeted(address).await;
    raw.expect("MAIL FROM:<a@x>\r\n", "250").await;
    for _ in 0..MAX_RECIPIENTS {
        raw.expect("RCPT TO:<b@x>\r\n", "250").await;
    }
    raw.expect("RCPT TO:<b@x>\r\n", "452").await;
    for _ in 0..MAX_ERRORS {
        raw.expect("BOO\r\n", "502").await;
    }
    assert!(raw.reply().await.starts_with("421"));
    assert!(raw.is_closed().await);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let (mailbox, address) = start();
    let mut raw = Raw::in_data(address).await;
    raw.0.write_all(b"half a mess").await.unwrap();
    raw.0.flush().await.unwrap();
    drop(raw);
    let mut raw = Raw::in_data(address).await;
    raw.expect("whole\r\n.\r\n", "250").await;
    assert_eq!(mailbox.messages().len(), 1);
}

#[tokio::test]
async fn the_last_handle_closes_the_listener() {
    let (mailbox, address) = start();
    let again = mailbox.clone();
    drop(mailbox);
    let mut raw = Raw::greeted(address).await;
    drop(again);
    assert!(raw.is_closed().await);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_line_may_arrive_in_pieces_of_any_size() {
    let text = b"abc\r\n\r\nlonger than ten\r\nde\rf\ng\r\n0123456789\r\nrest";
    for capacity in 1..text.len() {
        let mut reader = tokio::io::BufReader::with_capacity(capacity, &text[..]);
        let mut lines = vec![];
        loop {
            match read_line(&mut reader, 10).await.unwrap() {
                Line::End => break,
                Line::TooLong => lines.push("too long".to_owned()),
                Line::Full(line) => lines.push(String::from_utf8(line).unwrap()),
            }
        }
        assert_eq!(
            lines,
            ["abc", "", "too long", "de\rf\ng", "0123456789"],
            "{capacity}"
        );
    }
}
