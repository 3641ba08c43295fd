//! What the server sends, read by the letter of RFC 6455 and RFC 8259.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub struct Sent<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
}

/// The frames that a server's bytes are, to the last of them.
pub fn frames(mut bytes: &[u8]) -> Vec<Sent<'_>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = first_frame(bytes);
        all.push(frame);
        bytes = rest;
    }
    all
}

fn first_frame(bytes: &[u8]) -> (Sent<'_>, &[u8]) {
    assert!(bytes.len() >= 2, "a head has two bytes at least: {bytes:?}");
    assert_eq!(bytes[0] & 0xF0, 0x80, "whole, without reserved bits");
    assert_eq!(bytes[1] & 0x80, 0, "a server's frames are not masked");
    let opcode = bytes[0] & 0x0F;
    assert!([0x1, 0x2, 0x8, 0x9, 0xA].contains(&opcode), "no opcode: {opcode}");
    let (head, length) = match bytes[1] {
        126 => {
            let length = u16::from_be_bytes(bytes[2..4].try_into().unwrap()).into();
            assert!(length >= 126, "not the shortest length: {length}");
            (4, length)
        }
        127 => {
            let length = u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize;
            assert!(length >= 1 << 16, "not the shortest length: {length}");
            (10, length)
        }
        short => (2, usize::from(short)),
    };
    assert!(opcode < 0x8 || length <= 125, "a control frame of {length} bytes");
    assert!(bytes.len() >= head + length, "the frame is cut off");
    let (frame, rest) = bytes.split_at(head + length);
    (Sent { opcode, payload: &frame[head..] }, rest)
}

/// The fields of a JSON object, each as it stands in it.
pub struct Object(BTreeMap<String, Box<RawValue>>);

impl Object {
    /// Of the one text frame that these bytes are.
    pub fn of_frame(bytes: &[u8]) -> Self {
        let frames = frames(bytes);
        let [Sent { opcode: 0x1, payload }] = frames[..] else { panic!("not one text frame: {bytes:?}") };
        let text = std::str::from_utf8(payload).expect("a text frame is UTF-8");
        Self::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Of a key that stands twice the last counts.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    pub fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// None also for `null`.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|raw| raw.get()).filter(|raw| *raw != "null")
    }

    pub fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.raw(key)?).ok()
    }
}

/// One JSON value, in UTF-8.
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
