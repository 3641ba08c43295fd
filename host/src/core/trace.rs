//! The trace context of requests: W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
//!
//! The server makes no spans of its own: it hands on what it was given, with `tracestate` left out
//! as the standard allows (section 3.3).

use std::fmt;

/// A `traceparent`: which trace, and which span in it, a request is of. 25 bytes, copied along.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: [u8; 16],
    parent: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// Where a request carries it.
    pub const HEADER: &str = "traceparent";
    /// Of version 00, in characters.
    pub const CHARACTERS: usize = 55;

    /// None for what is no valid value (section 3.2.2): other characters than hexadecimal digits in
    /// lower case, ids of zeros, version `ff`, more than there is in version 00. What a later version
    /// adds is left out (section 3.2.4).
    pub fn parse(text: &str) -> Option<Self> {
        let (known, rest) = text.as_bytes().split_at_checked(Self::CHARACTERS)?;
        let [version @ .., _] = known.get(..3)? else { return None };
        let fits = match version {
            b"00" => rest.is_empty(),
            b"ff" => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        bytes::<1>(version)?;
        let read = Self {
            trace: bytes(&known[3..35])?,
            parent: bytes(&known[36..52])?,
            // Of those of a later version only "sampled" is known.
            flags: bytes::<1>(&known[53..55])?[0] & if version == b"00" { 0xff } else { 1 },
        };
        (fits && dashes && read.trace != [0; 16] && read.parent != [0; 8]).then_some(read)
    }
}

/// Of so many pairs of digits.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut read = [0; N];
    for (byte, pair) in read.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(read)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// As version 00 writes it.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.parent.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_one_is_handed_on_as_it_is() {
        assert_eq!(TraceParent::parse(GOOD).map(|trace| trace.to_string()).as_deref(), Some(GOOD));
    }

    #[test]
    fn what_breaks_the_rules_is_none() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-"),
            &format!("{GOOD}-what"),
            &format!("{GOOD} "),
            &GOOD.to_uppercase(),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replacen("00-", "0g-", 1),
            &GOOD.replace('-', "_"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("-01", "-0x"),
            &GOOD.replace("4b", "\u{e9}"),
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_this_one() {
        for later in
            [GOOD.replacen("00-", "cc-", 1), format!("{}-more-of-it", GOOD.replacen("00-", "01-", 1))]
        {
            assert_eq!(TraceParent::parse(&later).map(|trace| trace.to_string()).as_deref(), Some(GOOD));
        }
        assert_eq!(TraceParent::parse(&format!("{}.more", GOOD.replacen("00-", "01-", 1))), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_is_none(text in "\\PC{0,70}") {
            if let Some(read) = TraceParent::parse(&text) {
                prop_assert_eq!(TraceParent::parse(&read.to_string()), Some(read));
            }
        }

        #[test]
        fn any_ids_come_back(trace in "[0-9a-f]{32}", parent in "[0-9a-f]{16}", flags in "[0-9a-f]{2}") {
            let text = format!("00-{trace}-{parent}-{flags}");
            let zero = trace.bytes().all(|b| b == b'0') || parent.bytes().all(|b| b == b'0');
            prop_assert_eq!(TraceParent::parse(&text).map(|read| read.to_string()), (!zero).then_some(text));
        }
    }
}
