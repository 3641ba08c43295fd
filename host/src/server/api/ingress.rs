//! Who may use the server API at all: the one check before any of its paths is looked at.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};

use super::error::ApiError;
use super::keys::{Caller, Keys};
use crate::config::Config;

/// With keys configured: who shows one. Without: who is on an allowed host. Never a page of
/// another site, whatever it carries.
pub fn admit(
    keys: &Keys,
    config: &Config,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<Caller, ApiError> {
    if !is_same_site(headers) {
        return Err(ApiError::forbidden("A page of another site may not use the server API."));
    }
    if keys.is_empty() {
        if is_allowed_host(config, peer) {
            return Ok(Caller::everything());
        }
        let says = "Without an API key the server API can only be accessed locally: configure an [[api_key]], \
                    or the address in broadcast_allowed_hosts.";
        return Err(ApiError::forbidden(says));
    }
    let shown = bearer(headers).ok_or_else(|| ApiError::unauthorized("An API key is required."))?;
    keys.find(shown).ok_or_else(|| ApiError::unauthorized("The API key is not known."))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// A browser on an allowed machine would carry another site's requests here, but always with
/// their origin.
pub fn is_same_site(headers: &HeaderMap) -> bool {
    match (headers.get(ORIGIN).map(|o| o.to_str()), headers.get(HOST).map(|h| h.to_str())) {
        (None, _) => true,
        (Some(Ok(origin)), Some(Ok(host))) => origin.split_once("://").is_some_and(|(_, site)| site == host),
        _ => false,
    }
}

pub fn is_allowed_host(config: &Config, peer: SocketAddr) -> bool {
    let address = peer.ip().to_canonical();
    config.broadcast_allowed_hosts.iter().any(|host| matches(host, address))
}

fn matches(host: &str, address: IpAddr) -> bool {
    match host {
        "localhost" => address.is_loopback(),
        host => host.parse::<IpAddr>().is_ok_and(|host| host == address),
    }
}
