//! One mail handed to one server, step by step, and the few connections kept open to it.
//!
//! lettre speaks the protocol; the steps are ours, because what a failure means depends on where it happened: before
//! `MAIL` it is the server's, up to `DATA` it is the mail's, and from the first byte of the content on silence means
//! that nobody knows (reliability R-05). Each step has its own time limit (H015). Called by the sender, and by
//! whoever tries a server's settings.

mod connect;
mod step;
mod tokens;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use self::connect::close;
use self::step::{Content, Wrong, step};
use self::tokens::Tokens;
use super::pause::Trouble;
use super::render::Rendered;
use super::transport::Server;
use crate::web::outbound::Outbound;

/// The most connections to one server at a time (per node and configuration).
pub const CONNECTIONS: usize = 4;

/// A connection is closed after this many mails or this long without one; servers close theirs sooner or later.
const MAILS_PER_CONNECTION: u32 = 100;
const IDLE: Duration = Duration::from_secs(30);

/// How long a server may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To connect with TLS and greeting, and to answer a command.
    pub command: Duration,
    /// To say what became of the content.
    pub content: Duration,
}

/// Why a mail was not handed over. The texts hold the server's words, for administrators and never for logs: servers
/// repeat addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No mail can be handed to this server now.
    Server(Trouble, String),
    /// This mail was not taken; another time it may be.
    Later(String),
    /// This mail is refused for good.
    Refused(String),
    /// The content went out, and no answer tells what became of it.
    Unknown(String),
    /// The permit to send was not given, and nothing was sent.
    NotPermitted,
}

/// What all connections of a node have in common.
#[derive(Clone)]
pub struct Manner {
    /// The name we greet with.
    pub host: String,
    /// A PEM file of certificates to trust beside the system's.
    pub extra_root: Option<PathBuf>,
    /// Where servers may lie that realms name; fetches the tokens that stand for passwords.
    pub outbound: Outbound,
    /// How long servers may take.
    pub patience: Patience,
}

/// A server and the connections to it.
pub struct Pool {
    server: Server,
    hello: ClientId,
    extra_root: Option<PathBuf>,
    patience: Patience,
    outbound: Outbound,
    tokens: Tokens,
    tls: OnceCell<TlsParameters>,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    /// When and how the last try to connect failed.
    trouble: Mutex<Option<(Instant, Failure)>>,
}

/// Asks whether the content of a mail may go out; an error says why that cannot be answered.
pub type Permit =
    Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send>> + Send>;

/// A turn to have a connection.
pub struct Place<'a> {
    _permit: SemaphorePermit<'a>,
}

struct Connection {
    smtp: AsyncSmtpConnection,
    mails: u32,
    since: Instant,
}

impl Wrong {
    /// What it means for a mail of which no content was sent, or that was answered.
    fn of_mail(self) -> Failure {
        match self {
            Self::Reply(500.., text) => Failure::Refused(text),
            other => Failure::Later(other.text()),
        }
    }

    /// The end of a mail by this step. An answer leaves the connection in step, save the one that ends it.
    fn ends(self, means: impl FnOnce(Self) -> Failure) -> Ended {
        let in_step = matches!(&self, Self::Reply(code, _) if *code != 421);
        Ended {
            failure: means(self),
            in_step,
        }
    }
}

/// A mail that was not handed over, and whether the connection can be spoken to after it.
struct Ended {
    failure: Failure,
    in_step: bool,
}

/// A server that refuses the sender refuses it for every mail.
fn of_sender(wrong: Wrong) -> Failure {
    match wrong {
        Wrong::Reply(530 | 534 | 535 | 538, text) => Failure::Server(Trouble::Login, text),
        Wrong::Reply(552, text) => Failure::Refused(text),
        Wrong::Reply(500.., text) => Failure::Server(Trouble::Sender, text),
        other => other.of_mail(),
    }
}

/// Once the content is on its way, only an answer tells anything.
fn of_content(wrong: Wrong) -> Failure {
    match wrong {
        Wrong::Reply(..) => wrong.of_mail(),
        Wrong::Lost(text) => Failure::Unknown(text),
    }
}

impl Pool {
    /// A pool without connections.
    pub fn new(server: Server, manner: Manner) -> Self {
        let hello = match manner.host.parse() {
            Ok(std::net::IpAddr::V4(ip)) => ClientId::Ipv4(ip),
            Ok(std::net::IpAddr::V6(ip)) => ClientId::Ipv6(ip),
            Err(_) => ClientId::Domain(manner.host),
        };
        Self {
            server,
            hello,
            extra_root: manner.extra_root,
            patience: manner.patience,
            tokens: Tokens::new(manner.outbound.clone()),
            outbound: manner.outbound,
            tls: OnceCell::new(),
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(CONNECTIONS),
            trouble: Mutex::new(None),
        }
    }

