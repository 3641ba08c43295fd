//! Plugins: from a file in a watched folder to calls into its component. Knows no sockets
//! and no channels' subscribers.
//!
//! A file is read by the [`host`]'s thread, checked by the [`loader`] into a
//! [`Generation`], put into a new [`Registry`], and from there used by each shard's own
//! instances: [`Actors`] for channels, [`Services`] for auth and actions, [`Filters`].

mod actions;
mod actor;
mod aside;
mod at_work;
mod auth;
pub mod bindings;
mod calls;
mod conduct;
mod effects;
mod engine;
mod failure;
mod figures;
mod filter;
mod folder;
mod generation;
mod grants;
mod handler;
mod health;
mod host;
mod imports;
mod interrupts;
mod keeper;
mod key_values;
mod lane;
mod lasting;
mod limits;
mod loader;
mod log_budget;
mod lot;
mod meter;
pub mod offline;
mod orders;
mod priority;
mod quick;
pub mod reads;
mod registry;
mod report;
pub mod saved;
mod shadow;
mod slot;
mod stage;
mod standing;
mod stint;
mod store;
mod tap;
mod trial;
mod watcher;

pub use actor::{Actor, ActorSink, Actors, Answer, Denial, Departure, Job, LastWord, Ready};
pub use at_work::AtWork;
pub use auth::{AuthAction, Handshake, Headers, Identity, Permission, Refused};
pub use calls::Times as CallTimes;
pub use effects::{
    Acceptance, Audience, Direct, Dismissal, Effect, Metric, Outcome, Publication, Recipient, Response,
    Verdict,
};
pub use engine::PluginEngine;
pub use failure::PluginFailure;
pub use filter::{Bits, Columns, FilterBatch, FilterId, FilterRefusal, Filters};
pub use generation::Generation;
pub use grants::{BadOrigin, Environment, GrantSettings, HttpGrant, Origin};
pub use host::{PluginHost, PluginSettings, PluginsConfig};
pub use key_values::{KeyValues, StoreBounds, StoreError, StoreUse};
pub use limits::{AT_A_STRETCH, PluginLimits};
pub use loader::{CONTRACT, LoadError, Source, load, sha256};
pub use lot::{Lot, Share};
pub use orders::{Done, OrderError, Want};
pub use registry::{Registry, Route};
pub use report::{PluginState, PluginsReport};
pub use slot::Services;
pub use tap::{Called, Observed, Tap};
pub use trial::TrialSettings;
