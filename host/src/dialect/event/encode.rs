//! Messages and replies to event frames. A frame with both `channel` and `data` is a message.

use bytes::{BufMut, BytesMut};

use crate::core::{ChannelName, Message, Payload, PayloadKind, Refusal};
use crate::dialect::frame::{self, Opcode, frame};
use crate::dialect::native::encode::{binary, string, value};
use crate::hub::wire::{Epoch, Reply, RequestId, Wire};

/// What a message without an event is called.
const UNNAMED: &str = "message";

/// The event dialect's encoder.
pub struct Event;

impl Wire for Event {
    fn message(&self, channel: &ChannelName, message: &Message, _: Option<Epoch>, out: &mut BytesMut) {
        self.direct(channel, &message.event, &message.payload, out);
    }

    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut) {
        if payload.kind == PayloadKind::Binary {
            return binary(channel, payload, out);
        }
        frame(Opcode::Text, out, |out| {
            match event {
                [] => opening(UNNAMED, out),
                event => opening(&String::from_utf8_lossy(event), out),
            }
            of_channel(channel, out);
            out.put_slice(br#","data":"#);
            value(payload, out);
            out.put_u8(b'}');
        });
    }

    fn reply(&self, _: Option<&RequestId>, reply: Reply<'_>, out: &mut BytesMut) {
        match reply {
            Reply::Authenticated { user } => own("authenticated", out, |out| {
                out.put_slice(br#","data":{"user":"#);
                string(user.as_str(), out);
                out.put_u8(b'}');
            }),
            Reply::Subscribed { channel, .. } => own("subscribed", out, |out| of_channel(channel, out)),
            Reply::Unsubscribed { channel } => own("unsubscribed", out, |out| of_channel(&channel, out)),
            Reply::Pong => own("pong", out, |_| {}),
            Reply::Expiring => own("expiring", out, |_| {}),
            Reply::Refused { channel, refusal } => own("error", out, |out| {
                out.put_slice(br#","data":{"message":"#);
                string(&words(&refusal), out);
                out.put_slice(br#","code":"#);
                string(refusal.code(), out);
                if let Some(channel) = channel {
                    of_channel(&channel, out);
                }
                out.put_u8(b'}');
            }),
            // Nobody has asked for these here.
            _ => {}
        }
    }

    fn ping(&self, out: &mut BytesMut) {
        frame(Opcode::Ping, out, |_| {});
    }

    fn close(&self, code: u16, reason: &str, out: &mut BytesMut) {
        frame::close(code, reason, out);
    }
}

/// The refusal in this dialect's own terms.
fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TypeRequired => "Event is required.".into(),
        Refusal::UnknownType(event) => format!("Event '{event}' cannot be sent."),
        other => other.to_string(),
    }
}

/// A frame of the server's own.
fn own(event: &str, out: &mut BytesMut, more: impl FnOnce(&mut BytesMut)) {
    frame(Opcode::Text, out, |out| {
        opening(event, out);
        more(out);
        out.put_u8(b'}');
    });
}

fn opening(event: &str, out: &mut BytesMut) {
    out.put_slice(br#"{"event":"#);
    string(event, out);
}

fn of_channel(channel: &ChannelName, out: &mut BytesMut) {
    out.put_slice(br#","channel":"#);
    string(channel.as_str(), out);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::decode::RESERVED;
    use super::*;
    use crate::dialect::{Command, event};

    fn text_of(frame: &[u8]) -> Bytes {
        let head = if frame[1] < 126 { 2 } else { 4 };
        Bytes::copy_from_slice(&frame[head..])
    }

    fn direct(event: &[u8], payload: &Payload) -> Bytes {
        let mut out = BytesMut::new();
        Event.direct(&ChannelName::parse("users").unwrap(), event, payload, &mut out);
        text_of(&out)
    }

    fn said(reply: Reply<'_>) -> Bytes {
        let mut out = BytesMut::new();
        Event.reply(None, reply, &mut out);
        text_of(&out)
    }

    #[test]
    fn a_message_is_called_by_its_event() {
        assert_eq!(
            direct(b"UserCreated", &Payload::json(&b"{\"id\" : 1}"[..])),
            r#"{"event":"UserCreated","channel":"users","data":{"id" : 1}}"#
        );
        assert_eq!(
            direct(b"", &Payload::text("a \"b\"")),
            r#"{"event":"message","channel":"users","data":"a \"b\""}"#
        );
    }

    #[test]
    fn answers_are_worded_as_the_page_has_them() {
        let users = ChannelName::parse("users").unwrap();
        let subscribed = Reply::Subscribed {
            channel: &users,
            position: None,
            recovered: None,
            members: None,
            cached: None,
        };
        assert_eq!(said(subscribed), r#"{"event":"subscribed","channel":"users"}"#);
        assert_eq!(said(Reply::Pong), r#"{"event":"pong"}"#);
        let refusal = Refusal::ChannelNotFound(users.clone());
        assert_eq!(
            said(Reply::Refused { channel: Some(users), refusal }),
            r#"{"event":"error","data":{"message":"Channel 'users' not found.","code":"channel_not_found","channel":"users"}}"#
        );
        assert_eq!(
            said(Reply::Refused { channel: None, refusal: Refusal::TypeRequired }),
            r#"{"event":"error","data":{"message":"Event is required.","code":"type_required"}}"#
        );
    }

    proptest! {
        #[test]
        fn a_message_sent_back_is_the_same_message(name in "\\PC{1,40}", words in "\\PC{0,200}") {
            let own = ["subscribe", "unsubscribe", "ping", "auth"];
            prop_assume!(!own.contains(&&*name) && !RESERVED.contains(&&*name));
            let payload = Payload::json(serde_json::to_vec(&words).unwrap());
            let want = Command::publish(
                ChannelName::parse("users").unwrap(),
                Bytes::copy_from_slice(name.as_bytes()),
                payload.clone(),
            );
            prop_assert_eq!(event::text(&direct(name.as_bytes(), &payload)).command, Ok(want));
        }

        #[test]
        fn no_frame_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = event::text(&Bytes::from(bytes));
        }
    }
}
