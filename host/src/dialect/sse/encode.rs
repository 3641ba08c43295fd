//! Messages to events. What the server itself says is a comment, which no message can be taken
//! for and no browser hands on, except that messages are missing: that is an event, `dropped`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};

use crate::core::{ChannelName, Message, Payload, PayloadKind, Refusal};
use crate::dialect::ending::close_code;
use crate::dialect::native::encode::{facts, number, opening, string};
use crate::hub::wire::{Epoch, Position, Reply, RequestId, Told, Wire};

/// A comment that keeps proxies from thinking the stream dead.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// The event of a binary message that has none of its own.
const BINARY: &[u8] = b"binary";

/// One channel: the data is the payload, binary ones in base64, the event the message's own.
pub struct Plain;

/// Several channels: the data is a native `data` frame, binary payloads as `base64` in it. Its
/// ids are the places in all channels, and follow the messages.
pub struct Framed;

impl Wire for Plain {
    fn message(&self, _: &ChannelName, message: &Message, numbered: Option<Epoch>, out: &mut BytesMut) {
        if let Some(epoch) = numbered {
            id(Position { epoch, offset: message.offset }, out);
        }
        plain(&message.event, &message.payload, out);
    }

    fn direct(&self, _: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut) {
        plain(event, payload, out);
    }

    /// An id alone: nothing happens in the client, but it will come back to here. One that recovers
    /// has an id; this one would be past what it has yet to get.
    fn reply(&self, _: Option<&RequestId>, reply: Reply<'_>, out: &mut BytesMut) {
        if let Reply::Subscribed { position: Some(position), recovered: None, .. } = reply {
            id(position, out);
            out.put_u8(b'\n');
        }
    }

    fn refused(&self, _: Option<&RequestId>, refusal: &Refusal) -> Told {
        Told::Close(close_code(refusal))
    }

    fn dropped(&self, channel: &ChannelName, count: u64, out: &mut BytesMut) {
        dropped(channel, count, out);
    }

    fn ping(&self, _: &mut BytesMut) {}

    fn close(&self, code: u16, reason: &str, out: &mut BytesMut) {
        goodbye(code, reason, out);
    }
}

impl Wire for Framed {
    fn message(&self, channel: &ChannelName, message: &Message, numbered: Option<Epoch>, out: &mut BytesMut) {
        let mut json = BytesMut::with_capacity(message.payload.bytes.len() + 128);
        opening(channel, &message.payload, &message.event, &mut json);
        facts(message, numbered.is_some(), &mut json);
        json.put_u8(b'}');
        lines(b"data: ", &json, out);
        out.put_u8(b'\n');
    }

    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut) {
        let mut json = BytesMut::with_capacity(payload.bytes.len() + 128);
        opening(channel, payload, event, &mut json);
        json.put_u8(b'}');
        lines(b"data: ", &json, out);
        out.put_u8(b'\n');
    }

    fn reply(&self, _: Option<&RequestId>, _: Reply<'_>, _: &mut BytesMut) {}

    fn refused(&self, _: Option<&RequestId>, refusal: &Refusal) -> Told {
        Told::Close(close_code(refusal))
    }

    fn dropped(&self, channel: &ChannelName, count: u64, out: &mut BytesMut) {
        dropped(channel, count, out);
    }

    fn ping(&self, _: &mut BytesMut) {}

    fn tells_places(&self) -> bool {
        true
    }

    fn places(&self, places: &[(ChannelName, Position)], out: &mut BytesMut) {
        out.put_slice(b"id: ");
        list(places, out);
        out.put_slice(b"\n\n");
    }

    fn close(&self, code: u16, reason: &str, out: &mut BytesMut) {
        goodbye(code, reason, out);
    }
}

fn plain(event: &[u8], payload: &Payload, out: &mut BytesMut) {
    let binary = payload.kind == PayloadKind::Binary;
    let event = if event.is_empty() && binary { BINARY } else { event };
    if event.iter().any(|b| !ends_a_line(*b)) {
        out.put_slice(b"event: ");
        out.extend(event.iter().filter(|b| !ends_a_line(**b)));
        out.put_u8(b'\n');
    }
    if binary {
        lines(b"data: ", STANDARD.encode(&payload.bytes).as_bytes(), out);
    } else {
        lines(b"data: ", &payload.bytes, out);
    }
    out.put_u8(b'\n');
}

