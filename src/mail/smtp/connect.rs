//! A connection that can take mails: opened, encrypted and signed in to.
//!
//! Invariants: nothing but a greeting is said before TLS where TLS is wanted; no login leaves in the clear for another
//! machine (threat V057).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::Auth;
use tokio::net::ToSocketAddrs;
use tokio::time::timeout;

use super::step::{Wrong, is_tls, step, words, wrong};
use super::{Connection, Failure, Pool};
use crate::mail::pause::Trouble;
use crate::mail::transport::{Login, Proof, Security, TokenSource};
use crate::web::outbound::OutboundError;

fn unreachable(text: String) -> Failure {
    Failure::Server(Trouble::Unreachable, text)
}

fn no_tls(text: String) -> Failure {
    Failure::Server(Trouble::Tls, text)
}

fn no_login(text: String) -> Failure {
    Failure::Server(Trouble::Login, text)
}

impl Pool {
    /// A connection that can take mails. A login by a token that was fetched for an earlier connection is tried once
    /// more with a new one, on a new connection.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let mut smtp = self.open().await?;
        if let Some(login) = &self.server.login {
            // `route` lets no such server through; this is the last door before the password.
            let stays_here = self.server.is_here() && self.server.security == Security::None;
            if !(smtp.is_encrypted() || stays_here) {
                return Err(no_login("a login is never sent in the clear".into()));
            }
            match &login.proof {
                Proof::Password(password) => {
                    let credentials = Credentials::new(login.user.clone(), password.clone());
                    let signed_in = smtp.auth(DEFAULT_MECHANISMS, &credentials);
                    step(self.patience.command, &[235], signed_in)
                        .await
                        .map_err(|wrong| no_login(wrong.text()))?;
                }
                Proof::Token(source) => smtp = self.sign_in_by_token(smtp, login, source).await?,
            }
        }
        Ok(Connection {
            smtp,
            mails: 0,
            since: Instant::now(),
        })
    }

    /// A connection with the encryption that the settings ask for.
    async fn open(&self) -> Result<AsyncSmtpConnection, Failure> {
        let server = &self.server;
        let wrapped = match server.security {
            Security::Implicit => Some(self.tls().await?),
            Security::StartTls | Security::None => None,
        };
        let place = (server.host.as_str(), server.port);
        let mut smtp = match self.judged(place).await? {
            Some(addresses) => self.greeted(addresses.as_slice(), wrapped).await?,
            None => self.greeted(place, wrapped).await?,
        };
        if server.security == Security::StartTls {
            self.start_tls(&mut smtp).await?;
        }
        Ok(smtp)
    }

    /// Where a server lies that a realm names, if the operator has said where such servers may lie (threat V100).
    async fn judged(&self, place: (&str, u16)) -> Result<Option<Vec<SocketAddr>>, Failure> {
        if !self.server.of_realm {
            return Ok(None);
        }
        let judged = timeout(self.patience.command, self.outbound.judged(place)).await;
        judged
            .unwrap_or(Err(OutboundError::Unreachable))
            .map_err(|error| {
                let trouble = match error {
                    OutboundError::Closed => Trouble::Configuration,
                    _ => Trouble::Unreachable,
                };
                Failure::Server(trouble, format!("smtpServer: host: {error}"))
            })
    }

    async fn greeted(
        &self,
        to: impl ToSocketAddrs,
        wrapped: Option<TlsParameters>,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let limit = self.patience.command;
        let opening =
            AsyncSmtpConnection::connect_tokio1(to, Some(limit), &self.hello, wrapped, None);
        match timeout(limit, opening).await {
            Err(_) => Err(unreachable(format!(
                "no greeting within {} s",
                limit.as_secs()
            ))),
            Ok(Err(error)) if is_tls(&error) => Err(no_tls(wrong(&error).text())),
            Ok(Err(error)) => Err(unreachable(wrong(&error).text())),
            Ok(Ok(smtp)) => Ok(smtp),
        }
    }

    async fn start_tls(&self, smtp: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        if !smtp.can_starttls() {
            return Err(no_tls("the server offers no STARTTLS".into()));
        }
        let upgrade = smtp.starttls(self.tls().await?, &self.hello);
        match timeout(self.patience.command, upgrade).await {
            Err(_) => Err(no_tls(format!(
                "no TLS within {} s",
                self.patience.command.as_secs()
            ))),
            Ok(Err(error)) => Err(no_tls(wrong(&error).text())),
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
            Err(text) => Err(no_tls(text)),
        }
    }

    async fn sign_in_by_token(
        &self,
        mut smtp: AsyncSmtpConnection,
        login: &Login,
        source: &TokenSource,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let token = self.tokens.get(source).await.map_err(no_login)?;
        let limit = self.patience.command;
        let refused = match by_token(limit, &mut smtp, (&login.user, token.text())).await {
            Ok(()) => return Ok(smtp),
            Err(wrong) => wrong.text(),
        };
        self.tokens.forget(&token).await;
        close(&mut smtp).await;
        if token.is_new() {
            return Err(no_login(refused));
        }
        let token = self.tokens.get(source).await.map_err(no_login)?;
        let mut smtp = self.open().await?;
        match by_token(limit, &mut smtp, (&login.user, token.text())).await {
            Ok(()) => Ok(smtp),
            Err(wrong) => {
                self.tokens.forget(&token).await;
                close(&mut smtp).await;
                Err(no_login(wrong.text()))
            }
        }
    }
}

/// An empty line: the client's answer to the challenge in which a server says what is wrong with a token.
struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\r\n")
    }
}

/// `AUTH XOAUTH2`. A server that refuses says why in a challenge first.
async fn by_token(
    limit: Duration,
    smtp: &mut AsyncSmtpConnection,
    (user, token): (&str, &str),
) -> Result<(), Wrong> {
    if !smtp
        .server_info()
        .supports_auth_mechanism(Mechanism::Xoauth2)
    {
        return Err(Wrong::Lost("the server offers no AUTH XOAUTH2".into()));
    }
    let credentials = Credentials::new(user.to_owned(), token.to_owned());
    let auth = Auth::new(Mechanism::Xoauth2, credentials, None).map_err(|error| wrong(&error))?;
    let response = match timeout(limit, smtp.command(auth)).await {
        Err(_) => {
            let seconds = limit.as_secs();
            return Err(Wrong::Lost(format!("no answer within {seconds} s")));
        }
        Ok(answer) => answer.map_err(|error| wrong(&error))?,
    };
    if response.has_code(235) {
        return Ok(());
    }
    let why = response.first_word().unwrap_or_default();
    let why = STANDARD.decode(why).unwrap_or_default();
    let why = words(&String::from_utf8_lossy(&why));
    match step(limit, &[], smtp.command(Nothing)).await {
        Err(Wrong::Reply(code, text)) => Err(Wrong::Reply(code, words(&format!("{text} {why}")))),
        Ok(()) | Err(Wrong::Lost(_)) => {
            Err(Wrong::Lost(format!("the server refuses the token: {why}")))
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
pub(super) async fn close(smtp: &mut AsyncSmtpConnection) {
    let _ = timeout(Duration::from_millis(500), smtp.abort()).await;
}
