//! The native JSON protocol.

pub(super) mod decode;
pub(super) mod encode;

pub use decode::{binary, broadcast, text};
pub use encode::Native;
