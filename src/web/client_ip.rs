//! Where a request came from, for throttles and audit events. Called by the request context.
//! Invariant: a client cannot choose its address. A header counts only when the socket's peer is a
//! configured proxy, only the one configured header counts, and it is read from its right end,
//! where our own proxies write, to the first address that is not a proxy of ours. At the first
//! entry that is no address reading stops, and the nearest proven hop is the answer; nothing in a
//! header can make a request fail. (RFC 7239; the usual `X-Forwarded-For`.)

use crate::config::{ForwardedHeader, Proxies};
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of the client. `peer` is the other end of the socket.
pub fn client_ip(peer: IpAddr, proxies: &Proxies, headers: &HeaderMap) -> IpAddr {
    let mut nearest = peer.to_canonical();
    if !proxies.trusts(nearest) {
        return nearest;
    }
    // A header that is there several times is one list, in the order of the lines.
    let lines: Vec<_> = headers.get_all(proxies.header.name()).collect();
    let entries = lines
        .into_iter()
        .rev()
        .flat_map(|line| entries_from_right(line.as_bytes(), proxies.header));
    for entry in entries {
        let entry = entry.trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let hop = match proxies.header {
            ForwardedHeader::XForwardedFor => node(entry),
            ForwardedHeader::Forwarded => forwarded_for(entry),
        };
        match hop {
            Some(hop) => nearest = hop,
            None => return nearest,
        }
        if !proxies.trusts(nearest) {
            return nearest;
        }
    }
    nearest
}

/// The network that shares one throttle: /24 of IPv4, /64 of IPv6, which is what one customer
/// commonly has.
pub fn throttle_key(ip: IpAddr) -> IpNet {
    let ip = ip.to_canonical();
    let prefix = if ip.is_ipv4() { 24 } else { 64 };
    IpNet::new_assert(ip, prefix).trunc()
}

/// The entries of one header line, the last first. In `Forwarded` a comma within quotes does not
/// end an entry. Quotes are counted from the right as well, so that a quote which a client left
/// open swallows the client's own entries and not our proxy's.
fn entries_from_right(line: &[u8], header: ForwardedHeader) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.rsplit(move |byte| {
        if *byte == b'"' && header == ForwardedHeader::Forwarded {
            quoted = !quoted;
        }
        *byte == b',' && !quoted
    })
}

/// The address in one entry of `Forwarded`: its one `for` parameter. A backslash makes an entry
/// unusable: no address needs one, and with it quotes could not be counted from the right.
fn forwarded_for(entry: &[u8]) -> Option<IpAddr> {
    if entry.contains(&b'\\') {
        return None;
    }
    let mut quoted = false;
    let pairs = entry.split(|byte| {
        quoted ^= *byte == b'"';
        *byte == b';' && !quoted
    });
    let mut found = None;
    for pair in pairs
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
    {
        let separator = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(separator)?;
        if name.trim_ascii().eq_ignore_ascii_case(b"for") {
            let value = value.strip_prefix(b"=")?.trim_ascii();
            if found.replace(node(unquoted(value)?)?).is_some() {
                return None;
            }
        }
    }
    found
}

/// A value without its quotes; nothing where they do not match.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        None => Some(value),
    }
}

/// An address as proxies write it: IPv4 or IPv6, with or without a port; IPv6 with a port in
/// brackets. `unknown` and obfuscated names are no addresses.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        let ip: Ipv6Addr = ip.parse().ok()?;
        let port_is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port_is_fine.then(|| IpAddr::V6(ip).to_canonical());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, port) = text.split_once(':')?;
    let ip: Ipv4Addr = ip.parse().ok()?;
    is_port(port).then_some(IpAddr::V4(ip))
}

