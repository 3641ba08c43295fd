//! What clients ask of the hub, by way of their sessions, and what is sent to one of them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::Shard;
use crate::core::{ChannelName, ClientId, IdempotencyKey, Payload, Refusal, Sender, TraceParent, UserId};
use crate::hub::audience::FilterChoice;
use crate::hub::connection::Connection;
use crate::hub::groups::{GroupInquiry, GroupName};
use crate::hub::letter::{
    About, Fate, Inquiry, Letter, Origin, PUBLICATIONS_A_MESSAGE, Publish, Published, Question, Subscribe,
    Unsubscribe,
};
use crate::hub::outbox::{Outbox, Wrote};
use crate::hub::slots::Full;
use crate::hub::socket::Socket;
use crate::hub::wire::{Reply, RequestId, Told, WireId};
use crate::plugin::{Departure, Effect, Filters, Registry};

/// How long a closing connection has to take its last bytes and close its side.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// A message of the server's API.
pub struct Publication {
    pub channel: ChannelName,
    pub event: Bytes,
    pub payload: Payload,
    /// In whose name.
    pub sender: Option<UserId>,
    pub except: Option<ClientId>,
    pub key: Option<IdempotencyKey>,
    /// How many did it reach?
    pub receipt: bool,
    /// Of the request that it came by.
    pub trace: Option<TraceParent>,
}

impl Publication {
    /// In nobody's name, and without anything beside.
    pub fn new(channel: ChannelName, event: Bytes, payload: Payload) -> Self {
        Self { channel, event, payload, sender: None, except: None, key: None, receipt: false, trace: None }
    }
}

impl Shard {
    /// A new client. `Full`: refuse it.
    pub fn connect(&self, wire: WireId, socket: Rc<dyn Socket>) -> Result<Rc<Connection>, Full> {
        let outbox = Outbox::new(self.settings.outbox_bytes, self.wire(wire));
        let connection = self.delivery.borrow_mut().connect(wire, socket, outbox, self.second.get())?;
        self.counters.borrow_mut().opened += 1;
        Ok(connection)
    }

    /// A client's connection has ended: its subscriptions end with it.
    pub fn disconnect(&self, connection: &Rc<Connection>) {
        self.delivery.borrow_mut().finish_round_of(connection);
        connection.set_closing();
        self.counters.borrow_mut().closed(connection.goodbye().map(|goodbye| goodbye.code));
        if !matches!(connection.outbox.borrow_mut().write_to(&*connection.socket), Ok(Wrote::All)) {
            // Nobody counts it any more: it must not wait for a client that does not read.
            connection.socket.shutdown();
        }
        let left = self.delivery.borrow_mut().disconnect(connection);
        for channel in connection.joined.take() {
            let home = self.post.mesh().home(&channel);
            self.post.send(home, Letter::Gone { channel, client: connection.id });
        }
        for (channel, filter) in left {
            self.release(filter);
            self.leave(Unsubscribe {
                channel: channel.clone(),
                sender: connection.sender_in(&channel),
                request: None,
                subscribed: true,
                why: connection.departure(),
                budget: PUBLICATIONS_A_MESSAGE,
                trace: connection.trace(),
            });
            self.leave_members(connection, channel);
        }
    }

    /// It is no member any more, if its subscription had made it one.
    pub(super) fn leave_members(&self, connection: &Connection, channel: ChannelName) {
        if connection.uncall(&channel) {
            let home = self.post.mesh().home(&channel);
            self.post.send(home, Letter::Gone { channel, client: connection.id });
        }
    }

    /// A message of a client has come.
    pub fn received(&self, bytes: usize) {
        self.counters.borrow_mut().received(bytes);
    }

    /// The client has done more than answer a heartbeat.
    pub fn acted(&self, connection: &Connection) {
        connection.active.set(self.second.get());
    }

    /// Takes one of the client's credits; the answer returns it.
    pub fn publish(&self, connection: &Connection, publish: Publish) {
        connection.take_credit();
        let home = self.post.mesh().home(&publish.channel);
        self.post.send(home, Letter::Publish(publish));
    }

    pub fn subscribe(&self, connection: &Connection, subscribe: Subscribe) {
        let subscribe = Subscribe { trace: connection.trace(), ..subscribe };
        connection.take_credit();
        connection.answer_awaited();
        connection.subscription_asked();
        let home = self.post.mesh().home(&subscribe.channel);
        self.post.send(home, Letter::Subscribe(Box::new(subscribe)));
    }

    /// A question about a channel. What joined leaves with its connection.
    ///
    /// # Errors
    /// With more channels joined than `limit`.
    pub fn question(&self, connection: &Connection, question: Question, limit: usize) -> Result<(), Refusal> {
        match &question.about {
            About::Join { .. } => {
                if !connection.join(&question.channel, limit) {
                    return Err(Refusal::LimitExceeded {
                        limit,
                        what: "channels that one client has joined",
                    });
                }
            }
            About::Leave => {
                connection.joined.borrow_mut().remove(&question.channel);
            }
            About::Presence | About::History { .. } => {}
        }
        connection.take_credit();
        connection.answer_awaited();
        let home = self.post.mesh().home(&question.channel);
        self.post.send(home, Letter::Question(question));
        Ok(())
    }

