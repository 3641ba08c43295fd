//! JSON requests keyed by `action` and `topic`, messages without an envelope, errors as an echo:
//! the format of Tina4's publish and subscribe.

mod decode;
mod encode;

pub use decode::text;
pub use encode::Action;
