//! Keys and values that the plugin keeps: the same for all its instances on all threads, and there
//! still after a reload or a panic. They end with the server.
//!
//! Unlike an effect, what is written is written, also when the call fails later. A key has 1 to
//! 256 bytes, a value up to 64 KiB, one call of the plugin up to 64 calls of these functions; all
//! together the plugin may keep what `store_bytes` and `store_keys` of `[plugins.NAME]` say.
//!
//! A time to live is a [`Duration`] (in whole milliseconds) or `None` for ever:
//!
//! ```
//! use std::time::Duration;
//! use tidegate_guest::prelude::*;
//!
//! /// Five tries a minute for each user.
//! fn may_try(user: &str) -> Result<(), Denial> {
//!     let minute = Duration::from_secs(60);
//!     if store::increment(&format!("tries:{user}"), 1, minute)? > 5 {
//!         deny!(1, "Too many tries; wait a minute.");
//!     }
//!     Ok(())
//! }
//!
//! assert!((0..5).all(|_| may_try("ada").is_ok()));
//! assert!(may_try("ada").is_err());
//! # store::pass_for_test(Duration::from_secs(60));
//! // A minute later:
//! assert!(may_try("ada").is_ok());
//! ```

use std::time::Duration;

use crate::Denial;

/// Why a call of the store came to nothing. With `?` it becomes a [`Denial`] with code 0.
pub use crate::bindings::tidegate::plugin::store::Failure;

/// ```
/// use tidegate_guest::store;
///
/// store::set("colour", "red", None)?;
/// assert_eq!(store::get("colour")?.as_deref(), Some(&b"red"[..]));
/// assert_eq!(store::get("size")?, None);
/// # Ok::<(), store::Failure>(())
/// ```
///
/// # Errors
/// [`Failure::TooLarge`] for what is no key, [`Failure::TooManyCalls`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Failure> {
    host::get(key)
}

/// Whatever was there before is gone, with its time to live.
///
/// # Errors
/// [`Failure::TooLarge`], [`Failure::Full`], [`Failure::TooManyCalls`].
pub fn set(key: &str, value: impl AsRef<[u8]>, ttl: impl Into<Option<Duration>>) -> Result<(), Failure> {
    host::set(key, value.as_ref(), millis(ttl.into()))
}

/// Was there one?
///
/// # Errors
/// [`Failure::TooLarge`] for what is no key, [`Failure::TooManyCalls`].
pub fn delete(key: &str) -> Result<bool, Failure> {
    host::delete(key)
}

/// Adds to a number that is kept as decimal digits, one that is not there being 0, and answers with
/// the sum. `ttl` is for one that was not there; one that was keeps its own.
///
/// ```
/// use tidegate_guest::store;
///
/// store::set("visits", "41", None)?;
/// assert_eq!(store::increment("visits", 1, None)?, 42);
/// # Ok::<(), store::Failure>(())
/// ```
///
/// # Errors
/// [`Failure::NotANumber`] where something else is kept, or the sum is none of 64 bits;
/// [`Failure::TooLarge`], [`Failure::Full`], [`Failure::TooManyCalls`].
pub fn increment(key: &str, by: i64, ttl: impl Into<Option<Duration>>) -> Result<i64, Failure> {
    host::increment(key, by, millis(ttl.into()))
}

/// Puts `value` there (`None`: deletes it) if what is there is still `expected` (`None`: nothing).
/// Was it? If not, another instance was first: read it again.
///
/// ```
/// use tidegate_guest::store;
///
/// // The first who comes is the host of the game.
/// assert!(store::compare_and_set("host:7", None, Some(b"ada"), None)?);
/// assert!(!store::compare_and_set("host:7", None, Some(b"bob"), None)?);
/// # Ok::<(), store::Failure>(())
/// ```
///
/// # Errors
/// [`Failure::TooLarge`], [`Failure::Full`], [`Failure::TooManyCalls`].
pub fn compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: Option<&[u8]>,
    ttl: impl Into<Option<Duration>>,
) -> Result<bool, Failure> {
    host::compare_and_set(key, expected, value, millis(ttl.into()))
}

fn millis(ttl: Option<Duration>) -> Option<u64> {
    ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}

/// The reason, with code 0.
impl From<Failure> for Denial {
    fn from(failure: Failure) -> Self {
        Self::new(0, String::from(failure))
    }
}

