//! The receiving half of SMTP (RFC 5321) for the demo's mailbox: it takes every message for
//! every address and relays nothing.
//!
//! Strict on purpose. Lines end with CRLF and nothing else, so no message can smuggle a
//! second one in; an overlong line or a bare LF is refused, because a real relay would
//! refuse or mangle it and the demo is the place to notice.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{
        self, AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _,
        BufStream,
    },
    net::TcpListener,
    task::JoinSet,
};

/// The largest message that is taken, in bytes (announced with SIZE, RFC 1870).
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;

/// Connections served at once; further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 64;
const MAX_RECIPIENTS: usize = 100;
/// Refusals after which a client is sent away.
const MAX_ERRORS: u32 = 20;
/// RFC 5321, section 4.5.3.1: lengths without the CRLF.
const MAX_COMMAND: usize = 510;
const MAX_TEXT_LINE: usize = 998;
/// RFC 5321, section 4.5.3.2.7.
const IDLE: Duration = Duration::from_secs(300);

/// Who sent a message to whom, as the transport said it (the headers may say otherwise).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse path; empty for a delivery report.
    pub from: String,
    /// The accepted recipients, in order.
    pub to: Vec<String>,
}

/// Takes what a client handed over completely, before the client is told so.
pub(super) type Deliver = Arc<dyn Fn(Envelope, Vec<u8>) + Send + Sync>;

/// Serves connections until it is dropped; dropping it ends them.
pub(super) async fn serve(listener: TcpListener, deliver: Deliver) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                // A client that hangs up in the middle is its own business.
                Ok((stream, _)) => {
                    let session = Session::new(stream, deliver.clone());
                    connections.spawn(async move { drop(session.run().await) });
                }
                // Out of descriptors, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
        }
    }
}

/// A line as it came in, without its CRLF.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Full(Vec<u8>),
    TooLong,
    End,
}

/// Reads to the next CRLF and never keeps more than `limit` bytes and one buffer.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: usize) -> io::Result<Line> {
    let mut line = vec![];
    let mut too_long = false;
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(Line::End);
        }
        let taken = chunk
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(chunk.len(), |at| at + 1);
        line.extend_from_slice(chunk.get(..taken).unwrap_or_default());
        reader.consume(taken);
        let ended = line.ends_with(b"\r\n");
        let length = line.len() - if ended { 2 } else { 0 };
        // One byte more than the limit may be the CR of a CRLF that is still to come.
        too_long |= length > limit + usize::from(!ended && line.ends_with(b"\r"));
        if ended {
            line.truncate(length);
            return Ok(if too_long {
                Line::TooLong
            } else {
                Line::Full(line)
            });
        }
        if too_long {
            // Only a CR at the very end still matters.
            line.drain(..line.len() - 1);
        }
    }
}

/// What the client may do next.
enum Stage {
    /// Nobody said hello yet.
    New,
    Ready,
    /// After MAIL; DATA is allowed once there is a recipient.
    Mail(Envelope),
}

struct Session<S> {
    stream: BufStream<S>,
    stage: Stage,
    errors: u32,
    deliver: Deliver,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(stream: S, deliver: Deliver) -> Self {
        Self {
            stream: BufStream::new(stream),
            stage: Stage::New,
            errors: 0,
            deliver,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        self.reply("220 vestibule-demo ESMTP: mail ends here")
            .await?;
        loop {
            let line = match self.line(MAX_COMMAND).await? {
                Line::End => return Ok(()),
                Line::TooLong => None,
                Line::Full(line) => String::from_utf8(line).ok(),
            };
            let answer = match line.filter(|line| !line.contains(['\n', '\r', '\0'])) {
                None => "500 5.5.2 Not a command line",
                Some(line) => {
                    let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
                    match verb.to_ascii_uppercase().as_str() {
                        "QUIT" => return self.reply("221 2.0.0 Bye").await,
                        "DATA" => self.data(rest).await?,
                        verb => self.command(verb, rest.trim()),
                    }
                }
            };
            self.reply(answer).await?;
            if answer.starts_with('5') {
                self.errors += 1;
                if self.errors >= MAX_ERRORS {
                    return self.reply("421 4.7.0 Too many errors").await;
                }
            }
        }
    }

    /// Every command that is answered at once.
    fn command(&mut self, verb: &str, rest: &str) -> &'static str {
        match verb {
            "HELO" | "EHLO" if rest.is_empty() => "501 5.5.4 Say who you are",
            "HELO" => {
                self.stage = Stage::Ready;
                "250 vestibule-demo"
            }
            "EHLO" => {
                self.stage = Stage::Ready;
                "250-vestibule-demo\r\n250-SIZE 1048576\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                 250-PIPELINING\r\n250 ENHANCEDSTATUSCODES"
            }
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "RSET" => {
                self.reset();
                "250 2.0.0 Forgotten"
            }
            "NOOP" => "250 2.0.0 Still here",
            "VRFY" => "252 2.5.1 Every address is accepted",
            "HELP" => "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP VRFY QUIT",
            _ => "502 5.5.1 Not implemented",
        }
    }

