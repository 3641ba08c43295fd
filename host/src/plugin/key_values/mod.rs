//! What a plugin keeps by key: one map a plugin for the whole process, so that it outlives the
//! plugin's instances and versions. (`store.rs` is something else: wasmtime's store of an instance.)
//!
//! A durable store would take the place of [`KeyValues`], whose methods are the whole seam.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::clock::Nanos;

/// Of a key: 1 to so many bytes.
pub const KEY_BYTES: usize = 256;
/// Of a value.
pub const VALUE_BYTES: usize = 64 << 10;
/// What a key counts beside its own bytes and its value's: about what the map takes for it.
pub const OVERHEAD_BYTES: usize = 128;

/// How much one plugin may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreBounds {
    /// Keys and values, and [`OVERHEAD_BYTES`] for each key.
    pub bytes: usize,
    pub keys: usize,
}

impl Default for StoreBounds {
    fn default() -> Self {
        Self { bytes: 16 << 20, keys: 65_536 }
    }
}

/// Why a call of the store came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A key or value of so many bytes.
    TooLarge(usize),
    Full,
    NotANumber,
}

/// Milliseconds from the call on; none: for ever.
pub type TimeToLive = Option<u64>;

/// The keys and values of one plugin. A lock is held for a look into the map and never while
/// anything is copied or awaited.
#[derive(Debug, Default)]
pub struct KeyValues(Mutex<Map>);

#[derive(Debug, Default)]
struct Map {
    bounds: StoreBounds,
    entries: HashMap<Arc<str>, Entry>,
    /// Those that end, the next one first.
    ends: BTreeSet<(Nanos, Arc<str>)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Arc<[u8]>,
    ends: Option<Nanos>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreUse {
    pub keys: usize,
    pub bytes: usize,
}

impl KeyValues {
    /// What is there already stays, also beyond new bounds: it can only become less.
    pub fn set_bounds(&self, bounds: StoreBounds) {
        self.map().bounds = bounds;
    }

    pub fn in_use(&self, now: Nanos) -> StoreUse {
        let mut map = self.map();
        map.forget_ended(now);
        StoreUse { keys: map.entries.len(), bytes: map.bytes }
    }

    /// All that is there, and how many milliseconds it has left.
    pub fn entries(&self, now: Nanos) -> Vec<(Arc<str>, Arc<[u8]>, TimeToLive)> {
        let mut map = self.map();
        map.forget_ended(now);
        let left = |end: Nanos| (end.0 - now.0).div_ceil(1_000_000);
        let entry =
            |(key, entry): (&Arc<str>, &Entry)| (key.clone(), entry.value.clone(), entry.ends.map(left));
        map.entries.iter().map(entry).collect()
    }

    /// # Errors
    /// [`StoreError::TooLarge`] for what is no key.
    pub fn get(&self, now: Nanos, key: &str) -> Result<Option<Arc<[u8]>>, StoreError> {
        check_key(key)?;
        let mut map = self.map();
        map.forget_ended(now);
        Ok(map.value(key))
    }

    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Full`].
    pub fn set(&self, now: Nanos, key: &str, value: &[u8], ttl: TimeToLive) -> Result<(), StoreError> {
        check_key(key)?;
        let value = checked(value)?;
        let mut map = self.map();
        map.forget_ended(now);
        map.put(key, value, end(now, ttl))
    }

    /// Was there one?
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for what is no key.
    pub fn delete(&self, now: Nanos, key: &str) -> Result<bool, StoreError> {
        check_key(key)?;
        let mut map = self.map();
        map.forget_ended(now);
        Ok(map.remove(key))
    }

    /// The sum. `ttl` is for a key that is new.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] also for a sum that is none of 64 bits; nothing changes then.
    pub fn increment(&self, now: Nanos, key: &str, by: i64, ttl: TimeToLive) -> Result<i64, StoreError> {
        check_key(key)?;
        let mut map = self.map();
        map.forget_ended(now);
        let (before, ends) = match map.entries.get(key) {
            Some(entry) => (number(&entry.value)?, entry.ends),
            None => (0, end(now, ttl)),
        };
        let sum = before.checked_add(by).ok_or(StoreError::NotANumber)?;
        map.put(key, sum.to_string().into_bytes().into(), ends)?;
        Ok(sum)
    }

    /// Puts `value` there (none: nothing) if what is there is `expected` (none: nothing). Was it?
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Full`].
    pub fn compare_and_set(
        &self,
        now: Nanos,
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl: TimeToLive,
    ) -> Result<bool, StoreError> {
        check_key(key)?;
        let value = value.map(checked).transpose()?;
        let mut map = self.map();
        map.forget_ended(now);
        if map.entries.get(key).map(|entry| &*entry.value) != expected {
            return Ok(false);
        }
        match value {
            Some(value) => map.put(key, value, end(now, ttl))?,
            None => {
                map.remove(key);
            }
        }
        Ok(true)
    }

