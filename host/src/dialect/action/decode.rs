//! Action frames to requests.

use bytes::Bytes;

use crate::core::{Payload, Refusal};
use crate::dialect::fields::fields;
use crate::dialect::native::decode::{channel_name, cut, invalid, share, string};
use crate::dialect::{Command, Request};
use crate::hub::wire::RequestId;

/// A text frame, UTF-8. Its mark is the frame itself: an error echoes it. Binary frames are the
/// native protocol's.
pub fn text(message: &Bytes) -> Request {
    Request { id: Some(RequestId(message.clone())), command: command(message) }
}

fn command(message: &Bytes) -> Result<Command, Refusal> {
    let [action, topic, data] = fields(message, ["action", "topic", "data"])?;
    let action = action.ok_or(Refusal::TypeRequired)?;
    let action = string(action).ok_or_else(|| Refusal::UnknownType(cut(action)))?;
    let topic = || {
        let raw = topic.ok_or(Refusal::ChannelRequired)?;
        channel_name(&string(raw).ok_or_else(|| invalid(&cut(raw), "topic: is not a string"))?)
    };
    match &*action {
        "subscribe" => Ok(Command::subscribe(topic()?)),
        "unsubscribe" => Ok(Command::Unsubscribe { channel: topic()? }),
        "publish" => Ok(Command::publish(topic()?, Bytes::new(), Payload::json(share(message, data)))),
        other => Err(Refusal::UnknownType(cut(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ChannelName;

    fn got(frame: &str) -> Result<Command, Refusal> {
        text(&Bytes::copy_from_slice(frame.as_bytes())).command
    }

    #[test]
    fn the_three_actions() {
        let room = || ChannelName::parse("room").unwrap();
        assert_eq!(got(r#"{"action":"subscribe","topic":"room"}"#), Ok(Command::subscribe(room())));
        let unsubscribe = Command::Unsubscribe { channel: room() };
        assert_eq!(got(r#"{"action":"unsubscribe","topic":"room"}"#), Ok(unsubscribe));
        let publish = Command::publish(room(), Bytes::new(), Payload::json(&br#"{"a" : 1}"#[..]));
        assert_eq!(got(r#"{"action":"publish","topic":"room","data":{"a" : 1}}"#), Ok(publish));
    }

    #[test]
    fn what_is_none_gets_its_refusal() {
        assert_eq!(got("hello"), Err(Refusal::BadJson));
        assert_eq!(got("{}"), Err(Refusal::TypeRequired));
        assert_eq!(got(r#"{"action":"dance"}"#), Err(Refusal::UnknownType("dance".into())));
        assert_eq!(got(r#"{"action":"publish","data":1}"#), Err(Refusal::ChannelRequired));
        assert!(matches!(got(r#"{"action":"subscribe","topic":5}"#), Err(Refusal::InvalidParams { .. })));
    }
}
