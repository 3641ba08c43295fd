//! One port: threads, listeners, HTTP routes and WebSockets.

mod address;
mod api;
pub mod assembly;
mod console;
pub mod frames;
pub mod handshake;
mod jwks;
mod listener;
mod metrics;
mod outbound;
mod pusher;
mod pusher_api;
mod pusher_auth;
mod readers;
mod router;
mod run;
mod spoken;
mod sse;
mod stream;
mod webhooks;
mod websocket;

pub use run::{NATIVE, Server, cache_dir, check, serve, shard_settings};
