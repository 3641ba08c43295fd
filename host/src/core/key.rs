//! What a message is about, where a channel's rule says where that stands: of messages with the
//! same key, a slow subscriber may do with the last.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Payload, PayloadKind};

/// A key's digest, by a secret of the process: two keys of one channel share it once in 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey(pub u64);

/// Where the key stands in a channel's messages: a JSON pointer (RFC 6901) like `/symbol`.
#[derive(Debug)]
pub struct KeyPointer {
    steps: Vec<String>,
    secret: RandomState,
}

/// For the operator to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a JSON pointer like `/symbol`, where `~1` stands for `/` and `~0` for `~`")]
pub struct NotAPointer(String);

impl KeyPointer {
    /// # Errors
    /// It does not begin with `/`, or has a `~` that stands for nothing.
    pub fn parse(text: &str) -> Result<Self, NotAPointer> {
        let steps = text.strip_prefix('/').and_then(|rest| rest.split('/').map(unescaped).collect());
        let steps = steps.ok_or_else(|| NotAPointer(text.into()))?;
        Ok(Self { steps, secret: RandomState::new() })
    }

    /// None: there is no string, number or boolean in that place.
    pub fn find(&self, payload: &Payload) -> Option<MessageKey> {
        if payload.kind != PayloadKind::Json {
            return None;
        }
        let mut at = std::str::from_utf8(&payload.bytes).ok()?;
        for step in &self.steps {
            at = Step(step).deserialize(&mut serde_json::Deserializer::from_str(at)).ok()??.get();
        }
        let digest = match at.bytes().next()? {
            b'{' | b'[' | b'n' => return None,
            b'"' if at.contains('\\') => {
                let text: String = serde_json::from_str(at).ok()?;
                self.secret.hash_one((true, &*text))
            }
            b'"' => self.secret.hash_one((true, at.strip_prefix('"')?.strip_suffix('"')?)),
            _ => self.secret.hash_one((false, at)),
        };
        Some(MessageKey(digest))
    }
}

fn unescaped(step: &str) -> Option<String> {
    let strange = step.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
    // In this order: `~01` is `~1`.
    (!strange).then(|| step.replace("~1", "/").replace("~0", "~"))
}

/// One field of an object, the last of that name, or one place in a list.
struct Step<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        // As RFC 6901 writes an index: `07` is none.
        let index = self.0.parse::<usize>().ok().filter(|index| index.to_string() == self.0);
        let mut found = None;
        let mut at = 0;
        loop {
            if Some(at) == index {
                match list.next_element()? {
                    None => return Ok(None),
                    value => found = value,
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

/// Is the field's name this one?
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn key(pointer: &KeyPointer, json: &str) -> Option<MessageKey> {
        pointer.find(&Payload::json(json.to_owned()))
    }

    #[test]
    fn a_key_is_where_the_pointer_leads() {
        let pointer = KeyPointer::parse("/quote/symbol").unwrap();
        let acme = key(&pointer, r#"{"quote":{"symbol":"ACME","bid":7}}"#);
        assert!(acme.is_some());
        for same in [
            r#" {"a":[{"quote":1}],"quote" : {"bid":8, "symbol" : "ACME" } } "#,
            r#"{"quote":{"symbol":"AC\u004dE"}}"#,
            r#"{"\u0071uote":{"symbol":"other","symbol":"ACME"}}"#,
        ] {
            assert_eq!(key(&pointer, same), acme, "{same}");
        }
        for other in
            [r#"{"quote":{"symbol":"ACM"}}"#, r#"{"quote":{"symbol":1}}"#, r#"{"quote":{"symbol":true}}"#]
        {
            assert!(key(&pointer, other).is_some_and(|other| Some(other) != acme), "{other}");
        }
        let one = KeyPointer::parse("/0/a~1b~01").unwrap();
        assert_ne!(key(&one, r#"[{"a/b~1":"1"}]"#), key(&one, r#"[{"a/b~1":1}]"#));
        assert!(key(&one, r#"[{"a/b~1":"1"}]"#).is_some());
    }

    #[test]
    fn where_it_leads_nowhere_there_is_no_key() {
        let pointer = KeyPointer::parse("/a/b").unwrap();
        for json in
            [r#"{"a":{"b":null}}"#, r#"{"a":{"b":{}}}"#, r#"{"a":{"b":[1]}}"#, r#"{"a":"b"}"#, "7", "[]", "{"]
        {
            assert_eq!(key(&pointer, json), None, "{json}");
        }
        assert_eq!(key(&KeyPointer::parse("/01").unwrap(), "[1,2]"), None);
        assert_eq!(pointer.find(&Payload::text(r#"{"a":{"b":1}}"#)), None);
        for bad in ["", "symbol", "/a~", "/a~2"] {
            assert!(KeyPointer::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// What serde_json makes of pointers.
        #[test]
        fn it_finds_what_the_standard_finds(
            json in r#"(\{"a":(1|"x"|\[1,\{"b":2\}\]|\{"a":true,"b":"y"\}),"b":(2|\[\])\}|\[0,\{"a":3\}\]|4)"#,
            pointer in "(/(a|b|0|1|00)){1,3}",
        ) {
            let value: Value = serde_json::from_str(&json).unwrap();
            let want = value.pointer(&pointer).filter(|v| v.is_string() || v.is_number() || v.is_boolean());
            let pointer = KeyPointer::parse(&pointer).unwrap();
            let found = pointer.find(&Payload::json(json));
            prop_assert_eq!(found.is_some(), want.is_some());
        }

        #[test]
        fn nothing_panics(json in "\\PC{0,60}", pointer in "/\\PC{0,10}") {
            if let Ok(pointer) = KeyPointer::parse(&pointer) {
                pointer.find(&Payload::json(json));
            }
        }
    }
}
