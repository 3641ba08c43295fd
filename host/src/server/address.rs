//! Where a client is, also behind proxies that say so.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use crate::config::{Config, ForwardedHeader};
use crate::core::address::Network;

/// The proxies whose word counts.
pub struct Proxies {
    trusted: Vec<Network>,
    header: ForwardedHeader,
}

impl Proxies {
    pub fn new(config: &Config) -> Self {
        Self { trusted: config.trusted_proxies.clone(), header: config.forwarded_header }
    }

    /// The client's address: the peer's, unless the peer is a trusted proxy. Then each hop that
    /// the header names is believed as long as the one after it is trusted, so that what a
    /// client puts there itself stands left of the first address that nobody vouches for. The
    /// port is 0 where the header names none.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = peer;
        if self.trusted.is_empty() || !self.trusts(peer.ip()) {
            return client;
        }
        for hop in self.hops(headers).iter().rev() {
            // `unknown`, a name that hides it, or nonsense: no further than who wrote it.
            let Some(address) = parse(hop) else { break };
            client = address;
            if !self.trusts(address.ip()) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// In the order in which the proxies have added them.
    fn hops(&self, headers: &HeaderMap) -> Vec<String> {
        let lines = |name: &str| headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or(""));
        match self.header {
            ForwardedHeader::XForwardedFor => {
                lines("x-forwarded-for").flat_map(|line| line.split(',')).map(str::to_owned).collect()
            }
            ForwardedHeader::Forwarded => {
                lines("forwarded").flat_map(|line| split(line, ',')).map(|element| for_of(&element)).collect()
            }
        }
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse(hop: &str) -> Option<SocketAddr> {
    let hop = hop.trim();
    let alone = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = alone.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    address.or_else(|_| hop.parse()).ok()
}

/// The `for` of one element of `Forwarded` (RFC 7239, section 4); empty without one.
fn for_of(element: &str) -> String {
    let pairs = split(element, ';');
    let of = pairs.iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let value = of.unwrap_or_default();
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).to_owned()
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == separator && !quoted {
            pieces.push(String::new());
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn client(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::try_from(text.to_owned()).unwrap());
        let proxies = Proxies { trusted: trusted.to_vec(), header };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        proxies.client(SocketAddr::new(peer.parse().unwrap(), 9), &headers).to_string()
    }

    fn x(peer: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        client(ForwardedHeader::XForwardedFor, peer, &lines)
    }

    fn forwarded(line: &str) -> String {
        client(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", line)])
    }

    #[test]
    fn the_rightmost_that_nobody_vouches_for_is_the_client() {
        assert_eq!(x("10.0.0.1", &["192.0.2.7"]), "192.0.2.7:0");
        assert_eq!(x("10.0.0.1", &["127.0.0.1, 192.0.2.7"]), "192.0.2.7:0", "the first is its own claim");
        assert_eq!(x("10.0.0.1", &["192.0.2.7,10.0.0.2 , 10.0.0.3"]), "192.0.2.7:0");
        assert_eq!(x("10.0.0.1", &["127.0.0.1", "192.0.2.7"]), "192.0.2.7:0", "lines are one list");
        assert_eq!(x("10.0.0.1", &["10.1.2.3, 10.0.0.2"]), "10.1.2.3:0", "trusted to the very end");
        assert_eq!(x("::ffff:10.0.0.1", &["2001:db8::1"]), "[2001:db8::1]:0");
        assert_eq!(x("fd00::1", &["[2001:db8::1]:80"]), "[2001:db8::1]:80");
        assert_eq!(x("10.0.0.1", &["192.0.2.7:81"]), "192.0.2.7:81");
    }

    #[test]
    fn who_is_no_trusted_proxy_says_nothing_about_others() {
        assert_eq!(x("192.0.2.1", &["127.0.0.1"]), "192.0.2.1:9");
        assert_eq!(x("10.0.0.1", &[]), "10.0.0.1:9");
        let other = client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[("forwarded", "for=127.0.0.1")]);
        assert_eq!(other, "10.0.0.1:9", "only the header that the proxies write is read");
    }

    #[test]
    fn beyond_nonsense_nobody_is_believed() {
        assert_eq!(x("10.0.0.1", &["127.0.0.1, unknown"]), "10.0.0.1:9");
        assert_eq!(x("10.0.0.1", &["127.0.0.1, , 10.0.0.2"]), "10.0.0.2:0");
        assert_eq!(forwarded("for=127.0.0.1, for=_hidden, for=10.0.0.2"), "10.0.0.2:0");
        assert_eq!(forwarded("for=127.0.0.1, proto=https"), "10.0.0.1:9");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        assert_eq!(forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60:0");
        assert_eq!(forwarded(r#"For="[2001:db8:cafe::17]:4711""#), "[2001:db8:cafe::17]:4711");
        assert_eq!(forwarded(r#"for=127.0.0.1, by="a,b;for=127.0.0.1" ; FOR = 192.0.2.7"#), "192.0.2.7:0");
        assert_eq!(forwarded(r#"for=127.0.0.1, by="\",";for="192.0.2.7:80""#), "192.0.2.7:80");
    }

    proptest! {
        #[test]
        fn no_header_panics_or_outranks_the_last_hop(text in "[ -~]{0,40}") {
            prop_assert_eq!(x("10.0.0.1", &[&format!("{text}, 192.0.2.7")]), "192.0.2.7:0");
            let _ = forwarded(&text);
        }
    }
}
