//! Which subscribers get a message: the trait, and the work of one crossing.

use crate::bindings::filter::exports::tidegate::plugin::filter::Batch;
use crate::{Data, PayloadKind};

/// One filter: what some subscribers want to see. Equal parameters are one filter,
/// however many subscribers have it, and a message is judged once a filter.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// struct About(String);
///
/// impl Filter for About {
///     fn new(params: &Data) -> Result<Self, String> {
///         Ok(Self(params.json()?))
///     }
///
///     fn matches(&self, message: &FilterMessage<'_>) -> bool {
///         message.event() == Some(&self.0)
///     }
/// }
///
/// tidegate_guest::export!(filter: About);
///
/// let filter = About::new(&Data::raw(r#""goal""#)).unwrap();
/// assert!(filter.matches(&FilterMessage::for_test("goal", "{}")));
/// ```
pub trait Filter: Sized + 'static {
    /// Makes a filter of a subscription's parameters (`null` where there are none).
    ///
    /// # Errors
    /// Refuse the subscription with `invalid_params` and this text.
    fn new(params: &Data) -> Result<Self, String>;

    /// Does the message pass? A whole batch of messages and filters may take 5 ms,
    /// so keep it short, and let it only read.
    fn matches(&self, message: &FilterMessage<'_>) -> bool;
}

/// A [`Filter`] that looks at something that is read from a message once, however many filters judge it:
/// where filters are many, reading is what costs.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// struct AtLeast(u32);
///
/// impl FilterBy for AtLeast {
///     type Read<'a> = Option<u32>;
///
///     fn make(params: &Data) -> Result<Self, String> {
///         Ok(Self(params.json()?))
///     }
///
///     fn read<'a>(message: &FilterMessage<'a>) -> Option<u32> {
///         message.json()
///     }
///
///     fn passes(&self, number: &Option<u32>) -> bool {
///         number.is_some_and(|number| number >= self.0)
///     }
/// }
///
/// tidegate_guest::export!(filter: AtLeast);
///
/// let filter = AtLeast::make(&Data::raw("10")).unwrap();
/// assert!(filter.passes(&AtLeast::read(&FilterMessage::for_test("", "12"))));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no filter: it implements neither `Filter` nor `FilterBy`"
)]
pub trait FilterBy: Sized + 'static {
    /// What filters look at; it may borrow from the message.
    type Read<'a>;

    /// Makes a filter of a subscription's parameters (`null` where there are none).
    ///
    /// # Errors
    /// Refuse the subscription with `invalid_params` and this text.
    fn make(params: &Data) -> Result<Self, String>;

    /// Reads a message, once for all filters that judge it.
    fn read<'a>(message: &FilterMessage<'a>) -> Self::Read<'a>;

    /// Does the message pass? A whole batch of messages and filters may take 5 ms.
    fn passes(&self, read: &Self::Read<'_>) -> bool;
}

/// Each [`Filter`] looks at the whole message.
impl<F: Filter> FilterBy for F {
    type Read<'a> = FilterMessage<'a>;

    fn make(params: &Data) -> Result<Self, String> {
        F::new(params)
    }

    fn read<'a>(message: &FilterMessage<'a>) -> FilterMessage<'a> {
        *message
    }

    fn passes(&self, message: &FilterMessage<'_>) -> bool {
        self.matches(message)
    }
}

/// A message to be judged.
#[derive(Clone, Copy, Debug)]
pub struct FilterMessage<'a> {
    event: &'a [u8],
    kind: PayloadKind,
    payload: &'a [u8],
}

