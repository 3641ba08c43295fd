//! Who is in a channel. To change it use [`Context::join`](crate::Context::join) and
//! [`Context::leave`](crate::Context::leave).
//!
//! ```
//! use tidegate_guest::prelude::*;
//!
//! /// A table has two seats.
//! fn sit_down(who: &Caller, table: &str, ctx: &mut Context) -> Result<(), Denial> {
//!     if presence::count(table)? >= 2 {
//!         deny!(1, "The table is full.");
//!     }
//!     ctx.join(who.client, table, None);
//!     Ok(())
//! }
//!
//! # presence::set_for_test("table:1", vec![presence::Present::for_test("ada")]);
//! let (bob, mut ctx) = (Caller::for_test("bob"), Context::default());
//! assert!(sit_down(&bob, "table:1", &mut ctx).is_ok());
//! # presence::set_for_test("table:1", ["ada", "bob"].map(presence::Present::for_test).to_vec());
//! assert!(sit_down(&Caller::for_test("eve"), "table:1", &mut ctx).is_err());
//! ```
//!
//! The answer comes from the channel's own thread, while the call waits: some ten microseconds, or a
//! millisecond when the server is busy. It is as of then; an effect that was decided by it is applied
//! later. A call may read 64 times, and filters may not read at all.

pub use crate::bindings::tidegate::plugin::presence::Present;
pub use crate::bindings::tidegate::plugin::types::ReadFailure;

/// Its members, at most 1,000: those that came first.
///
/// # Errors
/// [`ReadFailure::BadName`] for what names no channel, [`ReadFailure::Unavailable`].
pub fn members(channel: &str) -> Result<Vec<Present>, ReadFailure> {
    host::members(channel)
}

/// How many users are there.
///
/// # Errors
/// [`ReadFailure::BadName`] for what names no channel, [`ReadFailure::Unavailable`].
pub fn count(channel: &str) -> Result<u32, ReadFailure> {
    host::count(channel)
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::tidegate::plugin::presence as host;
#[cfg(not(target_arch = "wasm32"))]
use for_test as host;
#[cfg(not(target_arch = "wasm32"))]
pub use for_test::set_for_test;

#[cfg(not(target_arch = "wasm32"))]
mod for_test {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::{Present, ReadFailure};

    thread_local! {
        static CHANNELS: RefCell<HashMap<String, Vec<Present>>> = RefCell::default();
    }

    impl Present {
        /// A user with one connection and without data, for tests. Not there on wasm.
        pub fn for_test(user: impl Into<String>) -> Self {
            Self { user: user.into(), data: None, joined_at_ms: 0, connections: 1 }
        }
    }

    /// Who is in a channel, for this thread, and so for one test. Not there on wasm.
    pub fn set_for_test(channel: &str, members: Vec<Present>) {
        CHANNELS.with_borrow_mut(|channels| channels.insert(channel.to_owned(), members));
    }

    pub(super) fn members(channel: &str) -> Result<Vec<Present>, ReadFailure> {
        Ok(CHANNELS.with_borrow(|channels| channels.get(channel).cloned().unwrap_or_default()))
    }

    pub(super) fn count(channel: &str) -> Result<u32, ReadFailure> {
        members(channel).map(|members| members.len() as u32)
    }
}
