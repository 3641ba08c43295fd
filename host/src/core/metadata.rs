//! What a member of a channel says of itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;

/// A JSON object. Lists of members write its fields beside the server's own, so it must not have
/// those.
pub struct Metadata;

/// Bytes of one member's: it is kept for as long as the member is there.
pub const METADATA_BYTES: usize = 4096;
const OWN: [&str; 2] = ["user_id", "joined_at"];

/// What is wrong, to stand behind the name of the field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    #[error("has more than {METADATA_BYTES} bytes")]
    TooLong,
    #[error("is not an object")]
    NotAnObject,
    #[error("has `{0}`, which is the server's own field")]
    OwnField(&'static str),
}

impl Metadata {
    /// # Errors
    /// What is wrong with it.
    pub fn check(json: &[u8]) -> Result<(), BadMetadata> {
        if json.len() > METADATA_BYTES {
            return Err(BadMetadata::TooLong);
        }
        // What is passed over is not looked at for UTF-8.
        let json = std::str::from_utf8(json).map_err(|_| BadMetadata::NotAnObject)?;
        let object = serde_json::from_str::<BTreeMap<Cow<'_, str>, IgnoredAny>>(json);
        let object = object.map_err(|_| BadMetadata::NotAnObject)?;
        match OWN.into_iter().find(|own| object.contains_key(*own)) {
            Some(own) => Err(BadMetadata::OwnField(own)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_small_object_without_the_servers_fields() {
        let of = |json: &str| Metadata::check(json.as_bytes());
        assert_eq!(of(r#"{"name":"Ada","\u00fc":[1]}"#), Ok(()));
        for bad in ["", "[]", "1", "null", "{", r#"{"a":1}{}"#, "{\"a\":\"\u{1}\"}"] {
            assert_eq!(of(bad), Err(BadMetadata::NotAnObject), "{bad}");
        }
        assert_eq!(Metadata::check(b"{\"a\":\"\xff\"}"), Err(BadMetadata::NotAnObject));
        assert_eq!(of(r#"{"user_id":1}"#), Err(BadMetadata::OwnField("user_id")));
        assert_eq!(of(r#"{"joined\u005fat":1}"#), Err(BadMetadata::OwnField("joined_at")));
        let padded = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
        assert_eq!(of(&padded(METADATA_BYTES)), Ok(()));
        assert_eq!(of(&padded(METADATA_BYTES + 1)), Err(BadMetadata::TooLong));
    }
}
