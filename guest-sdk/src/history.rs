//! What channels have kept, as their rules say. To add to it without a delivery use
//! [`Context::persist`](crate::Context::persist).
//!
//! ```
//! use tidegate_guest::prelude::*;
//!
//! /// Nobody says the same thing twice in a row.
//! fn is_new(channel: &str, message: &Message) -> Result<bool, Denial> {
//!     let last = history::last(channel, 1)?;
//!     Ok(last.first().is_none_or(|last| last.payload != message.bytes()))
//! }
//!
//! let hello = Message::for_test("ada", r#""hello""#);
//! assert!(is_new("chat:a", &hello)?);
//! # history::push_for_test("chat:a", r#""hello""#);
//! assert!(!is_new("chat:a", &hello)?);
//! # Ok::<(), Denial>(())
//! ```
//!
//! The answer comes from the channel's own thread, while the call waits. A handler sees in its own
//! channel all that came before what it is asked about. A call may read 64 times, and filters may
//! not read at all.

pub use crate::bindings::tidegate::plugin::history::Past;
pub use crate::bindings::tidegate::plugin::types::ReadFailure;

/// The newest, at most `limit` and 256 of them and 1 MiB together, oldest first.
///
/// # Errors
/// [`ReadFailure::BadName`] for what names no channel, [`ReadFailure::Unavailable`].
pub fn last(channel: &str, limit: u32) -> Result<Vec<Past>, ReadFailure> {
    host::last(channel, limit)
}

/// Those after an offset, the oldest of them first; bounded the same.
///
/// ```
/// use tidegate_guest::history;
///
/// # for n in 1..=3 { history::push_for_test("log", n.to_string()); }
/// let mut offset = 0;
/// loop {
///     let page = history::since("log", offset, 2)?;
///     let Some(last) = page.last() else { break };
///     offset = last.offset;
/// }
/// assert_eq!(offset, 3);
/// # Ok::<(), history::ReadFailure>(())
/// ```
///
/// # Errors
/// [`ReadFailure::BadName`] for what names no channel, [`ReadFailure::Unavailable`].
pub fn since(channel: &str, offset: u64, limit: u32) -> Result<Vec<Past>, ReadFailure> {
    host::since(channel, offset, limit)
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::tidegate::plugin::history as host;
#[cfg(not(target_arch = "wasm32"))]
use for_test as host;
#[cfg(not(target_arch = "wasm32"))]
pub use for_test::push_for_test;

#[cfg(not(target_arch = "wasm32"))]
mod for_test {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::{Past, ReadFailure};
    use crate::PayloadKind;

    const MOST: usize = 256;

    thread_local! {
        static CHANNELS: RefCell<HashMap<String, Vec<Past>>> = RefCell::default();
    }

    /// Puts a JSON payload into a channel's history with the next offset, for this thread, and so for
    /// one test. Not there on wasm.
    pub fn push_for_test(channel: &str, json: impl Into<Vec<u8>>) {
        CHANNELS.with_borrow_mut(|channels| {
            let kept = channels.entry(channel.to_owned()).or_default();
            kept.push(Past {
                offset: kept.len() as u64 + 1,
                event: None,
                kind: PayloadKind::Json,
                payload: json.into(),
                at_ms: 0,
            });
        });
    }

    fn kept(channel: &str) -> Vec<Past> {
        CHANNELS.with_borrow(|channels| channels.get(channel).cloned().unwrap_or_default())
    }

    fn at_most(limit: u32) -> usize {
        (limit as usize).min(MOST)
    }

    pub(super) fn last(channel: &str, limit: u32) -> Result<Vec<Past>, ReadFailure> {
        let mut kept = kept(channel);
        Ok(kept.split_off(kept.len().saturating_sub(at_most(limit))))
    }

    pub(super) fn since(channel: &str, offset: u64, limit: u32) -> Result<Vec<Past>, ReadFailure> {
        let after = kept(channel).into_iter().filter(|past| past.offset > offset);
        Ok(after.take(at_most(limit)).collect())
    }
}
