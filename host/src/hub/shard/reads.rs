//! Plugins' questions, from the shard where they run to the one that knows.

use std::cell::Cell;

use tokio::sync::oneshot;

use crate::core::ShardId;
use crate::hub::letter::Letter;
use crate::hub::mesh::Mesh;
use crate::hub::post::Event;
use crate::plugin::reads::{Found, Read, Reader};

thread_local! {
    /// The shard of this thread. An instance runs where its shard does; a question does not say where
    /// that is, because the version of the plugin that asks is the same for all shards.
    static HERE: Cell<Option<ShardId>> = const { Cell::new(None) };
}

pub(super) fn this_thread_is(me: ShardId) {
    HERE.set(Some(me));
}

/// Asks by letters.
pub struct MeshReader(pub Mesh);

impl Reader for MeshReader {
    /// The question goes behind all that this shard has yet to do, as what the calls before have
    /// answered, and what that has set off: so a plugin that has published reads what it published,
    /// and a handler sees in its own channel all that came before what it is asked about.
    fn read(&self, read: Read) -> oneshot::Receiver<Found> {
        let (answer, receiver) = oneshot::channel();
        let Some(here) = HERE.get() else { return receiver };
        let home = self.0.home(read.subject());
        let question = Letter::Ask(Box::new(move |_, homes| {
            // Who asked may have given up.
            let _ = answer.send(homes.read(&read));
        }));
        let behind = Letter::Ask(Box::new(move |shard, _| shard.post.send(home, question)));
        let errand = Letter::Ask(Box::new(move |shard, _| shard.post.queue.push(Event::Letter(behind))));
        self.0.post(here, vec![errand]);
        receiver
    }
}
