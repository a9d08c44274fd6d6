//! One mail handed to one server, step by step, and the few connections kept open to it.
//!
//! lettre speaks the protocol; the steps are ours, because what a failure means depends on where it happened: before
//! `MAIL` it is the server's, up to `DATA` it is the mail's, and from the first byte of the content on silence means
//! that nobody knows (reliability R-05). Each step has its own time limit (H015). Called by the sender, and by
//! whoever tries a server's settings.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::pause::Trouble;
use super::render::Rendered;
use super::transport::{Security, Server};

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

/// A server and the connections to it.
pub struct Pool {
    server: Server,
    hello: ClientId,
    extra_root: Option<PathBuf>,
    patience: Patience,
    tls: OnceCell<TlsParameters>,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
}

struct Connection {
    smtp: AsyncSmtpConnection,
    mails: u32,
    since: Instant,
}

/// What went wrong in one step.
enum Wrong {
    /// The server said no: the code, and its words with it.
    Reply(u16, String),
    /// The connection ended, was silent for too long, or said what makes no sense here.
    Lost(String),
}

impl Wrong {
    fn text(self) -> String {
        match self {
            Self::Reply(_, text) | Self::Lost(text) => text,
        }
    }

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

/// The server's words as one line of bounded length.
fn words(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    line.trim().to_owned()
}

fn wrong(error: &lettre::transport::smtp::Error) -> Wrong {
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
fn is_tls(error: &lettre::transport::smtp::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let smtp = error.downcast_ref::<lettre::transport::smtp::Error>();
        let io = error.downcast_ref::<std::io::Error>();
        let inner = io.and_then(std::io::Error::get_ref);
        if smtp.is_some_and(lettre::transport::smtp::Error::is_tls)
            || error.is::<rustls::Error>()
            || inner.is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return true;
        }
        source = error.source();
    }
    false
}

/// One step: an answer in time, with the code that belongs there. A code out of step also ends a connection into
/// which somebody has put answers before TLS began.
async fn step(
    limit: Duration,
    expected: &[u16],
    answer: impl Future<Output = Result<Response, lettre::transport::smtp::Error>>,
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

impl Pool {
    /// A pool without connections. `host` is the name we greet with, `extra_root` a PEM file of certificates to
    /// trust beside the system's.
    pub fn new(
        server: Server,
        host: &str,
        extra_root: Option<PathBuf>,
        patience: Patience,
    ) -> Self {
        let hello = match host.parse() {
            Ok(std::net::IpAddr::V4(ip)) => ClientId::Ipv4(ip),
            Ok(std::net::IpAddr::V6(ip)) => ClientId::Ipv6(ip),
            Err(_) => ClientId::Domain(host.to_owned()),
        };
        Self {
            server,
            hello,
            extra_root,
            patience,
            tls: OnceCell::new(),
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(CONNECTIONS),
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

    /// Hands over one mail to its one recipient. `permit` is asked once the server has accepted the recipient and
    /// before any content goes out.
    ///
    /// # Errors
    /// The mail was not handed over, or nobody knows.
    pub async fn deliver<P>(
        &self,
        mail: &Rendered,
        permit: impl FnOnce() -> P + Send,
    ) -> Result<(), Failure>
    where
        P: Future<Output = Result<bool, String>> + Send,
    {
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|_| Failure::Later("the sender is stopping".into()))?;
        let mut connection = self.connection().await?;
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

    async fn hand_over<P>(
        &self,
        smtp: &mut AsyncSmtpConnection,
        mail: &Rendered,
        permit: impl FnOnce() -> P + Send,
    ) -> Result<(), Ended>
    where
        P: Future<Output = Result<bool, String>> + Send,
    {
        let limit = self.patience.command;
        let unsent = |failure| Ended {
            failure,
            in_step: true,
        };
        let mut parameters = Vec::new();
        if !mail.bytes.is_ascii() {
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
        let said = step(self.patience.content, &[250], smtp.message(&mail.bytes)).await;
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

    async fn connect(&self) -> Result<Connection, Failure> {
        let limit = self.patience.command;
        let server = &self.server;
        let wrapped = match server.security {
            Security::Implicit => Some(self.tls().await?),
            Security::StartTls | Security::None => None,
        };
        let opening = AsyncSmtpConnection::connect_tokio1(
            (server.host.as_str(), server.port),
            Some(limit),
            &self.hello,
            wrapped,
            None,
        );
        let unreachable = |text: String| Failure::Server(Trouble::Unreachable, text);
        let mut smtp = match timeout(limit, opening).await {
            Err(_) => {
                return Err(unreachable(format!(
                    "no greeting within {} s",
                    limit.as_secs()
                )));
            }
            Ok(Err(error)) if is_tls(&error) => {
                return Err(Failure::Server(Trouble::Tls, wrong(&error).text()));
            }
            Ok(Err(error)) => return Err(unreachable(wrong(&error).text())),
            Ok(Ok(smtp)) => smtp,
        };
        if server.security == Security::StartTls {
            self.start_tls(&mut smtp).await?;
        }
        if let Some(login) = &server.login {
            let refused = |text: String| Failure::Server(Trouble::Login, text);
            // `route` lets no such server through; this is the last door before the password.
            let stays_here = server.is_here() && server.security == Security::None;
            if !(smtp.is_encrypted() || stays_here) {
                return Err(refused("a login is never sent in the clear".into()));
            }
            let credentials = Credentials::new(login.user.clone(), login.password.clone());
            step(limit, &[235], smtp.auth(DEFAULT_MECHANISMS, &credentials))
                .await
                .map_err(|wrong| refused(wrong.text()))?;
        }
        Ok(Connection {
            smtp,
            mails: 0,
            since: Instant::now(),
        })
    }

    async fn start_tls(&self, smtp: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        let failed = |text: String| Failure::Server(Trouble::Tls, text);
        if !smtp.can_starttls() {
            return Err(failed("the server offers no STARTTLS".into()));
        }
        let upgrade = smtp.starttls(self.tls().await?, &self.hello);
        match timeout(self.patience.command, upgrade).await {
            Err(_) => Err(failed(format!(
                "no TLS within {} s",
                self.patience.command.as_secs()
            ))),
            Ok(Err(error)) => Err(failed(wrong(&error).text())),
            Ok(Ok(())) => Ok(()),
        }
    }

    async fn tls(&self) -> Result<TlsParameters, Failure> {
        let host = self.server.host.clone();
        let extra = self.extra_root.clone();
        let made = self.tls.get_or_try_init(|| async {
            // Reading the system's certificates is work for a blocking thread.
            tokio::task::spawn_blocking(move || tls_parameters(host, extra))
                .await
                .unwrap_or_else(|_| Err("the certificates could not be read".to_owned()))
        });
        match made.await {
            Ok(tls) => Ok(tls.clone()),
            Err(text) => Err(Failure::Server(Trouble::Tls, text)),
        }
    }
}

fn tls_parameters(host: String, extra: Option<PathBuf>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host);
    if let Some(path) = extra {
        let pem = std::fs::read(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|cause| format!("{}: {cause}", path.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|cause| cause.to_string())
}

/// Says goodbye, and waits for no answer that does not come.
async fn close(smtp: &mut AsyncSmtpConnection) {
    let _ = timeout(Duration::from_millis(500), smtp.abort()).await;
}
