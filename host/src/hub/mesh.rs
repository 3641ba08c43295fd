//! The shards' letterboxes. Letters gather during a turn and leave as one batch a peer when the turns
//! of channels are sealed, so that a peer is woken once a turn; what comes up after that is another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::letter::Letter;
use crate::core::{ChannelName, ShardId};

/// Past this many bytes waiting for a shard, homes stop acknowledging publishes, and
/// so, each at [`super::connection::MAX_IN_FLIGHT`], publishers stop being read.
const CONGESTED_BYTES: usize = 8 << 20;

struct Letterbox {
    sender: mpsc::UnboundedSender<Batch>,
    waiting: Arc<AtomicUsize>,
}

struct Batch {
    letters: Vec<Letter>,
    weight: usize,
}

/// The way to every shard. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Mesh {
    boxes: Arc<[Letterbox]>,
    /// How often shards have come to where the others wait for them.
    arrived: Arc<AtomicUsize>,
}

/// A shard's own letterbox.
pub struct Inbox {
    receiver: mpsc::UnboundedReceiver<Batch>,
    waiting: Arc<AtomicUsize>,
}

impl Mesh {
    /// A mesh of `shards` and their letterboxes in order.
    pub fn new(shards: usize) -> (Self, Vec<Inbox>) {
        let (boxes, inboxes): (Vec<_>, Vec<_>) = (0..shards)
            .map(|_| {
                // Unbounded by itself: `CONGESTED_BYTES` and the publishers' credit bound it.
                let (sender, receiver) = mpsc::unbounded_channel();
                let waiting = Arc::new(AtomicUsize::new(0));
                (Letterbox { sender, waiting: waiting.clone() }, Inbox { receiver, waiting })
            })
            .unzip();
        (Self { boxes: boxes.into(), arrived: Arc::default() }, inboxes)
    }

    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.boxes.len()).map(|index| ShardId(index as u8))
    }

    /// The shard that owns a channel.
    pub fn home(&self, channel: &ChannelName) -> ShardId {
        // By bits that a shard's maps do not go by: they would be the same in all of its names.
        ShardId(((channel.hashed() >> 32) as u16 as usize % self.boxes.len()) as u8)
    }

    /// Posts letters to a shard. A shard that has ended takes none.
    pub fn post(&self, to: ShardId, letters: Vec<Letter>) {
        let weight = letters.iter().map(Letter::weight).sum();
        let target = &self.boxes[to.index()];
        target.waiting.fetch_add(weight, Ordering::Relaxed);
        let _ = target.sender.send(Batch { letters, weight });
    }

    /// A shard has come to a point at which all wait for one another.
    pub fn arrive(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// Have all come to as many such points?
    pub fn have_all_arrived(&self, points: usize) -> bool {
        self.arrived.load(Ordering::Relaxed) >= points * self.boxes.len()
    }

    /// Some shard lags behind with its letters.
    pub fn is_congested(&self) -> bool {
        self.boxes.iter().any(|b| b.waiting.load(Ordering::Relaxed) > CONGESTED_BYTES)
    }
}

impl Inbox {
    /// The next batch; pending until there is one. Never ends while a `Mesh` lives.
    pub async fn next(&mut self) -> Vec<Letter> {
        match self.receiver.recv().await {
            Some(batch) => self.open(batch),
            None => std::future::pending().await,
        }
    }

    /// A batch that is here already.
    pub fn try_next(&mut self) -> Option<Vec<Letter>> {
        self.receiver.try_recv().ok().map(|batch| self.open(batch))
    }

    fn open(&self, batch: Batch) -> Vec<Letter> {
        self.waiting.fetch_sub(batch.weight, Ordering::Relaxed);
        batch.letters
    }
}
