//! Turns to those who get them: into the outboxes of a channel's subscribers, or past empty ones.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::Delivery;
use super::past::Passing;
use crate::core::{ChannelName, ClientId, Offset, PluginName};
use crate::hub::audience::{Group, Panel};
use crate::hub::connection::Connection;
use crate::hub::frames::Frames;
use crate::hub::outbox::Terms;
use crate::hub::slots::Slots;
use crate::hub::slow::SlowPolicy;
use crate::hub::tally::Receipt;
use crate::hub::turn::{Content, Run, Turn};
use crate::plugin::Bits;

/// What comes together with a turn for who gets it, so that they should share a write.
#[derive(Clone, Copy)]
pub enum Company {
    Nothing,
    /// At most turns of other channels.
    OtherChannels,
    Anything,
}

impl Company {
    fn is_none_for(self, connection: &Connection) -> bool {
        match self {
            Self::Nothing => true,
            Self::OtherChannels => connection.has_one_channel(),
            Self::Anything => false,
        }
    }
}

impl Delivery {
    /// `alone`: it is the only turn that the shard delivers now.
    pub fn company(&self, turn: &Turn, alone: bool) -> Company {
        match (alone, turn.alone_at == Some(self.me)) {
            (true, _) => Company::Nothing,
            (false, true) => Company::OtherChannels,
            (false, false) => Company::Anything,
        }
    }

    /// Puts a turn's runs into the outboxes of all subscribers without a filter, or past them where
    /// they are empty and nothing else is to come that could share the write; where they are many, part by part
    /// from now on. The plugins whose filters have yet to judge it.
    pub fn deliver(&mut self, turn: &Arc<Turn>, alone: bool) -> Vec<PluginName> {
        let Some(&key) = self.by_channel.get(&turn.channel) else { return Vec::new() };
        if self.goes_round(key, turn) {
            return Vec::new();
        }
        self.shared = true;
        if turn.is_aside() {
            return self.deliver_asides(turn, None);
        }
        let company = self.company(turn, alone);
        for group in 0..self.audiences[key].groups.len() {
            let Group { key: group_key, members, .. } = &self.audiences[key].groups[group];
            // An emptied group's dialect may be nobody's any more.
            if group_key.filter.is_none() && !members.is_empty() {
                let all = 0..members.len();
                self.deliver_to((key, group, all), turn, company);
            }
        }
        self.audiences[key].judges().cloned().collect()
    }

