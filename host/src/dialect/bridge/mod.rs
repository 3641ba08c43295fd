//! One socket, one channel, no envelope: what the client sends is published as it is, and what
//! is published comes as it is.

mod decode;
mod encode;

pub use decode::{BadBridge, Opening, binary, subscribe, text};
pub use encode::Bridge;
pub(super) use encode::bare;
