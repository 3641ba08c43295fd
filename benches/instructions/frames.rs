//! A frame of a hundred bytes' payload from and to a client.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use tidegate::core::clock::UnixMillis;
use tidegate::core::{ChannelName, ClientId, LastName, Message, Offset, Payload, Sender, UserId};
use tidegate::dialect::{Native, native};
use tidegate::hub::wire::Wire;

use super::counted::counted;

pub const FRAMES: u64 = 1000;

pub fn data() -> String {
    format!(r#"{{"text":"{}"}}"#, "x".repeat(89))
}

pub fn decode() {
    let frame = format!(r#"{{"type":"publish","channel":"room:17","data":{}}}"#, data());
    let frame = Bytes::from(frame);
    let mut last = LastName::default();
    counted(|| {
        for _ in 0..FRAMES {
            black_box(native::text(black_box(&frame), &mut last));
        }
    });
}

pub fn encode() {
    let channel = ChannelName::parse("room:17").expect("a name");
    let message = Message {
        offset: Offset(1),
        at: UnixMillis(1),
        sender: Some(Sender { client: ClientId(1), user: UserId("ada".into()) }),
        event: Bytes::new(),
        payload: Payload::json(data()),
        except: None,
    };
    let mut out = BytesMut::with_capacity(1 << 10);
    counted(|| {
        for _ in 0..FRAMES {
            out.clear();
            Native.message(black_box(&channel), black_box(&message), None, &mut out);
            black_box(&out);
        }
    });
}