/// A port number, or an obfuscated one (RFC 7239, section 6).
fn is_port(port: &str) -> bool {
    match port.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    const PROXY: &str = "10.0.0.1";
    const CLIENT: &str = "198.51.100.7";

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        headers
    }

    fn proxies(header: ForwardedHeader) -> Proxies {
        Proxies {
            trusted: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8:f::/48".parse().unwrap(),
            ],
            header,
        }
    }

    fn seen(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &[u8])]) -> String {
        let peer = peer.parse().unwrap();
        client_ip(peer, &proxies(header), &headers(lines)).to_string()
    }

    fn by_list(value: &[u8]) -> String {
        seen(
            ForwardedHeader::XForwardedFor,
            PROXY,
            &[("x-forwarded-for", value)],
        )
    }

    fn by_forwarded(value: &[u8]) -> String {
        seen(ForwardedHeader::Forwarded, PROXY, &[("forwarded", value)])
    }

    #[test]
    fn a_direct_client_is_its_socket_whatever_it_sends() {
        let lines: [(&str, &[u8]); 2] = [
            ("x-forwarded-for", b"192.0.2.1"),
            ("forwarded", b"for=192.0.2.1"),
        ];
        for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
            assert_eq!(seen(header, CLIENT, &lines), CLIENT);
        }
        let nobody = Proxies::default();
        let peer: IpAddr = PROXY.parse().unwrap();
        assert_eq!(client_ip(peer, &nobody, &headers(&lines)), peer);
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxy_counts() {
        for (value, expected) in [
            ("198.51.100.7", CLIENT),
            ("192.0.2.1, 198.51.100.7", CLIENT),
            ("192.0.2.1,198.51.100.7,10.0.0.9 , 10.1.2.3", CLIENT),
            ("198.51.100.7:5711", CLIENT),
            ("::ffff:198.51.100.7", CLIENT),
            ("[::ffff:198.51.100.7]:80", CLIENT),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1, 2001:db8:f::9", "2001:db8::1"),
            (", 198.51.100.7", CLIENT),
            ("198.51.100.7, ,", CLIENT),
            ("10.0.0.5, 10.0.0.6", "10.0.0.5"),
        ] {
            assert_eq!(by_list(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines: [(&str, &[u8]); 2] = [
            ("x-forwarded-for", b"192.0.2.1"),
            ("x-forwarded-for", b"198.51.100.7, 10.0.0.2"),
        ];
        assert_eq!(seen(ForwardedHeader::XForwardedFor, PROXY, &lines), CLIENT);
        let garbage_first: [(&str, &[u8]); 2] = [
            ("x-forwarded-for", b"\xff\""),
            ("x-forwarded-for", b"198.51.100.7"),
        ];
        let found = seen(ForwardedHeader::XForwardedFor, PROXY, &garbage_first);
        assert_eq!(found, CLIENT);
    }

    #[test]
    fn garbage_changes_nothing() {
        for garbage in [
            b"a".as_slice(),
            b"unknown",
            b"_hidden",
            b"\xff\xfe",
            b"1.2.3",
            b"1.2.3.4.5",
            b"01.2.3.4",
            b"1.2.3.4:",
            b"1.2.3.4:123456",
            b"1.2.3.4:x",
            b"1.2.3.4/8",
            b"[2001:db8::1",
            b"[2001:db8::1]x",
            b"[2001:db8::1]:",
            b"[1.2.3.4]",
            b"fe80::1%eth0",
            b"\"1.2.3.4\"",
            b"' OR 1=1 --",
            b"for=1.2.3.4",
            b"localhost",
        ] {
            assert_eq!(by_list(garbage), PROXY, "{garbage:?}");
            let before = [b"192.0.2.1, ", garbage, b", 198.51.100.7"].concat();
            assert_eq!(by_list(&before), CLIENT, "{garbage:?}");
            let behind = [b"192.0.2.1, ", garbage].concat();
            assert_eq!(by_list(&behind), PROXY, "{garbage:?}");
        }
    }

    #[test]
    fn only_the_configured_header_counts() {
        let others: [(&str, &[u8]); 5] = [
            ("x_forwarded_for", b"192.0.2.1"),
            ("forwarded", b"for=192.0.2.1"),
            ("x-real-ip", b"192.0.2.1"),
            ("client-ip", b"192.0.2.1"),
            ("remote-addr", b"192.0.2.1"),
        ];
        assert_eq!(seen(ForwardedHeader::XForwardedFor, PROXY, &others), PROXY);
        let list: [(&str, &[u8]); 1] = [("x-forwarded-for", b"192.0.2.1")];
        assert_eq!(seen(ForwardedHeader::Forwarded, PROXY, &list), PROXY);
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        for (value, expected) in [
            ("for=198.51.100.7", CLIENT),
            ("For=\"198.51.100.7:4711\";proto=https;by=10.0.0.1", CLIENT),
            ("proto=https; for=198.51.100.7 ;host=\"a,b;c=d\"", CLIENT),
            ("for=198.51.100.7;", CLIENT),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]:_obf.x\"", "2001:db8::1"),
            (
                "for=192.0.2.1, for=198.51.100.7, for=\"[2001:db8:f::9]\"",
                CLIENT,
            ),
            ("for=198.51.100.7;host=\"x, for=192.0.2.1\"", CLIENT),
        ] {
            assert_eq!(by_forwarded(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn garbage_in_forwarded_changes_nothing() {
        for garbage in [
            "a",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=\"1.2.3.4",
            "for=1.2.3.4\"",
            "for=\"",
            "\"",
            "for=1.2.3.4;for=5.6.7.8",
            "for=\"1.2.3.4\\\"\"",
            "proto=https",
            "for=1.2.3.4;x",
            "by=1.2.3.4",
            "xfor=1.2.3.4",
            "\"for\"=1.2.3.4",
        ] {
            assert_eq!(by_forwarded(garbage.as_bytes()), PROXY, "{garbage}");
            let before = format!("for=192.0.2.1, {garbage}, for=198.51.100.7");
            assert_eq!(by_forwarded(before.as_bytes()), CLIENT, "{garbage}");
        }
    }

    #[test]
    fn a_client_cannot_break_out_of_a_quoted_parameter_that_a_proxy_copies() {
        // The proxy wrote the client's Host header into the entry, with quotes escaped.
        let value = r#"for=198.51.100.7;host="a\", for=192.0.2.1;x=\"b""#;
        assert_eq!(by_forwarded(value.as_bytes()), PROXY);
    }

    #[test]
    fn neighbours_share_a_throttle() {
        for (ip, expected) in [
            ("203.0.113.200", "203.0.113.0/24"),
            ("::ffff:203.0.113.200", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(throttle_key(ip.parse().unwrap()).to_string(), expected);
        }
    }
}
