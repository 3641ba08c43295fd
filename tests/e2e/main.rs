//! The server as its clients see it: the real binary, real plugins, real sockets.

#[path = "../harness/mod.rs"]
mod harness;

mod actions;
mod api;
mod auth;
mod channels;
mod cli;
mod drain;
mod filters;
mod frames;
mod http;
mod protocol;
mod slow;
