//! JSON (RFC 8259) that is checked but not looked into: a frame's members as they stand in it. One
//! pass, and no memory but for what nests deeper than one level. What is let pass is what serde_json
//! lets pass; the tests hold it to that.

/// The text is not one JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoObject;

/// Places for the values of some members.
pub trait Wanted<'a> {
    /// Where a member's value goes. None: nobody wants it.
    fn place(&mut self, name: &[u8]) -> Option<&mut Option<&'a str>>;
}

/// Puts the values that are wanted into their places, as they stand in the text: of a name that
/// stands twice the last, and of `null` none. What is not wanted may be anything but UTF-8.
///
/// # Errors
/// The text is not one object, or a wanted value is not UTF-8.
pub fn members<'a>(text: &'a [u8], wanted: &mut impl Wanted<'a>) -> Result<(), NoObject> {
    object(text, wanted).ok_or(NoObject)
}

/// Is it one JSON value? Not asked whether its strings are UTF-8.
pub fn is_value(text: &[u8]) -> bool {
    value(text).is_some_and(|rest| spaces(rest).is_empty())
}

/// May it stand in a string as it is?
pub fn is_plain(text: &str) -> bool {
    plain(text.as_bytes()).is_empty()
}

fn object<'a>(text: &'a [u8], wanted: &mut impl Wanted<'a>) -> Option<()> {
    // Checked as a whole, which is cheaper than value by value.
    let utf_8 = simdutf8::basic::from_utf8(text).ok();
    let mut rest = spaces(spaces(text).strip_prefix(b"{")?);
    let mut more = *rest.first()? != b'}';
    while more {
        let quoted = spaces(rest);
        let behind = string(quoted)?;
        let quoted = &quoted[..quoted.len() - behind.len()];
        let begin = spaces(colon(behind)?);
        rest = value(begin)?;
        let range = text.len() - begin.len()..text.len() - rest.len();
        let mut put = |name: &[u8]| {
            let Some(place) = wanted.place(name) else { return Some(false) };
            let value = match utf_8 {
                Some(text) => &text[range.clone()],
                None => std::str::from_utf8(&text[range.clone()]).ok()?,
            };
            *place = (value != "null").then_some(value);
            Some(true)
        };
        let name = &quoted[1..quoted.len() - 1];
        // Names that are wanted have nothing to decode, as a rule.
        if !put(name)? && name.iter().any(|byte| !byte.is_ascii() || *byte == b'\\') {
            let decoded: String = serde_json::from_slice(quoted).ok()?;
            put(decoded.as_bytes())?;
        }
        rest = spaces(rest);
        more = *rest.first()? == b',';
        if more {
            rest = &rest[1..];
        }
    }
    spaces(rest.strip_prefix(b"}")?).is_empty().then_some(())
}

// Each of these takes a text that begins with such a thing, and gives what follows it.

/// However deep, without recursion.
fn value(mut text: &[u8]) -> Option<&[u8]> {
    // What ends the object or array that is open, and those around it.
    let mut end = None;
    let mut ends = Vec::new();
    loop {
        text = spaces(text);
        text = match text {
            [b'"', ..] => string(text)?,
            [b'-' | b'0'..=b'9', ..] => number(text)?,
            [b't', ..] => text.strip_prefix(b"true")?,
            [b'f', ..] => text.strip_prefix(b"false")?,
            [b'n', ..] => text.strip_prefix(b"null")?,
            [begin @ (b'{' | b'['), inside @ ..] => {
                // In ASCII two behind the one that begins it.
                ends.extend(end.replace(*begin + 2));
                let inside = spaces(inside);
                if inside.first().copied() != end {
                    text = if *begin == b'{' { key(inside)? } else { inside };
                    continue;
                }
                inside
            }
            _ => return None,
        };
        while let Some(its_end) = end {
            let (next, rest) = spaces(text).split_first()?;
            text = rest;
            match *next {
                b',' => break,
                next if next == its_end => end = ends.pop(),
                _ => return None,
            }
        }
        match end {
            None => return Some(text),
            Some(b'}') => text = key(text)?,
            Some(_) => {}
        }
    }
}

