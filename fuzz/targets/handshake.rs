//! What a client shows when it connects.

use std::net::SocketAddr;

use hyper::Request;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tidegate::server::handshake;

use super::input::Input;

pub fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    let Ok(request) = Request::builder().uri(input.bytes()).body(()) else { return };
    let mut request = request;
    while !input.is_empty() && request.headers().len() < 64 {
        let name = match input.byte() % 4 {
            0 => AUTHORIZATION,
            1 => SEC_WEBSOCKET_PROTOCOL,
            2 => COOKIE,
            _ => HeaderName::from_bytes(input.bytes()).unwrap_or(HeaderName::from_static("x")),
        };
        let Ok(value) = HeaderValue::from_bytes(input.bytes()) else { continue };
        request.headers_mut().append(name, value);
    }

    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let shown = handshake::read(&request, peer);
    assert_eq!(shown.path, request.uri().path());
    assert_eq!(shown.query, request.uri().query().unwrap_or_default());
    assert_eq!(shown.peer, peer.to_string());
    for (name, value) in shown.headers.iter() {
        assert!(name != "authorization" && name != "cookie", "credentials are not for plugins to read");
        assert!(request.headers().get_all(name).iter().any(|sent| sent.as_bytes() == value.as_bytes()));
    }
    assert_ne!(shown.token.as_deref(), Some(""), "an empty token is none");

    if let Some(answer) = handshake::subprotocol(request.headers()) {
        // The client fails the connection where it is answered with what it did not offer.
        let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
        let mut offered = offered.iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
        assert!(offered.any(|name| name.trim() == answer));
        assert!(HeaderValue::from_str(&answer).is_ok());
    }
}
