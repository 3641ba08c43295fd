//! Channels' handlers on a shard: each channel is a resource in a store, each store has one
//! worker that takes its jobs in order.
//!
//! A channel has a store of its own, so that its failure is its own, until the plugin has as
//! many on this shard as it may; beyond that channels share one, and its fate.

mod mailbox;
mod owed;
mod runner;
mod state;
mod version;
mod worker;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use mailbox::Queue;
use tokio::sync::oneshot;
use worker::Worker;

pub(super) use version::{Opened, Version};
pub use worker::Ready;

use super::calls::Function;
use super::effects::{Acceptance, Effect, Outcome};
use super::engine::StoreShare;
use super::failure::PluginFailure;
use super::generation::Generation;
use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, ClientId, Payload, PluginName, Sender, TraceParent};

/// A plugin's own refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub code: u16,
    pub reason: String,
}

/// Why a subscriber is no longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum Departure {
    Left,
    Disconnected,
    Expired,
    Removed,
}

#[derive(Clone)]
pub enum Job {
    /// `params` is JSON, none where the client sent none.
    Subscribe {
        who: Sender,
        params: Option<Bytes>,
        /// A response for the subscriber is wanted.
        respond: bool,
    },
    Publish {
        sender: Option<Sender>,
        event: Bytes,
        payload: Payload,
        at: UnixMillis,
    },
    Unsubscribe {
        who: Sender,
        why: Departure,
    },
    /// One that the handler has set is over.
    Timer {
        id: u32,
    },
}

impl Job {
    /// What of the plugin is called.
    pub(super) fn function(&self) -> Function {
        match self {
            Self::Subscribe { .. } => Function::OnSubscribe,
            Self::Publish { .. } => Function::OnPublish,
            Self::Unsubscribe { .. } => Function::OnUnsubscribe,
            Self::Timer { .. } => Function::OnTimer,
        }
    }

    /// Whose request it is.
    fn client(&self) -> Option<ClientId> {
        match self {
            Self::Subscribe { who, .. } | Self::Unsubscribe { who, .. } => Some(who.client),
            Self::Publish { sender, .. } => sender.as_ref().map(|sender| sender.client),
            Self::Timer { .. } => None,
        }
    }

    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Publish { payload, .. } => payload.bytes.len(),
            Self::Subscribe { params, .. } => params.as_ref().map_or(0, Bytes::len),
            Self::Unsubscribe { .. } | Self::Timer { .. } => 0,
        }
    }
}

pub enum Answer {
    Subscribed(Result<Acceptance, Denial>),
    Published(Outcome),
    Unsubscribed(Vec<Effect>),
    Timer(Vec<Effect>),
}

impl Answer {
    /// What the plugin wants done, if it may want anything.
    pub(super) fn effects_mut(&mut self) -> Option<&mut Vec<Effect>> {
        match self {
            Self::Subscribed(Ok(Acceptance { effects, .. })) | Self::Published(Outcome { effects, .. }) => {
                Some(effects)
            }
            Self::Unsubscribed(effects) | Self::Timer(effects) => Some(effects),
            Self::Subscribed(Err(_)) => None,
        }
    }
}

/// Where answers go. Answers of a channel come in the order of its jobs, except those that
/// are refused at once because too many wait.
pub trait ActorSink: 'static {
    /// What the caller wants back with the answer.
    type Ticket: 'static;

    /// A store has something to do: it is for the sink to say when. See [`Ready::goes_on`].
    fn ready(&self, store: Ready) {
        store.spawn();
    }

    fn decided(&self, ticket: Self::Ticket, answer: Result<Answer, PluginFailure>);
}

enum Work<T> {
    Enter {
        channel: u32,
        name: ChannelName,
        generation: Arc<Generation>,
        captures: Captures,
        queue: Weak<Queue<T>>,
    },
    Job {
        channel: u32,
        job: Job,
        trace: Option<TraceParent>,
        ticket: T,
    },
    Swap {
        channel: u32,
        generation: Arc<Generation>,
        captures: Captures,
    },
    Hibernate {
        channel: u32,
    },
    /// What it had when the server before this one ended: before its first job.
    Restore {
        channel: u32,
        snapshot: Box<[u8]>,
    },
    /// The server ends, and wants to know what is to be kept: there are no jobs after it.
    End {
        channel: u32,
        last: oneshot::Sender<Option<Box<[u8]>>>,
    },
    /// Departures that the handler has failed to take are tried again.
    Retry {
        channel: u32,
    },
    Leave {
        channel: u32,
    },
}

impl<T> Work<T> {
    /// In bytes, roughly.
    fn weight(&self) -> usize {
        match self {
            Self::Job { job, .. } => job.weight(),
            _ => 0,
        }
    }
}

/// A plugin's stores on this shard.
struct Stores<S: ActorSink> {
    own: Rc<Cell<usize>>,
    shared: Weak<Worker<S>>,
}

/// All channel handlers of a shard.
pub struct Actors<S: ActorSink> {
    sink: Rc<S>,
    stores: RefCell<HashMap<PluginName, Stores<S>>>,
}

/// One channel's handler. Dropped, the channel's resource ends, and its store with it if it
/// was the last.
pub struct Actor<S: ActorSink> {
    worker: Rc<Worker<S>>,
    queue: Rc<Queue<S::Ticket>>,
    channel: u32,
    rest: Cell<Rest>,
}

