//! Groups: names for sets of channels. To change them use
//! [`Context::group_add`](crate::Context::group_add) and
//! [`Context::group_discard`](crate::Context::group_discard).
//!
//! ```
//! use tidegate_guest::prelude::*;
//!
//! /// The same words in all of a team's channels.
//! fn announce(team: &str, words: &str, ctx: &mut Context) -> Result<(), Denial> {
//!     for channel in groups::channels(team)? {
//!         ctx.publish(channel).event("announcement").json(words)?;
//!     }
//!     Ok(())
//! }
//!
//! # groups::set_for_test("team:red", ["chat:a", "chat:b"]);
//! let mut ctx = Context::default();
//! announce("team:red", "Lunch!", &mut ctx)?;
//! assert_eq!(ctx.effects().len(), 2);
//! # Ok::<(), Denial>(())
//! ```
//!
//! A call may read 64 times, and filters may not read at all.

use crate::Denial;

pub use crate::bindings::tidegate::plugin::types::ReadFailure;

/// Its channels, in the order of their names; none of a group that is not there.
///
/// # Errors
/// [`ReadFailure::BadName`] for what names no group, [`ReadFailure::Unavailable`].
pub fn channels(group: &str) -> Result<Vec<String>, ReadFailure> {
    host::channels(group)
}

/// The reason, with code 0.
impl From<ReadFailure> for Denial {
    fn from(failure: ReadFailure) -> Self {
        Self::new(0, String::from(failure))
    }
}

/// For people to read.
impl From<ReadFailure> for String {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::BadName(why) => format!("The name that the plugin reads by {why}."),
            ReadFailure::Unavailable(why) => format!("What the plugin reads is not there: {why}."),
        }
    }
}

#[cfg(target_arch = "wasm32")]
use crate::bindings::tidegate::plugin::groups as host;
#[cfg(not(target_arch = "wasm32"))]
use for_test as host;
#[cfg(not(target_arch = "wasm32"))]
pub use for_test::set_for_test;

#[cfg(not(target_arch = "wasm32"))]
mod for_test {
    use std::cell::RefCell;
    use std::collections::{BTreeSet, HashMap};

    use super::ReadFailure;

    thread_local! {
        static GROUPS: RefCell<HashMap<String, BTreeSet<String>>> = RefCell::default();
    }

    /// A group's channels, for this thread, and so for one test. Not there on wasm.
    pub fn set_for_test<const N: usize>(group: &str, channels: [&str; N]) {
        let channels = channels.map(str::to_owned).into();
        GROUPS.with_borrow_mut(|groups| groups.insert(group.to_owned(), channels));
    }

    pub(super) fn channels(group: &str) -> Result<Vec<String>, ReadFailure> {
        let channels = GROUPS.with_borrow(|groups| groups.get(group).cloned().unwrap_or_default());
        Ok(channels.into_iter().collect())
    }
}
