//! A bridge's frames to publications.

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::core::{ChannelName, Payload};
use crate::dialect::{Command, Request};
use crate::hub::wire::RequestId;

/// The mark of the one subscription that a bridge makes.
pub(super) const SUBSCRIPTION: &[u8] = b"subscribe";

/// What a bridge asks for when it opens; `history`: so many messages of the past first.
pub fn subscribe(channel: ChannelName, history: usize) -> Request {
    let command = Command::Subscribe { channel, params: None, filter: None, recover: None, history };
    Request { id: Some(RequestId(Bytes::from_static(SUBSCRIPTION))), command: Ok(command) }
}

/// A text frame, UTF-8. One that is JSON is published as JSON, so that handlers and clients of
/// other dialects see a value and not a string with braces in it; its bytes stay the same.
pub fn text(channel: &ChannelName, message: &Bytes) -> Request {
    let payload = match serde_json::from_slice::<IgnoredAny>(message) {
        Ok(_) => Payload::json(message.clone()),
        Err(_) => Payload::text(message.clone()),
    };
    publish(channel, payload)
}

pub fn binary(channel: &ChannelName, message: &Bytes) -> Request {
    publish(channel, Payload::binary(message.clone()))
}

fn publish(channel: &ChannelName, payload: Payload) -> Request {
    Request { id: None, command: Ok(Command::publish(channel.clone(), Bytes::new(), payload)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::PayloadKind;

    #[test]
    fn text_that_is_json_is_json_and_stays_as_it_stands() {
        let channel = ChannelName::parse("room").unwrap();
        for (frame, kind) in [
            (r#" {"a" : 1.50} "#, PayloadKind::Json),
            ("5", PayloadKind::Json),
            ("\"hello\"", PayloadKind::Json),
            ("hello", PayloadKind::Text),
            ("{\"a\":1} and more", PayloadKind::Text),
            ("", PayloadKind::Text),
        ] {
            let message = Bytes::from_static(frame.as_bytes());
            let want = Command::publish(channel.clone(), Bytes::new(), Payload { kind, bytes: message.clone() });
            assert_eq!(text(&channel, &message).command, Ok(want), "{frame}");
        }
    }
}
