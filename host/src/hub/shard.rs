//! One shard: its turn takes what has come, moves it through homes and deliveries, and
//! writes each socket once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::audience::FilterChoice;
use super::connection::Connection;
use super::delivery::{Delivery, Full, SharedDelivery};
use super::filtered::Filtered;
use super::home::Homes;
use super::letter::{Letter, Origin, PUBLICATIONS_A_MESSAGE, Publish, Published, Subscribe, Subscribed};
use super::mesh::{Inbox, Mesh};
use super::outbox::Wrote;
use super::post::{Event, LocalQueue, Post, Verdicts};
use super::rules::Rules;
use super::socket::Socket;
use super::wire::{Reply, RequestId, Wire, WireId};
use crate::core::{ChannelName, ClientId, Offset, Payload, Refusal, Sender, ShardId};
use crate::plugin::{Actors, Effect, Filters, Registry};

/// How long a closing connection has to take its last bytes and close its side.
const LINGER: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(10);

/// What every shard is told at its start.
#[derive(Clone)]
pub struct Settings {
    pub wires: &'static [&'static dyn Wire],
    pub rules: Rules,
    /// Bytes that wait for one socket before it is a slow consumer.
    pub outbox_bytes: usize,
    /// Connections and channels of one shard.
    pub connections: usize,
    pub channels: usize,
    pub heartbeat: Duration,
    /// Heartbeats without a sign of life before a connection is closed.
    pub missed_heartbeats: u8,
}

/// One shard, on its own thread. Cheap to clone as `Rc`.
pub struct Shard {
    settings: Settings,
    post: Rc<Post>,
    homes: RefCell<Homes>,
    delivery: SharedDelivery,
    filters: Rc<Filters>,
    filtered: Rc<Filtered>,
    /// Seconds since the shard began.
    second: Cell<u64>,
}

impl Shard {
    pub fn new(me: ShardId, settings: Settings, mesh: Mesh, registry: Arc<Registry>) -> Rc<Self> {
        let post = Rc::new(Post::new(me, mesh));
        let filters = Rc::new(Filters::new());
        filters.install(&registry);
        let delivery: SharedDelivery = Rc::new(RefCell::new(Delivery::new(me, settings.connections)));
        let actors = Actors::new(Rc::new(Verdicts(post.queue.clone())));
        let homes = Homes::new(settings.wires, settings.rules.clone(), settings.channels, registry, actors);
        Rc::new(Self {
            filtered: Filtered::new(filters.clone(), delivery.clone(), post.queue.clone()),
            homes: RefCell::new(homes),
            settings,
            post,
            delivery,
            filters,
            second: Cell::new(0),
        })
    }

    /// The shard's loop: a turn whenever something has come. Runs until it is dropped.
    pub async fn run(self: Rc<Self>, mut inbox: Inbox) {
        let timers = self.clone();
        let _timers = AbortOnDrop(tokio::task::spawn_local(async move { timers.keep_time().await }));
        let queue: Rc<LocalQueue> = self.post.queue.clone();
        loop {
            let mut letters = tokio::select! {
                biased;
                () = queue.woken() => Vec::new(),
                letters = inbox.next() => letters,
            };
            while let Some(more) = inbox.try_next() {
                letters.extend(more);
            }
            self.turn(letters);
            // Readers that became ready meanwhile come before the next turn.
            tokio::task::yield_now().await;
        }
    }

