//! The subscribers on this shard: who sits where, and what is sent to them.

mod past;
mod round;
mod turns;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use round::Round;
use slab::Slab;
pub use turns::Company;

use crate::core::{ChannelMap, ChannelName, ClientId, PluginName, ShardId};
use crate::hub::audience::{Audience, FilterChoice, GroupKey, Member, Panel, Removed, Seat};
use crate::hub::connection::Connection;
use crate::hub::letter::Accepted;
use crate::hub::outbox::{Outbox, TooSlow};
use crate::hub::sends::Sends;
use crate::hub::slots::{Full, Slots};
use crate::hub::socket::Socket;
use crate::hub::wire::WireId;

pub struct Delivery {
    me: ShardId,
    connections: Slots<Rc<Connection>>,
    audiences: Slab<Audience>,
    by_channel: ChannelMap<usize>,
    due: Due,
    /// What is on its way along a large audience.
    round: Option<Round>,
    /// The large audience that was spoken to last.
    last_large: Option<usize>,
    /// Something else has been delivered since the last part of it.
    shared: bool,
    delivered: u64,
    /// Of connections that have ended.
    dropped: u64,
    sends: Sends,
}

impl Delivery {
    pub fn new(shard: ShardId, limit: usize, sends: Sends) -> Self {
        Self {
            me: shard,
            connections: Slots::new(shard, limit),
            audiences: Slab::new(),
            by_channel: ChannelMap::default(),
            due: Due::default(),
            round: None,
            last_large: None,
            shared: false,
            delivered: 0,
            dropped: 0,
            sends,
        }
    }

    // === connections ===

    pub fn connect(
        &mut self,
        wire: WireId,
        socket: Rc<dyn Socket>,
        outbox: Outbox,
        now: u64,
    ) -> Result<Rc<Connection>, Full> {
        let connect = |id| Rc::new(Connection::new(id, wire, socket, outbox, now));
        self.connections.insert(connect).cloned()
    }

    /// Forgets a connection; the channels it was subscribed to, and its filters there.
    pub fn disconnect(&mut self, connection: &Connection) -> Vec<(ChannelName, Option<FilterChoice>)> {
        let seats = connection.seats.take();
        connection.count_in(Vec::new());
        let left = seats
            .into_iter()
            .map(|(channel, seat)| {
                let removed = self.vacate(&channel, &seat);
                (channel, removed.filter)
            })
            .collect();
        if self.connections.remove(connection.id).is_some() {
            self.dropped += connection.dropped();
        }
        left
    }

    pub fn find(&self, client: ClientId) -> Option<&Rc<Connection>> {
        self.connections.get(client)
    }

    pub fn connections(&self) -> impl Iterator<Item = &Rc<Connection>> {
        self.connections.iter()
    }

    /// Messages put into subscribers' queues so far.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Of these, left out because their subscriber was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped + self.connections().map(|connection| connection.dropped()).sum::<u64>()
    }

    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    // === seats ===

    /// Seats a subscriber. With the filter of the seat it had before, if it had one.
    pub fn subscribe(
        &mut self,
        connection: &Connection,
        channel: &ChannelName,
        accepted: &Accepted,
        filter: Option<FilterChoice>,
    ) -> Option<Removed> {
        self.finish_round_in(channel);
        let before = self.unsubscribe(connection, channel);
        let audience = *self
            .by_channel
            .entry(channel.clone())
            .or_insert_with(|| self.audiences.insert(Audience::new(channel.clone())));
        let Accepted { presence, slow, .. } = *accepted;
        let key = GroupKey { wire: connection.wire, filter, presence, slow };
        let member = Member { client: connection.id, since: accepted.since };
        let seat = self.audiences[audience].add(audience, key, member);
        connection.seats.borrow_mut().insert(channel.clone(), seat);
        connection.recount();
        before
    }

    /// None: it was not subscribed.
    pub fn unsubscribe(&mut self, connection: &Connection, channel: &ChannelName) -> Option<Removed> {
        let seat = connection.seats.borrow_mut().remove(channel)?;
        connection.recount();
        Some(self.vacate(channel, &seat))
    }

    fn vacate(&mut self, channel: &ChannelName, seat: &Seat) -> Removed {
        self.finish_round_in(channel);
        let audience = &mut self.audiences[seat.audience];
        let removed = audience.remove(seat);
        if audience.is_empty() {
            self.audiences.remove(seat.audience);
            self.by_channel.remove(channel);
        } else if let Some(moved) = removed.moved.and_then(|client| self.find(client))
            && let Some(its) = moved.seats.borrow_mut().get_mut(channel)
        {
            its.take_over(seat);
        }
        removed
    }

    /// Everyone who subscribes to a channel here.
    pub fn subscribers(&self, channel: &ChannelName) -> Vec<Rc<Connection>> {
        let Some(audience) = self.by_channel.get(channel) else { return Vec::new() };
        let members = self.audiences[*audience].groups.iter().flat_map(|group| &group.members);
        members.filter_map(|member| self.find(member.client).cloned()).collect()
    }

    /// The distinct filters of a plugin among a channel's subscribers.
    pub fn panel(&mut self, channel: &ChannelName, plugin: &PluginName) -> Option<Panel> {
        let audience = *self.by_channel.get(channel)?;
        self.audiences[audience].panel(plugin)
    }

    // === bytes ===

    /// Bytes for a client by its id, if it is still there. Empty: nothing.
    pub fn push_to(&mut self, client: ClientId, bytes: Bytes) {
        let connection = self.find(client).filter(|_| !bytes.is_empty()).cloned();
        connection.into_iter().for_each(|connection| self.push_reply(&connection, bytes.clone()));
    }

    /// Bytes for one client, outside any channel's order.
    pub fn push_reply(&mut self, connection: &Rc<Connection>, bytes: Bytes) {
        let pushed = connection.push_reply(bytes);
        self.due.note(connection, pushed);
    }

    pub fn mark_dirty(&mut self, connection: &Rc<Connection>) {
        self.due.note(connection, Ok(()));
    }

    pub fn take_dirty(&mut self) -> Vec<Rc<Connection>> {
        std::mem::take(&mut self.due.dirty)
    }

    pub fn recycle_dirty(&mut self, mut emptied: Vec<Rc<Connection>>) {
        emptied.clear();
        if self.due.dirty.is_empty() {
            self.due.dirty = emptied;
        }
    }

    pub fn take_slow(&mut self) -> Vec<Rc<Connection>> {
        std::mem::take(&mut self.due.slow)
    }
}

/// What the end of the turn has to look at.
#[derive(Default)]
struct Due {
    /// Connections with something to write.
    dirty: Vec<Rc<Connection>>,
    /// Connections past their outbox's bound, to be closed by the shard.
    slow: Vec<Rc<Connection>>,
}

impl Due {
    /// Something was put into its outbox.
    fn note(&mut self, connection: &Rc<Connection>, pushed: Result<(), TooSlow>) {
        if pushed.is_err() {
            self.slow.push(connection.clone());
        }
        if !connection.dirty.replace(true) {
            self.dirty.push(connection.clone());
        }
    }
}

/// Shared by the shard's turn and its filters' tasks, all on one thread.
pub type SharedDelivery = Rc<RefCell<Delivery>>;
