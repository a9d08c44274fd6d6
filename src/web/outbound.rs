//! Requests of ours to other servers, at addresses that settings in the database name.
//!
//! Invariants (threats V098, V100): TLS always, and verified; only to addresses of the public internet and to the
//! networks that the operator has opened, judged on the very address that is connected to, after its name was
//! resolved; no redirect is followed and no proxy asked; 5 seconds and 256 KiB at most. No error quotes an answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use oauth2::{HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::sync::OnceCell;
use url::{Host, Url};

use crate::config::limits::{OUTBOUND, OUTBOUND_BYTES};

/// Why there is no answer: sentences for administrators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Not an `https://` address.
    #[error("the address does not start with https://")]
    NotHttps,
    /// The address lies where no request of ours goes.
    #[error(
        "the address is not of the public internet: where that is meant, the operator opens its network by outbound_networks"
    )]
    Closed,
    /// There is no connection, no TLS, or no answer in time.
    #[error(
        "it cannot be reached, its certificate is not trusted, or it takes longer than 5 seconds"
    )]
    Unreachable,
    /// More than 256 KiB.
    #[error("its answer is too long")]
    TooLong,
}

/// The client of all such requests. Clones share it.
#[derive(Clone, Default)]
pub struct Outbound {
    open: Arc<[IpNet]>,
    // Reading the system's certificates takes a while, and most servers never ask anybody.
    client: Arc<OnceCell<reqwest::Client>>,
}

impl Outbound {
    /// A client that goes to the public internet and to these networks.
    pub fn new(open: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            open: open.into_iter().collect(),
            client: Arc::default(),
        }
    }

    /// Sends a request and answers what came back, whatever its status.
    ///
    /// # Errors
    /// The address may not be asked, or there is no answer.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, OutboundError> {
        let request = reqwest::Request::try_from(request).map_err(|_| OutboundError::NotHttps)?;
        self.judge(request.url())?;
        let client = self.client().await?;
        let sent = tokio::time::timeout(OUTBOUND, async {
            let mut response = client.execute(request).await.map_err(|error| of(&error))?;
            let mut body = Vec::new();
            while let Some(part) = response.chunk().await.map_err(|error| of(&error))? {
                if body.len().saturating_add(part.len()) > OUTBOUND_BYTES {
                    return Err(OutboundError::TooLong);
                }
                body.extend_from_slice(&part);
            }
            let mut answer = HttpResponse::new(body);
            *answer.status_mut() = response.status();
            *answer.headers_mut() = response.headers().clone();
            Ok(answer)
        });
        sent.await.unwrap_or(Err(OutboundError::Unreachable))
    }

    /// Where a server of another protocol lies that a realm's settings name, judged as it is connected to. `None` where
    /// the operator has opened no network and nothing is judged: mail servers mostly stand next door.
    ///
    /// # Errors
    /// It lies nowhere, or where no request of ours goes.
    pub async fn judged(
        &self,
        place: (&str, u16),
    ) -> Result<Option<Vec<SocketAddr>>, OutboundError> {
        if self.open.is_empty() {
            return Ok(None);
        }
        let found = tokio::net::lookup_host(place).await;
        let found: Vec<SocketAddr> = found.map_err(|_| OutboundError::Unreachable)?.collect();
        if found.is_empty() {
            return Err(OutboundError::Unreachable);
        }
        kept(&self.open, found).map(Some)
    }

    /// An address in the URL is not resolved by anybody, so it is judged here; names are judged by what they lead to.
    fn judge(&self, url: &Url) -> Result<(), OutboundError> {
        if url.scheme() != "https" {
            return Err(OutboundError::NotHttps);
        }
        let open = match url.host() {
            Some(Host::Ipv4(ip)) => is_open(&self.open, IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => is_open(&self.open, IpAddr::V6(ip)),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        if open {
            Ok(())
        } else {
            Err(OutboundError::Closed)
        }
    }

    async fn client(&self) -> Result<&reqwest::Client, OutboundError> {
        let made = self.client.get_or_try_init(|| async {
            let open = Arc::clone(&self.open);
            tokio::task::spawn_blocking(move || {
                builder(open)
                    .build()
                    .map_err(|_| OutboundError::Unreachable)
            })
            .await
            .unwrap_or(Err(OutboundError::Unreachable))
        });
        made.await
    }
}

/// How all such requests are sent.
fn builder(open: Arc<[IpNet]>) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(OUTBOUND)
        .dns_resolver(Arc::new(Guarded(open)))
}

fn of(error: &reqwest::Error) -> OutboundError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(known) = cause.downcast_ref::<OutboundError>() {
            return known.clone();
        }
        source = cause.source();
    }
    OutboundError::Unreachable
}

/// Resolves names, and keeps back what they must not lead to.
struct Guarded(Arc<[IpNet]>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let open = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(kept(&open, found)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses that requests may go to, where there are any.
fn kept(open: &[IpNet], found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, OutboundError> {
    let some = !found.is_empty();
    let kept: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| is_open(open, address.ip()))
        .collect();
    if some && kept.is_empty() {
        Err(OutboundError::Closed)
    } else {
        Ok(kept)
    }
}

fn is_open(open: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    open.iter().any(|network| network.contains(&ip))
        || match ip {
            IpAddr::V4(ip) => is_public_v4(ip),
            IpAddr::V6(ip) => is_public_v6(ip),
        }
}

/// Not one of the blocks that IANA has set aside (its registry of special-purpose IPv4 addresses).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

/// Global unicast, without the prefixes that carry an IPv4 address in them and those for documentation and tests.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    (0x2000..0x4000).contains(&a)
        && a != 0x2002
        && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests;