    pub fn ask_group(&self, group: GroupName, inquiry: GroupInquiry) {
        let home = self.post.mesh().home(&group.0);
        self.post.send(home, Letter::Group { group, inquiry });
    }

    /// Asks a channel's home for the server's own API.
    pub fn inquire(&self, channel: ChannelName, inquiry: Inquiry) {
        let home = self.post.mesh().home(&channel);
        self.post.send(home, Letter::Inquiry { channel, inquiry });
    }

    /// Only once [`Connection::until_settled`]: the seat must be there to be left.
    pub fn unsubscribe(&self, connection: &Connection, channel: ChannelName, request: Option<RequestId>) {
        self.end_subscription(connection, channel, request, Departure::Left, PUBLICATIONS_A_MESSAGE);
    }

    /// The same where it is not the client's wish; it is told `unsubscribed`.
    pub fn remove(&self, connection: &Connection, channel: ChannelName) {
        self.end_subscription(connection, channel, None, Departure::Removed, PUBLICATIONS_A_MESSAGE);
    }

    /// See [`Shard::unsubscribe`]; `budget` as in [`Publish::budget`].
    pub(super) fn end_subscription(
        &self,
        connection: &Connection,
        channel: ChannelName,
        request: Option<RequestId>,
        why: Departure,
        budget: u16,
    ) {
        connection.take_credit();
        let removed = self.delivery.borrow_mut().unsubscribe(connection, &channel);
        let subscribed = removed.is_some();
        self.release(removed.and_then(|removed| removed.filter));
        let (sender, request) = (connection.sender_in(&channel), Some(request));
        let trace = connection.trace();
        self.leave(Unsubscribe { channel: channel.clone(), sender, request, subscribed, why, budget, trace });
        self.leave_members(connection, channel);
    }

    /// A message from the server's API.
    pub fn publish_as_server(
        &self,
        publication: Publication,
    ) -> oneshot::Receiver<Result<Published, Refusal>> {
        let Publication { channel, event, payload, sender, except, key, receipt, trace } = publication;
        let (answer, receiver) = oneshot::channel();
        let home = self.post.mesh().home(&channel);
        let sender = sender.map(|user| Sender { client: ClientId::NOBODY, user });
        let origin = Origin::Server { answer, sender };
        let budget = PUBLICATIONS_A_MESSAGE;
        let fate = Fate::Deliver;
        let publish = Publish { channel, origin, event, payload, except, key, budget, receipt, fate, trace };
        self.post.send(home, Letter::Publish(publish));
        receiver
    }

    /// What an action asked for. `name` stands in for a channel in direct messages; `trace` is that of
    /// whoever called it.
    pub fn apply(&self, name: &ChannelName, effects: Vec<Effect>, trace: Option<TraceParent>) {
        self.homes.borrow_mut().apply_for_action(name, effects, trace, &self.post);
        self.post.queue.wake();
    }

    pub fn reply(&self, connection: &Rc<Connection>, request: Option<&RequestId>, reply: Reply<'_>) {
        if let Reply::Refused { refusal, .. } = &reply {
            self.counters.borrow_mut().refused(refusal.code());
            if matches!(refusal, Refusal::PluginFailed(_)) && connection.met_failure() {
                self.failing.borrow_mut().push(Rc::downgrade(connection));
            }
            match self.wire(connection.wire).refused(request, refusal) {
                Told::Said => {}
                Told::Unsaid => {
                    return tracing::debug!(client = %connection.id, refusal = refusal.to_string(), "unsaid");
                }
                Told::Close(code) => return self.close(connection, code, &refusal.reason()),
            }
        }
        let mut out = BytesMut::new();
        self.wire(connection.wire).reply(request, reply, &mut out);
        self.send(connection, out.freeze());
    }

    /// Frames of the connection's own dialect: a pong, an answer to a close. Nothing, where the
    /// dialect has nothing to say.
    pub fn send(&self, connection: &Rc<Connection>, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.delivery.borrow_mut().push_reply(connection, bytes);
        self.post.queue.wake();
    }

    /// A message to one client alone, outside any channel's order.
    pub(super) fn send_direct(
        &self,
        connection: &Rc<Connection>,
        channel: &ChannelName,
        event: &[u8],
        payload: &Payload,
    ) {
        let mut out = BytesMut::new();
        self.wire(connection.wire).direct(channel, event, payload, &mut out);
        self.send(connection, out.freeze());
    }

    /// Says goodbye with a code and a reason, and ends the connection when the client
    /// has heard it, or after five seconds.
    pub fn close(&self, connection: &Rc<Connection>, code: u16, reason: &str) {
        self.delivery.borrow_mut().finish_round_of(connection);
        if connection.set_closing() {
            return;
        }
        tracing::debug!(client = %connection.id, code, reason, "closing");
        connection.set_goodbye(code, reason);
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

    pub fn registry(&self) -> Arc<Registry> {
        self.homes.borrow().registry().clone()
    }

    /// Does any plugin say who may what?
    pub fn asks_auth_plugins(&self) -> bool {
        !self.homes.borrow().registry().auth().is_empty()
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
}
