//! Messages to bare frames.

use bytes::{BufMut, BytesMut};

use super::decode::SUBSCRIPTION;
use crate::core::{ChannelName, Message, Payload, PayloadKind, Refusal};
use crate::dialect::ending::close_code;
use crate::dialect::frame::{self, Opcode, frame};
use crate::hub::wire::{Epoch, Reply, RequestId, Told, Wire};

/// The bridge's encoder. It answers nothing: any frame would be taken for a message.
pub struct Bridge;

impl Wire for Bridge {
    fn message(&self, _: &ChannelName, message: &Message, _: Option<Epoch>, out: &mut BytesMut) {
        bare(&message.payload, out);
    }

    fn direct(&self, _: &ChannelName, _: &[u8], payload: &Payload, out: &mut BytesMut) {
        bare(payload, out);
    }

    fn reply(&self, _: Option<&RequestId>, _: Reply<'_>, _: &mut BytesMut) {}

    /// Without its channel the bridge leads nowhere. A message that was refused is lost, unless
    /// none could ever be taken, or it is one that WebSockets have a code for.
    fn refused(&self, request: Option<&RequestId>, refusal: &Refusal) -> Told {
        let subscription = request.is_some_and(|id| id.0 == SUBSCRIPTION);
        match refusal {
            _ if subscription => Told::Close(close_code(refusal)),
            Refusal::PermissionDenied { .. } | Refusal::ChannelNotFound(_) | Refusal::TooLarge(_) => {
                Told::Close(close_code(refusal))
            }
            _ => Told::Unsaid,
        }
    }

    fn ping(&self, out: &mut BytesMut) {
        frame(Opcode::Ping, out, |_| {});
    }

    fn close(&self, code: u16, reason: &str, out: &mut BytesMut) {
        frame::close(code, reason, out);
    }
}

/// The payload alone, in a frame of its kind.
pub fn bare(payload: &Payload, out: &mut BytesMut) {
    let opcode = match payload.kind {
        PayloadKind::Json | PayloadKind::Text => Opcode::Text,
        PayloadKind::Binary => Opcode::Binary,
    };
    frame(opcode, out, |out| out.put_slice(&payload.bytes));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::bridge::{binary, text};
    use crate::dialect::{Command, Request};

    fn channel() -> ChannelName {
        ChannelName::parse("room").unwrap()
    }

    /// The frame that a subscriber gets of what a publisher's frame asked for.
    fn comes_back(request: Request) -> BytesMut {
        let Ok(Command::Publish { channel, payload, .. }) = request.command else { panic!("no publication") };
        let mut out = BytesMut::new();
        Bridge.direct(&channel, b"", &payload, &mut out);
        out
    }

    #[test]
    fn a_subscriptions_refusal_ends_the_bridge_and_a_messages_only_where_it_must() {
        let subscription = RequestId(Bytes::from_static(SUBSCRIPTION));
        let rejected = Refusal::Rejected { reason: "No.".into(), code: 1 };
        assert_eq!(Bridge.refused(Some(&subscription), &rejected), Told::Close(4003));
        assert_eq!(Bridge.refused(None, &rejected), Told::Unsaid);
        let denied = Refusal::PermissionDenied { user: None, channel: channel(), reason: None };
        assert_eq!(Bridge.refused(None, &denied), Told::Close(4003));
        assert_eq!(Bridge.refused(None, &Refusal::ChannelNotFound(channel())), Told::Close(4004));
        assert_eq!(Bridge.refused(None, &Refusal::TooLarge(1)), Told::Close(1009));
        assert_eq!(Bridge.refused(None, &Refusal::RateLimited { retry_after_secs: 1.0 }), Told::Unsaid);
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(words in "\\PC{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for (opcode, payload, request) in [
                (Opcode::Text, words.as_bytes(), text(&channel(), &Bytes::copy_from_slice(words.as_bytes()))),
                (Opcode::Binary, &bytes[..], binary(&channel(), &Bytes::copy_from_slice(&bytes))),
            ] {
                let mut want = BytesMut::new();
                frame(opcode, &mut want, |out| out.put_slice(payload));
                prop_assert_eq!(comes_back(request), want);
            }
        }
    }
}
