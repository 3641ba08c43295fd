//! Plugins for the Tidegate realtime server, in Rust.
//!
//! A plugin is a WebAssembly component. What it exports is what it does: implement
//! one or more of the traits, name them in [`export!`], and nothing else is needed.
//!
//! | trait | what it is for | a call may take |
//! |---|---|---|
//! | [`Channel`] | passes, changes or refuses what is published; answers with effects | 20 ms, `open` 100 ms |
//! | [`Auth`] | says who a connection is and what it may do | 50 ms |
//! | [`Filter`], [`FilterBy`] | says which subscribers get a message | 5 ms for a whole batch |
//! | [`Actions`] | functions that clients call by name | 20 ms |
//!
//! ```
//! use tidegate_guest::prelude::*;
//!
//! struct Polite;
//!
//! impl Channel for Polite {
//!     fn open(_: &ChannelName) -> Result<Self, String> {
//!         Ok(Polite)
//!     }
//!
//!     fn on_publish(&mut self, message: &Message, _: &mut Context) -> Result<Verdict, Denial> {
//!         if message.text()?.contains("damn") {
//!             deny!(1, "Please be polite, {}.", message.user());
//!         }
//!         Ok(Verdict::Pass)
//!     }
//! }
//!
//! tidegate_guest::export!(channel: Polite);
//! ```
//!
//! # Failing
//! A refusal is an `Err`; it reaches the client. A panic is a bug: its text and place
//! go to the server's log, the caller gets `plugin_failed`, no effect of the call is
//! applied, and the instance with all its state is thrown away.
//!
//! # Building
//! The crate is a `cdylib` built for `wasm32-unknown-unknown` and made a component
//! (`wasm-tools component new`), or built for `wasm32-wasip2`, which is one already.
//!
//! # Testing
//! On other targets nothing is exported: `cargo test` runs a plugin's own tests.
//! There the log goes to stderr, [`config`], [`presence`], [`history`] and [`groups`] have what
//! their `…_for_test` put in, and [`store`] is a map of the test's own.
//!
//! # Features
//! `json` (on by default): payloads and parameters to and from serde's types.
#![warn(missing_docs)]

#[doc(hidden)]
pub mod bindings;

mod about;
mod actions;
mod auth;
mod channel;
pub mod config;
mod data;
mod denial;
mod effects;
mod export;
mod filter;
pub mod groups;
pub mod history;
pub mod log;
mod message;
mod name;
mod panic;
pub mod presence;
mod response;
pub mod store;
pub mod trace;

pub use about::About;
pub use actions::Actions;
pub use auth::{Action, Auth, Handshake, Identity, Permission};
pub use bindings::tidegate::plugin::types::{
    Audience, Caller, ClientId, Denial, Direct, Dismissal, Effect, Grouping, Member, Metric, PayloadKind,
    Place, Publication, Recipient, Subscription, Timer,
};
pub use channel::{Channel, Departure, Verdict};
pub use data::Data;
pub use effects::{Context, Persist, Publish, Send};
pub use filter::{Filter, FilterBy, FilterMessage};
pub use message::Message;
pub use name::ChannelName;
pub use response::Response;

/// What the macros need; not for direct use.
#[doc(hidden)]
pub mod __private {
    pub use crate::actions::call;
    pub use crate::auth::{authenticate, authorize};
    pub use crate::channel::Slot;
    pub use crate::filter::Filters;
    pub use crate::panic::install_hook;
}

/// Everything that a plugin usually needs.
pub mod prelude {
    pub use crate::{
        Action, Actions, Auth, Caller, Channel, ChannelName, Context, Data, Denial, Departure, Effect,
        Filter, FilterBy, FilterMessage, Handshake, Identity, Message, PayloadKind, Permission, Response,
        Verdict, config, groups, history, presence, store,
    };
    pub use crate::{debug, deny, error, info, trace, warn};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins.md")]
struct Page;

#[cfg(doctest)]
#[doc = include_str!("../../docs/handlers.md")]
struct Handlers;
