//! What every floor above speaks of: names, ids, patterns, messages, refusals, time. No tokio, no I/O.

pub mod clock;
pub mod ids;
pub mod message;
pub mod names;
pub mod pattern;
pub mod refusal;

pub use ids::{ClientId, Offset, ShardId};
pub use message::{Message, Payload, PayloadKind, Sender};
pub use names::{ChannelName, IdempotencyKey, PluginName, UserId};
pub use pattern::Pattern;
pub use refusal::Refusal;
