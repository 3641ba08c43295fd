//! The server as its clients see it: the real binary, real plugins, real sockets.

#[path = "../harness/mod.rs"]
mod harness;

mod actions;
mod auth;
mod channels;
mod cli;
mod counts;
mod drain;
mod filters;
mod frames;
mod http;
mod limits;
mod protocol;
mod rules;
mod schemas;
mod settings;
mod slow;
