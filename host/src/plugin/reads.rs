//! What plugins read of the server's channels. Who knows is a floor above; it is asked by what it
//! has left here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Message, ShardId, UserId};

/// Reads of one call of a plugin.
pub const READS: u32 = 64;
/// What takes longer is given up.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same for all reads of one call together.
const TOGETHER: Duration = Duration::from_secs(5);
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
    #[error(
        "who knows did not answer in time: a call of a plugin waits {} ms for one read and {} s for all of them; \
         read less in one call, or do without",
        PATIENCE.as_millis(),
        TOGETHER.as_secs()
    )]
    Late,
    #[error("one call of a plugin may read {READS} times")]
    TooOften,
    #[error("filters do not read: what they judge must depend on the message alone")]
    Filter,
}

/// What the call under way has waited for answers. How fast a busy server answers is no fault of the
/// plugin's, so the clock that ends a call stands meanwhile.
#[derive(Debug, Default)]
pub struct Waited {
    /// With all that the read under way may take.
    micros: AtomicU64,
}

impl Waited {
    pub fn call_begins(&self) {
        self.micros.store(0, Relaxed);
    }

    /// [`TOGETHER`] at most.
    pub fn so_far(&self) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed))
    }

    /// Awaits an answer for as long as one may still be waited for.
    async fn within<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let (began, before) = (Instant::now(), self.so_far());
        let patience = PATIENCE.min(TOGETHER.saturating_sub(before));
        // A call reads one thing at a time: nobody else counts here.
        let count = |waited: Duration| {
            let micros = u64::try_from((before + waited).as_micros()).unwrap_or(u64::MAX);
            self.micros.store(micros, Relaxed);
        };
        count(patience);
        let answer = timeout(patience, answer).await.ok();
        count(began.elapsed().min(patience));
        answer
    }
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

    pub async fn ask(&self, read: Read, waited: &Waited) -> Result<Found, Unread> {
        let (Some(reader), Some(of)) = (self.reader.get(), self.of) else { return Err(Unread::Nobody) };
        match waited.within(reader.read(of, read)).await {
            Some(Ok(found)) => Ok(found),
            Some(Err(_)) => Err(Unread::Nobody),
            None => Err(Unread::Late),
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
        let waited = Waited::default();
        let count = || Read::Count(name.clone());
        assert_eq!(reads.ask(count(), &waited).await.unwrap_err(), Unread::Nobody);
        reads.answer_by(Arc::<Counting>::default());
        assert_eq!(reads.ask(count(), &waited).await.unwrap_err(), Unread::Nobody, "it has no shard");
        let reads = reads.of_this_shard();
        assert!(matches!(reads.ask(count(), &waited).await, Ok(Found::Count(1))));
        assert_eq!(reads.ask(Read::Channels(name.clone()), &waited).await.unwrap_err(), Unread::Nobody);
        assert_eq!(waited.so_far(), Duration::ZERO);
        let members = || Read::Members(name.clone());
        let began = Instant::now();
        for n in 1..=10 {
            assert_eq!(reads.ask(members(), &waited).await.unwrap_err(), Unread::Late);
            assert_eq!((waited.so_far(), began.elapsed()), (PATIENCE * n, PATIENCE * n));
        }
        assert_eq!(waited.so_far(), TOGETHER);
        for _ in 0..READS {
            assert_eq!(reads.ask(members(), &waited).await.unwrap_err(), Unread::Late, "at once");
        }
        assert_eq!(began.elapsed(), TOGETHER);
        assert!(reads.ask(count(), &waited).await.is_ok(), "what is known at once needs no waiting");
        waited.call_begins();
        assert_eq!(reads.ask(members(), &waited).await.unwrap_err(), Unread::Late);
        assert_eq!(began.elapsed(), TOGETHER + PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_read_under_way_counts_with_all_that_it_may_take() {
        let waited = Waited::default();
        let during = Duration::from_millis(200);
        let look = async {
            tokio::time::sleep(during).await;
            waited.so_far()
        };
        assert_eq!(waited.within(look).await, Some(PATIENCE));
        assert_eq!(waited.so_far(), during);
    }
}