/// For people to read.
impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TooLarge(bytes) => format!(
                "The plugin's store takes keys of 1 to 256 bytes and values of up to 64 KiB, not {bytes} bytes."
            ),
            Failure::Full => "The plugin's store is full.".into(),
            Failure::NotANumber => {
                "What the plugin's store has there is not a number, or would be too large a one.".into()
            }
            Failure::TooManyCalls => "The plugin has called its store too often in one call.".into(),
        }
    }
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::tidegate::plugin::store as host;
#[cfg(not(target_arch = "wasm32"))]
use for_test as host;
#[cfg(not(target_arch = "wasm32"))]
pub use for_test::pass_for_test;

#[cfg(not(target_arch = "wasm32"))]
mod for_test {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::time::Duration;

    use super::Failure;

    /// A value, and the time at which it ends.
    type Entry = (Vec<u8>, Option<u64>);

    thread_local! {
        static ENTRIES: RefCell<HashMap<String, Entry>> = RefCell::default();
        static NOW_MS: RefCell<u64> = const { RefCell::new(0) };
    }

    /// So much time goes by for this thread's store, and so for one test: by itself none does. Not
    /// there on wasm.
    pub fn pass_for_test(time: Duration) {
        NOW_MS
            .with_borrow_mut(|now| *now = now.saturating_add(super::millis(Some(time)).unwrap_or(u64::MAX)));
    }

    fn end(ttl_ms: Option<u64>) -> Option<u64> {
        ttl_ms.and_then(|ttl| NOW_MS.with_borrow(|now| now.checked_add(ttl)))
    }

    /// Without what is over.
    fn entries<T>(key: &str, look: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> Result<T, Failure> {
        if !(1..=256).contains(&key.len()) {
            return Err(too_large(key.len()));
        }
        let now = NOW_MS.with_borrow(|now| *now);
        Ok(ENTRIES.with_borrow_mut(|entries| {
            entries.retain(|_, (_, ends)| ends.is_none_or(|end| end > now));
            look(entries)
        }))
    }

    fn too_large(bytes: usize) -> Failure {
        Failure::TooLarge(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    fn checked(value: &[u8]) -> Result<Vec<u8>, Failure> {
        if value.len() > 64 << 10 { Err(too_large(value.len())) } else { Ok(value.to_vec()) }
    }

    pub fn get(key: &str) -> Result<Option<Vec<u8>>, Failure> {
        entries(key, |entries| entries.get(key).map(|(value, _)| value.clone()))
    }

    pub fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Failure> {
        let value = checked(value)?;
        entries(key, |entries| drop(entries.insert(key.to_owned(), (value, end(ttl_ms)))))
    }

    pub fn delete(key: &str) -> Result<bool, Failure> {
        entries(key, |entries| entries.remove(key).is_some())
    }

    pub fn increment(key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Failure> {
        entries(key, |entries| {
            let (before, ends) = match entries.get(key) {
                Some((value, ends)) => (number(value)?, *ends),
                None => (0, end(ttl_ms)),
            };
            let sum = before.checked_add(by).ok_or(Failure::NotANumber)?;
            entries.insert(key.to_owned(), (sum.to_string().into_bytes(), ends));
            Ok(sum)
        })?
    }

    fn number(value: &[u8]) -> Result<i64, Failure> {
        let text = std::str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
        text.and_then(|text| text.parse().ok()).ok_or(Failure::NotANumber)
    }

    pub fn compare_and_set(
        key: &str,
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, Failure> {
        let value = value.map(checked).transpose()?;
        entries(key, |entries| {
            if entries.get(key).map(|(value, _)| value.as_slice()) != expected {
                return false;
            }
            match value {
                Some(value) => drop(entries.insert(key.to_owned(), (value, end(ttl_ms)))),
                None => drop(entries.remove(key)),
            }
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_double_keeps_what_the_server_would() {
        assert_eq!(set("a", "1", Duration::from_millis(5)), Ok(()));
        assert_eq!(increment("a", 2, None), Ok(3));
        pass_for_test(Duration::from_millis(5));
        assert_eq!(get("a"), Ok(None));
        assert_eq!(set("a", "x", None), Ok(()));
        assert_eq!(increment("a", 1, None), Err(Failure::NotANumber));
        assert_eq!(compare_and_set("a", Some(b"x"), None, None), Ok(true));
        assert_eq!(delete("a"), Ok(false));
        assert_eq!(get(""), Err(Failure::TooLarge(0)));
        assert_eq!(set("a", vec![0; 65_537], None), Err(Failure::TooLarge(65_537)));
    }
}
