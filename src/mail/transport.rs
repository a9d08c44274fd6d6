//! Which server takes a realm's mail, and who it comes from: Keycloak's `smtpServer` fields, or the default transport.
//!
//! Invariants: a server elsewhere is spoken to by TLS, verified, unless the operator insists, because mails carry
//! codes and links; a login never travels in the clear to another machine, whoever insists.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lettre::Address;
use lettre::message::Mailbox;
use serde_json::Value;

use super::address;
use super::pause::Trouble;
use crate::kernel::seal::Keyring;
use crate::kernel::{RealmId, sha256_base64};
use crate::realm::{Realm, smtp};

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// TLS from the first byte.
    Implicit,
    /// By STARTTLS before anything else is said; without it nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// Who we are to the server, and how we prove it. Without `Debug`, and without equality, as all that holds a secret.
#[derive(Clone)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The proof.
    pub proof: Proof,
}

/// How we prove who we are: Keycloak's `authType`. Without `Debug`.
#[derive(Clone)]
pub enum Proof {
    /// `basic`: a password, by PLAIN or LOGIN.
    Password(String),
    /// `token`: an access token, by XOAUTH2.
    Token(TokenSource),
}

/// Where access tokens come from. Without `Debug`.
#[derive(Clone)]
pub struct TokenSource {
    /// The token endpoint.
    pub url: String,
    /// The client that we are there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// The scope to ask for, if any.
    pub scope: Option<String>,
}

/// A mail server; those of one [`name`](Self::name) share their connections. Without `Debug`.
#[derive(Clone)]
pub struct Server {
    /// Its name or IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// Our login, where it wants one.
    pub login: Option<Login>,
    /// Whether a realm's settings name it, so that it may only lie where the operator lets requests of ours go.
    pub of_realm: bool,
}

impl Server {
    /// What two servers have in common if all that is said of them is the same, and only then. No secret can be read
    /// out of it.
    pub fn name(&self) -> String {
        let manner = format!("{:?} {} {}", self.security, self.port, self.of_realm);
        let mut parts: Vec<&str> = vec![&manner, &self.host];
        if let Some(login) = &self.login {
            parts.push(&login.user);
            match &login.proof {
                Proof::Password(password) => parts.push(password),
                Proof::Token(source) => {
                    parts.extend([&*source.url, &source.client_id, &source.client_secret]);
                    parts.extend(source.scope.as_deref());
                }
            }
        }
        let mut said = Vec::new();
        for part in parts {
            said.extend_from_slice(&part.len().to_be_bytes());
            said.extend_from_slice(part.as_bytes());
        }
        sha256_base64(&said)
    }

    /// Whether the server is this machine, so that nothing said to it travels.
    pub fn is_here(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// The server and sender for realms that name none of their own (`VESTIBULE_SMTP_URL`, `VESTIBULE_MAIL_FROM`).
#[derive(Clone)]
pub struct DefaultTransport {
    /// The server.
    pub server: Server,
    /// The sender; without a name of its own it takes the realm's.
    pub from: Mailbox,
}

/// Who a mail comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Sender {
    /// The header `From`.
    pub from: Mailbox,
    /// The header `Reply-To`.
    pub reply_to: Option<Mailbox>,
    /// The address to which the server reports what it cannot deliver.
    pub envelope_from: Address,
}

/// Everything that decides how a realm's mail leaves.
#[derive(Clone)]
pub struct Route {
    /// The server.
    pub server: Server,
    /// The sender.
    pub sender: Sender,
}

/// Why a realm's mail cannot leave: a sentence for administrators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NoRoute {
    /// What kind of trouble it is.
    pub trouble: Trouble,
    /// The sentence.
    pub reason: String,
}

fn no_route(reason: impl Into<String>) -> NoRoute {
    NoRoute {
        trouble: Trouble::Configuration,
        reason: reason.into(),
    }
}

/// What routes are found with.
#[derive(Clone, Copy)]
pub struct Defaults<'a> {
    /// For realms without an `smtpServer`.
    pub transport: Option<&'a DefaultTransport>,
    /// Whether the operator allows mail in the clear to other machines.
    pub insecure_plain: bool,
}

