//! Where requests may go: scheme, host and port (RFC 6454, section 4).

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

/// `https://api.example.org`, or with a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub tls: bool,
    /// A name in lower case, or an address without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin like https://api.example.org or http://127.0.0.1:9000")]
pub struct BadOrigin(String);

impl Origin {
    /// # Errors
    /// It is none, or has more than scheme, host and port.
    pub fn parse(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.into());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let bare = !text.ends_with('/') && uri.path_and_query().is_none_or(|path| path == "/");
        Self::of(&uri).filter(|origin| bare && !origin.host.contains('*')).ok_or_else(bad)
    }

    /// Where a request leads. None: to nothing that can be granted.
    pub fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        // A user's name has no business there, and a port that is none is not the usual one.
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str() != authority.host() => return None,
            None if tls => 443,
            None => 80,
        };
        (!host.is_empty() && port != 0).then_some(Self { tls, host, port })
    }

    /// The address that it names itself.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]", self.host)?,
            false => write!(f, "{scheme}://{}", self.host)?,
        }
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (text, says) in [
            ("https://Api.Example.org", "https://api.example.org"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), says);
        }
        for bad in [
            "",
            "a.example",
            "https://",
            "ftp://a",
            "https://a/",
            "https://a/b",
            "https://a?x",
            "https://u@a",
            "https://a:",
            "https://a:0",
            "https://*.a",
            "https://a:70000",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
