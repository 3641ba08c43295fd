//! Plugins' questions, from the shard where they run to the one that knows.

use std::cell::Cell;

use tokio::sync::oneshot;

use crate::core::ShardId;
use crate::hub::letter::Letter;
use crate::hub::mesh::Mesh;
use crate::hub::post::Event;
use crate::plugin::reads::{Found, Read, Reader};

thread_local! {
    /// The shard of this thread: instances are made where their shard is, though a call that runs long may
    /// go on elsewhere.
    static HERE: Cell<Option<ShardId>> = const { Cell::new(None) };
}

pub(super) fn this_thread_is(me: ShardId) {
    HERE.set(Some(me));
}

/// Asks by letters.
pub struct MeshReader(pub Mesh);

impl Reader for MeshReader {
    fn here(&self) -> Option<ShardId> {
        HERE.get()
    }

    /// The question goes behind all that the shard has yet to do, as what the calls before have
    /// answered, and what that has set off: so a plugin that has published reads what it published,
    /// and a handler sees in its own channel all that came before what it is asked about.
    fn read(&self, of: ShardId, read: Read) -> oneshot::Receiver<Found> {
        let (answer, receiver) = oneshot::channel();
        let home = self.0.home(read.subject());
        let question = Letter::Ask(Box::new(move |_, homes| {
            // Who asked may have given up.
            let _ = answer.send(homes.read(&read));
        }));
        let behind = Letter::Ask(Box::new(move |shard, _| shard.post.send(home, question)));
        let errand = Letter::Ask(Box::new(move |shard, _| shard.post.queue.push(Event::Letter(behind))));
        self.0.post(of, vec![errand]);
        receiver
    }
}
