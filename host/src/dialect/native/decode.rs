//! Native frames to requests. Of a key that stands twice the last counts; `null` is a
//! field left out; unknown fields are passed over; `data` is not looked into.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::metadata::{BadMetadata, Metadata};
use crate::core::names::NameError;
use crate::core::{ChannelName, IdempotencyKey, Offset, Payload, Refusal};
use crate::dialect::{Command, FilterRequest, Request};
use crate::hub::letter::{About, Wishes};
use crate::hub::slow::SlowPolicy;
use crate::hub::wire::{Epoch, Position, RequestId};

/// Actions are named by clients, so their names are bounded like channels'.
const MAX_ACTION_NAME: usize = 255;
/// Characters of a refused name: one that is a little too long is shown whole.
const MOST_OF_A_NAME: usize = 300;

/// A text frame. `message` is UTF-8, checked by the WebSocket layer.
pub fn text(message: &Bytes) -> Request {
    // Checked as a whole, which is cheaper than string by string.
    let Ok(text) = std::str::from_utf8(message) else {
        return Request { id: None, command: Err(Refusal::BadJson) };
    };
    match serde_json::from_str::<Fields>(text) {
        Ok(fields) => Request { id: fields.id(message), command: fields.command(message) },
        // JSON, but not an object: it has no type.
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            Request { id: None, command: Err(Refusal::TypeRequired) }
        }
        Err(_) => Request { id: None, command: Err(Refusal::BadJson) },
    }
}

/// A binary frame: one byte n, n bytes of channel name, and the payload.
pub fn binary(message: &Bytes) -> Request {
    let command = match message.first() {
        Some(&length) if message.len() > usize::from(length) => {
            let start = 1 + usize::from(length);
            std::str::from_utf8(&message[1..start])
                .map_err(|_| invalid("", "the channel's name is not UTF-8"))
                .and_then(channel_name)
                .map(|channel| Command::Publish {
                    channel,
                    event: Bytes::new(),
                    payload: Payload::binary(message.slice(start..)),
                    echo: None,
                    receipt: false,
                    key: None,
                })
        }
        _ => Err(Refusal::ChannelRequired),
    };
    Request { id: None, command }
}

/// A publish by HTTP: the same fields, without a `type`.
pub fn broadcast(body: &Bytes) -> Result<Command, Refusal> {
    let fields: Fields<'_> = serde_json::from_slice(body).map_err(|_| Refusal::BadJson)?;
    // SocketAPI has no such field: there it is one of those that are passed over.
    Fields { idempotency_key: None, ..fields }.publish(body)
}

pub(in crate::dialect) fn invalid(subject: &str, details: &str) -> Refusal {
    Refusal::InvalidParams { subject: cut_at(subject, MOST_OF_A_NAME), details: details.into() }
}

pub(in crate::dialect) fn channel_name(name: &str) -> Result<ChannelName, Refusal> {
    ChannelName::parse(name).map_err(|error: NameError| invalid(name, &format!("channel: {error}")))
}