impl<'a> FilterMessage<'a> {
    /// The event's name, if it has one.
    pub fn event(&self) -> Option<&'a str> {
        std::str::from_utf8(self.event).ok().filter(|event| !event.is_empty())
    }

    /// What the bytes of the payload are.
    pub fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// The payload, whatever its kind.
    pub fn bytes(&self) -> &'a [u8] {
        self.payload
    }

    /// The payload, if it is UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.payload).ok()
    }

    /// The payload, if it is JSON of the shape of `T`. A `T` that borrows and names
    /// only the fields that matter is quickest.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Deserialize<'a>>(&self) -> Option<T> {
        match self.kind {
            PayloadKind::Json => serde_json::from_slice(self.payload).ok(),
            PayloadKind::Text | PayloadKind::Binary => None,
        }
    }

    /// A JSON message, for tests of a plugin.
    pub fn for_test(event: &'a str, payload: &'a str) -> Self {
        Self { event: event.as_bytes(), kind: PayloadKind::Json, payload: payload.as_bytes() }
    }
}

/// The live filters of an instance, by the id that the server knows them by.
#[doc(hidden)]
pub struct Filters<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Filters<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T: FilterBy> Filters<T> {
    pub fn add(&mut self, params: Vec<u8>) -> Result<u32, String> {
        crate::panic::install_hook();
        let filter = T::make(&Data::raw(params))?;
        if let Some(id) = self.free.pop() {
            self.slots[id as usize] = Some(filter);
            return Ok(id);
        }
        let id = u32::try_from(self.slots.len()).map_err(|_| "There are too many filters.")?;
        self.slots.push(Some(filter));
        Ok(id)
    }

    /// An id that is not there is left alone.
    pub fn remove(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(id as usize)
            && slot.take().is_some()
        {
            self.free.push(id);
        }
    }

    /// A bit for each message and id, as `wit/filter.wit` has it. An id that is not
    /// there and a message whose bounds are not right match nothing.
    pub fn evaluate(&self, ids: &[u32], batch: &Batch) -> Vec<u64> {
        let Some(bits) = batch.kinds.len().checked_mul(ids.len()) else {
            return Vec::new();
        };
        let mut words = vec![0_u64; bits.div_ceil(64)];
        let wanted: Vec<Option<&T>> = ids.iter().map(|id| self.find(*id)).collect();
        let mut bit = 0;
        for index in 0..batch.kinds.len() {
            if let Some(message) = unpack(batch, index) {
                let read = T::read(&message);
                for (i, filter) in wanted.iter().enumerate() {
                    if filter.is_some_and(|filter| filter.passes(&read)) {
                        words[(bit + i) / 64] |= 1 << ((bit + i) % 64);
                    }
                }
            }
            bit += ids.len();
        }
        words
    }

    fn find(&self, id: u32) -> Option<&T> {
        self.slots.get(id as usize)?.as_ref()
    }
}

