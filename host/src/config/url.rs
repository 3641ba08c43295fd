//! URLs that the server itself sends requests to.

use anyhow::{Context, Result, bail, ensure};
use hyper::Uri;

/// One of http or https, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    pub tls: bool,
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// The `Host` header's value.
    pub authority: String,
    /// With the query.
    pub path: String,
}

impl HttpUrl {
    /// `key`: the setting, for errors.
    ///
    /// # Errors
    /// It is none, or has a user name, which is not shown: it would be a password.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let uri: Uri = text.parse().with_context(|| format!("{key} = \"{text}\" is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => bail!("{key} = \"{text}\" begins neither with https:// nor with http://"),
        };
        let Some(authority) = uri.authority() else { bail!("{key} = \"{text}\" has no host") };
        ensure!(!authority.as_str().contains('@'), "{key} has a user name, which is not supported");
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        ensure!(!host.is_empty(), "{key} = \"{text}\" has no host");
        let port = match (authority.port(), tls) {
            (Some(port), _) => port.as_u16(),
            (None, true) => 443,
            (None, false) => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let parsed = |text| HttpUrl::parse("x.url", text).unwrap();
        let url = parsed("https://id.example/a/keys?x=1");
        assert_eq!((url.tls, &*url.host, url.port, &*url.path), (true, "id.example", 443, "/a/keys?x=1"));
        let url = parsed("http://[::1]:8080");
        assert_eq!((url.tls, &*url.host, url.port, &*url.path), (false, "::1", 8080, "/"));
        assert_eq!(url.authority, "[::1]:8080");
        for bad in ["", "/a", "ftp://a", "a.example", "http://", "http://u:hunter2@a"] {
            let error = format!("{:#}", HttpUrl::parse("x.url", bad).expect_err(bad));
            assert!(error.contains("x.url") && !error.contains("hunter2"), "{error}");
        }
    }
}