/// The fields that a frame may have, as they stand in it.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a RawValue>,
    channel: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
    echo: Option<&'a RawValue>,
    token: Option<&'a RawValue>,
    filter: Option<&'a RawValue>,
    recover: Option<&'a RawValue>,
    since: Option<&'a RawValue>,
    history: Option<&'a RawValue>,
    limit: Option<&'a RawValue>,
    presence: Option<&'a RawValue>,
    policy: Option<&'a RawValue>,
    receipt: Option<&'a RawValue>,
    idempotency_key: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn id(&self, message: &Bytes) -> Option<RequestId> {
        let raw = self.id?.get();
        let first = raw.bytes().next()?;
        let is_mark = first == b'"' || first == b'-' || first.is_ascii_digit();
        is_mark.then(|| RequestId(message.slice_ref(raw.as_bytes())))
    }

    fn command(&self, message: &Bytes) -> Result<Command, Refusal> {
        let kind = match self.kind {
            None => return Err(Refusal::TypeRequired),
            Some(raw) => string(raw).ok_or_else(|| Refusal::UnknownType(cut(raw.get())))?,
        };
        match &*kind {
            "publish" => self.publish(message),
            "subscribe" => Ok(Command::Subscribe {
                channel: self.channel()?,
                params: self.data.map(|_| share(message, self.data)),
                filter: self.filter(message)?,
                wishes: self.wishes()?,
            }),
            "join" => self.ask(About::Join { metadata: self.metadata(message)? }),
            "leave" => self.ask(About::Leave),
            "presence" => self.ask(About::Presence),
            "history" => self.ask(About::History {
                since: self.position("since", self.since)?,
                limit: self.count("limit", self.limit)?.unwrap_or(usize::MAX),
            }),
            "unsubscribe" => Ok(Command::Unsubscribe { channel: self.channel()? }),
            "action" => {
                let raw = self.channel.ok_or(Refusal::ChannelRequired)?;
                let name = string(raw).ok_or_else(|| invalid(raw.get(), "channel: is not a string"))?;
                if name.len() > MAX_ACTION_NAME {
                    return Err(Refusal::ActionNotFound(cut(&name)));
                }
                Ok(Command::Action { name: name.into_owned(), data: share(message, self.data) })
            }
            "auth" => match self.text("token", self.token)? {
                Some(token) => Ok(Command::Auth { token: token.into_owned() }),
                None => Err(invalid("auth", "token: is required")),
            },
            "ping" => Ok(Command::Ping),
            other => Err(Refusal::UnknownType(cut(other))),
        }
    }

    fn publish(&self, message: &Bytes) -> Result<Command, Refusal> {
        Ok(Command::Publish {
            channel: self.channel()?,
            event: self.text("event", self.event)?.map_or(Bytes::new(), |e| e.into_owned().into()),
            payload: Payload::json(share(message, self.data)),
            echo: self.echo.map(|raw| raw.get() != "false"),
            receipt: self.receipt.is_some_and(|raw| raw.get() == "true"),
            key: self.key()?,
        })
    }

    fn channel(&self) -> Result<ChannelName, Refusal> {
        let raw = self.channel.ok_or(Refusal::ChannelRequired)?;
        let name = string(raw).ok_or_else(|| invalid(raw.get(), "channel: is not a string"))?;
        channel_name(&name)
    }

    fn ask(&self, about: About) -> Result<Command, Refusal> {
        Ok(Command::Ask { channel: self.channel()?, about })
    }

    fn wishes(&self) -> Result<Wishes, Refusal> {
        Ok(Wishes {
            cached: false,
            recover: self.position("recover", self.recover)?,
            history: self.count("history", self.history)?.unwrap_or(0),
            presence: match self.presence.map(RawValue::get) {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(self.wrong("presence: is neither true nor false")),
            },
            slow: match self.policy {
                None => None,
                Some(raw) => {
                    let slow = string(raw).and_then(|word| SlowPolicy::parse(&word));
                    let wrong = || self.wrong(&format!("policy: is not {}", SlowPolicy::WORDS));
                    Some(slow.ok_or_else(wrong)?)
                }
            },
        })
    }

    /// A place in a channel. An epoch that is none of ours is an old one, not an error.
    fn position(&self, name: &str, raw: Option<&RawValue>) -> Result<Option<Position>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        let place = || {
            let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw.get()).ok()?;
            let epoch = fields.get("epoch").and_then(|epoch| string(epoch))?;
            let offset = fields.get("offset")?.get().parse().ok()?;
            Some(Position { epoch: Epoch::parse(&epoch), offset: Offset(offset) })
        };
        let wrong = "is not an object with `epoch`, a string, and `offset`, a whole number from 0";
        place().map(Some).ok_or_else(|| self.wrong(&format!("{name}: {wrong}")))
    }

    fn count(&self, name: &str, raw: Option<&RawValue>) -> Result<Option<usize>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        match raw.get().parse::<u64>() {
            Ok(count) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
            Err(_) => Err(self.wrong(&format!("{name}: is not a whole number from 0"))),
        }
    }

    /// What a member says of itself: a JSON object without the server's own fields.
    fn metadata(&self, message: &Bytes) -> Result<Option<Bytes>, Refusal> {
        let Some(raw) = self.data else { return Ok(None) };
        match Metadata::check(raw.get().as_bytes()) {
            Err(BadMetadata::OwnField(own)) => {
                return Err(self.wrong(&format!("data.{own}: is the server's own field")));
            }
            Err(why) => return Err(self.wrong(&format!("data: {why}"))),
            Ok(()) => {}
        }
        Ok(Some(message.slice_ref(raw.get().as_bytes())))
    }

    fn wrong(&self, details: &str) -> Refusal {
        invalid(&self.channel.and_then(string).unwrap_or_default(), details)
    }

    fn key(&self) -> Result<Option<IdempotencyKey>, Refusal> {
        let Some(key) = self.text("idempotency_key", self.idempotency_key)? else { return Ok(None) };
        let subject = self.channel.and_then(string).unwrap_or_default();
        let parsed = IdempotencyKey::parse(&key);
        parsed.map(Some).map_err(|error| invalid(&subject, &format!("idempotency_key: {error}")))
    }

    fn text(&self, name: &str, raw: Option<&'a RawValue>) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        let subject = self.channel.and_then(string).unwrap_or_default();
        string(raw).map(Some).ok_or_else(|| invalid(&subject, &format!("{name}: is not a string")))
    }

    fn filter(&self, message: &Bytes) -> Result<Option<FilterRequest>, Refusal> {
        let Some(raw) = self.filter else { return Ok(None) };
        let subject = self.channel.and_then(string).unwrap_or_default();
        let filter: FilterFields = serde_json::from_str(raw.get())
            .map_err(|_| invalid(&subject, "filter: is not an object with `plugin` and `params`"))?;
        let plugin = filter.plugin.and_then(string);
        let plugin = plugin.ok_or_else(|| invalid(&subject, "filter.plugin: is required, a string"))?;
        Ok(Some(FilterRequest { plugin: plugin.into_owned(), params: share(message, filter.params) }))
    }
}

