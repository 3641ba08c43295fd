//! The HTTP API of the Pusher Channels protocol, as an application's own server uses it.

mod endpoint;
mod events;
mod lists;
mod signing;
mod users;
mod webhooks;
