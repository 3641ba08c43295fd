//! Where in a run of bytes each message's frame ends, and what the message is about.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use crate::core::MessageKey;

/// The frames of one run, one a message.
#[derive(Debug, Default)]
pub struct Frames {
    ends: Vec<u32>,
    /// Empty: no message has one.
    keys: Vec<Option<MessageKey>>,
    /// Found when somebody first asks, for all subscribers that are slow.
    lasts: OnceLock<Box<[u32]>>,
}

impl Frames {
    /// `ends` in bytes, ascending; `keys` as many, or none.
    pub fn new(ends: Vec<u32>, keys: Vec<Option<MessageKey>>) -> Self {
        Self { ends, keys, lasts: OnceLock::new() }
    }

    /// One after the other. Either all of them have keys or none.
    pub fn joined<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut joined = Self::default();
        for frames in all {
            let from = joined.bytes() as u32;
            joined.ends.extend(frames.ends.iter().map(|end| from + end));
            joined.keys.extend_from_slice(&frames.keys);
        }
        joined
    }

    /// Messages.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn bytes(&self) -> usize {
        self.end(self.len())
    }

    /// Where the frames of the first so many messages end.
    pub fn end(&self, messages: usize) -> usize {
        messages.checked_sub(1).map_or(0, |last| self.ends[last] as usize)
    }

    /// Where a message's frame lies.
    pub fn range(&self, index: usize) -> Range<usize> {
        self.end(index)..self.end(index + 1)
    }

    pub fn key(&self, index: usize) -> Option<MessageKey> {
        self.keys.get(index).copied().flatten()
    }

    /// The messages that no later one of the same key replaces, in order. Those without a key
    /// replace each other.
    pub fn lasts(&self) -> &[u32] {
        self.lasts.get_or_init(|| {
            let all = 0..self.len() as u32;
            if self.keys.is_empty() {
                return all.last().into_iter().collect();
            }
            let mut later = HashSet::new();
            let mut lasts: Vec<u32> = all.rev().filter(|i| later.insert(self.key(*i as usize))).collect();
            lasts.reverse();
            lasts.into()
        })
    }

    /// How many messages' frames end within so many bytes, the begun one counted too.
    pub fn begun(&self, bytes: usize) -> usize {
        let whole = self.ends.partition_point(|end| *end as usize <= bytes);
        whole + usize::from(self.end(whole) < bytes)
    }

    /// Those of the messages that `wanted` names, as if only they had been in the run.
    pub fn only(&self, mut wanted: impl FnMut(usize) -> bool) -> Self {
        let mut only = Self::default();
        let mut end = 0;
        for index in (0..self.len()).filter(|index| wanted(*index)) {
            end += self.range(index).len() as u32;
            only.ends.push(end);
            if !self.keys.is_empty() {
                only.keys.push(self.key(index));
            }
        }
        only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(keys: &[u64]) -> Frames {
        let ends = (1..=keys.len() as u32).map(|n| n * 10).collect();
        Frames::new(ends, keys.iter().map(|key| (*key > 0).then_some(MessageKey(*key))).collect())
    }

    #[test]
    fn of_each_key_the_last_stays() {
        assert_eq!(Frames::new(vec![4, 5], vec![]).lasts(), [1]);
        assert_eq!(Frames::default().lasts(), [0; 0]);
        assert_eq!(keyed(&[1, 2, 1, 0, 3, 0]).lasts(), [1, 2, 4, 5]);
        let only = keyed(&[1, 2, 1]).only(|index| index < 2);
        assert_eq!((only.lasts(), only.range(1)), (&[0, 1][..], 10..20));
    }

    #[test]
    fn joined_frames_are_as_if_they_had_been_one_run() {
        let all = [keyed(&[1, 2]), keyed(&[1]), Frames::default(), keyed(&[3, 2])];
        let (joined, one) = (Frames::joined(all.iter()), keyed(&[1, 2, 1, 3, 2]));
        assert_eq!((&joined.ends, &joined.keys, joined.lasts()), (&one.ends, &one.keys, one.lasts()));
    }

    #[test]
    fn a_frame_that_has_begun_counts() {
        let frames = keyed(&[1, 2, 3]);
        assert_eq!([0, 1, 9, 10, 11, 20, 29, 30].map(|n| frames.begun(n)), [0, 1, 1, 1, 2, 2, 3, 3]);
    }
}