fn key(text: &[u8]) -> Option<&[u8]> {
    colon(string(spaces(text))?)
}

fn colon(text: &[u8]) -> Option<&[u8]> {
    spaces(text).strip_prefix(b":")
}

/// Halves of surrogate pairs may stand alone: who decodes the string finds that out.
fn string(text: &[u8]) -> Option<&[u8]> {
    let mut text = text.strip_prefix(b"\"")?;
    loop {
        text = match plain(text) {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
            [b'\\', b'u', rest @ ..] => {
                let (digits, rest) = rest.split_first_chunk::<4>()?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(rest)?
            }
            // A control character, or the end.
            _ => return None,
        }
    }
}

/// Up to what means something in a string: `"`, `\`, or a control character. Eight bytes at a time,
/// as one number: a difference has the top bit of the first byte that is too small, and maybe of
/// some behind it.
fn plain(mut text: &[u8]) -> &[u8] {
    const EACH: u64 = u64::MAX / 0xFF;
    let below = |bytes: u64, least: u8| bytes.wrapping_sub(EACH * u64::from(least));
    while let Some((word, rest)) = text.split_first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*word);
        let quote = below(bytes ^ (EACH * u64::from(b'"')), 1);
        let backslash = below(bytes ^ (EACH * u64::from(b'\\')), 1);
        // In ASCII no byte has a top bit of its own.
        let special = (below(bytes, 0x20) | quote | backslash) & !bytes & (EACH << 7);
        if special != 0 {
            return &text[special.trailing_zeros() as usize / 8..];
        }
        text = rest;
    }
    while let [byte, rest @ ..] = text
        && !matches!(byte, b'"' | b'\\' | 0..0x20)
    {
        text = rest;
    }
    text
}

fn number(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let mut text = match text {
        [b'0', rest @ ..] => rest,
        _ => digits(text)?,
    };
    if let [b'.', rest @ ..] = text {
        text = digits(rest)?;
    }
    if let [b'e' | b'E', rest @ ..] = text {
        text = match rest {
            [b'+' | b'-', rest @ ..] => digits(rest)?,
            _ => digits(rest)?,
        };
    }
    Some(text)
}

fn digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

