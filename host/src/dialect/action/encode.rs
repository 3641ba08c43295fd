//! Messages to bare frames, refusals to echoes.

use bytes::{BufMut, BytesMut};

use crate::core::{ChannelName, Message, Payload, Refusal};
use crate::dialect::bridge::bare;
use crate::dialect::frame::{self, Opcode, frame};
use crate::hub::wire::{Epoch, Reply, RequestId, Wire};

/// The action dialect's encoder: it answers nothing but errors.
pub struct Action;

impl Wire for Action {
    fn message(&self, _: &ChannelName, message: &Message, _: Option<Epoch>, out: &mut BytesMut) {
        bare(&message.payload, out);
    }

    fn direct(&self, _: &ChannelName, _: &[u8], payload: &Payload, out: &mut BytesMut) {
        bare(payload, out);
    }

    /// `Echo: {the frame} {what is wrong with it}`.
    fn reply(&self, request: Option<&RequestId>, reply: Reply<'_>, out: &mut BytesMut) {
        let Reply::Refused { refusal, .. } = reply else { return };
        frame(Opcode::Text, out, |out| {
            out.put_slice(b"Echo: ");
            if let Some(RequestId(sent)) = request {
                out.put_slice(sent);
                out.put_u8(b' ');
            }
            out.put_slice(words(&refusal).as_bytes());
        });
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
        Refusal::TypeRequired => "Action is required.".into(),
        Refusal::UnknownType(action) => format!("Unknown action: {action}."),
        Refusal::ChannelRequired => "Topic is required.".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::{Command, action};

    fn text_of(frame: &[u8]) -> &str {
        let head = if frame[1] < 126 { 2 } else { 4 };
        std::str::from_utf8(&frame[head..]).unwrap()
    }

    #[test]
    fn an_error_echoes_what_was_sent() {
        let echo = |sent: &'static str| {
            let request = action::text(&Bytes::from_static(sent.as_bytes()));
            let reply = Reply::Refused { channel: None, refusal: request.command.unwrap_err() };
            let mut out = BytesMut::new();
            Action.reply(request.id.as_ref(), reply, &mut out);
            text_of(&out).to_owned()
        };
        assert_eq!(echo("hello"), "Echo: hello Message is not valid JSON.");
        assert_eq!(echo(r#"{"action":"dance"}"#), r#"Echo: {"action":"dance"} Unknown action: dance."#);
        assert_eq!(echo(r#"{"action":"publish"}"#), r#"Echo: {"action":"publish"} Topic is required."#);
    }

    #[test]
    fn what_went_well_is_not_spoken_of() {
        let mut out = BytesMut::new();
        let channel = ChannelName::parse("room").unwrap();
        Action.reply(
            None,
            Reply::Subscribed {
                channel: &channel,
                position: None,
                recovered: None,
                members: None,
                cached: None,
            },
            &mut out,
        );
        Action.reply(None, Reply::Published { channel, offset: None, receipt: None }, &mut out);
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn data_comes_out_as_it_went_in(words in "\\PC{0,200}") {
            let data = serde_json::to_string(&words).unwrap();
            let sent = format!(r#"{{"action":"publish","topic":"room","data":{data}}}"#);
            let Ok(Command::Publish { channel, payload, .. }) = action::text(&Bytes::from(sent)).command else {
                panic!("no publication");
            };
            let mut out = BytesMut::new();
            Action.direct(&channel, b"", &payload, &mut out);
            prop_assert_eq!(text_of(&out), data);
        }

        #[test]
        fn no_frame_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = action::text(&Bytes::from(bytes));
        }
    }
}
