//! What every test program here works with: the real server as a child process, a real
//! WebSocket client, a raw socket for what no real client sends, and a minimal HTTP client.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

pub mod cli;
pub mod client;
pub mod events;
pub mod guest;
pub mod http;
pub mod node;
pub mod plugins;
pub mod pusher;
pub mod raw;
pub mod server;
pub mod sign;
pub mod wait;

pub use client::Client;
pub use events::Events;
pub use raw::Raw;
pub use server::Server;
pub use wait::{eventually, within};