/// Message `index` of a batch, unless its bounds are not in order or not in the data.
fn unpack(batch: &Batch, index: usize) -> Option<FilterMessage<'_>> {
    let kind = *batch.kinds.get(index)?;
    let event_end = *batch.ends.get(index * 2)? as usize;
    let payload_end = *batch.ends.get(index * 2 + 1)? as usize;
    let start = match index.checked_sub(1) {
        Some(before) => *batch.ends.get(before * 2 + 1)? as usize,
        None => 0,
    };
    Some(FilterMessage {
        event: batch.data.get(start..event_end)?,
        kind,
        payload: batch.data.get(event_end..payload_end)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes payloads that contain the parameters.
    struct Contains(String);

    impl Filter for Contains {
        fn new(params: &Data) -> Result<Self, String> {
            match std::str::from_utf8(params.bytes()) {
                Ok("") => Err("Nothing to look for.".to_owned()),
                Ok(needle) => Ok(Self(needle.to_owned())),
                Err(error) => Err(error.to_string()),
            }
        }

        fn matches(&self, message: &FilterMessage<'_>) -> bool {
            message.text().is_some_and(|text| text.contains(&self.0)) || message.event() == Some(&self.0)
        }
    }

    fn filters(needles: &[&str]) -> Filters<Contains> {
        let mut filters = Filters::default();
        for (expected, needle) in needles.iter().enumerate() {
            assert_eq!(filters.add(needle.as_bytes().to_vec()), Ok(expected as u32));
        }
        filters
    }

    fn batch(messages: &[(&str, &str)]) -> Batch {
        let mut batch = Batch { kinds: Vec::new(), ends: Vec::new(), data: Vec::new() };
        for (event, payload) in messages {
            batch.kinds.push(PayloadKind::Text);
            for part in [event, payload] {
                batch.data.extend_from_slice(part.as_bytes());
                batch.ends.push(batch.data.len() as u32);
            }
        }
        batch
    }

    #[test]
    fn sets_the_bit_of_message_times_ids_plus_filter() {
        let filters = filters(&["a", "b", "e"]);
        let batch = batch(&[("", "a"), ("e", ""), ("", "ab"), ("x", "y")]);
        assert_eq!(filters.evaluate(&[0, 1, 2], &batch), [0b000_011_100_001]);
        assert_eq!(filters.evaluate(&[2, 1], &batch), [0b00_10_01_00]);
    }

    #[test]
    fn reads_a_message_once_for_all_filters() {
        thread_local!(static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
        struct Longer(usize);
        impl FilterBy for Longer {
            type Read<'a> = usize;
            fn make(params: &Data) -> Result<Self, String> {
                Ok(Self(params.bytes().len()))
            }
            fn read<'a>(message: &FilterMessage<'a>) -> usize {
                READ.set(READ.get() + 1);
                message.bytes().len()
            }
            fn passes(&self, length: &usize) -> bool {
                *length > self.0
            }
        }
        let mut filters = Filters::<Longer>::default();
        let ids = [1, 2, 3].map(|n| filters.add(vec![0; n]).unwrap());
        assert_eq!(filters.evaluate(&ids, &batch(&[("", "xx"), ("", "xxxx")])), [0b111_001]);
        assert_eq!(READ.get(), 2);
    }

    #[test]
    fn goes_on_in_the_next_word() {
        let filters = filters(&["a"]);
        let ids = [0; 7];
        let batch = batch(&[("", "a"); 10]);
        assert_eq!(filters.evaluate(&ids, &batch), [u64::MAX, (1 << 6) - 1]);
        assert!(filters.evaluate(&[], &batch).is_empty());
    }

    #[test]
    fn matches_nothing_with_ids_that_are_not_there() {
        let mut filters = filters(&["a", "b"]);
        filters.remove(0);
        filters.remove(0);
        filters.remove(99);
        assert_eq!(filters.evaluate(&[0, 99, 1], &batch(&[("", "ab")])), [0b100]);
    }

    #[test]
    fn gives_a_freed_id_to_the_next_filter() {
        let mut filters = filters(&["a", "b", "c"]);
        filters.remove(1);
        assert_eq!(filters.add(b"z".to_vec()), Ok(1));
        assert_eq!(filters.add(b"y".to_vec()), Ok(3));
        assert_eq!(filters.evaluate(&[1], &batch(&[("", "z"), ("", "b")])), [0b01]);
    }

    #[test]
    fn keeps_no_slot_for_a_filter_that_was_refused() {
        let mut filters = filters(&["a"]);
        assert_eq!(filters.add(Vec::new()), Err("Nothing to look for.".to_owned()));
        assert_eq!(filters.add(b"b".to_vec()), Ok(1));
    }

    #[test]
    fn passes_over_messages_whose_bounds_are_wrong() {
        let filters = filters(&["a"]);
        let kinds = vec![PayloadKind::Text; 3];
        let data = b"aaa".to_vec();
        let cases: [(&[u32], u64); 4] = [
            (&[0, 1, 1, 2, 2, 3], 0b111),
            (&[0, 1, 1, 2, 2, 4], 0b011),
            (&[0, 1, 0, 2, 2, 3], 0b101),
            (&[0, 1], 0b001),
        ];
        for (ends, expected) in cases {
            let batch = Batch { kinds: kinds.clone(), ends: ends.to_vec(), data: data.clone() };
            assert_eq!(filters.evaluate(&[0], &batch), [expected], "{ends:?}");
        }
    }
}