    /// Whether no connection has been used of late.
    pub fn is_idle(&self) -> bool {
        let idle = self.idle.lock();
        idle.iter()
            .all(|connection| connection.since.elapsed() > IDLE)
    }

    /// Connects, logs in and leaves: whether the server could be used now.
    ///
    /// # Errors
    /// A [`Failure::Server`] that says what is wrong.
    pub async fn probe(&self) -> Result<(), Failure> {
        let mut connection = self.connect().await?;
        close(&mut connection.smtp).await;
        Ok(())
    }

    /// Waits for its turn to have a connection.
    ///
    /// # Errors
    /// While it waited, somebody found out that the server cannot be used.
    pub async fn place(&self) -> Result<Place<'_>, Failure> {
        let asked = Instant::now();
        let place = self
            .places
            .acquire()
            .await
            .map_err(|_| Failure::Later("the sender is stopping".into()))?;
        match self.trouble.lock().as_ref() {
            Some((at, failure)) if *at >= asked => Err(failure.clone()),
            Some(_) | None => Ok(Place { _permit: place }),
        }
    }

    /// Hands over one mail to its one recipient. `permit` is asked once the server has accepted the recipient and
    /// before any content goes out.
    ///
    /// # Errors
    /// The mail was not handed over, or nobody knows.
    pub async fn deliver(
        &self,
        _place: Place<'_>,
        mail: &Rendered,
        permit: Permit,
    ) -> Result<(), Failure> {
        let connected = self.connection().await;
        if let Err(failure) = &connected {
            *self.trouble.lock() = Some((Instant::now(), failure.clone()));
        }
        let mut connection = connected?;
        let result = self.hand_over(&mut connection.smtp, mail, permit).await;
        connection.mails = connection.mails.saturating_add(1);
        let in_step = result
            .as_ref()
            .map_or_else(|ended| ended.in_step, |()| true);
        if in_step
            && self
                .can_be_used_again(&mut connection, result.is_ok())
                .await
        {
            connection.since = Instant::now();
            self.idle.lock().push(connection);
        }
        result.map_err(|ended| ended.failure)
    }

    async fn hand_over(
        &self,
        smtp: &mut AsyncSmtpConnection,
        mail: &Rendered,
        permit: Permit,
    ) -> Result<(), Ended> {
        let limit = self.patience.command;
        let unsent = |failure| Ended {
            failure,
            in_step: true,
        };
        let mut parameters = Vec::new();
        if !mail.content.is_ascii() {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                let why = "the server does not take addresses that are not ASCII";
                return Err(unsent(Failure::Refused(why.into())));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(Some(mail.from.clone()), parameters);
        let said = step(limit, &[250], smtp.command(from)).await;
        said.map_err(|wrong| wrong.ends(of_sender))?;
        let to = Rcpt::new(mail.to.clone(), Vec::new());
        let said = step(limit, &[250, 251], smtp.command(to)).await;
        said.map_err(|wrong| wrong.ends(Wrong::of_mail))?;
        match permit().await {
            Ok(true) => {}
            Ok(false) => return Err(unsent(Failure::NotPermitted)),
            Err(cause) => return Err(unsent(Failure::Later(cause))),
        }
        let said = step(limit, &[354], smtp.command(Data)).await;
        said.map_err(|wrong| wrong.ends(Wrong::of_mail))?;
        let content = smtp.command(Content(&mail.content));
        let said = step(self.patience.content, &[250], content).await;
        said.map_err(|wrong| wrong.ends(of_content))
    }

    /// After a mail that was not taken, the server forgets it, or the connection ends.
    async fn can_be_used_again(&self, connection: &mut Connection, taken: bool) -> bool {
        if connection.mails >= MAILS_PER_CONNECTION || connection.smtp.has_broken() {
            return false;
        }
        taken
            || step(self.patience.command, &[250], connection.smtp.command(Rset))
                .await
                .is_ok()
    }

    async fn connection(&self) -> Result<Connection, Failure> {
        loop {
            let idle = self.idle.lock().pop();
            let Some(mut connection) = idle else {
                return self.connect().await;
            };
            if connection.since.elapsed() < IDLE
                && timeout(self.patience.command, connection.smtp.test_connected()).await
                    == Ok(true)
            {
                return Ok(connection);
            }
            close(&mut connection.smtp).await;
        }
    }
}
