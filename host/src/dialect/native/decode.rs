//! Native frames to requests. Of a key that stands twice the last counts; `null` is a
//! field left out; unknown fields are passed over; `data` is not looked into.

use std::borrow::Cow;

use bytes::Bytes;

use crate::core::json::{self, NoObject, Wanted};
use crate::core::metadata::{BadMetadata, Metadata};
use crate::core::names::NameError;
use crate::core::{ChannelName, IdempotencyKey, LastName, Offset, Payload, Refusal};
use crate::dialect::fields::fields;
use crate::dialect::{Command, FilterRequest, Request};
use crate::hub::letter::{About, Wishes};
use crate::hub::slow::SlowPolicy;
use crate::hub::wire::{Epoch, Position, RequestId};

/// Actions are named by clients, so their names are bounded like channels'.
const MAX_ACTION_NAME: usize = 255;
/// Characters of a refused name: one that is a little too long is shown whole.
const MOST_OF_A_NAME: usize = 300;

/// A text frame of a client that has named this channel last. `message` is UTF-8, checked by the
/// WebSocket layer.
pub fn text(message: &Bytes, last: &mut LastName) -> Request {
    let mut fields = Fields::default();
    match json::members(message, &mut fields) {
        Ok(()) => Request { id: fields.id(message), command: fields.command(message, last) },
        // JSON, but not an object: it has no type.
        Err(NoObject) if json::is_value(message) => Request { id: None, command: Err(Refusal::TypeRequired) },
        Err(NoObject) => Request { id: None, command: Err(Refusal::BadJson) },
    }
}

/// A binary frame: one byte n, n bytes of channel name, and the payload.
pub fn binary(message: &Bytes, last: &mut LastName) -> Request {
    let command = match message.first() {
        Some(&length) if message.len() > usize::from(length) => {
            let start = 1 + usize::from(length);
            std::str::from_utf8(&message[1..start])
                .map_err(|_| invalid("", "the channel's name is not UTF-8"))
                .and_then(|name| channel_again(name, last))
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
    let mut fields = Fields::default();
    json::members(body, &mut fields).map_err(|NoObject| Refusal::BadJson)?;
    // SocketAPI has no such field: there it is one of those that are passed over.
    fields.idempotency_key = None;
    fields.publish(body, &mut LastName::default())
}

pub(in crate::dialect) fn invalid(subject: &str, details: &str) -> Refusal {
    Refusal::InvalidParams { subject: cut_at(subject, MOST_OF_A_NAME), details: details.into() }
}

pub(in crate::dialect) fn channel_name(name: &str) -> Result<ChannelName, Refusal> {
    channel_again(name, &mut LastName::default())
}

/// The same for a client that has named this channel last.
fn channel_again(name: &str, last: &mut LastName) -> Result<ChannelName, Refusal> {
    last.parse(name).map_err(|error: NameError| invalid(name, &format!("channel: {error}")))
}

/// The fields that a frame may have, as they stand in it.
#[derive(Default)]
struct Fields<'a> {
    kind: Option<&'a str>,
    channel: Option<&'a str>,
    id: Option<&'a str>,
    data: Option<&'a str>,
    event: Option<&'a str>,
    echo: Option<&'a str>,
    token: Option<&'a str>,
    filter: Option<&'a str>,
    recover: Option<&'a str>,
    since: Option<&'a str>,
    history: Option<&'a str>,
    limit: Option<&'a str>,
    presence: Option<&'a str>,
    policy: Option<&'a str>,
    receipt: Option<&'a str>,
    idempotency_key: Option<&'a str>,
}

impl<'a> Wanted<'a> for Fields<'a> {
    fn place(&mut self, name: &[u8]) -> Option<&mut Option<&'a str>> {
        Some(match name {
            b"type" => &mut self.kind,
            b"channel" => &mut self.channel,
            b"id" => &mut self.id,
            b"data" => &mut self.data,
            b"event" => &mut self.event,
            b"echo" => &mut self.echo,
            b"token" => &mut self.token,
            b"filter" => &mut self.filter,
            b"recover" => &mut self.recover,
            b"since" => &mut self.since,
            b"history" => &mut self.history,
            b"limit" => &mut self.limit,
            b"presence" => &mut self.presence,
            b"policy" => &mut self.policy,
            b"receipt" => &mut self.receipt,
            b"idempotency_key" => &mut self.idempotency_key,
            _ => return None,
        })
    }
}

impl<'a> Fields<'a> {
    fn id(&self, message: &Bytes) -> Option<RequestId> {
        let raw = self.id?;
        let first = raw.bytes().next()?;
        let is_mark = first == b'"' || first == b'-' || first.is_ascii_digit();
        is_mark.then(|| RequestId(message.slice_ref(raw.as_bytes())))
    }

