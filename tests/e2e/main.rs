//! The server as its clients see it: the real binary, real plugins, real sockets.

#[path = "../harness/mod.rs"]
mod harness;

mod actions;
mod auth;
mod channels;
mod cli;
mod drain;
mod filters;
mod frames;
mod http;
mod jwks;
mod jwt;
mod protocol;
mod slow;
