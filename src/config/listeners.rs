//! Where this node listens. Read by the composition root, which binds. Invariant: health checks and
//! metrics never share a port with the public pages.

use super::settings::{
    DRAIN_SECONDS, HTTP_ADDR, HTTPS_ADDR, MANAGEMENT_ADDR, TLS_CERT, TLS_KEY, WORKERS,
};
use super::sources::{Reported, Sources};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long a node serves on where nothing is set.
const DRAIN: Duration = Duration::from_secs(10);

/// The most that leaves time, within thirty seconds, for finishing what is running.
const LONGEST_DRAIN: u64 = 25;

/// The listeners of this node. At least one of `http` and `https` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// The public pages over plain HTTP, for a proxy that speaks TLS or for one's own machine.
    pub http: Option<SocketAddr>,
    /// The public pages over TLS.
    pub https: Option<Https>,
    /// Health checks and metrics.
    pub management: SocketAddr,
    /// How long a node that is told to stop serves on, so that balancers notice (reliability R-27).
    pub drain: Duration,
    /// Worker threads; `None` means one per core.
    pub workers: Option<usize>,
}

/// The TLS listener. The files are read when it binds, and again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

impl Listeners {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let http = sources.read(&HTTP_ADDR, address_or_off);
        let https = read_https(sources);
        let management = sources.read(&MANAGEMENT_ADDR, address);
        let workers = sources.number(&WORKERS, 1024);
        let drain = sources.read(&DRAIN_SECONDS, seconds);
        let listeners = Self {
            http: http?.unwrap_or(Some(SocketAddr::new(LOCALHOST, 8080))),
            https: https?,
            management: management?.unwrap_or(SocketAddr::new(LOCALHOST, 9000)),
            drain: drain?.unwrap_or(DRAIN),
            workers: workers?,
        };
        listeners.check(sources)
    }

    fn check(self, sources: &mut Sources) -> Result<Self, Reported> {
        let https = self.https.as_ref().map(|https| https.addr);
        let public = [(HTTP_ADDR.key, self.http), (HTTPS_ADDR.key, https)];
        if public.iter().all(|(_, addr)| addr.is_none()) {
            return Err(sources.conflict(
                "`http_addr` is `off` and there is no `https_addr`: set one of them, or nobody \
                 can reach the server",
            ));
        }
        if let (Some(http), Some(https)) = (self.http, https)
            && overlap(http, https)
        {
            return Err(sources.conflict(format!(
                "`http_addr` and `https_addr` share port {}: give each its own",
                http.port()
            )));
        }
        for (key, addr) in public {
            if addr.is_some_and(|addr| overlap(addr, self.management)) {
                return Err(sources.conflict(format!(
                    "`management_addr` and `{key}` share port {}: health checks and metrics must \
                     not be public, so give each its own",
                    self.management.port()
                )));
            }
        }
        Ok(self)
    }

    /// The addresses of the public pages.
    pub fn public(&self) -> impl Iterator<Item = SocketAddr> {
        self.http
            .into_iter()
            .chain(self.https.iter().map(|https| https.addr))
    }
}

fn read_https(sources: &mut Sources) -> Result<Option<Https>, Reported> {
    let addr = sources.read(&HTTPS_ADDR, address_or_off);
    let cert = sources.read(&TLS_CERT, |text| Ok(PathBuf::from(text)));
    let key = sources.read(&TLS_KEY, |text| Ok(PathBuf::from(text)));
    match (addr?.flatten(), cert?, key?) {
        (Some(addr), Some(cert), Some(key)) => Ok(Some(Https { addr, cert, key })),
        (None, None, None) => Ok(None),
        (None, ..) => Err(sources.missing(
            &HTTPS_ADDR,
            "a certificate or a key is set and nothing uses it",
        )),
        (Some(_), cert, key) => {
            for (setting, path) in [(&TLS_CERT, cert), (&TLS_KEY, key)] {
                if path.is_none() {
                    sources.missing(setting, "`https_addr` is set");
                }
            }
            Err(Reported)
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "it is not an IP address with a port".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if seconds <= LONGEST_DRAIN => Ok(Duration::from_secs(seconds)),
        Ok(_) => Err("it is out of range".to_owned()),
        Err(_) => Err("it is not a whole number".to_owned()),
    }
}

fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        text => address(text).map(Some),
    }
}

/// Whether both cannot be bound, or one would answer for the other. Port 0 is a free one.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}
