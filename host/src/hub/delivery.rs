//! The subscribers on this shard: who sits where, and the turns that go to them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;

use super::audience::{Audience, FilterChoice, Group, GroupKey, Member, Panel, Removed, Seat};
use super::connection::Connection;
use super::frames::Frames;
use super::letter::Accepted;
use super::outbox::{Outbox, Terms, Through, TooSlow};
use super::slots::{Full, Slots};
use super::slow::SlowPolicy;
use super::socket::Socket;
use super::tally::Receipt;
use super::turn::{Content, Run, Turn};
use super::wire::WireId;
use crate::core::{ChannelName, ClientId, Offset, PluginName, ShardId};
use crate::plugin::Bits;

pub struct Delivery {
    connections: Slots<Rc<Connection>>,
    audiences: Slab<Audience>,
    by_channel: HashMap<ChannelName, usize>,
    /// Connections with something to write this turn.
    dirty: Vec<Rc<Connection>>,
    /// Connections past their outbox's bound, to be closed by the shard.
    slow: Vec<Rc<Connection>>,
    delivered: u64,
    /// Of connections that have ended.
    dropped: u64,
}

impl Delivery {
    pub fn new(shard: ShardId, limit: usize) -> Self {
        Self {
            connections: Slots::new(shard, limit),
            audiences: Slab::new(),
            by_channel: HashMap::new(),
            dirty: Vec::new(),
            slow: Vec::new(),
            delivered: 0,
            dropped: 0,
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
        let seat = connection.seats.borrow_mut().remove(channel.as_str())?;
        connection.recount();
        Some(self.vacate(channel, &seat))
    }

    fn vacate(&mut self, channel: &ChannelName, seat: &Seat) -> Removed {
        let audience = &mut self.audiences[seat.audience];
        let removed = audience.remove(seat);
        if audience.is_empty() {
            self.audiences.remove(seat.audience);
            self.by_channel.remove(channel.as_str());
        } else if let Some(moved) = removed.moved.and_then(|client| self.find(client))
            && let Some(its) = moved.seats.borrow_mut().get_mut(channel.as_str())
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

    // === turns ===

    /// Puts a turn's runs into the outboxes of all subscribers without a filter; `alone`, as the
    /// only one that the shard delivers now, past their empty queues. The plugins whose filters
    /// have yet to judge it.
    pub fn deliver(&mut self, turn: &Turn, alone: bool) -> Vec<PluginName> {
        if turn.is_aside() {
            return self.deliver_asides(turn, None);
        }
        let Some(&key) = self.by_channel.get(turn.channel.as_str()) else { return Vec::new() };
        let Self { audiences, connections, dirty, slow, delivered, .. } = self;
        let waiting = audiences[key].judges().cloned().collect();
        let audience = &audiences[key];
        for group in &audience.groups {
            // An emptied group's dialect may be nobody's any more.
            if group.key.filter.is_some() || group.members.is_empty() || !concerns(turn, group) {
                continue;
            }
            let run = turn.run(group.key.wire);
            if run.bytes.is_empty() {
                continue;
            }
            let policy = policy(turn, group);
            let terms = Terms::new(policy, &audience.channel, &run.frames);
            if let Some(tally) = &turn.tally {
                let mut receipt = Receipt::default();
                for member in group.members.iter().filter(|member| is_open(connections, member.client)) {
                    match turn.leaves_out(member.client) {
                        true => receipt.excluded += 1,
                        false => receipt.delivered += 1,
                    }
                }
                tally.add(receipt);
            }
            let tells_places = turn.tells_places(group.key.wire);
            *delivered += (turn.messages.len() * group.members.len()) as u64;
            for member in &group.members {
                let Some(connection) = connections.at(member.client) else { continue };
                let leaves_out = turn.leaves_out(member.client);
                let asides = turn.asides_for(member.client);
                if tells_places {
                    connection.came_to(turn);
                } else if alone && !leaves_out && asides.is_none() {
                    match connection.write_through(&run.bytes, terms) {
                        Through::Done => continue,
                        Through::Rest => {
                            note(dirty, slow, connection, Ok(()));
                            continue;
                        }
                        Through::Not => {}
                    }
                }
                let mut push = |bytes: Bytes, terms: Terms<'_>| {
                    note(dirty, slow, connection, connection.push_run(bytes, terms));
                };
                if !leaves_out && asides.is_none() {
                    push(run.bytes.clone(), terms);
                    continue;
                }
                let wanted = |i: usize| turn.messages[i].except != Some(member.client);
                *delivered -= (0..turn.messages.len()).filter(|i| !wanted(*i)).count() as u64;
                let channel = &audience.channel;
                if let Some(asides) = asides {
                    *delivered += asides.len() as u64;
                    turn.weave(group.key.wire, asides, wanted, |bytes, frames| {
                        push(bytes, woven(policy, channel, frames));
                    });
                    continue;
                }
                match policy {
                    SlowPolicy::Disconnect => run.pick(wanted, |bytes, _| push(bytes, Terms::Disconnect)),
                    SlowPolicy::DropOldest => run.pick(wanted, |bytes, messages| {
                        push(bytes, Terms::DropOldest { channel, messages });
                    }),
                    SlowPolicy::Latest => {
                        let Run { bytes, frames } = run.only(wanted);
                        if !bytes.is_empty() {
                            push(bytes, Terms::Latest { channel, frames: &frames });
                        }
                    }
                }
            }
        }
        waiting
    }

    /// A turn that only some are named for: without a plugin's name to those of them who have no
    /// filter, with one to those who have chosen it. Filters do not judge it, but it keeps its place
    /// behind what they have yet to judge. The plugins of the others' filters.
    pub fn deliver_asides(&mut self, turn: &Turn, plugin: Option<&PluginName>) -> Vec<PluginName> {
        let mut others = Vec::new();
        let Some(asides) = turn.asides() else { return others };
        let Self { audiences, connections, dirty, slow, delivered, .. } = self;
        for (client, of_it) in asides.clients() {
            let Some(connection) = connections.get(client) else { continue };
            let Some(seat) = connection.seats.borrow().get(turn.channel.as_str()).cloned() else { continue };
            let audience = &audiences[seat.audience];
            let key = &audience.groups[seat.group].key;
            let chosen = key.filter.as_ref().map(|filter| &filter.plugin);
            if chosen != plugin {
                if let Some(other) = chosen.filter(|other| plugin.is_none() && !others.contains(*other)) {
                    others.push(other.clone());
                }
                continue;
            }
            *delivered += of_it.len() as u64;
            let policy = policy(turn, &audience.groups[seat.group]);
            turn.weave(
                key.wire,
                of_it,
                |_| true,
                |bytes, frames| {
                    let terms = woven(policy, &audience.channel, frames);
                    note(dirty, slow, connection, connection.push_run(bytes, terms));
                },
            );
        }
        others
    }

    /// The distinct filters of a plugin among a channel's subscribers.
    pub fn panel(&mut self, channel: &ChannelName, plugin: &PluginName) -> Option<Panel> {
        let audience = *self.by_channel.get(channel)?;
        self.audiences[audience].panel(plugin)
    }

    /// Delivers a turn to the subscribers of one plugin's filters, as those of the panel have judged it;
    /// `alone`, as the only one that waited for them, past their empty queues.
    pub fn deliver_filtered(
        &mut self,
        turn: &Turn,
        plugin: &PluginName,
        panel: &Panel,
        bits: &Bits,
        alone: bool,
    ) {
        let Some(&key) = self.by_channel.get(turn.channel.as_str()) else { return };
        let Self { audiences, connections, dirty, slow, delivered, .. } = self;
        let audience = &audiences[key];
        let columns = audience.columns(plugin, panel);
        let mut verdicts: Vec<bool> = Vec::with_capacity(turn.messages.len());
        for group in &audience.groups {
            let Group { key: group_key, members, .. } = group;
            // One that is not in the panel has come while it judged.
            let (Some(choice), Some(column)) = (&group_key.filter, columns.of(group)) else { continue };
            verdicts.clear();
            verdicts.extend((0..turn.messages.len()).map(|i| choice.delivers(bits.verdict(i, column))));
            let passing = verdicts.iter().filter(|passes| **passes).count();
            if passing == 0 && turn.asides().is_none() {
                if let Some(tally) = &turn.tally {
                    tally.add(Receipt { filtered: members.len() as u64, ..Receipt::default() });
                }
                continue;
            }
            let run = turn.run(group_key.wire);
            let tells_places = turn.tells_places(group_key.wire);
            let all = passing == verdicts.len();
            let chosen = if all { run.clone() } else { run.only(|i| verdicts[i]) };
            let passing = passing as u64;
            for member in members {
                // It subscribed while the filter judged: this turn was before its time.
                if member.since >= turn.first() && turn.first() > Offset(0) {
                    continue;
                }
                let Some(connection) = connections.at(member.client) else { continue };
                *delivered += passing;
                if let Some(asides) = turn.asides_for(member.client) {
                    let wanted = |i: usize| verdicts[i] && turn.messages[i].except != Some(member.client);
                    *delivered -= passing - (0..verdicts.len()).filter(|i| wanted(*i)).count() as u64;
                    *delivered += asides.len() as u64;
                    if tells_places {
                        connection.came_to(turn);
                    }
                    turn.weave(group_key.wire, asides, wanted, |bytes, frames| {
                        let terms = woven(group_key.slow, &audience.channel, frames);
                        note(dirty, slow, connection, connection.push_run(bytes, terms));
                    });
                    continue;
                }
                let rest;
                let mine = if turn.leaves_out(member.client) {
                    let wanted = |i: usize| verdicts[i] && turn.messages[i].except != Some(member.client);
                    *delivered -= passing - (0..verdicts.len()).filter(|i| wanted(*i)).count() as u64;
                    rest = run.only(wanted);
                    &rest
                } else {
                    &chosen
                };
                if let Some(tally) = turn.tally.as_ref().filter(|_| !connection.is_closing()) {
                    let one = u64::from(!mine.bytes.is_empty());
                    tally.add(Receipt { delivered: one, excluded: 1 - one, filtered: 0 });
                }
                if mine.bytes.is_empty() {
                    continue;
                }
                let terms = Terms::new(group_key.slow, &audience.channel, &mine.frames);
                if tells_places {
                    connection.came_to(turn);
                } else if alone {
                    match connection.write_through(&mine.bytes, terms) {
                        Through::Done => continue,
                        Through::Rest => {
                            note(dirty, slow, connection, Ok(()));
                            continue;
                        }
                        Through::Not => {}
                    }
                }
                note(dirty, slow, connection, connection.push_run(mine.bytes.clone(), terms));
            }
        }
    }

    /// Changes of presence and numbers of subscribers, for the subscribers of one plugin's filters: nobody judges those.
    pub fn deliver_unjudged(&mut self, turn: &Turn, plugin: &PluginName) {
        let Some(&key) = self.by_channel.get(turn.channel.as_str()) else { return };
        let Self { audiences, connections, dirty, slow, .. } = self;
        let audience = &audiences[key];
        let chose = |group: &&Group| group.key.filter.as_ref().is_some_and(|choice| choice.plugin == *plugin);
        for group in audience.groups.iter().filter(|group| concerns(turn, group)).filter(chose) {
            let run = turn.run(group.key.wire);
            if run.bytes.is_empty() {
                continue;
            }
            let terms = Terms::new(policy(turn, group), &audience.channel, &run.frames);
            for connection in group.members.iter().filter_map(|member| connections.at(member.client)) {
                note(dirty, slow, connection, connection.push_run(run.bytes.clone(), terms));
            }
        }
    }

    /// What one subscriber missed, of which it gets what `passes`.
    pub fn deliver_replay(&mut self, client: ClientId, turn: &Turn, passes: impl FnMut(usize) -> bool) {
        let Some(connection) = self.find(client).cloned() else { return };
        let run = turn.run(connection.wire);
        let bytes = run.only(passes).bytes;
        if let Some(tally) = turn.tally.as_ref().filter(|_| !connection.is_closing()) {
            let one = u64::from(!bytes.is_empty());
            tally.add(Receipt { delivered: one, excluded: 0, filtered: 1 - one });
        }
        if !bytes.is_empty() {
            if turn.tells_places(connection.wire) {
                connection.came_to(turn);
            }
            connection.push_replay(bytes);
            note(&mut self.dirty, &mut self.slow, &connection, Ok(()));
        }
    }

    /// The same for a client by its id, if it is still there. Empty: nothing.
    pub fn push_to(&mut self, client: ClientId, bytes: Bytes) {
        let connection = self.find(client).filter(|_| !bytes.is_empty()).cloned();
        connection.into_iter().for_each(|connection| self.push_reply(&connection, bytes.clone()));
    }

    /// Bytes for one client, outside any channel's order.
    pub fn push_reply(&mut self, connection: &Rc<Connection>, bytes: Bytes) {
        let pushed = connection.push_reply(bytes);
        note(&mut self.dirty, &mut self.slow, connection, pushed);
    }

    pub fn mark_dirty(&mut self, connection: &Rc<Connection>) {
        note(&mut self.dirty, &mut self.slow, connection, Ok(()));
    }

    pub fn take_dirty(&mut self) -> Vec<Rc<Connection>> {
        std::mem::take(&mut self.dirty)
    }

    pub fn recycle_dirty(&mut self, mut emptied: Vec<Rc<Connection>>) {
        emptied.clear();
        if self.dirty.is_empty() {
            self.dirty = emptied;
        }
    }

    pub fn take_slow(&mut self) -> Vec<Rc<Connection>> {
        std::mem::take(&mut self.slow)
    }
}

/// Is it still sent anything? One that is being closed is not.
fn is_open(connections: &Slots<Rc<Connection>>, client: ClientId) -> bool {
    connections.at(client).is_some_and(|connection| !connection.is_closing())
}

/// Is the turn for this group at all?
fn concerns(turn: &Turn, group: &Group) -> bool {
    turn.content() != Content::Presence || group.key.presence
}

/// No change of presence makes an earlier one needless, each is about another member; and no
/// number of subscribers a message.
fn policy(turn: &Turn, group: &Group) -> SlowPolicy {
    match (turn.content(), group.key.slow) {
        (Content::Presence | Content::Count, SlowPolicy::Latest) => SlowPolicy::DropOldest,
        (_, policy) => policy,
    }
}

/// Terms of a part of what [`Turn::weave`] gives. Like a change of presence, no aside makes an
/// earlier one needless.
fn woven<'a>(policy: SlowPolicy, channel: &'a Rc<ChannelName>, frames: Option<&'a Arc<Frames>>) -> Terms<'a> {
    match (frames, policy) {
        (Some(frames), policy) => Terms::new(policy, channel, frames),
        (None, SlowPolicy::Disconnect) => Terms::Disconnect,
        (None, SlowPolicy::DropOldest | SlowPolicy::Latest) => Terms::DropOldest { channel, messages: 1 },
    }
}

fn note(
    dirty: &mut Vec<Rc<Connection>>,
    slow: &mut Vec<Rc<Connection>>,
    connection: &Rc<Connection>,
    pushed: Result<(), TooSlow>,
) {
    if pushed.is_err() {
        slow.push(connection.clone());
    }
    if !connection.dirty.replace(true) {
        dirty.push(connection.clone());
    }
}

/// Shared by the shard's turn and its filters' tasks, all on one thread.
pub type SharedDelivery = Rc<RefCell<Delivery>>;
