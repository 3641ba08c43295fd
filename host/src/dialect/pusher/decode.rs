//! Frames of clients: one JSON object each, `{"event":…,"channel":…,"data":…}`.

use bytes::Bytes;

use super::payload::posted;
use crate::core::Payload;
use crate::core::apps::MAX_EVENT;
use crate::dialect::fields::fields;
use crate::dialect::native::decode::{cut, share, string};

/// Begins the names of events that clients send to each other.
pub const CLIENT_EVENT: &str = "client-";

/// What a client has sent, as it is shown to it: not at any length.
pub fn shown(text: &str) -> String {
    cut(text)
}

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Ping,
    Pong,
    Subscribe {
        channel: String,
        /// None where it is left out, or empty.
        auth: Option<String>,
        /// Exactly as it was signed.
        channel_data: Option<String>,
    },
    Unsubscribe {
        channel: String,
    },
    SignIn {
        auth: String,
        user_data: String,
    },
    Event {
        channel: String,
        event: String,
        payload: Payload,
    },
}

/// Why a frame says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsaid {
    #[error("Invalid JSON")]
    NotJson,
    #[error("The frame is not an object with an `event`")]
    NoEvent,
    #[error("The event name is longer than {MAX_EVENT} characters")]
    LongEvent,
    #[error("Unknown event '{0}': clients send pusher: events, and events that begin with client-")]
    Unknown(String),
    #[error("{0} is not a text")]
    NoText(&'static str),
}

/// A text frame, UTF-8.
///
/// # Errors
/// It says nothing that a client may say.
pub fn text(message: &Bytes) -> Result<Said, Unsaid> {
    let [event, channel, data] = fields(message, ["event", "channel", "data"]).map_err(|refusal| {
        if refusal == crate::core::Refusal::BadJson { Unsaid::NotJson } else { Unsaid::NoEvent }
    })?;
    let event = event.and_then(string).filter(|event| !event.is_empty()).ok_or(Unsaid::NoEvent)?;
    match &*event {
        "pusher:ping" => Ok(Said::Ping),
        "pusher:pong" => Ok(Said::Pong),
        "pusher:subscribe" => {
            let [channel, auth, channel_data] = inside(data, ["channel", "auth", "channel_data"])?;
            Ok(Said::Subscribe {
                channel: channel.ok_or(Unsaid::NoText("data.channel"))?,
                auth: auth.filter(|auth| !auth.is_empty()),
                channel_data,
            })
        }
        "pusher:unsubscribe" => {
            let [channel] = inside(data, ["channel"])?;
            Ok(Said::Unsubscribe { channel: channel.ok_or(Unsaid::NoText("data.channel"))? })
        }
        "pusher:signin" => {
            let [auth, user_data] = inside(data, ["auth", "user_data"])?;
            Ok(Said::SignIn {
                auth: auth.ok_or(Unsaid::NoText("data.auth"))?,
                user_data: user_data.ok_or(Unsaid::NoText("data.user_data"))?,
            })
        }
        event if event.starts_with(CLIENT_EVENT) => {
            if event.chars().nth(MAX_EVENT).is_some() {
                return Err(Unsaid::LongEvent);
            }
            let channel = channel.and_then(string).ok_or(Unsaid::NoText("channel"))?.into_owned();
            Ok(Said::Event { channel, event: event.into(), payload: payload(message, data) })
        }
        other => Err(Unsaid::Unknown(cut(other))),
    }
}

/// A string is what was meant to be sent; anything else is sent as the JSON that it is.
fn payload(message: &Bytes, data: Option<&str>) -> Payload {
    match data.and_then(string) {
        Some(text) => posted(text.into_owned()),
        None => Payload::json(share(message, data)),
    }
}

