//! One port: threads, listeners, HTTP routes and WebSockets.

mod api;
mod console;
mod frames;
mod handshake;
mod jwks;
mod listener;
mod router;
mod run;
mod websocket;

pub use run::{Server, check, serve};