    fn command(&self, message: &Bytes, last: &mut LastName) -> Result<Command, Refusal> {
        let kind = match self.kind {
            None => return Err(Refusal::TypeRequired),
            Some(raw) => string(raw).ok_or_else(|| Refusal::UnknownType(cut(raw)))?,
        };
        match &*kind {
            "publish" => self.publish(message, last),
            "subscribe" => Ok(Command::Subscribe {
                channel: self.channel(last)?,
                params: self.data.map(|_| share(message, self.data)),
                filter: self.filter(message)?,
                wishes: self.wishes()?,
            }),
            "join" => self.ask(last, About::Join { metadata: self.metadata(message)? }),
            "leave" => self.ask(last, About::Leave),
            "presence" => self.ask(last, About::Presence),
            "history" => self.ask(
                last,
                About::History {
                    since: self.position("since", self.since)?,
                    limit: self.count("limit", self.limit)?.unwrap_or(usize::MAX),
                },
            ),
            "unsubscribe" => Ok(Command::Unsubscribe { channel: self.channel(last)? }),
            "action" => {
                let raw = self.channel.ok_or(Refusal::ChannelRequired)?;
                let name = string(raw).ok_or_else(|| invalid(raw, "channel: is not a string"))?;
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

    fn publish(&self, message: &Bytes, last: &mut LastName) -> Result<Command, Refusal> {
        Ok(Command::Publish {
            channel: self.channel(last)?,
            event: self.text("event", self.event)?.map_or(Bytes::new(), |e| e.into_owned().into()),
            payload: Payload::json(share(message, self.data)),
            echo: self.echo.map(|raw| raw != "false"),
            receipt: self.receipt.is_some_and(|raw| raw == "true"),
            key: self.key()?,
        })
    }

    fn channel(&self, last: &mut LastName) -> Result<ChannelName, Refusal> {
        let raw = self.channel.ok_or(Refusal::ChannelRequired)?;
        let name = string(raw).ok_or_else(|| invalid(raw, "channel: is not a string"))?;
        channel_again(&name, last)
    }

    fn ask(&self, last: &mut LastName, about: About) -> Result<Command, Refusal> {
        Ok(Command::Ask { channel: self.channel(last)?, about })
    }

    fn wishes(&self) -> Result<Wishes, Refusal> {
        Ok(Wishes {
            cached: false,
            recover: self.position("recover", self.recover)?,
            history: self.count("history", self.history)?.unwrap_or(0),
            presence: match self.presence {
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
    fn position(&self, name: &str, raw: Option<&str>) -> Result<Option<Position>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        let place = || {
            let [epoch, offset] = fields(raw.as_bytes(), ["epoch", "offset"]).ok()?;
            let (epoch, offset) = (string(epoch?)?, offset?.parse().ok()?);
            Some(Position { epoch: Epoch::parse(&epoch), offset: Offset(offset) })
        };
        let wrong = "is not an object with `epoch`, a string, and `offset`, a whole number from 0";
        place().map(Some).ok_or_else(|| self.wrong(&format!("{name}: {wrong}")))
    }

    fn count(&self, name: &str, raw: Option<&str>) -> Result<Option<usize>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        match raw.parse::<u64>() {
            Ok(count) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
            Err(_) => Err(self.wrong(&format!("{name}: is not a whole number from 0"))),
        }
    }

    /// What a member says of itself: a JSON object without the server's own fields.
    fn metadata(&self, message: &Bytes) -> Result<Option<Bytes>, Refusal> {
        let Some(raw) = self.data else { return Ok(None) };
        match Metadata::check(raw.as_bytes()) {
            Err(BadMetadata::OwnField(own)) => {
                return Err(self.wrong(&format!("data.{own}: is the server's own field")));
            }
            Err(why) => return Err(self.wrong(&format!("data: {why}"))),
            Ok(()) => {}
        }
        Ok(Some(message.slice_ref(raw.as_bytes())))
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

    fn text(&self, name: &str, raw: Option<&'a str>) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        let subject = self.channel.and_then(string).unwrap_or_default();
        string(raw).map(Some).ok_or_else(|| invalid(&subject, &format!("{name}: is not a string")))
    }

    fn filter(&self, message: &Bytes) -> Result<Option<FilterRequest>, Refusal> {
        let Some(raw) = self.filter else { return Ok(None) };
        let subject = self.channel.and_then(string).unwrap_or_default();
        let filter = fields(raw.as_bytes(), ["plugin", "params"]);
        let [plugin, params] =
            filter.map_err(|_| invalid(&subject, "filter: is not an object with `plugin` and `params`"))?;
        let plugin = plugin.and_then(string);
        let plugin = plugin.ok_or_else(|| invalid(&subject, "filter.plugin: is required, a string"))?;
        Ok(Some(FilterRequest { plugin: plugin.into_owned(), params: share(message, params) }))
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

/// The string that a value is; none: it is something else.
pub(in crate::dialect) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

/// A field's JSON as a share of the frame's own bytes; `null` where it is missing.
pub(in crate::dialect) fn share(message: &Bytes, raw: Option<&str>) -> Bytes {
    raw.map_or(Bytes::from_static(b"null"), |raw| message.slice_ref(raw.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command(frame: &str) -> Result<Command, Refusal> {
        text(&Bytes::copy_from_slice(frame.as_bytes()), &mut LastName::default()).command
    }

    fn of_bytes(frame: &'static [u8]) -> Request {
        binary(&Bytes::from_static(frame), &mut LastName::default())
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
        let id = |frame: &str| {
            text(&Bytes::copy_from_slice(frame.as_bytes()), &mut LastName::default()).id.map(|id| id.0)
        };
        assert_eq!(id(r#"{"id":7}"#), Some("7".into()));
        assert_eq!(id(r#"{"id":"a\n"}"#), Some(r#""a\n""#.into()));
        assert_eq!(id(r#"{"id":{}}"#), None);
        assert_eq!(id(r#"{"id":null}"#), None);
    }

    #[test]
    fn binary_frames_name_their_channel() {
        let got = of_bytes(b"\x0achat:lobby\x00\xff");
        let want = Command::Publish {
            channel: lobby(),
            event: Bytes::new(),
            payload: Payload::binary(&b"\x00\xff"[..]),
            echo: None,
            receipt: false,
            key: None,
        };
        assert_eq!(got.command, Ok(want));
        assert_eq!(of_bytes(b"").command, Err(Refusal::ChannelRequired));
        assert_eq!(of_bytes(b"\x05ab").command, Err(Refusal::ChannelRequired));
    }

    proptest! {
        #[test]
        fn no_frame_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = text(&bytes, &mut LastName::default());
            let _ = binary(&bytes, &mut LastName::default());
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
