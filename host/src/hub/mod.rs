//! Shards, channels and fan-out: bytes and ids only. A publish goes from its client's
//! shard to the channel's [`home`], through the channel's handler if it has one, into a
//! [`turn`], and from there by [`delivery`] into the [`outbox`] of every subscriber.

mod alarm;
mod asides;
pub mod audience;
pub mod connection;
pub mod counters;
mod delivery;
mod filtered;
mod frames;
pub mod groups;
pub mod guest;
pub mod history;
mod home;
pub mod letter;
pub mod mesh;
pub mod notice;
pub mod outbox;
pub mod pace;
mod places;
mod post;
pub mod presence;
pub mod queue;
pub mod rules;
mod sends;
pub mod shard;
mod share;
mod slots;
pub mod slow;
pub mod socket;
pub mod tally;
mod turn;
pub mod wire;

pub use connection::Connection;
pub use home::{ChannelFacts, Occupancy};
pub use shard::{Settings, Shard};
