//! Channels' handlers on a shard: each channel is a resource in a store, each store has one
//! task that takes its jobs in order.
//!
//! A channel has a store of its own, so that its failure is its own, until the plugin has as
//! many on this shard as it may; beyond that channels share one, and its fate.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;
use wasmtime::component::ResourceAny;

use super::bindings::channel_handler::Guest;
use super::bindings::{channel_handler, types};
use super::effects::{Acceptance, Effect, Outcome, effects};
use super::engine::OWN_STORES;
use super::failure::PluginFailure;
use super::generation::{Generation, Live};
use super::health::Health;
use super::limits::{REASON_BYTES, line};
use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, Payload, PluginName, Sender};

/// What may wait for one store. Publishers have bounded credit, so this is rarely met.
const WAITING_JOBS: usize = 65_536;
const WAITING_BYTES: usize = 16 << 20;
/// After so many calls in a row the shard's other work has its turn.
const CALLS_IN_A_ROW: usize = 64;

/// A plugin's own refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub code: u16,
    pub reason: String,
}

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
    },
}

impl Job {
    fn weight(&self) -> usize {
        match self {
            Self::Publish { payload, .. } => payload.bytes.len(),
            Self::Subscribe { params, .. } => params.as_ref().map_or(0, Bytes::len),
            Self::Unsubscribe { .. } => 0,
        }
    }
}

pub enum Answer {
    Subscribed(Result<Acceptance, Denial>),
    Published(Outcome),
    Unsubscribed(Vec<Effect>),
}

/// Where answers go. Answers of a channel come in the order of its jobs, except those that
/// are refused at once because too many wait.
pub trait ActorSink: 'static {
    /// What the caller wants back with the answer.
    type Ticket: 'static;

    fn decided(&self, ticket: Self::Ticket, answer: Result<Answer, PluginFailure>);
}

enum Work<T> {
    Enter { channel: u32, name: ChannelName, captures: Captures },
    Job { channel: u32, job: Job, ticket: T },
    Swap { channel: u32, generation: Arc<Generation>, captures: Captures },
    Leave { channel: u32 },
}

struct Mailbox<T> {
    work: RefCell<VecDeque<Work<T>>>,
    bytes: Cell<usize>,
    next_channel: Cell<u32>,
    notify: Notify,
    /// Wakes the task at most once for what gathers until it runs.
    awake: Cell<bool>,
}

impl<T> Mailbox<T> {
    fn push(&self, work: Work<T>) {
        self.work.borrow_mut().push_back(work);
        if !self.awake.replace(true) {
            self.notify.notify_one();
        }
    }
}

/// A plugin's stores on this shard.
struct Stores<T> {
    own: Rc<Cell<usize>>,
    shared: Weak<Mailbox<T>>,
}

/// All channel handlers of a shard.
pub struct Actors<S: ActorSink> {
    sink: Rc<S>,
    stores: RefCell<HashMap<PluginName, Stores<S::Ticket>>>,
}

/// One channel's handler. Dropped, the channel's resource ends, and its store with it if it
/// was the last.
pub struct Actor<S: ActorSink> {
    sink: Rc<S>,
    mailbox: Rc<Mailbox<S::Ticket>>,
    channel: u32,
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
        let mailbox = if own.is_some() {
            self.start(generation, own)
        } else {
            stores.shared.upgrade().unwrap_or_else(|| {
                let mailbox = self.start(generation, None);
                stores.shared = Rc::downgrade(&mailbox);
                mailbox
            })
        };
        let key = mailbox.next_channel.replace(mailbox.next_channel.get() + 1);
        mailbox.push(Work::Enter { channel: key, name: channel.clone(), captures });
        Actor { sink: self.sink.clone(), mailbox, channel: key }
    }

    fn start(&self, generation: &Arc<Generation>, own: Option<OwnStore>) -> Rc<Mailbox<S::Ticket>> {
        let mailbox = Rc::new(Mailbox {
            work: RefCell::default(),
            bytes: Cell::new(0),
            next_channel: Cell::new(0),
            notify: Notify::new(),
            awake: Cell::new(false),
        });
        let runner = Runner {
            sink: self.sink.clone(),
            generation: generation.clone(),
            live: None,
            rooms: HashMap::new(),
            _own: own,
        };
        tokio::task::spawn_local(runner.run(Rc::downgrade(&mailbox), mailbox.clone()));
        mailbox
    }
}

