//! One step of a conversation: an answer in time, with the code that belongs there, or what went wrong instead.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

/// What went wrong in one step.
pub enum Wrong {
    /// The server said no: the code, and its words with it.
    Reply(u16, String),
    /// The connection ended, was silent for too long, or said what makes no sense here.
    Lost(String),
}

impl Wrong {
    /// Its words, for administrators.
    pub fn text(self) -> String {
        match self {
            Self::Reply(_, text) | Self::Lost(text) => text,
        }
    }
}

/// The server's words as one line of bounded length.
pub fn words(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    line.trim().to_owned()
}

/// What an error of the conversation means for the step.
pub fn wrong(error: &Error) -> Wrong {
    use std::error::Error as _;
    let mut cause = error.to_string();
    let code = error
        .status()
        .and_then(|code| code.to_string().parse().ok());
    let Some(code) = code else {
        let mut source = error.source();
        while let Some(next) = source {
            let text = next.to_string();
            if !cause.contains(&text) {
                cause = format!("{cause}: {text}");
            }
            source = next.source();
        }
        return Wrong::Lost(words(&cause));
    };
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    Wrong::Reply(code, words(&format!("{code} {said}")))
}

/// Whether the failure to connect is TLS's: wherever in the chain rustls has spoken.
pub fn is_tls(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let smtp = error.downcast_ref::<Error>();
        let io = error.downcast_ref::<std::io::Error>();
        let inner = io.and_then(std::io::Error::get_ref);
        if smtp.is_some_and(Error::is_tls)
            || error.is::<rustls::Error>()
            || inner.is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return true;
        }
        source = error.source();
    }
    false
}

/// A mail's content with its end, as one command: with dots at the start of a line doubled (RFC 5321 section 4.5.2).
///
/// lettre writes the end on its own. A system waits with such a small piece until the one before it was acknowledged,
/// and the other side waits with that for 40 ms: of 25 mails a second and connection nobody has anything.
pub struct Content<'a>(pub &'a str);

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.split_inclusive("\r\n") {
            if line.starts_with('.') {
                f.write_str(".")?;
            }
            f.write_str(line)?;
        }
        f.write_str(if self.0.ends_with("\r\n") {
            ".\r\n"
        } else {
            "\r\n.\r\n"
        })
    }
}

/// One step: an answer in time, with the code that belongs there. A code out of step also ends a connection into
/// which somebody has put answers before TLS began.
pub async fn step(
    limit: Duration,
    expected: &[u16],
    answer: impl Future<Output = Result<Response, Error>>,
) -> Result<(), Wrong> {
    let response = match timeout(limit, answer).await {
        Err(_) => {
            return Err(Wrong::Lost(format!(
                "no answer within {} s",
                limit.as_secs()
            )));
        }
        Ok(answer) => answer.map_err(|error| wrong(&error))?,
    };
    let code: u16 = response.code().to_string().parse().unwrap_or(0);
    if expected.contains(&code) {
        Ok(())
    } else {
        Err(Wrong::Lost(format!(
            "the server answered out of step: {code}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_one_dot_is_no_end() {
        for (content, wire) in [
            ("a\r\nb\r\n", "a\r\nb\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.\r\n..b\r\n", "a\r\n..\r\n...b\r\n.\r\n"),
            ("", "\r\n.\r\n"),
        ] {
            assert_eq!(Content(content).to_string(), wire);
        }
    }

    proptest! {
        /// What a receiver reads up to the first line of one dot, with doubled dots taken back, is what was sent.
        #[test]
        fn a_receiver_reads_what_was_sent(content in "([a.]{0,3}(\r\n|\r|\n)?){0,8}") {
            let wire = Content(&content).to_string();
            let end = if wire.starts_with(".\r\n") { 0 } else { wire.find("\r\n.\r\n").unwrap() + 2 };
            prop_assert_eq!(end + 3, wire.len());
            let read: String = wire[..end]
                .split_inclusive("\r\n")
                .map(|line| line.strip_prefix('.').unwrap_or(line))
                .collect();
            let sent = if content.ends_with("\r\n") { content } else { format!("{content}\r\n") };
            prop_assert_eq!(read, sent);
        }
    }
}
