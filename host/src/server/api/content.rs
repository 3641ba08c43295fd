//! What a message carries: one of `data`, `text` and `base64`.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::core::{Payload, PayloadKind, Refusal};

/// With or without `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The three fields as they came.
pub struct Content {
    pub data: Option<Box<RawValue>>,
    pub text: Option<String>,
    pub base64: Option<String>,
}

impl Content {
    /// `limit` in bytes of the payload itself.
    pub fn payload(self, limit: usize) -> Result<Payload, ApiError> {
        let payload = match self {
            // A `null` beside another kind is a field left out; alone it is a message.
            Self { data, text: Some(text), base64: None } if is_left_out(data.as_deref()) => {
                Payload { kind: PayloadKind::Text, bytes: text.into() }
            }
            Self { data, text: None, base64: Some(base64) } if is_left_out(data.as_deref()) => {
                let bytes = BASE64.decode(&base64);
                Payload::binary(bytes.map_err(|error| ApiError::invalid(format!("base64: {error}")))?)
            }
            Self { data: Some(data), text: None, base64: None } => {
                let text: Box<str> = data.into();
                Payload::json(Bytes::from(String::from(text)))
            }
            Self { data: None, text: None, base64: None } => {
                return Err(ApiError::invalid("One of data, text and base64 is required."));
            }
            _ => return Err(ApiError::invalid("Only one of data, text and base64 may be given.")),
        };
        if payload.bytes.len() > limit {
            return Err(Refusal::TooLarge(limit).into());
        }
        Ok(payload)
    }
}

fn is_left_out(data: Option<&RawValue>) -> bool {
    data.is_none_or(|data| data.get() == "null")
}

/// Bytes as the API shows them.
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// For `data`: `null` is a value too.
pub fn any_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(data: Option<&str>, text: Option<&str>, base64: Option<&str>) -> Result<Payload, ApiError> {
        let data = data.map(|data| RawValue::from_string(data.into()).unwrap());
        Content { data, text: text.map(Into::into), base64: base64.map(Into::into) }.payload(10)
    }

    #[test]
    fn each_kind_is_itself() {
        assert_eq!(payload(Some("[1.50 ]"), None, None).unwrap(), Payload::json("[1.50 ]"));
        let text = Payload { kind: PayloadKind::Text, bytes: "hi".into() };
        assert_eq!(payload(None, Some("hi"), None).unwrap(), text);
        for base64 in ["AP8=", "AP8"] {
            assert_eq!(payload(None, None, Some(base64)).unwrap(), Payload::binary(&b"\x00\xff"[..]));
        }
        assert_eq!(payload(Some("null"), None, None).unwrap(), Payload::json("null"));
        assert_eq!(payload(Some("null"), Some("hi"), None).unwrap(), text);
    }

    #[test]
    fn it_is_one_of_them_and_within_the_limit() {
        assert!(payload(None, None, None).is_err());
        assert!(payload(Some("1"), Some("1"), None).is_err());
        assert!(payload(None, Some("1"), Some("AP8=")).is_err());
        assert!(payload(None, None, Some("A*8=")).is_err());
        assert!(payload(None, Some("0123456789"), None).is_ok());
        assert_eq!(payload(None, Some("0123456789a"), None).unwrap_err().status, 413);
    }
}
