//! The server as its clients see it: the real binary, real plugins, real sockets.

#[path = "../harness/mod.rs"]
mod harness;

mod actions;
mod api;
mod auth;
mod bad_input;
mod bench;
mod bridge;
mod captures;
mod chains;
mod channels;
mod cli;
mod counts;
mod dialects;
mod drain;
mod effects;
mod expiry;
mod filters;
mod footprint;
mod frames;
mod grants;
mod history;
mod http;
mod jwks;
mod jwt;
mod keeping;
mod limits;
mod live;
mod metrics;
mod presence;
mod protocol;
mod pusher;
mod pusher_api;
mod reauthorize;
mod receipts;
mod replays;
mod responses;
mod rules;
mod schemas;
mod settings;
mod slow;
mod sse;
mod timers;
mod users;
mod ways_in;
