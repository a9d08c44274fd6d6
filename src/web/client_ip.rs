//! stand-in until merged
use std::net::IpAddr;
#[derive(Clone, Default)]
/// p
pub struct TrustedProxies;
impl TrustedProxies {
    /// ip
    pub fn client_ip(&self, socket: IpAddr, _h: &actix_web::http::header::HeaderMap) -> IpAddr {
        socket
    }
}
/// key
pub fn throttle_key(ip: IpAddr) -> String {
    ip.to_string()
}
