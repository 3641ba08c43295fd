//! Messages and replies to native frames.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::{BufMut, BytesMut};

use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Message, Payload, PayloadKind, Refusal, json};
use crate::dialect::frame::{self, Opcode, frame};
use crate::hub::presence::{Lister, Member, Presence, PresenceEvent};
use crate::hub::wire::{Epoch, Reply, RequestId, Wire};

/// The native JSON protocol's encoder.
pub struct Native;

impl Wire for Native {
    fn message(&self, channel: &ChannelName, message: &Message, numbered: Option<Epoch>, out: &mut BytesMut) {
        if message.payload.kind == PayloadKind::Binary {
            return binary(channel, &message.payload, out);
        }
        frame(Opcode::Text, out, |out| {
            opening(channel, &message.payload, &message.event, out);
            facts(message, numbered.is_some(), out);
            out.put_u8(b'}');
        });
    }

    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut) {
        if payload.kind == PayloadKind::Binary {
            return binary(channel, payload, out);
        }
        frame(Opcode::Text, out, |out| {
            opening(channel, payload, event, out);
            out.put_u8(b'}');
        });
    }

    fn presence(&self, channel: &ChannelName, event: &PresenceEvent, out: &mut BytesMut) {
        let (kind, who) = match event {
            PresenceEvent::Join(who) | PresenceEvent::Update(who) => ("join", who),
            PresenceEvent::Leave(who) => ("leave", who),
        };
        frame(Opcode::Text, out, |out| {
            let mut object = Object::open(out);
            object.field("type", kind);
            object.field("channel", channel.as_str());
            object.key("member");
            member(who, object.out);
            object.close();
        });
    }

    fn dropped(&self, channel: &ChannelName, count: u64, out: &mut BytesMut) {
        frame(Opcode::Text, out, |out| {
            let mut object = Object::open(out);
            object.field("type", "dropped");
            object.field("channel", channel.as_str());
            object.raw("count", count.to_string().as_bytes());
            object.close();
        });
    }

    fn reply(&self, request: Option<&RequestId>, reply: Reply<'_>, out: &mut BytesMut) {
        frame(Opcode::Text, out, |out| {
            let mut object = Object::open(out);
            match reply {
                Reply::Authenticated { user } => {
                    object.field("type", "authenticated");
                    object.field("user", user.as_str());
                }
                Reply::Subscribed { channel, position, recovered, members, .. } => {
                    object.field("type", "subscribed");
                    object.field("channel", channel.as_str());
                    if let Some(position) = position {
                        object.field("epoch", &position.epoch.to_string());
                        object.raw("offset", position.offset.to_string().as_bytes());
                    }
                    if let Some(recovered) = recovered {
                        object.raw("recovered", recovered.to_string().as_bytes());
                    }
                    if let Some(members) = members {
                        list(members, &mut object);
                    }
                }
                Reply::Joined { channel } => {
                    object.field("type", "joined");
                    object.field("channel", channel.as_str());
                }
                Reply::Left { channel } => {
                    object.field("type", "left");
                    object.field("channel", channel.as_str());
                }
                Reply::Presence { channel, members } => {
                    object.field("type", "presence");
                    object.field("channel", channel.as_str());
                    object.raw("count", members.len().to_string().as_bytes());
                    list(members, &mut object);
                }
                Reply::History { channel, position, complete, messages } => {
                    object.field("type", "history");
                    object.field("channel", channel.as_str());
                    object.field("epoch", &position.epoch.to_string());
                    object.raw("offset", position.offset.to_string().as_bytes());
                    object.raw("complete", complete.to_string().as_bytes());
                    object.key("messages");
                    array(messages, object.out, |message, out| {
                        out.put_u8(b'{');
                        content(&message.payload, &message.event, out);
                        facts(message, true, out);
                        out.put_u8(b'}');
                    });
                }
                Reply::Unsubscribed { channel } => {
                    object.field("type", "unsubscribed");
                    object.field("channel", channel.as_str());
                }
                Reply::Published { channel, offset, receipt } => {
                    object.field("type", "published");
                    object.field("channel", channel.as_str());
                    if let Some(offset) = offset {
                        object.raw("offset", offset.to_string().as_bytes());
                    }
                    if let Some(receipt) = receipt {
                        object.raw("delivered", receipt.delivered.to_string().as_bytes());
                        object.raw("filtered", receipt.filtered.to_string().as_bytes());
                        object.raw("excluded", receipt.excluded.to_string().as_bytes());
                    }
                }
                Reply::ActionCompleted { action, data } => {
                    object.field("type", "action");
                    object.field("channel", &action);
                    object.field("status", "completed");
                    object.raw("data", &data);
                }
                Reply::Pong => object.field("type", "pong"),
                Reply::Expiring => object.field("type", "expiring"),
                Reply::Refused { channel, refusal } => {
                    object.field("type", "error");
                    object.field("message", &refusal.to_string());
                    object.field("code", refusal.code());
                    if let Some(channel) = channel {
                        object.field("channel", channel.as_str());
                    }
                    more(&refusal, &mut object);
                }
            }
            if let Some(id) = request {
                object.raw("id", &id.0);
            }
            object.close();
        });
    }

    fn ping(&self, out: &mut BytesMut) {
        frame(Opcode::Ping, out, |_| {});
    }

    fn close(&self, code: u16, reason: &str, out: &mut BytesMut) {
        frame::close(code, reason, out);
    }
}