    /// Members of a group of an audience that have no filter.
    pub(super) fn deliver_to(
        &mut self,
        (key, group, members): (usize, usize, Range<usize>),
        turn: &Turn,
        company: Company,
    ) {
        let Self { audiences, connections, due, delivered, sends, .. } = self;
        let audience = &audiences[key];
        let group = &audience.groups[group];
        if !concerns(turn, group) {
            return;
        }
        let members = &group.members[members];
        let run = turn.run(group.key.wire);
        if run.bytes.is_empty() {
            return;
        }
        let policy = policy(turn, group);
        let terms = Terms::new(policy, &audience.channel, &run.frames);
        if let Some(tally) = &turn.tally {
            let mut receipt = Receipt::default();
            for member in members.iter().filter(|member| is_open(connections, member.client)) {
                match turn.leaves_out(member.client) {
                    true => receipt.excluded += 1,
                    false => receipt.delivered += 1,
                }
            }
            tally.add(receipt);
        }
        let tells_places = turn.tells_places(group.key.wire);
        *delivered += (turn.messages.len() * members.len()) as u64;
        let mut passing = Passing::new(&run.bytes, terms, members.len(), sends);
        for member in members {
            let Some(connection) = connections.at(member.client) else { continue };
            let leaves_out = turn.leaves_out(member.client);
            let asides = turn.asides_for(member.client);
            if tells_places {
                connection.came_to(turn);
            } else if !leaves_out
                && asides.is_none()
                && company.is_none_for(connection)
                && connection.may_be_passed()
            {
                passing.add(connection, due);
                continue;
            }
            let mut push = |bytes: Bytes, terms: Terms<'_>| {
                due.note(connection, connection.push_run(bytes, terms));
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
        passing.send(sends, due);
    }

    /// A turn that only some are named for: without a plugin's name to those of them who have no
    /// filter, with one to those who have chosen it. Filters do not judge it, but it keeps its place
    /// behind what they have yet to judge. The plugins of the others' filters.
    pub fn deliver_asides(&mut self, turn: &Turn, plugin: Option<&PluginName>) -> Vec<PluginName> {
        let mut others = Vec::new();
        let Some(asides) = turn.asides() else { return others };
        let Self { audiences, connections, due, delivered, .. } = self;
        for (client, of_it) in asides.clients() {
            let Some(connection) = connections.get(client) else { continue };
            let Some(seat) = connection.seats.borrow().get(&turn.channel).cloned() else { continue };
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
                    due.note(connection, connection.push_run(bytes, terms));
                },
            );
        }
        others
    }

    /// Delivers a turn to the subscribers of one plugin's filters, as those of the panel have judged it,
    /// past their empty outboxes as in [`Self::deliver`].
    pub fn deliver_filtered(
        &mut self,
        turn: &Turn,
        plugin: &PluginName,
        panel: &Panel,
        bits: &Bits,
        company: Company,
    ) {
        self.shared = true;
        let Some(&key) = self.by_channel.get(&turn.channel) else { return };
        let Self { audiences, connections, due, delivered, sends, .. } = self;
        let audience = &audiences[key];
        let columns = audience.columns(plugin, panel);
        let mut verdicts: Vec<bool> = Vec::with_capacity(turn.messages.len());
        for group in &audience.groups {
            let Group { key: group_key, members, .. } = group;
            // One that is not in the panel has come while it judged.
            let (Some(choice), Some(column)) = (&group_key.filter, columns.of(group)) else { continue };
            verdicts.clear();
            verdicts.extend((0..turn.messages.len()).map(|i| choice.delivers(bits.verdict(i, column))));
            let count = verdicts.iter().filter(|passes| **passes).count();
            if count == 0 && turn.asides().is_none() {
                if let Some(tally) = &turn.tally {
                    tally.add(Receipt { filtered: members.len() as u64, ..Receipt::default() });
                }
                continue;
            }
            let run = turn.run(group_key.wire);
            let tells_places = turn.tells_places(group_key.wire);
            let all = count == verdicts.len();
            let chosen = if all { run.clone() } else { run.only(|i| verdicts[i]) };
            let count = count as u64;
            let terms = Terms::new(group_key.slow, &audience.channel, &chosen.frames);
            let mut passing = Passing::new(&chosen.bytes, terms, members.len(), sends);
            for member in members {
                // It subscribed while the filter judged: this turn was before its time.
                if member.since >= turn.first() && turn.first() > Offset(0) {
                    continue;
                }
                let Some(connection) = connections.at(member.client) else { continue };
                *delivered += count;
                if let Some(asides) = turn.asides_for(member.client) {
                    let wanted = |i: usize| verdicts[i] && turn.messages[i].except != Some(member.client);
                    *delivered -= count - (0..verdicts.len()).filter(|i| wanted(*i)).count() as u64;
                    *delivered += asides.len() as u64;
                    if tells_places {
                        connection.came_to(turn);
                    }
                    turn.weave(group_key.wire, asides, wanted, |bytes, frames| {
                        let terms = woven(group_key.slow, &audience.channel, frames);
                        due.note(connection, connection.push_run(bytes, terms));
                    });
                    continue;
                }
                let leaves_out = turn.leaves_out(member.client);
                let rest;
                let mine = if leaves_out {
                    let wanted = |i: usize| verdicts[i] && turn.messages[i].except != Some(member.client);
                    *delivered -= count - (0..verdicts.len()).filter(|i| wanted(*i)).count() as u64;
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
                if tells_places {
                    connection.came_to(turn);
                } else if !leaves_out && company.is_none_for(connection) && connection.may_be_passed() {
                    passing.add(connection, due);
                    continue;
                }
                let terms = Terms::new(group_key.slow, &audience.channel, &mine.frames);
                due.note(connection, connection.push_run(mine.bytes.clone(), terms));
            }
            passing.send(sends, due);
        }
    }

    /// Changes of presence and numbers of subscribers, for the subscribers of one plugin's filters: nobody judges those.
    pub fn deliver_unjudged(&mut self, turn: &Turn, plugin: &PluginName) {
        let Some(&key) = self.by_channel.get(&turn.channel) else { return };
        let Self { audiences, connections, due, .. } = self;
        let audience = &audiences[key];
        let chose = |group: &&Group| group.key.filter.as_ref().is_some_and(|choice| choice.plugin == *plugin);
        for group in audience.groups.iter().filter(|group| concerns(turn, group)).filter(chose) {
            let run = turn.run(group.key.wire);
            if run.bytes.is_empty() {
                continue;
            }
            let terms = Terms::new(policy(turn, group), &audience.channel, &run.frames);
            for connection in group.members.iter().filter_map(|member| connections.at(member.client)) {
                due.note(connection, connection.push_run(run.bytes.clone(), terms));
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
            self.due.note(&connection, Ok(()));
        }
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