impl<S: ActorSink> Actor<S> {
    pub fn send(&self, job: Job, ticket: S::Ticket) {
        let mailbox = &self.mailbox;
        let bytes = mailbox.bytes.get() + job.weight();
        if bytes > WAITING_BYTES || mailbox.work.borrow().len() >= WAITING_JOBS {
            return self.sink.decided(ticket, Err(PluginFailure::Busy));
        }
        mailbox.bytes.set(bytes);
        mailbox.push(Work::Job { channel: self.channel, job, ticket });
    }

    /// From the next job on the channel is handled by this version.
    pub fn swap(&self, generation: &Arc<Generation>, captures: Captures) {
        self.mailbox.push(Work::Swap { channel: self.channel, generation: generation.clone(), captures });
    }
}

impl<S: ActorSink> Drop for Actor<S> {
    fn drop(&mut self) {
        self.mailbox.push(Work::Leave { channel: self.channel });
    }
}

/// One of the stores for single channels: of those that a plugin may have on this shard, and
/// of those that the process may have.
struct OwnStore {
    plugin: Rc<Cell<usize>>,
    process: Arc<AtomicUsize>,
}

impl OwnStore {
    /// None: the process has as many as it may.
    fn take(plugin: &Rc<Cell<usize>>, process: &Arc<AtomicUsize>) -> Option<Self> {
        if process.fetch_add(1, Ordering::Relaxed) >= OWN_STORES {
            process.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        plugin.set(plugin.get() + 1);
        Some(Self { plugin: plugin.clone(), process: process.clone() })
    }
}

impl Drop for OwnStore {
    fn drop(&mut self) {
        self.plugin.set(self.plugin.get().saturating_sub(1));
        self.process.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A channel in a store.
struct Room {
    name: ChannelName,
    captures: Captures,
    /// None: not opened yet, or lost with its store.
    resource: Option<ResourceAny>,
    /// The room's own: what shares its store is not paused with it.
    health: Health,
}

/// A store's task.
struct Runner<S: ActorSink> {
    sink: Rc<S>,
    generation: Arc<Generation>,
    live: Option<Live<Guest>>,
    rooms: HashMap<u32, Room>,
    _own: Option<OwnStore>,
}

impl<S: ActorSink> Runner<S> {
    async fn run(mut self, handles: Weak<Mailbox<S::Ticket>>, mailbox: Rc<Mailbox<S::Ticket>>) {
        let mut calls = 0;
        loop {
            let next = mailbox.work.borrow_mut().pop_front();
            match next {
                None if handles.strong_count() == 1 => return,
                None => {
                    mailbox.awake.set(false);
                    calls = 0;
                    mailbox.notify.notified().await;
                }
                Some(Work::Job { channel, job, ticket }) => {
                    mailbox.bytes.set(mailbox.bytes.get().saturating_sub(job.weight()));
                    let answer = self.take(channel, &job).await;
                    self.sink.decided(ticket, answer);
                    calls += 1;
                    if calls % CALLS_IN_A_ROW == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Some(Work::Swap { channel, generation, captures }) => {
                    self.swap(generation);
                    if let Some(room) = self.rooms.get_mut(&channel) {
                        room.captures = captures;
                    }
                }
                Some(Work::Enter { channel, name, captures }) => {
                    let room = Room { name, captures, resource: None, health: Health::default() };
                    self.rooms.insert(channel, room);
                }
                Some(Work::Leave { channel }) => self.leave(channel).await,
            }
        }
    }

    fn swap(&mut self, generation: Arc<Generation>) {
        if generation.number != self.generation.number {
            self.generation = generation;
            self.end_store();
            self.rooms.values_mut().for_each(|room| room.health = Health::default());
        }
    }

    /// Whatever lived in the store is gone with it, and opened anew with its next job.
    fn end_store(&mut self) {
        self.live = None;
        self.rooms.values_mut().for_each(|room| room.resource = None);
    }

    async fn leave(&mut self, channel: u32) {
        let resource = self.rooms.remove(&channel).and_then(|room| room.resource);
        let (Some(live), Some(resource)) = (&mut self.live, resource) else { return };
        let clock = live.arm(self.generation.limits.call_ms);
        if let Err(error) = clock.watch(resource.resource_drop_async(&mut live.store)).await {
            self.generation.note(&PluginFailure::from_wasmtime(&error), "closing a channel");
            self.end_store();
        }
    }

    async fn take(&mut self, channel: u32, job: &Job) -> Result<Answer, PluginFailure> {
        let answer = self.call(channel, job).await;
        match &answer {
            // Refusals to open and pauses are answers, not faults.
            Ok(_) | Err(PluginFailure::OpenRefused(_) | PluginFailure::Degraded { .. }) => {}
            Err(failure) => {
                let room = self.rooms.get_mut(&channel);
                let name = room.as_ref().map_or("", |room| room.name.as_str());
                self.generation.note(failure, &format!("handling {name}"));
                if let Some(room) = room {
                    room.health.failed(Instant::now());
                }
                self.end_store();
            }
        }
        answer
    }

    async fn call(&mut self, channel: u32, job: &Job) -> Result<Answer, PluginFailure> {
        let Self { generation, live, rooms, .. } = self;
        let limits = &generation.limits;
        let room =
            rooms.get_mut(&channel).ok_or_else(|| PluginFailure::Other("the channel is closed".into()))?;
        room.health.check(Instant::now)?;
        let live = match live {
            Some(live) => live,
            None => live.insert(generation.channel_handler().await?),
        };
        let resource = match room.resource {
            Some(resource) => resource,
            None => {
                let clock = live.arm(limits.open_ms);
                let handler = live.guest.channel();
                let captures = room.captures.pairs();
                let opened = handler.call_open(&mut live.store, room.name.as_str(), &captures);
                let resource = clock
                    .watch(opened)
                    .await
                    .map_err(|error| PluginFailure::from_wasmtime(&error))?
                    .map_err(|reason| PluginFailure::OpenRefused(line(reason, REASON_BYTES)))?;
                *room.resource.insert(resource)
            }
        };
        let clock = live.arm(limits.call_ms);
        let trapped = |error: wasmtime::Error| PluginFailure::from_wasmtime(&error);
        let handler = live.guest.channel();
        match job {
            Job::Publish { sender, event, payload, at } => {
                let message = channel_handler::Message {
                    sender: sender.as_ref().map(caller),
                    event: text(event)?,
                    kind: payload.kind.into(),
                    payload: &payload.bytes,
                    at_ms: at.0,
                };
                let called = handler.call_on_publish(&mut live.store, resource, message);
                let outcome = clock.watch(called).await.map_err(trapped)?;
                Outcome::check(outcome, payload.kind, limits.payload_bytes).map(Answer::Published)
            }
            Job::Subscribe { who, params, respond } => {
                let (who, params) = (caller(who), params.as_deref());
                let called = handler.call_on_subscribe(&mut live.store, resource, who, params, *respond);
                let answer = match clock.watch(called).await.map_err(trapped)? {
                    Ok(acceptance) => Ok(Acceptance::check(acceptance, limits.payload_bytes)?),
                    Err(denial) => Err(denial.into()),
                };
                Ok(Answer::Subscribed(answer))
            }
            Job::Unsubscribe { who } => {
                let called = handler.call_on_unsubscribe(&mut live.store, resource, caller(who));
                effects(clock.watch(called).await.map_err(trapped)?, limits.payload_bytes)
                    .map(Answer::Unsubscribed)
            }
        }
    }
}

fn caller(sender: &Sender) -> types::Caller<'_> {
    types::Caller { client: sender.client.0, user: sender.user.as_str() }
}

fn text(event: &[u8]) -> Result<&str, PluginFailure> {
    std::str::from_utf8(event).map_err(|_| PluginFailure::Other("the event's name is not UTF-8".into()))
}
