//! Tidegate: a realtime server whose application logic is WebAssembly components,
//! replaced while it runs. ARCHITECTURE.md is the map; the modules are its floors,
//! each knowing only those listed before it.

#![deny(unsafe_code)]
// What is left to be dropped elsewhere may rely on it: `plugin/aside.rs`.
#![deny(clippy::mem_forget)]

pub mod cli;
pub mod config;
pub mod core;
pub mod dialect;
pub mod hub;
pub mod plugin;
pub mod server;
pub mod session;
