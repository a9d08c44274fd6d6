//! Where requests of ours may go beside the public internet. Read by the composition root for `web::outbound`.

use ipnet::IpNet;

use super::proxies::parse_network;
use super::settings::OUTBOUND_NETWORKS;
use super::sources::{Reported, Sources};

/// What the operator opens to requests whose addresses stand in the settings of realms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Networks of the operator's own; none by default.
    pub networks: Vec<IpNet>,
}

impl Outbound {
    pub(super) fn read(sources: &mut Sources) -> Result<Self, Reported> {
        let networks = sources.read(&OUTBOUND_NETWORKS, |text| {
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(parse_network)
                .collect::<Result<Vec<_>, _>>()
        });
        Ok(Self {
            networks: networks?.unwrap_or_default(),
        })
    }
}
