//! How a shard's parts reach the other shards and their own: letters and verdicts
//! gather here until the turn takes them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Instant;

use tokio::sync::Notify;

use super::home::Ticket;
use super::letter::Letter;
use super::mesh::Mesh;
use crate::core::ShardId;
use crate::plugin::{AT_A_STRETCH, ActorSink, Answer, PluginFailure, Ready};

/// What the shard's next turn has to look at.
pub enum Event {
    Letter(Letter),
    Decided(Ticket, Result<Answer, PluginFailure>),
}

/// A shard's own queue; waking its loop is free after the first time a turn.
#[derive(Default)]
pub struct LocalQueue {
    events: RefCell<Vec<Event>>,
    /// An emptied list, whose memory the next one takes.
    spare: RefCell<Vec<Event>>,
    awake: Cell<bool>,
    notify: Notify,
    /// Handlers' stores that have something to do, in the order in which they have come by it.
    ready: RefCell<VecDeque<Ready>>,
}

impl LocalQueue {
    // Inlined, a letter is written where it stays: it is large, and there are two a message.
    #[inline(always)]
    pub fn push(&self, event: Event) {
        self.events.borrow_mut().push(event);
        self.wake();
    }

    /// Asks for a turn.
    pub fn wake(&self) {
        if !self.awake.replace(true) {
            self.notify.notify_one();
        }
    }

    pub async fn woken(&self) {
        while !self.awake.get() {
            self.notify.notified().await;
        }
    }

    /// Has somebody asked for a turn?
    pub fn is_awake(&self) -> bool {
        self.awake.get()
    }

    /// Do handlers have something to answer?
    pub fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Has the handlers answer what they are asked, one store after the other, as long as the stretch that began
    /// then is not over; the others come first in the next turn. False: nobody is asked, or it is over.
    pub fn work(&self, began: Instant) -> bool {
        // Who becomes ready meanwhile comes after what these have answered.
        let ready = self.ready.borrow().len();
        let next = || if began.elapsed() < AT_A_STRETCH { self.ready.borrow_mut().pop_front() } else { None };
        (0..ready).map_while(|_| next()).map(Ready::work).count() > 0
    }

    /// The turn begins: whatever comes from now on asks for another.
    pub fn begin_turn(&self) {
        self.awake.set(false);
    }

    /// The turn has done all that it was asked for, unless there is more here.
    pub fn all_done(&self) {
        if self.events.borrow().is_empty() && self.ready.borrow().is_empty() {
            self.awake.set(false);
        }
    }

    pub fn take(&self) -> Vec<Event> {
        self.events.replace(self.spare.take())
    }

    /// Gives an emptied list back, so that its memory serves the next one.
    pub fn recycle(&self, emptied: Vec<Event>) {
        const KEEP: usize = 4096;
        let mut spare = self.spare.borrow_mut();
        if spare.capacity() < emptied.capacity() && emptied.capacity() <= KEEP {
            *spare = emptied;
            spare.clear();
        }
    }
}

/// Where channel handlers' verdicts arrive. The queue may hold their stores, which hold this.
pub struct Verdicts(pub Weak<LocalQueue>);

impl ActorSink for Verdicts {
    type Ticket = Ticket;

    fn ready(&self, store: Ready) {
        // Without one the shard has ended, and its handlers with it.
        if let Some(queue) = self.0.upgrade() {
            let mut ready = queue.ready.borrow_mut();
            if store.goes_on() {
                ready.push_front(store)
            } else {
                ready.push_back(store)
            }
            queue.wake();
        }
    }

    fn decided(&self, ticket: Ticket, answer: Result<Answer, PluginFailure>) {
        if let Some(queue) = self.0.upgrade() {
            queue.push(Event::Decided(ticket, answer));
        }
    }
}

/// A shard's outgoing letters of one turn.
pub struct Post {
    me: ShardId,
    mesh: Mesh,
    outgoing: RefCell<Vec<Vec<Letter>>>,
    pub queue: Rc<LocalQueue>,
}

impl Post {
    pub fn new(me: ShardId, mesh: Mesh) -> Self {
        let outgoing = mesh.shards().map(|_| Vec::new()).collect();
        Self { me, mesh, outgoing: RefCell::new(outgoing), queue: Rc::default() }
    }

    pub fn me(&self) -> ShardId {
        self.me
    }

    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// A letter to a shard that does not exist is dropped: client ids, and the shards in them,
    /// also come from plugins.
    #[inline(always)]
    pub fn send(&self, to: ShardId, letter: Letter) {
        if to == self.me { self.queue.push(Event::Letter(letter)) } else { self.send_away(to, letter) }
    }

    fn send_away(&self, to: ShardId, letter: Letter) {
        if let Some(letters) = self.outgoing.borrow_mut().get_mut(to.index()) {
            letters.push(letter);
            self.queue.wake();
        }
    }

    /// Hands what has gathered to the mesh: one batch a peer.
    pub fn dispatch(&self) {
        for (to, letters) in self.mesh.shards().zip(self.outgoing.borrow_mut().iter_mut()) {
            if !letters.is_empty() {
                self.mesh.post(to, std::mem::take(letters));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::core::ClientId;

    fn letter() -> Event {
        let client = ClientId::new(ShardId(0), 0, 1);
        Event::Letter(Letter::Close { client, code: 4003, reason: String::new() })
    }

    #[test]
    fn a_turn_that_has_done_all_asks_for_no_other() {
        let queue = LocalQueue::default();
        let is_woken = || {
            let woken = pin!(queue.woken());
            woken.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        for _ in 0..2 {
            assert!(!is_woken());
            queue.push(letter());
            assert!(is_woken() && is_woken(), "until the turn begins");
            queue.begin_turn();
            queue.take();
            queue.push(letter());
            queue.all_done();
            assert!(queue.is_awake() && is_woken(), "more has come");
            queue.begin_turn();
            queue.take();
            queue.wake();
            queue.all_done();
            assert!(!queue.is_awake());
        }
    }

    #[test]
    fn a_letter_to_a_shard_that_does_not_exist_is_dropped() {
        let (mesh, mut inboxes) = Mesh::new(2);
        let post = Post::new(ShardId(0), mesh);
        let close = |shard| {
            let client = ClientId::new(ShardId(shard), 0, 1);
            post.send(client.shard(), Letter::Close { client, code: 4003, reason: String::new() });
        };
        [255, 2, 1].into_iter().for_each(close);
        post.dispatch();
        assert!(inboxes[1].try_next().is_some_and(|letters| letters.len() == 1));
        assert!(inboxes[0].try_next().is_none() && post.queue.take().is_empty());
    }
}
