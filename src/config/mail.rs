//! The mail server and sender for realms that name none of their own. Read by `mail`. Invariant:
//! mails carry one-time links, so they leave this machine encrypted or the operator insists.

use super::public_url::is_this_machine;
use super::secret::Secret;
use super::settings::{INSECURE_PLAIN_SMTP, MAIL_FROM, SMTP_URL};
use super::sources::{Reported, Sources};
use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use url::Url;

/// Mail for realms without an `smtpServer`.
#[derive(Clone)]
pub struct Mail {
    /// The server; `None` sends no mail for such realms.
    pub smtp: Option<Smtp>,
    /// The sender; there wherever `smtp` is.
    pub from: Option<Mailbox>,
    /// The operator allows unencrypted mail to another machine.
    pub insecure_plain_smtp: bool,
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    /// Its name or IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: SmtpTls,
    /// Who we say we are.
    pub credentials: Option<SmtpCredentials>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (`smtps://`).
    Implicit,
    /// By STARTTLS before anything else; without it nothing is sent (`tls=required`).
    StartTls,
    /// Not at all (`tls=none`).
    None,
}

/// A login to a mail server.
#[derive(Clone)]
pub struct SmtpCredentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Mail {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let insecure = sources.switch(&INSECURE_PLAIN_SMTP);
        let allowed = *insecure.as_ref().unwrap_or(&true);
        let smtp = sources.read(&SMTP_URL, |text| parse(text, allowed));
        let from = sources.read(&MAIL_FROM, |text| {
            text.parse::<Mailbox>()
                .map_err(|_| "it is not a mail address".to_owned())
        });
        let (smtp, from) = (smtp?, from?);
        if smtp.is_some() && from.is_none() {
            return Err(sources.missing(&MAIL_FROM, "`smtp_url` is set and mails need a sender"));
        }
        Ok(Self {
            smtp,
            from,
            insecure_plain_smtp: insecure?,
        })
    }
}

fn parse(text: &str, plain_allowed: bool) -> Result<Smtp, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let host = url.host().ok_or("it names no host")?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err("it has a path".to_owned());
    }
    let this_machine = is_this_machine(&host);
    let tls = tls(&url, this_machine)?;
    if tls == SmtpTls::None && !this_machine && !plain_allowed {
        return Err(
            "without TLS the links in mails can be read on the way; where that does not matter, \
             `insecure_plain_smtp = true` allows it"
                .to_owned(),
        );
    }
    Ok(Smtp {
        host: match host {
            url::Host::Ipv6(ip) => ip.to_string(),
            other => other.to_string(),
        },
        port: url.port().unwrap_or(match tls {
            SmtpTls::Implicit => 465,
            SmtpTls::StartTls => 587,
            SmtpTls::None => 25,
        }),
        tls,
        credentials: credentials(&url)?,
    })
}

/// Without `tls=…`, STARTTLS is required, save on this machine, where test servers speak none.
fn tls(url: &Url, this_machine: bool) -> Result<SmtpTls, String> {
    let mut tls = match (url.scheme(), this_machine) {
        ("smtps", _) => SmtpTls::Implicit,
        ("smtp", false) => SmtpTls::StartTls,
        ("smtp", true) => SmtpTls::None,
        _ => return Err("it starts with neither `smtp://` nor `smtps://`".to_owned()),
    };
    for (name, value) in url.query_pairs() {
        tls = match (name.as_ref(), value.as_ref(), tls) {
            ("tls", "required", SmtpTls::Implicit) => SmtpTls::Implicit,
            ("tls", "required", SmtpTls::StartTls | SmtpTls::None) => SmtpTls::StartTls,
            ("tls", "none", SmtpTls::StartTls | SmtpTls::None) => SmtpTls::None,
            ("tls", "opportunistic", _) => {
                return Err(
                    "`tls=opportunistic` can be switched off by whoever sits on the way; it is \
                     `required` or `none`"
                        .to_owned(),
                );
            }
            ("tls", ..) => return Err("`tls` is neither `required` nor `none`".to_owned()),
            _ => return Err("it has an option other than `tls`".to_owned()),
        };
    }
    Ok(tls)
}

fn credentials(url: &Url) -> Result<Option<SmtpCredentials>, String> {
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(String::from)
            .map_err(|_| "user name or password is not UTF-8".to_owned())
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err("it has a password and no user name".to_owned()),
        (_, None) => Err("it has a user name and no password".to_owned()),
        (username, Some(password)) => Ok(Some(SmtpCredentials {
            username: decode(username)?,
            password: Secret::new(decode(password)?),
        })),
    }
}
