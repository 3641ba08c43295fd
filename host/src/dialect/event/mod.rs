//! JSON frames keyed by `event`, as broadcasting in the manner of Laravel has them.

mod decode;
mod encode;

pub use decode::text;
pub use encode::Event;
