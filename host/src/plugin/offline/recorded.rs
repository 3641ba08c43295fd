//! The server as a plugin sees it, by a recording.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::Payload;

/// What a plugin's reads are answered from. Its store is written to; nothing else changes.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// `[plugins.NAME.config]`
    pub config: BTreeMap<String, String>,
    pub store: BTreeMap<String, Bytes>,
    /// By channel, in the order in which they came.
    pub presence: BTreeMap<String, Vec<Present>>,
    /// By channel, oldest first.
    pub history: BTreeMap<String, Vec<Kept>>,
    /// The channels of each.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The `traceparent` of every call.
    pub trace: Option<String>,
    /// What was written to the store, oldest first; `None`: deleted.
    pub written: Vec<(String, Option<Bytes>)>,
}

/// A member of a channel.
#[derive(Clone, Debug)]
pub struct Present {
    pub user: String,
    /// JSON.
    pub data: Option<Bytes>,
    /// Unix time in milliseconds.
    pub joined_at_ms: u64,
    pub connections: u32,
}

/// A message of a channel's history.
#[derive(Clone, Debug)]
pub struct Kept {
    pub offset: u64,
    /// Not empty.
    pub event: Option<String>,
    pub payload: Payload,
    /// Unix time in milliseconds.
    pub at_ms: u64,
}

/// Bounds of `wit/store.wit`.
pub const KEY_BYTES: usize = 256;
pub const VALUE_BYTES: usize = 64 << 10;

/// Why the store does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRefusal {
    /// So many bytes.
    TooLarge(usize),
    NotANumber,
}

impl Recorded {
    pub fn read(&self, key: &str) -> Result<Option<Bytes>, StoreRefusal> {
        check_key(key)?;
        Ok(self.store.get(key).cloned())
    }

    /// `None` deletes. Was there one?
    pub fn write(&mut self, key: &str, value: Option<Bytes>) -> Result<bool, StoreRefusal> {
        check_key(key)?;
        if let Some(value) = &value
            && value.len() > VALUE_BYTES
        {
            return Err(StoreRefusal::TooLarge(value.len()));
        }
        let before = match &value {
            Some(value) => self.store.insert(key.into(), value.clone()),
            None => self.store.remove(key),
        };
        self.written.push((key.into(), value));
        Ok(before.is_some())
    }

    pub fn increment(&mut self, key: &str, by: i64) -> Result<i64, StoreRefusal> {
        let before = match self.read(key)? {
            None => 0,
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).map_err(|_| StoreRefusal::NotANumber)?;
                text.parse::<i64>().map_err(|_| StoreRefusal::NotANumber)?
            }
        };
        let sum = before.checked_add(by).ok_or(StoreRefusal::NotANumber)?;
        self.write(key, Some(sum.to_string().into()))?;
        Ok(sum)
    }
}

fn check_key(key: &str) -> Result<(), StoreRefusal> {
    if (1..=KEY_BYTES).contains(&key.len()) { Ok(()) } else { Err(StoreRefusal::TooLarge(key.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_store_counts_and_says_what_is_no_number() {
        let mut recorded = Recorded::default();
        assert_eq!(recorded.increment("n", 5), Ok(5));
        assert_eq!(recorded.increment("n", -7), Ok(-2));
        recorded.write("n", Some("x".into())).unwrap();
        assert_eq!(recorded.increment("n", 1), Err(StoreRefusal::NotANumber));
        assert_eq!(recorded.write("n", None), Ok(true));
        assert_eq!(recorded.read("n"), Ok(None));
        assert_eq!(recorded.read(""), Err(StoreRefusal::TooLarge(0)));
        assert_eq!(recorded.read(&"k".repeat(257)), Err(StoreRefusal::TooLarge(257)));
        assert_eq!(recorded.written.len(), 4);
    }
}
