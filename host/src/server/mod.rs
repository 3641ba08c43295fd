//! One port: threads, listeners, HTTP routes and WebSockets.

mod address;
mod api;
mod console;
mod frames;
mod handshake;
mod listener;
mod router;
mod run;
mod websocket;

pub use run::{Server, serve};