/// What some refusals say beyond message and code.
fn more(refusal: &Refusal, object: &mut Object<'_>) {
    match refusal {
        Refusal::InvalidParams { details, .. } => object.field("details", details),
        Refusal::PermissionDenied { reason: Some(reason), .. } => object.field("reason", reason),
        Refusal::Rejected { code, .. } => object.raw("reason_code", code.to_string().as_bytes()),
        Refusal::RateLimited { retry_after_secs } => {
            object.raw("retry_after", retry_after_secs.to_string().as_bytes());
        }
        _ => {}
    }
}

/// A `data` frame's beginning, up to where more fields may follow.
pub(in crate::dialect) fn opening(
    channel: &ChannelName,
    payload: &Payload,
    event: &[u8],
    out: &mut BytesMut,
) {
    out.put_slice(br#"{"type":"data","channel":""#);
    inside(channel.as_str(), out);
    out.put_slice(br#"","#);
    content(payload, event, out);
}

/// What is known of a message beside its data.
pub(in crate::dialect) fn facts(message: &Message, numbered: bool, out: &mut BytesMut) {
    if let Some(sender) = &message.sender {
        out.put_slice(br#","sender":""#);
        inside(sender.user.as_str(), out);
        out.put_u8(b'"');
    }
    if numbered {
        out.put_slice(br#","offset":"#);
        number(message.offset.0, out);
        out.put_slice(br#","timestamp":"#);
        seconds(message.at, out);
    }
}

/// Bytes that are not text stand as `base64` where a frame of their own is not possible.
fn content(payload: &Payload, event: &[u8], out: &mut BytesMut) {
    match payload.kind {
        PayloadKind::Json | PayloadKind::Text => {
            out.put_slice(br#""data":"#);
            value(payload, out);
        }
        PayloadKind::Binary => {
            out.put_slice(br#""base64":"#);
            string(&BASE64.encode(&payload.bytes), out);
        }
    }
    if !event.is_empty() {
        out.put_slice(br#","event":"#);
        string(&String::from_utf8_lossy(event), out);
    }
}

fn list(members: &Presence, object: &mut Object<'_>) {
    object.key("members");
    let list = members.listed(Lister::Native, |members| {
        // Room for metadata of a usual size: a list may be long, and growing copies it.
        let mut out = BytesMut::with_capacity(members.len() * 128);
        array(members.members(), &mut out, member);
        out.freeze()
    });
    object.out.reserve(list.len() + 64);
    object.out.put_slice(&list);
}

/// `{"user_id":…,"joined_at":…}` and the metadata's own fields.
fn member(member: &Member, out: &mut BytesMut) {
    out.put_slice(br#"{"user_id":"#);
    string(member.user.as_str(), out);
    out.put_slice(br#","joined_at":"#);
    seconds(member.joined_at, out);
    let inside = member.metadata.trim_ascii();
    let inside = inside.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
    let inside = inside.trim_ascii();
    if !inside.is_empty() {
        out.put_u8(b',');
        out.put_slice(inside);
    }
    out.put_u8(b'}');
}

fn array<T>(items: impl Iterator<Item = T>, out: &mut BytesMut, each: impl Fn(T, &mut BytesMut)) {
    out.put_u8(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        each(item, out);
    }
    out.put_u8(b']');
}

/// Unix seconds with milliseconds as a fraction.
fn seconds(at: UnixMillis, out: &mut BytesMut) {
    number(at.0 / 1000, out);
    let millis = at.0 % 1000;
    out.put_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis)]);
}

/// A payload as one JSON value; a binary one has none, and is never asked for.
pub(in crate::dialect) fn value(payload: &Payload, out: &mut BytesMut) {
    match payload.kind {
        PayloadKind::Json => out.put_slice(&payload.bytes),
        PayloadKind::Text | PayloadKind::Binary => string(&String::from_utf8_lossy(&payload.bytes), out),
    }
}

pub(in crate::dialect) fn binary(channel: &ChannelName, payload: &Payload, out: &mut BytesMut) {
    frame(Opcode::Binary, out, |out| {
        let name = channel.as_str().as_bytes();
        // A name is at most 255 bytes.
        out.put_u8(name.len() as u8);
        out.put_slice(name);
        out.put_slice(&payload.bytes);
    });
}

fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}

/// Without `format!`: this runs once a message.
pub(in crate::dialect) fn number(n: u64, out: &mut BytesMut) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = n;
    loop {
        at -= 1;
        digits[at] = digit(rest);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

/// A JSON string.
pub(in crate::dialect) fn string(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    inside(text, out);
    out.put_u8(b'"');
}

/// The same without its quotes; the common case, nothing to escape, is one copy.
fn inside(text: &str, out: &mut BytesMut) {
    if json::is_plain(text) {
        return out.put_slice(text.as_bytes());
    }
    // Into memory, of a string: it cannot fail.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    out.put_slice(
        quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().as_bytes(),
    );
}

/// A JSON object that grows field by field.
struct Object<'a> {
    out: &'a mut BytesMut,
    first: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut BytesMut) -> Self {
        out.put_u8(b'{');
        Self { out, first: true }
    }

    fn key(&mut self, key: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.put_u8(b',');
        }
        string(key, self.out);
        self.out.put_u8(b':');
    }

    fn field(&mut self, key: &str, value: &str) {
        self.key(key);
        string(value, self.out);
    }

    fn raw(&mut self, key: &str, json: &[u8]) {
        self.key(key);
        self.out.put_slice(json);
    }

    fn close(self) {
        self.out.put_u8(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ClientId, Offset, Sender, UserId};
    use crate::hub::wire::{Epoch, Position};
    use bytes::Bytes;

    fn channel() -> ChannelName {
        ChannelName::parse("chat:\"q\"").unwrap()
    }

    fn text_of(frame: &[u8]) -> &str {
        let head = if frame[1] < 126 { 2 } else { 4 };
        std::str::from_utf8(&frame[head..]).unwrap()
    }

    #[test]
    fn a_message_has_what_exists() {
        let mut message = Message {
            offset: Offset(12),
            at: UnixMillis(1_711_468_200_005),
            sender: None,
            event: Bytes::new(),
            payload: Payload::json(&b"{\"a\" : 1}"[..]),
            except: None,
        };
        let mut out = BytesMut::new();
        Native.message(&channel(), &message, None, &mut out);
        assert_eq!(text_of(&out), r#"{"type":"data","channel":"chat:\"q\"","data":{"a" : 1}}"#);

        message.sender = Some(Sender { client: ClientId(1), user: UserId("ada".into()) });
        message.event = Bytes::from_static(b"said");
        let mut out = BytesMut::new();
        Native.message(&channel(), &message, Some(Epoch(1)), &mut out);
        assert_eq!(
            text_of(&out),
            r#"{"type":"data","channel":"chat:\"q\"","data":{"a" : 1},"event":"said","sender":"ada","offset":12,"timestamp":1711468200.005}"#
        );
    }

    #[test]
    fn replies_are_worded_as_the_protocol_page_has_them() {
        let said = |reply: Reply<'_>, id: Option<&str>| {
            let id = id.map(|id| RequestId(Bytes::copy_from_slice(id.as_bytes())));
            let mut out = BytesMut::new();
            Native.reply(id.as_ref(), reply, &mut out);
            text_of(&out).to_owned()
        };
        let lobby = || ChannelName::parse("chat").unwrap();
        assert_eq!(
            said(
                Reply::Subscribed {
                    channel: &lobby(),
                    position: None,
                    recovered: None,
                    members: None,
                    cached: None
                },
                None
            ),
            r#"{"type":"subscribed","channel":"chat"}"#
        );
        let position = Position { epoch: Epoch(10), offset: Offset(2) };
        let mut members = Presence::default();
        let ada = Sender { client: ClientId(1), user: UserId("ada".into()) };
        members.join(&ada, Some(Bytes::from_static(b"{ \"a\": [1] }")), UnixMillis(1_500));
        let (channel, members, recovered) = (&lobby(), Some(&members), Some(true));
        assert_eq!(
            said(
                Reply::Subscribed { channel, position: Some(position), recovered, members, cached: None },
                None
            ),
            r#"{"type":"subscribed","channel":"chat","epoch":"000000000000000a","offset":2,"recovered":true,"members":[{"user_id":"ada","joined_at":1.500,"a": [1]}]}"#
        );
        assert_eq!(
            said(
                Reply::Published { channel: lobby(), offset: Some(Offset(3)), receipt: None },
                Some("\"x\"")
            ),
            r#"{"type":"published","channel":"chat","offset":3,"id":"x"}"#
        );
        let refusal = Refusal::ChannelNotFound(lobby());
        assert_eq!(
            said(Reply::Refused { channel: Some(lobby()), refusal }, Some("5")),
            r#"{"type":"error","message":"Channel 'chat' not found.","code":"channel_not_found","channel":"chat","id":5}"#
        );
    }

    #[test]
    fn what_is_missing_is_told_by_channel() {
        let mut out = BytesMut::new();
        Native.dropped(&channel(), 12, &mut out);
        assert_eq!(text_of(&out), r#"{"type":"dropped","channel":"chat:\"q\"","count":12}"#);
    }

    #[test]
    fn binary_payloads_keep_their_bytes() {
        let mut out = BytesMut::new();
        let name = ChannelName::parse("ab").unwrap();
        Native.direct(&name, b"", &Payload::binary(&b"\x00\xff"[..]), &mut out);
        assert_eq!(&out[..], b"\x82\x05\x02ab\x00\xff");
    }
}
