//! Messages as they cross into a filter plugin, and what comes back.

use bytes::Bytes;

use crate::core::{Payload, PayloadKind};
use crate::plugin::bindings::types;
use crate::plugin::offline::Judged;

/// Messages packed as the contract has them. Kept and refilled, so that its memory serves again.
#[derive(Default)]
pub struct FilterBatch {
    pub(super) kinds: Vec<types::PayloadKind>,
    pub(super) ends: Vec<u32>,
    pub(super) data: Vec<u8>,
}

impl FilterBatch {
    pub fn push(&mut self, event: &[u8], kind: PayloadKind, payload: &[u8]) {
        self.kinds.push(kind.into());
        self.data.extend_from_slice(event);
        // A turn is far below 4 GiB.
        self.ends.push(self.data.len() as u32);
        self.data.extend_from_slice(payload);
        self.ends.push(self.data.len() as u32);
    }

    /// Kinds, ends and data, as they cross into a plugin.
    pub(in crate::plugin) fn parts(&self) -> (&[types::PayloadKind], &[u32], &[u8]) {
        (&self.kinds, &self.ends, &self.data)
    }

    /// Each message for itself.
    pub(super) fn unpacked(&self) -> Vec<Judged> {
        let mut begin = 0;
        let mut part = |end: &u32| {
            let bytes = self.data.get(begin..*end as usize).unwrap_or_default();
            begin = *end as usize;
            Bytes::copy_from_slice(bytes)
        };
        let messages = self.kinds.iter().zip(self.ends.chunks(2));
        let messages = messages.map(|(kind, ends)| {
            let kind = match kind {
                types::PayloadKind::Json => PayloadKind::Json,
                types::PayloadKind::Text => PayloadKind::Text,
                types::PayloadKind::Binary => PayloadKind::Binary,
            };
            let event = ends.first().map(&mut part).unwrap_or_default();
            let bytes = ends.get(1).map(&mut part).unwrap_or_default();
            Judged { event, payload: Payload { kind, bytes } }
        });
        messages.collect()
    }

    pub fn clear(&mut self) {
        self.kinds.clear();
        self.ends.clear();
        self.data.clear();
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// Which messages pass which filters.
#[derive(Debug)]
pub enum Bits {
    /// What one call has said: a bit for each message and filter that was asked about.
    Matrix { words: Vec<u64>, width: usize, columns: Columns },
    /// Of one filter each.
    Singly(Vec<Bits>),
    /// Of so many filters each, as a power of two.
    Parts { parts: Vec<Bits>, shift: u32 },
    /// Nothing was judged.
    Nothing,
}

/// Where a filter's bits stand.
#[derive(Debug)]
pub enum Columns {
    /// In the order of the filters.
    All,
    /// Some filters were not asked about: they pause, or the plugin does not accept them.
    Some(Vec<Option<usize>>),
}

/// What one call has said of a message and a filter; none if it was not asked about that.
pub(super) fn verdict(
    words: &[u64],
    width: usize,
    columns: &Columns,
    message: usize,
    filter: usize,
) -> Option<bool> {
    let column = match columns {
        Columns::All => (filter < width).then_some(filter)?,
        Columns::Some(columns) => columns.get(filter).copied().flatten()?,
    };
    let bit = message.checked_mul(width)?.checked_add(column)?;
    // Missing words count as zeros.
    Some(words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
}

impl Bits {
    /// By the message's place in the batch and the filter's in the list that was judged. None:
    /// nobody has judged it.
    pub fn verdict(&self, message: usize, filter: usize) -> Option<bool> {
        match self {
            Self::Matrix { words, width, columns } => self::verdict(words, *width, columns, message, filter),
            Self::Singly(all) => all.get(filter)?.verdict(message, 0),
            Self::Parts { parts, shift } => {
                parts.get(filter >> shift)?.verdict(message, filter & ((1 << shift) - 1))
            }
            Self::Nothing => None,
        }
    }

    /// What was not judged does not pass.
    pub fn passes(&self, message: usize, filter: usize) -> bool {
        self.verdict(message, filter) == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_by_message_and_filter() {
        let columns = Columns::Some(vec![Some(0), None, Some(1)]);
        let bits = Bits::Matrix { words: vec![0b10_01], width: 2, columns };
        assert!(bits.passes(0, 0));
        assert_eq!(bits.verdict(0, 2), Some(false));
        assert!(bits.passes(1, 2));
        assert_eq!(bits.verdict(1, 1), None, "a filter that the plugin refuses is not judged");
        assert_eq!(bits.verdict(99, 0), Some(false), "missing words are zeros");
        assert_eq!(bits.verdict(usize::MAX, 2), None);
        assert_eq!(Bits::Nothing.verdict(0, 0), None);
    }

    #[test]
    fn parts_are_of_so_many_filters_each() {
        let part = |words| Bits::Matrix { words: vec![words], width: 4, columns: Columns::All };
        let bits = Bits::Parts { parts: vec![part(0b0001), Bits::Nothing, part(0b0100)], shift: 2 };
        assert_eq!(bits.verdict(0, 0), Some(true));
        assert_eq!(bits.verdict(0, 1), Some(false));
        assert_eq!(bits.verdict(0, 5), None);
        assert_eq!(bits.verdict(0, 10), Some(true));
        assert_eq!(bits.verdict(0, 12), None, "nobody asked for this filter");
    }
}
