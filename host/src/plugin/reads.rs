//! What plugins read of the server's channels. Who knows is a floor above; it is asked by what it
//! has left here.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Message, ShardId, UserId};

/// Reads of one call of a plugin.
pub const READS: u32 = 64;
/// What takes longer is given up. Less than what a call that waits is given beyond its own time.
const PATIENCE: Duration = Duration::from_millis(500);
/// Members that one read gives.
pub const MEMBERS: usize = 1000;
/// Messages that one read gives, and bytes of their payloads and events together.
pub const MESSAGES: usize = 256;
pub const MESSAGE_BYTES: usize = 1 << 20;

/// A question.
#[derive(Clone, Debug)]
pub enum Read {
    /// Who came first, at most [`MEMBERS`].
    Members(ChannelName),
    Count(ChannelName),
    /// The newest messages, oldest first.
    Last {
        channel: ChannelName,
        limit: usize,
    },
    /// The oldest messages after a place.
    Since {
        channel: ChannelName,
        offset: u64,
        limit: usize,
    },
    /// Of a group.
    Channels(ChannelName),
}

impl Read {
    /// What its answer depends on.
    pub fn subject(&self) -> &ChannelName {
        match self {
            Self::Members(name) | Self::Count(name) | Self::Channels(name) => name,
            Self::Last { channel, .. } | Self::Since { channel, .. } => channel,
        }
    }
}

/// An answer, of the question's own kind.
#[derive(Clone, Debug)]
pub enum Found {
    Members(Vec<Present>),
    Count(usize),
    Messages(Vec<Message>),
    Channels(Vec<ChannelName>),
}

/// A user in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub user: UserId,
    /// A JSON object; empty for none.
    pub metadata: bytes::Bytes,
    pub joined_at: UnixMillis,
    pub connections: usize,
}

/// Answers questions.
pub trait Reader: Send + Sync {
    /// The shard of this thread.
    fn here(&self) -> Option<ShardId>;

    /// For a plugin's instance of that shard, wherever its call goes on. Must not wait. An answer that is
    /// dropped is none.
    fn read(&self, of: ShardId, read: Read) -> oneshot::Receiver<Found>;
}

/// Why there is no answer, for the plugin to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("nobody is there to ask: the plugin is not in use yet")]
    Nobody,
    #[error("who knows did not answer within {} ms", PATIENCE.as_millis())]
    Late,
    #[error("one call of a plugin may read {READS} times")]
    TooOften,
    #[error("filters do not read: what they judge must depend on the message alone")]
    Filter,
}

/// Where the reader is, once there is one. Cheap to clone.
#[derive(Clone, Default)]
pub struct Reads {
    reader: Arc<OnceLock<Arc<dyn Reader>>>,
    /// None: not an instance's of a shard.
    of: Option<ShardId>,
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reads({})", if self.reader.get().is_some() { "somebody" } else { "nobody" })
    }
}

impl Reads {
    /// Only the first counts.
    pub fn answer_by(&self, reader: Arc<dyn Reader>) {
        let _ = self.reader.set(reader);
    }

    /// For an instance of this thread's shard.
    pub fn of_this_shard(&self) -> Self {
        Self { reader: self.reader.clone(), of: self.reader.get().and_then(|reader| reader.here()) }
    }

    pub async fn ask(&self, read: Read) -> Result<Found, Unread> {
        let (Some(reader), Some(of)) = (self.reader.get(), self.of) else { return Err(Unread::Nobody) };
        match tokio::time::timeout(PATIENCE, reader.read(of, read)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) => Err(Unread::Nobody),
            Err(_) => Err(Unread::Late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers counts, and nothing else for as long as it lives.
    #[derive(Default)]
    struct Counting(std::sync::Mutex<Vec<oneshot::Sender<Found>>>);

    impl Reader for Counting {
        fn here(&self) -> Option<ShardId> {
            Some(ShardId(0))
        }

        fn read(&self, _: ShardId, read: Read) -> oneshot::Receiver<Found> {
            let (answer, receiver) = oneshot::channel();
            match read {
                Read::Count(_) => drop(answer.send(Found::Count(1))),
                Read::Channels(_) => {}
                _ => self.0.lock().unwrap().push(answer),
            }
            receiver
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_comes_to_an_end() {
        let (reads, name) = (Reads::default(), ChannelName::parse("x").unwrap());
        assert_eq!(reads.ask(Read::Count(name.clone())).await.unwrap_err(), Unread::Nobody);
        reads.answer_by(Arc::<Counting>::default());
        assert_eq!(
            reads.ask(Read::Count(name.clone())).await.unwrap_err(),
            Unread::Nobody,
            "it has no shard"
        );
        let reads = reads.of_this_shard();
        assert!(matches!(reads.ask(Read::Count(name.clone())).await, Ok(Found::Count(1))));
        assert_eq!(reads.ask(Read::Channels(name.clone())).await.unwrap_err(), Unread::Nobody);
        assert_eq!(reads.ask(Read::Members(name)).await.unwrap_err(), Unread::Late);
    }
}
