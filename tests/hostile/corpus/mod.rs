//! The corpus: components that misbehave, each with the error that it must be told of by.
//!
//! A row is a name, a component, what a client does, and what the operator then reads in
//! `GET /api/plugins`. Beside each of them a handler, a filter, an action and a plain channel on the
//! same shard must go on as if nothing were.

pub mod answers;
pub mod calls;
mod files;
pub mod handles;
mod loading;
pub mod stories;

use crate::harness::guest::Guest;

/// The plugin's name, wherever there is one.
pub const BAD: &str = "bad";

/// One hostile component.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    pub guest: Guest,
    pub story: Story,
}

/// What happens with it.
#[derive(Clone, Copy)]
pub enum Story {
    /// The file is refused, with this in the reason.
    Refused(&'static str),
    /// It loads; when this is done it fails, which is counted in this class and has these words.
    Fails(Cue, &'static str, &'static str),
}

/// What makes it be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// A message to a channel of its own.
    Publish,
    /// A subscription to such a channel.
    Subscribe,
    /// The end of a subscription: nobody waits for an answer.
    Leave,
    /// A new version of its file: the channel's state is saved.
    Reload,
    /// A call of its action, `act`.
    Act,
    /// A subscription with a filter of it.
    Filter,
    /// A message to a subscriber with a filter of it.
    Judge,
    /// A client connects.
    Connect,
    /// A client, who was let in, asks to subscribe.
    Authorize,
}

pub fn refused(name: &'static str, guest: Guest, words: &'static str) -> Case {
    Case { name, guest, story: Story::Refused(words) }
}

pub fn fails(name: &'static str, guest: Guest, cue: Cue, class: &'static str, words: &'static str) -> Case {
    Case { name, guest, story: Story::Fails(cue, class, words) }
}

/// A table of rows, each of which is a test of its own.
macro_rules! corpus {
    ($($name:ident: $make:ident($($row:expr),+ $(,)?);)+) => {
        pub fn all() -> Vec<$crate::corpus::Case> {
            vec![$($make(stringify!($name), $($row),+)),+]
        }
        mod each {
            $(#[tokio::test]
            async fn $name() {
                let name = stringify!($name);
                let case = super::all().into_iter().find(|case| case.name == name);
                $crate::corpus::stories::tell(&case.unwrap()).await;
            })+
        }
    };
}
pub(crate) use corpus;
