//! A bridge's path to a subscription, its frames to publications.

use bytes::Bytes;

use crate::core::names::NameError;
use crate::core::{ChannelName, Payload, UserId, json};
use crate::dialect::{Command, Request, query};
use crate::hub::letter::Wishes;
use crate::hub::slow::SlowPolicy;
use crate::hub::wire::RequestId;

/// The mark of the one subscription that a bridge makes.
pub(super) const SUBSCRIPTION: &[u8] = b"subscribe";

/// The longest name that an anonymous client may give itself, in bytes.
const MAX_USER: usize = 64;

/// What a bridge is opened with.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    pub channel: ChannelName,
    /// So many messages of the past come first.
    pub history: usize,
    /// What is done when the client is slow; none: what the channel's rule says.
    pub slow: Option<SlowPolicy>,
    /// What the client calls itself: 1 to 64 bytes without control characters. Nobody has to
    /// believe it.
    pub user: Option<UserId>,
}

/// For the client to read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BadBridge {
    #[error("The channel in the path is not percent-encoded UTF-8")]
    Encoding,
    #[error("The channel in the path {0}")]
    Name(NameError),
    #[error("history: is not a number")]
    History,
    #[error("policy: is not {}", SlowPolicy::WORDS)]
    Policy,
    #[error("user: is not a name of 1 to {MAX_USER} bytes without control characters")]
    User,
}

impl Opening {
    /// `segment` is the path after `/ws/`, all of it: a name may have slashes.
    ///
    /// # Errors
    /// What in the path or the query cannot be what it is.
    pub fn parse(segment: &str, query: &str) -> Result<Self, BadBridge> {
        let name = query::decode_path(segment).ok_or(BadBridge::Encoding)?;
        let channel = ChannelName::parse(&name).map_err(BadBridge::Name)?;
        let mut opening = Self { channel, history: usize::MAX, slow: None, user: None };
        for (name, value) in query::pairs(query) {
            match (&*name, value) {
                ("history", value) => {
                    let number = value.and_then(|value| value.parse().ok());
                    opening.history = number.ok_or(BadBridge::History)?;
                }
                ("policy", value) => {
                    let slow = value.and_then(|word| SlowPolicy::parse(&word));
                    opening.slow = Some(slow.ok_or(BadBridge::Policy)?);
                }
                ("user", value) => {
                    let fits = |name: &String| {
                        (1..=MAX_USER).contains(&name.len()) && !name.chars().any(char::is_control)
                    };
                    let name = value.filter(fits).ok_or(BadBridge::User)?;
                    opening.user = Some(UserId(name.into()));
                }
                _ => {}
            }
        }
        Ok(opening)
    }
}

/// What a bridge asks for when it opens.
pub fn subscribe(opening: &Opening) -> Request {
    let Opening { channel, history, slow, .. } = opening.clone();
    let command = Command::Subscribe {
        channel,
        params: None,
        filter: None,
        wishes: Wishes { history, slow, ..Wishes::default() },
    };
    Request { id: Some(RequestId(Bytes::from_static(SUBSCRIPTION))), command: Ok(command) }
}

/// A text frame, UTF-8. One that is JSON is published as JSON, so that handlers and clients of
/// other dialects see a value and not a string with braces in it; its bytes stay the same.
pub fn text(channel: &ChannelName, message: &Bytes) -> Request {
    let payload = match json::is_value(message) {
        true => Payload::json(message.clone()),
        false => Payload::text(message.clone()),
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
            let want =
                Command::publish(channel.clone(), Bytes::new(), Payload { kind, bytes: message.clone() });
            assert_eq!(text(&channel, &message).command, Ok(want), "{frame}");
        }
    }

    #[test]
    fn the_path_is_the_channel() {
        let channel = |path| Opening::parse(path, "").map(|opening| opening.channel.to_string());
        assert_eq!(channel("room"), Ok("room".into()));
        assert_eq!(channel("chat/a+b%20c%2F%C3%BC"), Ok("chat/a+b c/ü".into()));
        assert_eq!(channel("%ff"), Err(BadBridge::Encoding));
        assert_eq!(channel("%24sys"), Err(BadBridge::Name(NameError::Reserved)));
        assert_eq!(channel("%0A"), Err(BadBridge::Name(NameError::BadCharacter)));
    }

    #[test]
    fn the_query_says_how_much_of_the_past_and_perhaps_a_name() {
        let all = Opening::parse("room", "token=t").unwrap();
        assert_eq!((all.history, all.user), (usize::MAX, None));
        let some = Opening::parse("room", "history=5&user=ada%20l").unwrap();
        assert_eq!((some.history, some.user), (5, Some(UserId("ada l".into()))));
        assert_eq!(
            (all.slow, Opening::parse("room", "policy=drop_oldest").unwrap().slow),
            (None, Some(SlowPolicy::DropOldest))
        );
        assert_eq!(Opening::parse("room", "policy="), Err(BadBridge::Policy));
        assert_eq!(Opening::parse("room", "history=all"), Err(BadBridge::History));
        for bad in ["user=", "user=a%0Ab", "user=%ff", &format!("user={}", "x".repeat(65))] {
            assert_eq!(Opening::parse("room", bad), Err(BadBridge::User), "{bad}");
        }
    }
}
