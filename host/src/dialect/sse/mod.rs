//! Server-sent events (WHATWG HTML, section 9.2): a channel's payloads plain, or several channels
//! in the native protocol's `data` frames.

mod decode;
mod encode;

pub use decode::{BadRequest, MAX_CHANNELS, Stream};
pub use encode::{Framed, KEEP_ALIVE, Plain};
