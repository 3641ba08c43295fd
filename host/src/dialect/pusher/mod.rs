//! The Pusher Channels protocol, version 7: what its clients and server SDKs say and sign.

pub mod payload;
pub mod request;
pub mod sign;