/// Text fields of `data`, which is an object, or a string of one.
fn inside<const N: usize>(
    data: Option<&str>,
    names: [&'static str; N],
) -> Result<[Option<String>; N], Unsaid> {
    let not_there = Unsaid::NoText("data");
    let data = data.ok_or(not_there.clone())?;
    let text = string(data);
    let object = text.as_deref().unwrap_or(data);
    let found = fields(object.as_bytes(), names).map_err(|_| not_there)?;
    let mut texts = [const { None }; N];
    for ((text, raw), name) in texts.iter_mut().zip(found).zip(names) {
        *text = raw
            .map(|raw| string(raw).ok_or(Unsaid::NoText(field(name))))
            .transpose()?
            .map(|t| t.into_owned());
    }
    Ok(texts)
}

fn field(name: &'static str) -> &'static str {
    match name {
        "channel" => "data.channel",
        "auth" => "data.auth",
        "channel_data" => "data.channel_data",
        "user_data" => "data.user_data",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn got(frame: &str) -> Result<Said, Unsaid> {
        text(&Bytes::copy_from_slice(frame.as_bytes()))
    }

    fn subscribe(channel: &str, auth: Option<&str>, channel_data: Option<&str>) -> Result<Said, Unsaid> {
        let own = |text: &str| text.to_owned();
        Ok(Said::Subscribe {
            channel: own(channel),
            auth: auth.map(own),
            channel_data: channel_data.map(own),
        })
    }

    #[test]
    fn a_subscription_is_read_in_either_form() {
        for frame in [
            r#"{"event":"pusher:subscribe","data":{"channel":"x","auth":""}}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":"x","auth":null}}"#,
            r#"{"event":"pusher:subscribe","data":"{\"channel\":\"x\"}"}"#,
        ] {
            assert_eq!(got(frame), subscribe("x", None, None), "{frame}");
        }
        let frame = r#"{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"k:s","channel_data":"{\"user_id\": 1}"}}"#;
        assert_eq!(got(frame), subscribe("presence-x", Some("k:s"), Some("{\"user_id\": 1}")));
    }

    #[test]
    fn what_clients_send_each_other_keeps_its_bytes() {
        let sent =
            |data: &str| match got(&format!(r#"{{"event":"client-e","channel":"private-x","data":{data}}}"#))
            {
                Ok(Said::Event { payload, .. }) => payload,
                other => panic!("{other:?}"),
            };
        assert_eq!(sent(r#"{"a" : 1}"#), Payload::json(r#"{"a" : 1}"#));
        assert_eq!(sent(r#""{\"a\" : 1}""#), Payload::json(r#"{"a" : 1}"#));
        assert_eq!(sent(r#""hi""#), Payload::text("hi"));
        assert_eq!(sent("5"), Payload::json("5"));
        // No text: half a surrogate pair.
        assert_eq!(sent(r#""\ud800""#), Payload::json(r#""\ud800""#));
        let none = got(r#"{"event":"client-e","channel":"private-x"}"#);
        assert!(matches!(none, Ok(Said::Event { payload, .. }) if payload == Payload::json("null")));
    }

    #[test]
    fn the_rest_of_what_clients_say() {
        assert_eq!(got(r#"{"event":"pusher:ping","data":{}}"#), Ok(Said::Ping));
        assert_eq!(got(r#"{"event":"pusher:pong"}"#), Ok(Said::Pong));
        let unsubscribe = Said::Unsubscribe { channel: "x".into() };
        assert_eq!(got(r#"{"event":"pusher:unsubscribe","data":{"channel":"x"}}"#), Ok(unsubscribe));
        let signin = Said::SignIn { auth: "k:s".into(), user_data: "{}".into() };
        assert_eq!(got(r#"{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{}"}}"#), Ok(signin));
    }

    #[test]
    fn what_is_not_said_is_told_apart() {
        for (frame, why) in [
            ("hello", Unsaid::NotJson),
            ("{", Unsaid::NotJson),
            ("[]", Unsaid::NoEvent),
            ("{}", Unsaid::NoEvent),
            (r#"{"event":5}"#, Unsaid::NoEvent),
            (r#"{"event":""}"#, Unsaid::NoEvent),
            (r#"{"event":"news"}"#, Unsaid::Unknown("news".into())),
            (r#"{"event":"pusher:other"}"#, Unsaid::Unknown("pusher:other".into())),
            (
                r#"{"event":"pusher_internal:member_added"}"#,
                Unsaid::Unknown("pusher_internal:member_added".into()),
            ),
            (r#"{"event":"client-a"}"#, Unsaid::NoText("channel")),
            (r#"{"event":"client-a","channel":{}}"#, Unsaid::NoText("channel")),
            (r#"{"event":"pusher:subscribe"}"#, Unsaid::NoText("data")),
            (r#"{"event":"pusher:subscribe","data":"x"}"#, Unsaid::NoText("data")),
            (r#"{"event":"pusher:subscribe","data":{}}"#, Unsaid::NoText("data.channel")),
            (r#"{"event":"pusher:subscribe","data":{"channel":1}}"#, Unsaid::NoText("data.channel")),
            (
                r#"{"event":"pusher:subscribe","data":{"channel":"x","channel_data":{}}}"#,
                Unsaid::NoText("data.channel_data"),
            ),
            (r#"{"event":"pusher:signin","data":{"auth":"k:s"}}"#, Unsaid::NoText("data.user_data")),
        ] {
            assert_eq!(got(frame), Err(why), "{frame}");
        }
        let named =
            |length| got(&format!(r#"{{"event":"client-{}","channel":"private-x"}}"#, "ü".repeat(length)));
        assert!(named(193).is_ok());
        assert_eq!(named(194), Err(Unsaid::LongEvent));
    }

    proptest! {
        #[test]
        fn no_frame_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = text(&Bytes::from(bytes));
        }
    }
}
