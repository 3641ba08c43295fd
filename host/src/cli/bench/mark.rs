//! The mark in each message by which a subscriber knows it: whose it is and which one.
//! Digits in a JSON string, so that it comes through every dialect and plugin as it is.

/// `@`, five digits for the stream, `.`, ten for the message's number.
pub const LENGTH: usize = 17;
const DOT: usize = 6;

/// The most streams that a mark has digits for.
pub const STREAMS: usize = 99_999;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Whose message: of those who publish, counted from 0.
    pub stream: usize,
    /// Which one of that stream, counted from 1.
    pub number: u64,
}

impl Mark {
    pub fn text(self) -> String {
        format!("@{:05}.{:010}", self.stream, self.number)
    }

    /// Another number in the place of a mark.
    pub fn renumber(place: &mut [u8], mut number: u64) {
        for digit in place[DOT + 1..LENGTH].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    fn parse(place: &[u8]) -> Option<Self> {
        let place = place.first_chunk::<LENGTH>()?;
        if place[0] != b'@' || place[DOT] != b'.' {
            return None;
        }
        let digits = |digits: &[u8]| {
            digits.iter().try_fold(0, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
            })
        };
        Some(Self { stream: digits(&place[1..DOT])? as usize, number: digits(&place[DOT + 1..])? })
    }
}

/// Finds marks. Messages are alike, so the next one's is where the last one's was.
#[derive(Default)]
pub struct Finder {
    last: usize,
}

impl Finder {
    pub fn find(&mut self, payload: &[u8]) -> Option<Mark> {
        if let Some(mark) = payload.get(self.last..).and_then(Mark::parse) {
            return Some(mark);
        }
        let mut from = 0;
        while let Some(at) = payload[from..].iter().position(|byte| *byte == b'@') {
            if let Some(mark) = Mark::parse(&payload[from + at..]) {
                self.last = from + at;
                return Some(mark);
            }
            from += at + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_is() {
        let mut finder = Finder::default();
        let mark = Mark { stream: 12, number: 345 };
        for around in ["", "x", "a@b @00012.00000003x5", "{\"text\":\""] {
            let text = format!("{around}{} and more", mark.text());
            assert_eq!(finder.find(text.as_bytes()), Some(mark), "{text}");
        }
        for without in ["", "@", "no mark", "@00012.000000034", "@00012_0000000345"] {
            assert_eq!(finder.find(without.as_bytes()), None, "{without}");
        }
    }

    #[test]
    fn it_is_renumbered_in_place() {
        let mut text = Mark { stream: STREAMS, number: 1 }.text().into_bytes();
        assert_eq!(text.len(), LENGTH);
        Mark::renumber(&mut text, 9_876_543_210);
        let expected = Mark { stream: STREAMS, number: 9_876_543_210 };
        assert_eq!(Finder::default().find(&text), Some(expected));
    }
}