fn spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
    use serde_json::value::RawValue;

    use super::*;

    /// Of three names, in their order.
    type Members = [Option<String>; 3];

    const NAMES: [&str; 3] = ["a", "ä", "b"];

    impl<'a> Wanted<'a> for [Option<&'a str>; 3] {
        fn place(&mut self, name: &[u8]) -> Option<&mut Option<&'a str>> {
            self.get_mut(NAMES.iter().position(|wanted| wanted.as_bytes() == name)?)
        }
    }

    fn found(text: &[u8]) -> Option<Members> {
        let mut found = [None; 3];
        members(text, &mut found).ok().map(|()| found.map(|value| value.map(str::to_owned)))
    }

    /// The same by serde_json.
    struct Known(Members);

    impl<'de> Deserialize<'de> for Known {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct All;

            impl<'de> Visitor<'de> for All {
                type Value = Known;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Known, M::Error> {
                    let mut all = Members::default();
                    while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                        let value = map.next_value::<&'de RawValue>()?.get();
                        if let Some(index) = NAMES.iter().position(|wanted| *wanted == name) {
                            all[index] = (value != "null").then(|| value.to_owned());
                        }
                    }
                    Ok(Known(all))
                }
            }

            deserializer.deserialize_map(All)
        }
    }

    fn is_read_as_by_serde_json(text: &str) {
        let known = serde_json::from_str(text).ok().map(|Known(all)| all);
        assert_eq!(found(text.as_bytes()), known, "{text:?}");
        assert_eq!(is_value(text.as_bytes()), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text:?}");
    }

    #[test]
    fn members_stand_as_they_are() {
        let text = br#" {"a" : 1.50 , "b":"\u00fc", "\u00e4":{"c":[{}, [ ]]}, "else":{"a":0} } "#;
        let want = ["1.50", r#"{"c":[{}, [ ]]}"#, r#""\u00fc""#].map(|value| Some(value.to_owned()));
        assert_eq!(found(text), Some(want));
        assert_eq!(found(br#"{"a":1,"b":2,"a":"x","b":null}"#), Some([Some("\"x\"".into()), None, None]));
        assert_eq!(found(b"{ }"), Some([None, None, None]));
    }

    #[test]
    fn what_is_not_json_is_none() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "{]",
            "[}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[,1]}"#,
            r#"{"a":{"b"}}"#,
            r#"{"a":{"b":1,}}"#,
            r#"{"a":[1}}"#,
            r#"{a:1}"#,
            r#"{"a":1}}"#,
            r#"{"a":1} x"#,
            r#"{"a":tru}"#,
            r#"{"a":nul"#,
            r#"{"a":TRUE}"#,
            r#"{"a":"b}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u00g0"}"#,
            r#"{"a":"\u00"#,
            r#"{"a":"\"#,
            "{\"a\":\"\n\"}",
            "{\"a\n\":1}",
            r#"{"\ud800":1}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\ud800"}"#,
            r#"{"a":{"\udc00":1}}"#,
            "\u{a0}{}",
            "{\"a\":\u{b}1}",
        ] {
            is_read_as_by_serde_json(text);
        }
    }

    #[test]
    fn numbers_are_the_grammars() {
        for number in [
            "0",
            "-0",
            "7",
            "-12",
            "01",
            "00",
            "1.5",
            "1.",
            ".5",
            "-",
            "--1",
            "+1",
            "-.5",
            "1e5",
            "1E+5",
            "1e-05",
            "1e",
            "1e+",
            "1.e5",
            "1.5e5.5",
            "0e0",
            "0x1",
            "1_0",
            "NaN",
            "Infinity",
            "1e999",
            "9".repeat(400).as_str(),
        ] {
            is_read_as_by_serde_json(&format!(r#"{{"a":{number}}}"#));
            is_read_as_by_serde_json(&format!("[{number},{number}]"));
            is_read_as_by_serde_json(number);
        }
    }

    #[test]
    fn every_byte_in_a_string_and_every_place_of_it() {
        for byte in 0..0x80 {
            for before in 0..17 {
                let before = "x".repeat(before);
                is_read_as_by_serde_json(&format!(r#"{{"a":"{before}{}yyyyyyyyyyy"}}"#, char::from(byte)));
                is_read_as_by_serde_json(&format!(r#"{{"a":"ü{before}{}"}}"#, char::from(byte)));
            }
        }
    }

    #[test]
    fn depth_has_no_bound_but_the_texts() {
        let deep = |open: &str, close: &str, depth: usize| {
            format!(r#"{{"a":{}{}}}"#, open.repeat(depth), close.repeat(depth))
        };
        for depth in [1, 2, 200, 30_000] {
            is_read_as_by_serde_json(&deep("[", "]", depth));
            is_read_as_by_serde_json(&deep("[", "]", depth).replacen("]}", "}]", 1));
        }
        assert!(found(deep(r#"[{"b":"#, "1}]", 1).as_bytes()).is_some());
    }

    #[test]
    fn names_and_what_is_wanted_are_utf_8() {
        assert_eq!(found(b"{\"\xff\":1}"), None);
        assert_eq!(found(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(found(b"{\"a\":1,\"c\":\"\xff\"}"), Some([Some("1".into()), None, None]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_by_serde_json(text in "\\PC{0,40}") {
            is_read_as_by_serde_json(&text);
        }

        #[test]
        fn what_looks_like_json_is_read_as_by_serde_json(
            pieces in proptest::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", " ", "\n", "\"", "\"a\"", "\"a\":", "\"ä\":", "\\", "\\n", "\\u00e9", "\\ud83d",
                    "\\ude00", "null", "true", "false", "0", "1", "-", ".", "e", "5", "é", "\u{1}", "abcdefgh",
                ]),
                0..24,
            ),
            closed: bool,
        ) {
            let text = pieces.concat();
            is_read_as_by_serde_json(&text);
            if closed {
                is_read_as_by_serde_json(&format!("{{\"a\":{text}}}"));
                is_read_as_by_serde_json(&format!("{{\"a\":[{text}]}}"));
            }
        }
    }
}
