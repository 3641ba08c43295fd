//! Dialects: frames of a wire format to commands, and messages and replies to frames.
//! Pure functions: no sockets, no state.

pub mod action;
pub mod bridge;
pub mod command;
pub mod ending;
pub mod event;
pub mod fields;
pub mod frame;
pub mod native;
pub mod pusher;
pub mod query;
pub mod sse;

pub use action::Action;
pub use bridge::Bridge;
pub use command::{Command, FilterRequest, Request};
pub use event::Event;
pub use native::Native;
pub use pusher::Pusher;
pub use sse::{Framed, Plain};
