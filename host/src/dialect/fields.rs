//! Some fields of a JSON object as they stand in it, for dialects whose frames are few. Of a key
//! that stands twice the last counts; `null` is a field left out; other fields are passed over.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::Refusal;
use crate::dialect::native::decode::present;

/// The fields `names` of a text frame, in their order.
///
/// # Errors
/// `bad_json`; for JSON that is no object `type_required`.
pub fn fields<'a, const N: usize>(
    message: &'a [u8],
    names: [&str; N],
) -> Result<[Option<&'a RawValue>; N], Refusal> {
    let mut json = serde_json::Deserializer::from_slice(message);
    match Wanted(names).deserialize(&mut json).and_then(|fields| json.end().map(|()| fields)) {
        Ok(fields) => Ok(fields),
        Err(_) if serde_json::from_slice::<IgnoredAny>(message).is_ok() => Err(Refusal::TypeRequired),
        Err(_) => Err(Refusal::BadJson),
    }
}

struct Wanted<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Wanted<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Wanted<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = [None; N];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.0.iter().position(|name| *name == key) {
                Some(index) => found[index] = present(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_as_they_stand() {
        let got = |json: &'static str| {
            let found = fields(json.as_bytes(), ["a", "b"]);
            found.map(|found| found.map(|raw| raw.map(RawValue::get)))
        };
        assert_eq!(got(r#"{"b":[1 ,2],"x":{},"a":null}"#), Ok([None, Some("[1 ,2]")]));
        assert_eq!(got(r#"{"a":1,"\u0061":2}"#), Ok([Some("2"), None]));
        assert_eq!(got("[1]"), Err(Refusal::TypeRequired));
        assert_eq!(got("5"), Err(Refusal::TypeRequired));
        assert_eq!(got(r#"{"a":1} x"#), Err(Refusal::BadJson));
        assert_eq!(got("hello"), Err(Refusal::BadJson));
        assert_eq!(got(""), Err(Refusal::BadJson));
    }
}
