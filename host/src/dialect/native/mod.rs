//! The native JSON protocol.

mod decode;
mod encode;

pub use decode::{binary, broadcast, text};
pub use encode::Native;
