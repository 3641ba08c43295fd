//! The Pusher Channels protocol, version 7: what its clients and server SDKs say and sign.

pub mod close;
pub mod decode;
pub mod encode;
pub mod member;
pub mod own;
pub mod payload;
pub mod request;
pub mod sign;
pub mod webhook;

pub use decode::{Said, Unsaid, text};
pub use encode::Pusher;