    fn mail(&mut self, rest: &str) -> &'static str {
        match self.stage {
            Stage::New => return "503 5.5.1 EHLO first",
            Stage::Mail(_) => return "503 5.5.1 One message at a time",
            Stage::Ready => {}
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return "501 5.5.4 MAIL FROM:<address>";
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (
                name.to_ascii_uppercase().as_str(),
                value.to_ascii_uppercase().as_str(),
            ) {
                ("SIZE", size) => match size.parse::<u64>() {
                    Ok(size) if size > MAX_MESSAGE as u64 => return TOO_LARGE,
                    Ok(_) => {}
                    Err(_) => return "501 5.5.4 SIZE is a number",
                },
                ("BODY", "7BIT" | "8BITMIME") | ("SMTPUTF8", "") => {}
                _ => return "555 5.5.4 Unknown parameter",
            }
        }
        self.stage = Stage::Mail(Envelope {
            from: from.to_owned(),
            to: vec![],
        });
        "250 2.1.0 Sender taken"
    }

    fn rcpt(&mut self, rest: &str) -> &'static str {
        let Stage::Mail(envelope) = &mut self.stage else {
            return "503 5.5.1 MAIL first";
        };
        match path(rest, "TO:") {
            Some((to, "")) if !to.is_empty() => {
                if envelope.to.len() >= MAX_RECIPIENTS {
                    return "452 4.5.3 Too many recipients";
                }
                envelope.to.push(to.to_owned());
                "250 2.1.5 Recipient taken"
            }
            Some((to, _)) if !to.is_empty() => "555 5.5.4 Unknown parameter",
            _ => "501 5.5.4 RCPT TO:<address>",
        }
    }

    /// Reads the message to its lone dot, whatever is wrong with it, so that no line of it
    /// is ever taken for a command.
    async fn data(&mut self, rest: &str) -> io::Result<&'static str> {
        if !rest.is_empty() {
            return Ok("501 5.5.4 DATA takes no parameters");
        }
        match &self.stage {
            Stage::Mail(envelope) if !envelope.to.is_empty() => {}
            Stage::Mail(_) => return Ok("554 5.5.1 No recipients"),
            Stage::New | Stage::Ready => return Ok("503 5.5.1 MAIL first"),
        }
        self.reply("354 End with a line that is one dot").await?;
        let mut message = vec![];
        let mut refusal = None;
        loop {
            // One more than the limit: the dot that the client stuffed does not count.
            match self.line(MAX_TEXT_LINE + 1).await? {
                Line::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Line::Full(line) if line == b"." => break,
                Line::TooLong => refusal = refusal.or(Some("554 5.6.0 Line too long")),
                Line::Full(line) => {
                    let line = line.strip_prefix(b".").unwrap_or(&line);
                    if line.contains(&b'\n') || line.contains(&b'\r') {
                        refusal = refusal.or(Some("554 5.6.0 Bare CR or LF"));
                    } else if line.len() > MAX_TEXT_LINE {
                        refusal = refusal.or(Some("554 5.6.0 Line too long"));
                    } else if message.len() + line.len() + 2 > MAX_MESSAGE {
                        refusal = refusal.or(Some(TOO_LARGE));
                    }
                    if refusal.is_none() {
                        message.extend_from_slice(line);
                        message.extend_from_slice(b"\r\n");
                    }
                }
            }
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Ready);
        Ok(match (refusal, stage) {
            (None, Stage::Mail(envelope)) => {
                (self.deliver)(envelope, message);
                "250 2.0.0 Delivered to the demo mailbox"
            }
            (refusal, _) => refusal.unwrap_or("503 5.5.1 MAIL first"),
        })
    }

    fn reset(&mut self) {
        if matches!(self.stage, Stage::Mail(_)) {
            self.stage = Stage::Ready;
        }
    }

    /// The next line, or the end of the session where none comes in time.
    async fn line(&mut self, limit: usize) -> io::Result<Line> {
        match tokio::time::timeout(IDLE, read_line(&mut self.stream, limit)).await {
            Ok(line) => line,
            Err(_) => {
                self.reply("421 4.4.2 Idle for too long").await?;
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    async fn reply(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.write_all(b"\r\n").await?;
        self.stream.flush().await
    }
}

const TOO_LARGE: &str = "552 5.3.4 Message larger than 1 MiB";

/// Splits `FROM:<ada@example.org> SIZE=9` into the address and the parameters.
fn path<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    let rest = rest.trim_start().strip_prefix('<')?;
    let (address, parameters) = rest.split_once('>')?;
    let clean = !address.contains(|c: char| c.is_control() || c == '<' || c == ' ');
    (head.eq_ignore_ascii_case(keyword) && clean).then_some((address, parameters.trim()))
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
