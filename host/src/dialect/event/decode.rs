//! Event frames to requests. An event that is not one of the protocol's own is a publication.

use bytes::Bytes;

use crate::core::{Payload, Refusal};
use crate::dialect::fields::fields;
use crate::dialect::native::decode::{channel_name, cut, invalid, share, string};
use crate::dialect::{Command, Request};
use crate::hub::letter::Wishes;

/// Events that the server says of itself: no publication may be taken for one.
pub(super) const RESERVED: [&str; 6] =
    ["subscribed", "unsubscribed", "error", "pong", "authenticated", "expiring"];

/// A text frame, UTF-8. Binary frames are the native protocol's.
pub fn text(message: &Bytes) -> Request {
    Request { id: None, command: command(message) }
}

fn command(message: &Bytes) -> Result<Command, Refusal> {
    let [event, channel, data] = fields(message, ["event", "channel", "data"])?;
    let event = event.ok_or(Refusal::TypeRequired)?;
    let event = string(event).ok_or_else(|| Refusal::UnknownType(cut(event)))?;
    let channel = || {
        let raw = channel.ok_or(Refusal::ChannelRequired)?;
        channel_name(&string(raw).ok_or_else(|| invalid(&cut(raw), "channel: is not a string"))?)
    };
    match &*event {
        "" => Err(Refusal::TypeRequired),
        "subscribe" => Ok(Command::Subscribe {
            channel: channel()?,
            params: data.map(|_| share(message, data)),
            filter: None,
            wishes: Wishes::default(),
        }),
        "unsubscribe" => Ok(Command::Unsubscribe { channel: channel()? }),
        "ping" => Ok(Command::Ping),
        "auth" => token(data).map(|token| Command::Auth { token }),
        reserved if RESERVED.contains(&reserved) => Err(Refusal::UnknownType(reserved.into())),
        event => {
            let event = Bytes::copy_from_slice(event.as_bytes());
            let payload = Payload::json(share(message, data));
            Ok(Command::publish(channel()?, event, payload))
        }
    }
}

/// `{"token":T}`.
fn token(data: Option<&str>) -> Result<String, Refusal> {
    let token = data.and_then(|data| fields(data.as_bytes(), ["token"]).ok());
    let token = token.and_then(|[token]| string(token?).map(|token| token.into_owned()));
    token.ok_or_else(|| invalid("auth", "data.token: is required, a string"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ChannelName;

    fn got(frame: &str) -> Result<Command, Refusal> {
        text(&Bytes::copy_from_slice(frame.as_bytes())).command
    }

    fn users() -> ChannelName {
        ChannelName::parse("users").unwrap()
    }

    #[test]
    fn any_other_event_is_published_under_its_name() {
        let want = Command::publish(
            users(),
            Bytes::from_static(b"App\\Events\\UserCreated"),
            Payload::json(&br#"{"id" : 1}"#[..]),
        );
        let frame = r#"{"event":"App\\Events\\UserCreated","channel":"users","data":{"id" : 1}}"#;
        assert_eq!(got(frame), Ok(want));
        let want = Command::publish(users(), Bytes::from_static(b"e"), Payload::json(&b"null"[..]));
        assert_eq!(got(r#"{"event":"e","channel":"users"}"#), Ok(want));
    }

    #[test]
    fn the_protocols_own_events_are_requests() {
        assert_eq!(got(r#"{"event":"subscribe","channel":"users"}"#), Ok(Command::subscribe(users())));
        let with = got(r#"{"event":"subscribe","channel":"users","data":{"a":1}}"#);
        assert!(
            matches!(with, Ok(Command::Subscribe { params: Some(params), .. }) if params == r#"{"a":1}"#)
        );
        let unsubscribe = Command::Unsubscribe { channel: users() };
        assert_eq!(got(r#"{"event":"unsubscribe","channel":"users"}"#), Ok(unsubscribe));
        assert_eq!(got(r#"{"event":"ping"}"#), Ok(Command::Ping));
        let auth = Command::Auth { token: "t".into() };
        assert_eq!(got(r#"{"event":"auth","data":{"token":"t"}}"#), Ok(auth));
        assert!(matches!(got(r#"{"event":"auth","data":"t"}"#), Err(Refusal::InvalidParams { .. })));
    }

    #[test]
    fn what_is_no_request_gets_its_refusal() {
        assert_eq!(got("hello"), Err(Refusal::BadJson));
        assert_eq!(got("[]"), Err(Refusal::TypeRequired));
        assert_eq!(got(r#"{"event":null}"#), Err(Refusal::TypeRequired));
        assert_eq!(got(r#"{"event":""}"#), Err(Refusal::TypeRequired));
        assert_eq!(got(r#"{"event":5}"#), Err(Refusal::UnknownType("5".into())));
        assert_eq!(got(r#"{"event":"said"}"#), Err(Refusal::ChannelRequired));
        assert_eq!(got(r#"{"event":"error","channel":"users"}"#), Err(Refusal::UnknownType("error".into())));
        assert!(matches!(got(r#"{"event":"x","channel":" a"}"#), Err(Refusal::InvalidParams { .. })));
    }
}
