//! What a client shows when it connects: its credential and the facts an auth plugin sees.

use std::net::SocketAddr;

use hyper::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use hyper::{HeaderMap, Request};

use crate::core::TraceParent;
use crate::dialect::query;
use crate::plugin::{Handshake, Headers};

/// A subprotocol `bearer.TOKEN` carries a token, because a browser's WebSocket can set no header.
const BEARER_PROTOCOL: &str = "bearer.";
/// What the server answers with when a client offers it beside `bearer.`: the token is not echoed.
const NATIVE_PROTOCOL: &str = "tidegate";

/// The handshake of a request; the token from header, query or subprotocol, in this order.
pub fn read<B>(request: &Request<B>, peer: SocketAddr) -> Handshake {
    let query = request.uri().query().unwrap_or_default();
    let headers = request.headers();
    Handshake {
        path: request.uri().path().into(),
        query: query.into(),
        headers: readable(headers),
        token: from_header(headers).or_else(|| from_query(query)).or_else(|| from_protocol(headers)),
        peer: peer.to_string(),
    }
}

/// The subprotocol to answer with, if the client offered any that we know.
pub fn subprotocol(headers: &HeaderMap) -> Option<String> {
    let offered: Vec<&str> = protocols(headers).collect();
    let native = offered.iter().find(|name| **name == NATIVE_PROTOCOL);
    // A browser fails the connection unless one of those it offered comes back.
    native
        .or_else(|| offered.iter().find(|name| name.starts_with(BEARER_PROTOCOL)))
        .map(|name| name.to_string())
}

/// The trace context of a request; of several none counts (W3C Trace Context, section 3.2).
pub fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all(TraceParent::HEADER).iter();
    let (first, second) = (said.next()?, said.next());
    if second.is_some() { None } else { TraceParent::parse(first.to_str().ok()?) }
}

fn readable(headers: &HeaderMap) -> Headers {
    Headers::pack(|| {
        let kept = headers.iter().filter(|(name, _)| **name != AUTHORIZATION && **name != COOKIE);
        kept.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    })
}

fn from_header(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

fn from_query(query: &str) -> Option<String> {
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    query::decode(token).filter(|token| !token.is_empty())
}

fn from_protocol(headers: &HeaderMap) -> Option<String> {
    let mut tokens = protocols(headers).filter_map(|name| name.strip_prefix(BEARER_PROTOCOL));
    tokens.find(|token| !token.is_empty()).map(str::to_owned)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    all.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(
        build: impl FnOnce(hyper::http::request::Builder) -> hyper::http::request::Builder,
    ) -> Option<String> {
        let request = build(Request::builder()).body(()).unwrap();
        read(&request, "127.0.0.1:1".parse().unwrap()).token
    }

    #[test]
    fn the_token_is_found_wherever_it_may_be() {
        assert_eq!(token(|r| r.uri("/ws").header("authorization", "bearer a.b")), Some("a.b".into()));
        assert_eq!(token(|r| r.uri("/ws?x=1&token=a%2Eb")), Some("a.b".into()));
        assert_eq!(
            token(|r| r.uri("/ws").header("sec-websocket-protocol", "tidegate, bearer.a.b")),
            Some("a.b".into())
        );
        assert_eq!(token(|r| r.uri("/ws?token=q").header("authorization", "Bearer h")), Some("h".into()));
        assert_eq!(token(|r| r.uri("/ws?token=%zz")), None);
        assert_eq!(token(|r| r.uri("/ws").header("authorization", "Basic x")), None);
    }

    #[test]
    fn headers_are_kept_but_for_credentials() {
        let request = Request::builder()
            .header("host", "a")
            .header("cookie", "secret")
            .header("authorization", "Bearer secret")
            .header("x-empty", "")
            .header("x-binary", hyper::header::HeaderValue::from_bytes(b"\xff").unwrap())
            .header("x-two", "1")
            .header("x-two", "2");
        let handshake = read(&request.body(()).unwrap(), "127.0.0.1:1".parse().unwrap());
        let kept: Vec<(&str, &str)> = handshake.headers.iter().collect();
        assert_eq!(kept, [("host", "a"), ("x-empty", ""), ("x-two", "1"), ("x-two", "2")]);
        assert_eq!(Headers::default().iter().next(), None);
    }

    #[test]
    fn the_token_is_not_echoed_where_a_name_is_offered() {
        let with = |value: &str| {
            let request = Request::builder().header("sec-websocket-protocol", value).body(()).unwrap();
            subprotocol(request.headers())
        };
        assert_eq!(with("bearer.t, tidegate"), Some("tidegate".into()));
        assert_eq!(with("bearer.t"), Some("bearer.t".into()));
        assert_eq!(with("graphql-ws"), None);
    }
}
