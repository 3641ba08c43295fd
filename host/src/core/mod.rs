//! What every floor above speaks of: names, ids, patterns, messages, refusals, time, rates, queues,
//! schemas. No tokio, no I/O.

pub mod address;
pub mod apps;
pub mod bounded;
pub mod clock;
pub mod ids;
pub mod message;
pub mod meter;
pub mod names;
pub mod pattern;
pub mod rate;
pub mod refusal;
pub mod schema;

pub use ids::{ClientId, Offset, ShardId};
pub use message::{Message, Payload, PayloadKind, Sender};
pub use names::{ChannelName, IdempotencyKey, PluginName, UserId};
pub use pattern::Pattern;
pub use refusal::Refusal;
