//! `data`: a string on the wire whatever it is, so that clients of all kinds can read it.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::{Bytes, BytesMut};

use crate::core::{Payload, PayloadKind, json};
use crate::dialect::native::encode::string;

/// What was posted as `data`: JSON where it is JSON, else text; its bytes stay what they are.
pub fn posted(data: impl Into<Bytes>) -> Payload {
    let bytes = data.into();
    match json::is_value(&bytes) {
        true => Payload::json(bytes),
        false => Payload::text(bytes),
    }
}

/// A payload as text; binary as base64.
pub fn text(payload: &Payload) -> Cow<'_, str> {
    match payload.kind {
        PayloadKind::Json | PayloadKind::Text => String::from_utf8_lossy(&payload.bytes),
        PayloadKind::Binary => BASE64.encode(&payload.bytes).into(),
    }
}

/// The same as the JSON string that clients get.
pub(super) fn write(payload: &Payload, out: &mut BytesMut) {
    string(&text(payload), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(payload: &Payload) -> String {
        let mut out = BytesMut::new();
        write(payload, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn json_is_known_for_json() {
        assert_eq!(posted("{\"a\" : 1}").kind, PayloadKind::Json);
        assert_eq!(posted("5").kind, PayloadKind::Json);
        for text in ["", "hello", "{\"a\":", "1 2", "NaN"] {
            assert_eq!(posted(text).kind, PayloadKind::Text, "{text}");
        }
        assert_eq!(written(&Payload::binary(&b"\xff\x00"[..])), "/wA=");
    }

    proptest! {
        #[test]
        fn what_is_posted_comes_out_byte_for_byte(text in "\\PC{0,60}", spaces in "[ \\n\\t]{0,3}") {
            let json = format!("{spaces}{}{spaces}", serde_json::to_string(&text).unwrap());
            prop_assert_eq!(written(&posted(text.clone())), text);
            prop_assert_eq!(written(&posted(json.clone())), json);
        }
    }
}