/// A refused word is echoed, but not at any length.
pub(in crate::dialect) fn cut(text: &str) -> String {
    cut_at(text, 100)
}

fn cut_at(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

pub(in crate::dialect) fn string<'a>(raw: &'a RawValue) -> Option<Cow<'a, str>> {
    let text = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(text).ok().map(Cow::Owned)
}

/// A field's JSON as a share of the frame's own bytes; `null` where it is missing.
pub(in crate::dialect) fn share(message: &Bytes, raw: Option<&RawValue>) -> Bytes {
    raw.map_or(Bytes::from_static(b"null"), |raw| message.slice_ref(raw.get().as_bytes()))
}

pub(in crate::dialect) fn present(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Frame;

        impl<'de> Visitor<'de> for Frame {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let slot = match &*key {
                        "type" => &mut fields.kind,
                        "channel" => &mut fields.channel,
                        "id" => &mut fields.id,
                        "data" => &mut fields.data,
                        "event" => &mut fields.event,
                        "echo" => &mut fields.echo,
                        "token" => &mut fields.token,
                        "filter" => &mut fields.filter,
                        "recover" => &mut fields.recover,
                        "since" => &mut fields.since,
                        "history" => &mut fields.history,
                        "limit" => &mut fields.limit,
                        "presence" => &mut fields.presence,
                        "policy" => &mut fields.policy,
                        "receipt" => &mut fields.receipt,
                        "idempotency_key" => &mut fields.idempotency_key,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = present(map.next_value::<&'de RawValue>()?);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Frame)
    }
}

struct FilterFields<'a> {
    plugin: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for FilterFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Frame;

        impl<'de> Visitor<'de> for Frame {
            type Value = FilterFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<FilterFields<'de>, M::Error> {
                let mut fields = FilterFields { plugin: None, params: None };
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "plugin" => fields.plugin = present(map.next_value()?),
                        "params" => fields.params = present(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(frame: &str) -> Result<Command, Refusal> {
        text(&Bytes::copy_from_slice(frame.as_bytes())).command
    }

    fn lobby() -> ChannelName {
        ChannelName::parse("chat:lobby").unwrap()
    }

    #[test]
    fn a_publish_keeps_its_data_byte_for_byte() {
        let got = command(
            r#"{"type":"publish","channel":"chat:lobby","data":{"a" : 1.50, "b":"\u00fc"},"echo":false}"#,
        );
        let want = Command::Publish {
            channel: lobby(),
            event: Bytes::new(),
            payload: Payload::json(&br#"{"a" : 1.50, "b":"\u00fc"}"#[..]),
            echo: Some(false),
            receipt: false,
            key: None,
        };
        assert_eq!(got, Ok(want));
    }

    #[test]
    fn null_is_left_out_and_the_last_key_counts() {
        assert_eq!(command(r#"{"type":null}"#), Err(Refusal::TypeRequired));
        assert_eq!(command(r#"{"type":"subscribe","channel":null}"#), Err(Refusal::ChannelRequired));
        let got =
            command(r#"{"type":"x","type":"unsubscribe","channel":"a","channel":"chat:lobby","more":[{}]}"#);
        assert_eq!(got, Ok(Command::Unsubscribe { channel: lobby() }));
    }

    #[test]
    fn what_is_no_request_gets_its_own_refusal() {
        assert_eq!(command(""), Err(Refusal::BadJson));
        assert_eq!(command("{"), Err(Refusal::BadJson));
        assert_eq!(command(r#"{"type":"ping"} x"#), Err(Refusal::BadJson));
        assert_eq!(command("[1]"), Err(Refusal::TypeRequired));
        assert_eq!(command("null"), Err(Refusal::TypeRequired));
        assert_eq!(command("{}"), Err(Refusal::TypeRequired));
        assert_eq!(command(r#"{"type":"dance"}"#), Err(Refusal::UnknownType("dance".into())));
        assert_eq!(command(r#"{"type":5}"#), Err(Refusal::UnknownType("5".into())));
        assert!(matches!(
            command(r#"{"type":"subscribe","channel":"a\u0000"}"#),
            Err(Refusal::InvalidParams { .. })
        ));
    }

    #[test]
    fn a_policy_is_one_of_three() {
        let slow = |policy: &str| {
            let frame = format!(r#"{{"type":"subscribe","channel":"chat:lobby","policy":{policy}}}"#);
            command(&frame).map(|command| match command {
                Command::Subscribe { wishes, .. } => wishes.slow,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(slow("null"), Ok(None));
        assert_eq!(slow(r#""drop_oldest""#), Ok(Some(SlowPolicy::DropOldest)));
        assert_eq!(slow(r#""l\u0061test""#), Ok(Some(SlowPolicy::Latest)));
        for bad in [r#""Latest""#, r#""""#, "0", "{}"] {
            assert!(matches!(slow(bad), Err(Refusal::InvalidParams { .. })), "{bad}");
        }
    }

    #[test]
    fn ids_are_echoed_as_they_stand() {
        let id = |frame: &str| text(&Bytes::copy_from_slice(frame.as_bytes())).id.map(|id| id.0);
        assert_eq!(id(r#"{"id":7}"#), Some("7".into()));
        assert_eq!(id(r#"{"id":"a\n"}"#), Some(r#""a\n""#.into()));
        assert_eq!(id(r#"{"id":{}}"#), None);
        assert_eq!(id(r#"{"id":null}"#), None);
    }

    #[test]
    fn binary_frames_name_their_channel() {
        let got = binary(&Bytes::from_static(b"\x0achat:lobby\x00\xff"));
        let want = Command::Publish {
            channel: lobby(),
            event: Bytes::new(),
            payload: Payload::binary(&b"\x00\xff"[..]),
            echo: None,
            receipt: false,
            key: None,
        };
        assert_eq!(got.command, Ok(want));
        assert_eq!(binary(&Bytes::new()).command, Err(Refusal::ChannelRequired));
        assert_eq!(binary(&Bytes::from_static(b"\x05ab")).command, Err(Refusal::ChannelRequired));
    }

    proptest! {
        #[test]
        fn no_frame_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = text(&bytes);
            let _ = binary(&bytes);
        }

        #[test]
        fn nearly_right_frames_do_not_panic(
            kind in "publish|subscribe|auth|action|x",
            channel in "\\PC{0,8}",
            rest in "(,\"(data|filter|id|event|token|echo)\":(null|1|\"x\"|\\{\\}|\\[)){0,4}",
        ) {
            let _ = command(&format!("{{\"type\":\"{kind}\",\"channel\":\"{channel}\"{rest}}}"));
        }
    }
}