/// What a channel wants kept, if anything. No answer: that is lost, and the log says why.
pub type LastWord = oneshot::Receiver<Option<Box<[u8]>>>;

/// How long a channel has been left alone.
#[derive(Clone, Copy)]
enum Rest {
    /// Seconds, of so many after which it hibernates.
    Quiet { seconds: u32, of: u32 },
    /// It has been told to; see [`Actor::rest`].
    Told { of: u32 },
    /// It has had its last word: see [`Actor::end`].
    Ended,
}

impl<S: ActorSink> Actors<S> {
    pub fn new(sink: Rc<S>) -> Self {
        Self { sink, stores: RefCell::default() }
    }

    /// The handler of a channel; its instance is made with its first job.
    pub fn attach(
        &self,
        generation: &Arc<Generation>,
        channel: &ChannelName,
        captures: Captures,
    ) -> Actor<S> {
        let mut all = self.stores.borrow_mut();
        let stores = all
            .entry(generation.name.clone())
            .or_insert_with(|| Stores { own: Rc::default(), shared: Weak::new() });
        let own = (stores.own.get() < generation.stores)
            .then(|| OwnStore::take(&stores.own, &generation.own_stores))
            .flatten();
        let worker = if own.is_some() {
            Worker::new(self.sink.clone(), own)
        } else {
            stores.shared.upgrade().unwrap_or_else(|| {
                let worker = Worker::new(self.sink.clone(), None);
                stores.shared = Rc::downgrade(&worker);
                worker
            })
        };
        let key = worker.next_channel.replace(worker.next_channel.get() + 1);
        let queue = Rc::<Queue<_>>::default();
        let (name, generation) = (channel.clone(), generation.clone());
        let rest = Cell::new(Rest::Quiet { seconds: 0, of: generation.hibernate_after });
        let enters = Work::Enter { channel: key, name, generation, captures, queue: Rc::downgrade(&queue) };
        worker.push(&queue, enters);
        Actor { worker, queue, channel: key, rest }
    }
}

impl<S: ActorSink> Actor<S> {
    pub fn send(&self, job: Job, ticket: S::Ticket) {
        self.send_traced(job, None, ticket);
    }

    /// The same for a job of a request that has a trace context.
    pub fn send_traced(&self, job: Job, trace: Option<TraceParent>, ticket: S::Ticket) {
        let (Rest::Quiet { of, .. } | Rest::Told { of }) = self.rest.get() else {
            return self.worker.sink.decided(ticket, Err(PluginFailure::Busy));
        };
        self.rest.set(Rest::Quiet { seconds: 0, of });
        // That somebody has left, or a timer is over, is never refused: nobody would say it again. Each was let in
        // before, and a channel has so many timers.
        let must = matches!(job, Job::Unsubscribe { .. } | Job::Timer { .. });
        if !must && !self.worker.mailbox.has_room_for(job.weight()) {
            return self.worker.sink.decided(ticket, Err(PluginFailure::Busy));
        }
        self.worker.push(&self.queue, Work::Job { channel: self.channel, job, trace, ticket });
    }

    /// So many seconds more have gone by. Left alone for as long as its plugin's settings say, the
    /// channel hibernates, if it can be saved: with its next job it goes on.
    pub fn rest(&self, elapsed: u32) {
        let Rest::Quiet { seconds, of } = self.rest.get() else { return };
        if seconds >= of {
            self.queue.shrink();
            self.worker.push(&self.queue, Work::Hibernate { channel: self.channel });
            return self.rest.set(Rest::Told { of });
        }
        self.rest.set(Rest::Quiet { seconds: seconds.saturating_add(elapsed), of });
    }

    /// With its first job the channel goes on from what it had when the server before this one ended.
    pub fn restore(&self, snapshot: Box<[u8]>) {
        self.worker.push(&self.queue, Work::Restore { channel: self.channel, snapshot });
    }

    /// What the channel wants kept, when the jobs that it has are done. Whatever it is sent from now on is refused.
    pub fn end(&self) -> LastWord {
        self.rest.set(Rest::Ended);
        let (last, answer) = oneshot::channel();
        self.worker.push(&self.queue, Work::End { channel: self.channel, last });
        answer
    }

    /// From the next job on the channel is handled by this version, unless that refuses its state.
    pub fn swap(&self, generation: &Arc<Generation>, captures: Captures) {
        self.worker.push(
            &self.queue,
            Work::Swap { channel: self.channel, generation: generation.clone(), captures },
        );
    }
}

impl<S: ActorSink> Drop for Actor<S> {
    fn drop(&mut self) {
        self.worker.push(&self.queue, Work::Leave { channel: self.channel });
    }
}

/// One of the stores for single channels: of those that a plugin may have on this shard, and
/// of those that the process may have.
struct OwnStore {
    plugin: Rc<Cell<usize>>,
    _of_process: StoreShare,
}

impl OwnStore {
    /// None: the process has as many as it may.
    fn take(plugin: &Rc<Cell<usize>>, process: &Arc<AtomicUsize>) -> Option<Self> {
        let of_process = StoreShare::take(process)?;
        plugin.set(plugin.get() + 1);
        Some(Self { plugin: plugin.clone(), _of_process: of_process })
    }
}

impl Drop for OwnStore {
    fn drop(&mut self) {
        self.plugin.set(self.plugin.get().saturating_sub(1));
    }
}
