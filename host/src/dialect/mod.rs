//! Dialects: frames of a wire format to commands, and messages and replies to frames.
//! Pure functions: no sockets, no state.

pub mod command;
pub mod frame;
pub mod native;

pub use command::{Command, FilterRequest, Request};
pub use native::Native;
