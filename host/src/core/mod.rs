//! What every floor above speaks of: names, ids, patterns, messages, keys, refusals, time,
//! rates, queues, schemas, JSON that is passed on. No tokio, no I/O.

pub mod address;
pub mod apps;
pub mod bounded;
pub mod channel_map;
pub mod clock;
pub mod ids;
pub mod json;
pub mod key;
pub mod message;
pub mod metadata;
pub mod meter;
pub mod names;
pub mod pattern;
pub mod rate;
pub mod refusal;
pub mod schema;
mod trace;

pub use channel_map::{ChannelMap, ChannelSet};
pub use ids::{ClientId, Offset, ShardId};
pub use key::{KeyPointer, MessageKey};
pub use message::{Message, Payload, PayloadKind, Sender};
pub use names::{ChannelName, IdempotencyKey, LastName, PluginName, UserId};
pub use pattern::{Captures, Pattern};
pub use refusal::Refusal;
pub use trace::TraceParent;