    /// What a server before this one has had, whatever the bounds are now: see [`Self::set_bounds`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn restore(&self, now: Nanos, key: &str, value: &[u8], ttl: TimeToLive) -> Result<(), StoreError> {
        check_key(key)?;
        let value = checked(value)?;
        self.map().insert(key, value, end(now, ttl));
        Ok(())
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    /// Each costs its writer once, whoever comes by when its time is over.
    fn forget_ended(&mut self, now: Nanos) {
        while self.ends.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.ends.pop_first() else { return };
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes = self.bytes.saturating_sub(size(&key, &entry.value));
            }
        }
    }

    fn value(&self, key: &str) -> Option<Arc<[u8]>> {
        self.entries.get(key).map(|entry| entry.value.clone())
    }

    fn put(&mut self, key: &str, value: Arc<[u8]>, ends: Option<Nanos>) -> Result<(), StoreError> {
        let before = self.entries.get(key).map(|entry| size(key, &entry.value));
        let bytes = self.bytes - before.unwrap_or(0) + size(key, &value);
        let grows = bytes > self.bytes || before.is_none();
        let keys = self.entries.len() + usize::from(before.is_none());
        if grows && (bytes > self.bounds.bytes || keys > self.bounds.keys) {
            return Err(StoreError::Full);
        }
        self.insert(key, value, ends);
        Ok(())
    }

    fn insert(&mut self, key: &str, value: Arc<[u8]>, ends: Option<Nanos>) {
        let known = self.entries.get_key_value(key).map(|(key, _)| key.clone());
        let key = known.unwrap_or_else(|| key.into());
        self.bytes += size(&key, &value);
        if let Some(replaced) = self.entries.insert(key.clone(), Entry { value, ends }) {
            self.bytes -= size(&key, &replaced.value);
            if let Some(end) = replaced.ends {
                self.ends.remove(&(end, key.clone()));
            }
        }
        if let Some(end) = ends {
            self.ends.insert((end, key));
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        let Some((key, entry)) = self.entries.remove_entry(key) else { return false };
        self.bytes = self.bytes.saturating_sub(size(&key, &entry.value));
        if let Some(end) = entry.ends {
            self.ends.remove(&(end, key));
        }
        true
    }
}

fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + OVERHEAD_BYTES
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if (1..=KEY_BYTES).contains(&key.len()) { Ok(()) } else { Err(StoreError::TooLarge(key.len())) }
}

fn checked(value: &[u8]) -> Result<Arc<[u8]>, StoreError> {
    if value.len() > VALUE_BYTES { Err(StoreError::TooLarge(value.len())) } else { Ok(value.into()) }
}

/// None: for ever, also where the end is later than a clock of 64 bits shows.
fn end(now: Nanos, ttl: TimeToLive) -> Option<Nanos> {
    ttl?.checked_mul(1_000_000)?.checked_add(now.0).map(Nanos)
}

/// Decimal digits, with a `-` before them or nothing.
fn number(value: &[u8]) -> Result<i64, StoreError> {
    let text = std::str::from_utf8(value).map_err(|_| StoreError::NotANumber)?;
    if text.starts_with('+') {
        return Err(StoreError::NotANumber);
    }
    text.parse().map_err(|_| StoreError::NotANumber)
}