/// An event of its own, without an id: who comes back does so to the last message it got.
fn dropped(channel: &ChannelName, count: u64, out: &mut BytesMut) {
    out.put_slice(b"event: dropped\ndata: {\"channel\":");
    string(channel.as_str(), out);
    out.put_slice(b",\"count\":");
    number(count, out);
    out.put_slice(b"}\n\n");
}

fn ends_a_line(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// One field a line, so that what ends a line ends nothing else. The client joins them with `\n`.
fn lines(field: &[u8], text: &[u8], out: &mut BytesMut) {
    let mut rest = text;
    loop {
        out.put_slice(field);
        let end = rest.iter().position(|b| ends_a_line(*b));
        out.put_slice(&rest[..end.unwrap_or(rest.len())]);
        out.put_u8(b'\n');
        rest = match end {
            None => return,
            Some(at) if rest[at..].starts_with(b"\r\n") => &rest[at + 2..],
            Some(at) => &rest[at + 1..],
        };
    }
}

fn id(position: Position, out: &mut BytesMut) {
    out.put_slice(b"id: ");
    place(position, out);
    out.put_u8(b'\n');
}

fn place(position: Position, out: &mut BytesMut) {
    for shift in (0..16).rev() {
        let digit = (position.epoch.0 >> (shift * 4)) as u8 & 0xf;
        out.put_u8(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.put_u8(b':');
    number(position.offset.0, out);
}

/// `{channel}={epoch}:{offset}`, with commas.
pub(super) fn list(places: &[(ChannelName, Position)], out: &mut BytesMut) {
    for (index, (channel, position)) in places.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        escaped(channel.as_str(), out);
        out.put_u8(b'=');
        place(*position, out);
    }
}

/// Percent-encoding with `~` for `%`: it says the same before and after a query's decoding, so
/// that nobody has to remember whether an id is encoded already.
pub(super) fn escaped(name: &str, out: &mut BytesMut) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'/') {
            out.put_u8(byte);
        } else {
            let digit = |n: u8| if n < 10 { b'0' + n } else { b'A' + n - 10 };
            out.put_slice(&[b'~', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

/// As a comment: the stream just ends for a browser, which then comes back.
fn goodbye(code: u16, reason: &str, out: &mut BytesMut) {
    lines(b": ", format!("{code} {reason}").as_bytes(), out);
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::core::clock::UnixMillis;
    use crate::core::{ClientId, Offset, Sender, UserId};

    /// What a browser makes of a stream (WHATWG HTML, section 9.2.6).
    #[derive(Debug, Default, PartialEq)]
    struct Dispatched {
        id: String,
        event: String,
        data: String,
    }

    fn parse(stream: &[u8]) -> Vec<Dispatched> {
        let text = std::str::from_utf8(stream).unwrap().replace("\r\n", "\n").replace('\r', "\n");
        let (mut all, mut event, mut data, mut id) =
            (Vec::new(), String::new(), None::<String>, String::new());
        for line in text.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    if let Some(data) = data.take() {
                        all.push(Dispatched { id: id.clone(), event: std::mem::take(&mut event), data });
                    }
                    event.clear();
                }
                "event" => event = value.into(),
                "id" => id = value.into(),
                "data" => data = Some(data.map_or(value.to_owned(), |data| data + "\n" + value)),
                "" => {}
                other => panic!("a field of its own: {other:?} in {text:?}"),
            }
        }
        assert!(text.ends_with("\n\n"), "whole: {text:?}");
        all
    }

    fn room() -> ChannelName {
        ChannelName::parse("room").unwrap()
    }

    fn message(event: &str, payload: Payload) -> Message {
        Message {
            offset: Offset(12),
            at: UnixMillis(1_711_468_200_005),
            sender: Some(Sender { client: ClientId(1), user: UserId("ada".into()) }),
            event: Bytes::copy_from_slice(event.as_bytes()),
            payload,
            except: None,
        }
    }

    fn encoded(wire: &dyn Wire, message: &Message, numbered: Option<Epoch>) -> BytesMut {
        let mut out = BytesMut::new();
        wire.message(&room(), message, numbered, &mut out);
        out
    }

    #[test]
    fn a_message_of_one_channel_is_its_payload() {
        let said = message("said", Payload::json(&b"{\"a\" : 1}"[..]));
        assert_eq!(
            encoded(&Plain, &said, Some(Epoch(255))),
            "id: 00000000000000ff:12\nevent: said\ndata: {\"a\" : 1}\n\n"
        );
        assert_eq!(encoded(&Plain, &message("", Payload::text("hi")), None), "data: hi\n\n");
        assert_eq!(encoded(&Plain, &message("", Payload::text("")), None), "data: \n\n");
        let bytes = message("", Payload::binary(&b"\x00\xff"[..]));
        assert_eq!(encoded(&Plain, &bytes, None), "event: binary\ndata: AP8=\n\n");
    }

    #[test]
    fn who_recovers_is_not_sent_past_what_it_missed() {
        let room = room();
        let subscribed = |recovered| {
            let position = Some(Position { epoch: Epoch(255), offset: Offset(7) });
            let mut out = BytesMut::new();
            let reply =
                Reply::Subscribed { channel: &room, position, recovered, members: None, cached: None };
            Plain.reply(None, reply, &mut out);
            out
        };
        assert_eq!(subscribed(None), "id: 00000000000000ff:7\n\n");
        assert_eq!(subscribed(Some(true)), "");
        assert_eq!(subscribed(Some(false)), "");
    }

    #[test]
    fn a_message_of_several_channels_is_a_native_frame() {
        let said = message("said", Payload::json(&b"{\"a\"\n: 1}"[..]));
        assert_eq!(
            encoded(&Framed, &said, Some(Epoch(255))),
            "data: {\"type\":\"data\",\"channel\":\"room\",\"data\":{\"a\"\ndata: : 1},\"event\":\"said\",\
             \"sender\":\"ada\",\"offset\":12,\"timestamp\":1711468200.005}\n\n"
        );
        let bytes = message("", Payload::binary(&b"\x00\xff"[..]));
        assert_eq!(
            encoded(&Framed, &bytes, None),
            "data: {\"type\":\"data\",\"channel\":\"room\",\"base64\":\"AP8=\",\"sender\":\"ada\"}\n\n"
        );
    }

    #[test]
    fn places_are_an_id_and_nothing_more() {
        let mut out = BytesMut::new();
        let at = Position { epoch: Epoch(255), offset: Offset(7) };
        Framed.places(&[(room(), at), (ChannelName::parse("a,b=ü").unwrap(), at)], &mut out);
        assert_eq!(out, "id: room=00000000000000ff:7,a~2Cb~3D~C3~BC=00000000000000ff:7\n\n");
        assert_eq!(parse(&out), []);
    }

    #[test]
    fn what_is_missing_is_an_event_without_an_id() {
        for wire in [&Plain as &dyn Wire, &Framed] {
            let mut out = BytesMut::new();
            wire.dropped(&ChannelName::parse("a\"b").unwrap(), 12, &mut out);
            assert_eq!(out, "event: dropped\ndata: {\"channel\":\"a\\\"b\",\"count\":12}\n\n");
        }
    }

    #[test]
    fn the_servers_own_words_are_comments() {
        for wire in [&Plain as &dyn Wire, &Framed] {
            let mut out = BytesMut::new();
            wire.close(4008, "Slow\ndata: x", &mut out);
            assert_eq!(out, ": 4008 Slow\n: data: x\n\n");
            assert_eq!(parse(&out), []);
        }
        assert_eq!(parse(KEEP_ALIVE), []);
    }

    proptest! {
        #[test]
        fn nothing_breaks_out_of_its_field(event in "(\\PC|[\r\n\t:]){0,20}", words in "(\\PC|[\r\n\t: ]){0,60}") {
            let joined = words.replace("\r\n", "\n").replace('\r', "\n");
            let said = message(&event, Payload::text(words.clone()));
            let got = parse(&encoded(&Plain, &said, Some(Epoch(1))));
            let event = event.replace(['\r', '\n'], "");
            prop_assert_eq!(got, [Dispatched { id: "0000000000000001:12".into(), event, data: joined }]);

            let got = parse(&encoded(&Framed, &said, None));
            prop_assert_eq!(got.len(), 1);
            let frame: serde_json::Value = serde_json::from_str(&got[0].data).unwrap();
            prop_assert_eq!(frame["data"].as_str(), Some(&*words), "in JSON no byte is lost");
        }

        #[test]
        fn binary_payloads_keep_their_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let said = message("", Payload::binary(bytes.clone()));
            let got = parse(&encoded(&Plain, &said, None));
            prop_assert_eq!(&*got[0].event, "binary");
            prop_assert_eq!(STANDARD.decode(&got[0].data).unwrap(), bytes);
        }
    }
}