/// How the realm's mail leaves.
///
/// # Errors
/// The settings are missing, or cannot be used; the sentence names the field.
pub fn route(realm: &Realm, keyring: &Keyring, defaults: Defaults<'_>) -> Result<Route, NoRoute> {
    let settings = Fields(&realm.settings.smtp_server);
    let route = match (settings.text("host"), defaults.transport) {
        (Some(host), _) => of_realm(realm, settings, &host, keyring)?,
        (None, Some(default)) => {
            let name = default.from.name.as_deref().unwrap_or(realm.display_name());
            Route {
                server: default.server.clone(),
                sender: Sender {
                    from: address::mailbox(Some(name), default.from.email.clone()),
                    reply_to: None,
                    envelope_from: default.from.email.clone(),
                },
            }
        }
        (None, None) => {
            return Err(no_route(
                "no mail server: the realm has no smtpServer, and VESTIBULE_SMTP_URL is not set",
            ));
        }
    };
    let (server, here) = (&route.server, route.server.is_here());
    if server.security == Security::None && !here {
        if server.login.is_some() {
            return Err(no_route(
                "smtpServer: a login is never sent in the clear to another machine; switch on starttls or ssl",
            ));
        }
        if !defaults.insecure_plain {
            return Err(no_route(
                "smtpServer: without starttls or ssl the links and codes in mails can be read on the way; where \
                 that does not matter, insecure_plain_smtp = true allows it",
            ));
        }
    }
    Ok(route)
}

/// Whether the realm has a mail server at all, usable or not.
pub fn is_configured(realm: &Realm, default: Option<&DefaultTransport>) -> bool {
    default.is_some() || Fields(&realm.settings.smtp_server).text("host").is_some()
}

fn of_realm(
    realm: &Realm,
    fields: Fields<'_>,
    host: &str,
    keyring: &Keyring,
) -> Result<Route, NoRoute> {
    let security = match (fields.switch("ssl"), fields.switch("starttls")) {
        (true, _) => Security::Implicit,
        (false, true) => Security::StartTls,
        (false, false) => Security::None,
    };
    let port = match fields.text("port") {
        None if security == Security::Implicit => 465,
        None if security == Security::StartTls => 587,
        None => 25,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| no_route(format!("smtpServer: port {port} is not a port")))?,
    };
    let login = if fields.switch("auth") {
        Some(login(&realm.id, fields, keyring)?)
    } else {
        None
    };
    let address = |field: &str| {
        fields
            .text(field)
            .map(|text| {
                address::parse(&text)
                    .ok_or_else(|| no_route(format!("smtpServer: {field} is not a mail address")))
            })
            .transpose()
    };
    let from = address("from")?.ok_or_else(|| no_route("smtpServer: from is missing"))?;
    let name = fields.text("fromDisplayName");
    let reply_name = fields.text("replyToDisplayName");
    Ok(Route {
        server: Server {
            host: bare(host),
            port,
            security,
            login,
            of_realm: true,
        },
        sender: Sender {
            envelope_from: address("envelopeFrom")?.unwrap_or_else(|| from.clone()),
            reply_to: address("replyTo")?
                .map(|address| address::mailbox(reply_name.as_deref(), address)),
            from: address::mailbox(Some(name.as_deref().unwrap_or(realm.display_name())), from),
        },
    })
}

/// Who we are, by the settings.
fn login(realm: &RealmId, fields: Fields<'_>, keyring: &Keyring) -> Result<Login, NoRoute> {
    let needed = |name: &str| {
        fields
            .text(name)
            .ok_or_else(|| no_route(format!("smtpServer: auth is on and {name} is missing")))
    };
    let secret = |name: &str| {
        let stored = smtp::open(keyring, (realm, name), fields.0).map_err(|_| {
            no_route(format!(
                "smtpServer: the stored {name} cannot be opened; set it again"
            ))
        })?;
        let secret = stored.filter(|secret| !secret.is_empty());
        secret.ok_or_else(|| no_route(format!("smtpServer: auth is on and {name} is missing")))
    };
    let user = needed("user")?;
    let proof = match fields.text("authType").as_deref() {
        None | Some("basic") => Proof::Password(secret("password")?),
        Some("token") => {
            // The string of XOAUTH2 has no way to quote its separators.
            if user.chars().any(char::is_control) {
                return Err(no_route("smtpServer: user holds a control character"));
            }
            let url = needed("authTokenUrl")?;
            if !url.starts_with("https://") {
                return Err(no_route(
                    "smtpServer: authTokenUrl must start with https://, for the client's secret goes there",
                ));
            }
            Proof::Token(TokenSource {
                url,
                client_id: needed("authTokenClientId")?,
                client_secret: secret("authTokenClientSecret")?,
                scope: fields.text("authTokenScope"),
            })
        }
        Some(_) => return Err(no_route("smtpServer: authType is basic or token")),
    };
    Ok(Login { user, proof })
}

/// An IPv6 address may stand in brackets.
fn bare(host: &str) -> String {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .to_owned()
}

/// Keycloak's map of settings, whose values are strings, numbers or booleans by whoever wrote them.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a BTreeMap<String, Value>);

impl Fields<'_> {
    fn text(self, name: &str) -> Option<String> {
        let text = match self.0.get(name)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(on) => on.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    fn switch(self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}