    fn turn(self: &Rc<Self>, letters: Vec<Letter>) {
        let queue = &self.post.queue;
        queue.begin_turn();
        let mut homes = self.homes.borrow_mut();
        let alone = is_one_delivery(&letters);
        for letter in letters {
            self.handle(letter, alone, &mut homes);
        }
        self.handle_queue(&mut homes);
        homes.seal_all(&self.post);
        // What the first round has set off here: deliveries, acknowledgements.
        self.handle_queue(&mut homes);
        if !homes.release_withheld(&self.post) {
            let queue = queue.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                queue.wake();
            });
        }
        drop(homes);
        self.post.dispatch();
        self.write();
    }

    fn handle_queue(self: &Rc<Self>, homes: &mut Homes) {
        let mut events = self.post.queue.take();
        let alone = is_one_delivery(events.iter().filter_map(|event| match event {
            Event::Letter(letter) => Some(letter),
            Event::Decided(..) => None,
        }));
        for event in events.drain(..) {
            match event {
                Event::Letter(letter) => self.handle(letter, alone, homes),
                Event::Decided(ticket, answer) => homes.decided(ticket, answer, &self.post),
            }
        }
        self.post.queue.recycle(events);
    }

    /// `alone`: of the letters handled now it is the only one that delivers.
    fn handle(self: &Rc<Self>, letter: Letter, alone: bool, homes: &mut Homes) {
        match letter {
            Letter::Publish(publish) => homes.publish(publish, &self.post),
            Letter::Subscribe(subscribe) => homes.subscribe(subscribe, &self.post),
            Letter::Unsubscribe { channel, sender, request, subscribed } => {
                homes.unsubscribe(channel, sender, request, subscribed, &self.post);
            }
            Letter::ForgetOne { channel, shard } => homes.forget_one(&channel, shard),
            Letter::Subscribed(answer) => self.subscribed(answer),
            Letter::Unsubscribed { channel, client, request } => {
                self.answer(client, request.as_ref(), &Reply::Unsubscribed { channel });
            }
            Letter::Published { channel, client, request, result } => {
                self.published(channel, client, request, result);
            }
            Letter::Deliver(turn) => {
                let waiting = self.delivery.borrow_mut().deliver(&turn, alone);
                for plugin in waiting {
                    self.filtered.judge(plugin, turn.clone());
                }
            }
            Letter::ChannelGone(channel) => self.channel_gone(&channel),
            Letter::Direct { client, channel, event, payload } => {
                let connection = self.delivery.borrow().find(client).cloned();
                if let Some(connection) = connection {
                    let mut out = BytesMut::new();
                    self.wire(connection.wire).direct(&channel, &event, &payload, &mut out);
                    self.send(&connection, out.freeze());
                }
            }
            Letter::Close { client, code, reason } => {
                let connection = self.delivery.borrow().find(client).cloned();
                if let Some(connection) = connection {
                    self.close(&connection, code, &reason);
                }
            }
            Letter::Install { registry, done } => {
                self.filters.install(&registry);
                homes.install(registry, &self.post);
                // The plugin host may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    // === what clients ask, by way of their sessions ===

    /// A new client. `Full`: refuse it.
    pub fn connect(&self, wire: WireId, socket: Rc<dyn Socket>) -> Result<Rc<Connection>, Full> {
        self.delivery.borrow_mut().connect(wire, socket, self.settings.outbox_bytes, self.second.get())
    }

    /// A client's connection has ended: its subscriptions end with it.
    pub fn disconnect(&self, connection: &Rc<Connection>) {
        connection.set_closing();
        let _ = connection.outbox.borrow_mut().write_to(&*connection.socket);
        let left = self.delivery.borrow_mut().disconnect(connection);
        for (channel, filter) in left {
            self.release(filter);
            self.leave(channel, connection.sender(), None, true);
        }
    }

    /// Takes one of the client's credits; the answer returns it.
    pub fn publish(&self, connection: &Connection, publish: Publish) {
        connection.take_credit();
        let home = self.post.mesh().home(publish.channel.as_str());
        self.post.send(home, Letter::Publish(publish));
    }

    pub fn subscribe(&self, connection: &Connection, subscribe: Subscribe) {
        connection.take_credit();
        connection.subscription_asked();
        let home = self.post.mesh().home(subscribe.channel.as_str());
        self.post.send(home, Letter::Subscribe(subscribe));
    }

    /// Only once [`Connection::until_settled`]: the seat must be there to be left.
    pub fn unsubscribe(&self, connection: &Connection, channel: ChannelName, request: Option<RequestId>) {
        connection.take_credit();
        let removed = self.delivery.borrow_mut().unsubscribe(connection, &channel);
        let subscribed = removed.is_some();
        self.release(removed.and_then(|removed| removed.filter));
        self.leave(channel, connection.sender(), Some(request), subscribed);
    }

    /// A message from the server's API.
    pub fn publish_as_server(
        &self,
        channel: ChannelName,
        event: Bytes,
        payload: Payload,
    ) -> oneshot::Receiver<Result<Published, Refusal>> {
        let (answer, receiver) = oneshot::channel();
        let home = self.post.mesh().home(channel.as_str());
        let origin = Origin::Server { answer };
        let publish =
            Publish { channel, origin, event, payload, except: None, budget: PUBLICATIONS_A_MESSAGE };
        self.post.send(home, Letter::Publish(publish));
        receiver
    }

    /// What an action asked for. `name` stands in for a channel in direct messages.
    pub fn apply(&self, name: &ChannelName, effects: Vec<Effect>) {
        self.homes.borrow_mut().apply(name, effects, PUBLICATIONS_A_MESSAGE, &self.post);
        self.post.queue.wake();
    }

    pub fn reply(&self, connection: &Rc<Connection>, request: Option<&RequestId>, reply: &Reply) {
        let mut out = BytesMut::new();
        self.wire(connection.wire).reply(request, reply, &mut out);
        self.send(connection, out.freeze());
    }

    /// Frames of the connection's own dialect: a pong, an answer to a close.
    pub fn send(&self, connection: &Rc<Connection>, bytes: Bytes) {
        self.delivery.borrow_mut().push_reply(connection, bytes);
        self.post.queue.wake();
    }

    /// Says goodbye with a code and a reason, and ends the connection when the client
    /// has heard it, or after five seconds.
    pub fn close(&self, connection: &Rc<Connection>, code: u16, reason: &str) {
        if connection.set_closing() {
            return;
        }
        tracing::debug!(client = %connection.id, code, reason, "closing");
        let mut out = BytesMut::new();
        self.wire(connection.wire).close(code, reason, &mut out);
        {
            let mut outbox = connection.outbox.borrow_mut();
            if outbox.is_blocked() {
                outbox.clear_unsent();
            }
            outbox.push_last(out.freeze());
        }
        self.delivery.borrow_mut().mark_dirty(connection);
        self.post.queue.wake();
        let connection = connection.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LINGER).await;
            connection.socket.shutdown();
        });
    }

    /// Says goodbye to everyone and waits until they are gone, at most as long as one
    /// goodbye takes.
    pub async fn drain(&self) {
        let all: Vec<_> = self.delivery.borrow().connections().cloned().collect();
        for connection in all {
            self.close(&connection, 1001, "Server going away. retry_after=1");
        }
        let deadline = tokio::time::Instant::now() + LINGER;
        while self.delivery.borrow().connection_count() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn registry(&self) -> Arc<Registry> {
        self.homes.borrow().registry().clone()
    }

    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The filter of a subscription that did not come about, or has ended.
    pub fn release(&self, filter: Option<FilterChoice>) {
        if let Some(filter) = filter {
            self.filters.release(filter.id);
        }
    }

    /// Connections and channels at home on this shard.
    pub fn counts(&self) -> (usize, usize) {
        (self.delivery.borrow().connection_count(), self.homes.borrow().len())
    }

    // === answers of homes ===

    fn subscribed(&self, answer: Subscribed) {
        let Subscribed { channel, sender, request, filter, result } = answer;
        let connection = self.delivery.borrow().find(sender.client).cloned();
        let Some(connection) = connection.filter(|connection| !connection.is_closing()) else {
            self.release(filter);
            if result.is_ok() {
                self.leave(channel, sender, None, true);
            }
            return;
        };
        connection.return_credit();
        connection.subscription_answered();
        match result {
            Err(refusal) => {
                self.release(filter);
                let channel = Some(channel);
                self.reply(&connection, request.as_ref(), &Reply::Refused { channel, refusal });
            }
            Ok(accepted) => {
                let before = self.delivery.borrow_mut().subscribe(&connection, &channel, &accepted, filter);
                if let Some(before) = before {
                    self.release(before.filter);
                    let home = self.post.mesh().home(channel.as_str());
                    let shard = connection.id.shard();
                    self.post.send(home, Letter::ForgetOne { channel: channel.clone(), shard });
                }
                let position = accepted.numbered.then_some(accepted.position);
                self.reply(&connection, request.as_ref(), &Reply::Subscribed { channel, position });
            }
        }
    }

    fn published(
        &self,
        channel: ChannelName,
        client: ClientId,
        request: Option<RequestId>,
        result: Result<Option<Offset>, Refusal>,
    ) {
        let connection = self.delivery.borrow().find(client).cloned();
        let Some(connection) = connection else { return };
        connection.return_credit();
        match result {
            // Who wants to hear of a success says so with an id.
            Ok(_) if request.is_none() => {}
            Ok(offset) => self.reply(&connection, request.as_ref(), &Reply::Published { channel, offset }),
            Err(refusal) => {
                let channel = Some(channel);
                self.reply(&connection, request.as_ref(), &Reply::Refused { channel, refusal });
            }
        }
    }

    fn answer(&self, client: ClientId, request: Option<&RequestId>, reply: &Reply) {
        let connection = self.delivery.borrow().find(client).cloned();
        if let Some(connection) = connection {
            connection.return_credit();
            self.reply(&connection, request, reply);
        }
    }

    fn channel_gone(&self, channel: &ChannelName) {
        let subscribers = self.delivery.borrow().subscribers(channel);
        for connection in subscribers {
            let removed = self.delivery.borrow_mut().unsubscribe(&connection, channel);
            self.release(removed.and_then(|removed| removed.filter));
            let refusal = Refusal::ChannelNotFound(channel.clone());
            self.reply(&connection, None, &Reply::Refused { channel: Some(channel.clone()), refusal });
        }
    }

    fn leave(
        &self,
        channel: ChannelName,
        sender: Sender,
        request: Option<Option<RequestId>>,
        subscribed: bool,
    ) {
        let home = self.post.mesh().home(channel.as_str());
        self.post.send(home, Letter::Unsubscribe { channel, sender, request, subscribed });
    }

    // === sockets ===

    fn write(self: &Rc<Self>) {
        let slow = self.delivery.borrow_mut().take_slow();
        for connection in slow {
            self.close_slow(&connection);
        }
        let mut dirty = self.delivery.borrow_mut().take_dirty();
        for connection in dirty.drain(..) {
            connection.dirty.set(false);
            let mut outbox = connection.outbox.borrow_mut();
            // One that is blocked has a task that writes when the socket is writable.
            if outbox.is_blocked() || outbox.is_empty() {
                continue;
            }
            match outbox.write_to(&*connection.socket) {
                Ok(Wrote::All) if connection.is_closing() => connection.socket.finish(),
                Ok(Wrote::All) => {}
                Ok(Wrote::Blocked) => {
                    drop(outbox);
                    tokio::task::spawn_local(drain(connection));
                }
                Err(_) => connection.socket.shutdown(),
            }
        }
        self.delivery.borrow_mut().recycle_dirty(dirty);
    }

    fn close_slow(&self, connection: &Rc<Connection>) {
        if !connection.is_closing() {
            tracing::info!(client = %connection.id, "closing a slow consumer: {} bytes wait for it",
                self.settings.outbox_bytes);
        }
        connection.outbox.borrow_mut().clear_unsent();
        self.close(connection, 4008, "Slow consumer.");
    }

    fn wire(&self, id: WireId) -> &'static dyn Wire {
        self.settings.wires[usize::from(id.0)]
    }

    // === time ===

    /// Heartbeats: each connection's from its own beginning, so that no second has them all.
    async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let interval = self.settings.heartbeat.as_secs().max(1);
        loop {
            ticks.tick().await;
            let now = self.second.get() + 1;
            self.second.set(now);
            let due: Vec<_> = {
                let delivery = self.delivery.borrow();
                let is_due = |born: u64| now > born + 1 && (now - born - 1).is_multiple_of(interval);
                delivery.connections().filter(|connection| is_due(connection.born)).cloned().collect()
            };
            for connection in due {
                let unheard = connection.unheard.get();
                if unheard >= self.settings.missed_heartbeats {
                    self.close(&connection, 4000, "Heartbeat missed.");
                } else {
                    connection.unheard.set(unheard + 1);
                    let mut ping = BytesMut::new();
                    self.wire(connection.wire).ping(&mut ping);
                    self.send(&connection, ping.freeze());
                }
            }
            if now.is_multiple_of(SWEEP.as_secs()) {
                self.homes.borrow_mut().sweep();
            }
        }
    }
}

fn is_one_delivery<'a>(letters: impl IntoIterator<Item = &'a Letter>) -> bool {
    letters.into_iter().filter(|letter| matches!(letter, Letter::Deliver(_))).count() == 1
}

/// Writes to a socket that was full, whenever it is writable, until nothing waits.
async fn drain(connection: Rc<Connection>) {
    loop {
        let writable = std::future::poll_fn(|context| connection.socket.poll_writable(context)).await;
        let wrote = match writable {
            Ok(()) => connection.outbox.borrow_mut().write_to(&*connection.socket),
            Err(error) => Err(error),
        };
        match wrote {
            Ok(Wrote::Blocked) => {}
            Ok(Wrote::All) if connection.is_closing() => return connection.socket.finish(),
            Ok(Wrote::All) => return,
            Err(_) => return connection.socket.shutdown(),
        }
    }
}

/// Ends a task with its owner.
pub struct AbortOnDrop(pub tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
