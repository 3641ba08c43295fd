//! The native JSON protocol.

mod decode;
mod encode;

pub use decode::{binary, text};
pub use encode::Native;
