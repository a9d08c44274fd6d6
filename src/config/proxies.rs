//! Which proxies are believed about the client's address. Read by `web::client_ip`. Invariant:
//! nobody is believed unless named, and then about one header.

use super::settings::{FORWARDED_HEADER, TRUSTED_PROXIES};
use super::sources::{Reported, Sources};
use ipnet::IpNet;
use std::net::IpAddr;

/// The proxies in front of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Their addresses. Empty: no header is looked at.
    pub trusted: Vec<IpNet>,
    /// The header they write.
    pub header: ForwardedHeader,
}

/// The header that says where a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` of RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The name of the header, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        }
    }
}

impl Proxies {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let trusted = sources.read(&TRUSTED_PROXIES, |text| {
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(network)
                .collect::<Result<Vec<_>, _>>()
        });
        let header = sources.read(&FORWARDED_HEADER, |text| {
            [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded]
                .into_iter()
                .find(|header| text.eq_ignore_ascii_case(header.name()))
                .ok_or_else(|| "it is neither of the two".to_owned())
        });
        Ok(Self {
            trusted: trusted?.unwrap_or_default(),
            header: header?.unwrap_or_default(),
        })
    }

    /// Whether an address is one of ours. The address must be in its canonical form, not an
    /// IPv4 address mapped into IPv6.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&ip))
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = parse_network(text)?;
    if network.prefix_len() == 0 {
        return Err(format!(
            "`{network}` is everybody, so everybody could choose an address"
        ));
    }
    Ok(network)
}

/// An address, or a network in the form of a CIDR.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(IpNet::from(ip.to_canonical())),
        Err(_) => text
            .parse::<IpNet>()
            .map(|network| network.trunc())
            .map_err(|_| format!("`{}` is neither", text.escape_debug())),
    }
}
