//! The address people use. The only source of every URL, link and issuer: request headers never
//! are. Invariant: it is `https` unless it names this machine or the operator insists.

use super::listeners::Listeners;
use super::settings::{INSECURE_PLAIN_HTTP_PUBLIC_URL, PUBLIC_URL};
use super::sources::{Reported, Sources};
use std::net::IpAddr;
use url::{Host, Url};

/// The public address: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    /// Made from a listener, because none was configured.
    from_listener: bool,
    /// The operator allows plain HTTP on another host than this machine.
    pub insecure_plain_http: bool,
}

impl PublicUrl {
    pub(super) fn read(
        sources: &mut Sources,
        listeners: Option<&Listeners>,
    ) -> Result<Self, Reported> {
        let insecure = sources.switch(&INSECURE_PLAIN_HTTP_PUBLIC_URL);
        let allowed = *insecure.as_ref().unwrap_or(&true);
        let configured = sources.read(&PUBLIC_URL, |text| parse(text, allowed));
        let (url, from_listener) = match (configured?, listeners) {
            (Some(url), _) => (url, false),
            (None, Some(listeners)) => (from_listener(sources, listeners)?, true),
            (None, None) => return Err(Reported),
        };
        Ok(Self {
            url,
            from_listener,
            insecure_plain_http: insecure?,
        })
    }

    /// The address without a slash at its end, to put a path behind it.
    pub fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The address as a URL with the path `/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether browsers come by TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The same address once the listener is bound: an address that was made from a listener on
    /// port 0 gets the port the system chose. A configured one stays as it is.
    #[must_use]
    pub fn with_bound_port(mut self, port: u16) -> Self {
        if self.from_listener {
            // Only a URL without a host refuses a port, and the host of this one is `localhost`.
            let _ = self.url.set_port(Some(port));
        }
        self
    }
}

/// `http://localhost:PORT`, where only this machine can reach the listeners anyway.
fn from_listener(sources: &mut Sources, listeners: &Listeners) -> Result<Url, Reported> {
    if let Some(open) = listeners.public().find(|addr| !addr.ip().is_loopback()) {
        let reason = format!("the listener {open} can be reached from other machines");
        return Err(sources.missing(&PUBLIC_URL, reason));
    }
    let (scheme, addr) = match (listeners.http, &listeners.https) {
        (Some(addr), _) => ("http", addr),
        (None, Some(https)) => ("https", https.addr),
        (None, None) => return Err(Reported),
    };
    Url::parse(&format!("{scheme}://localhost:{}", addr.port()))
        .map_err(|error| sources.conflict(format!("the public URL cannot be made: {error}")))
}

fn parse(text: &str, plain_http_allowed: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err("it starts with neither `https://` nor `http://`".to_owned()),
    };
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "it has more than scheme, host and port, and the server lives at the root".to_owned(),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it names a user".to_owned());
    }
    if plain && !plain_http_allowed && !url.host().is_some_and(|host| is_this_machine(&host)) {
        return Err(
            "over plain `http` passwords and tokens can be read on the way; where that does not \
             matter, `insecure_plain_http_public_url = true` allows it"
                .to_owned(),
        );
    }
    Ok(url)
}

/// Whether a host can only mean the machine the browser itself runs on.
pub(super) fn is_this_machine<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.as_ref();
            name == "localhost"
                || name.ends_with(".localhost")
                || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}
