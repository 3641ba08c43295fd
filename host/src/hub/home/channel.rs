//! One channel at its home: its order, its past, who is in it, and the turn that it is about
//! to send.

use std::sync::Arc;

use bytes::Bytes;

use super::chain::Chain;
use super::departures::Graces;
use super::timers::Timers;
use super::waiting::Waiting;
use super::{count, limits};
use crate::core::clock::UnixMillis;
use crate::core::meter::Meter;
use crate::core::{ChannelName, ClientId, Message, Offset, Payload, Sender, ShardId};
use crate::hub::history::History;
use crate::hub::letter::{Letter, Wishes};
use crate::hub::mesh::Mesh;
use crate::hub::post::Post;
use crate::hub::presence::{Presence, PresenceEvent};
use crate::hub::queue::{InUse, Queue};
use crate::hub::rules::ChannelRule;
use crate::hub::tally::Tally;
use crate::hub::turn::{Content, OpenTurn, Turn};
use crate::hub::wire::{Epoch, Position, Wires};
use crate::plugin::Response;

pub struct Home {
    pub name: ChannelName,
    pub epoch: Epoch,
    pub offset: Offset,
    pub rule: ChannelRule,
    /// The plugins that handle the channel.
    pub chain: Chain,
    /// Subscribers by shard.
    pub subscribers: Vec<u32>,
    /// Boxed: most channels have none of these.
    pub history: Option<Box<History>>,
    pub presence: Option<Box<Presence>>,
    /// Where messages wait until somebody takes them.
    pub waiting: Option<Box<Waiting>>,
    turn: OpenTurn,
    /// A turn was sealed before the time.
    sealed_early: bool,
    /// Seconds since it was last seen in use, by whole sweeps.
    idle: u32,
    /// What clients may still publish, where the rule has a rate.
    pub meter: Option<Box<Meter>>,
    /// Subscriptions that the handler judges, or that wait for a count: their places are taken.
    pub joining: u32,
    /// Messages that the handler judges, and timers and departures that it answers.
    pub judging: u32,
    /// Those that the handler has set.
    pub timers: Option<Box<Timers>>,
    pub graces: Option<Box<Graces>>,
    /// The last message of the server's API, where the rule says so.
    cached: Option<Box<Cached>>,
    pub told: Option<Box<count::Told>>,
}

struct Cached {
    message: Message,
    until: UnixMillis,
}

/// What a new subscriber missed, and whether that is all of it.
pub struct Past {
    /// Where it stands before the replay, if that is not where the channel stands.
    pub since: Option<Offset>,
    pub recovered: Option<bool>,
    pub replay: Option<Arc<Turn>>,
}

impl Home {
    pub fn new(name: ChannelName, rule: ChannelRule, chain: Chain, shards: usize, in_use: &InUse) -> Self {
        Self {
            name,
            epoch: fresh_epoch(),
            offset: Offset(0),
            chain,
            subscribers: vec![0; shards],
            history: rule.history.map(|rule| Box::new(History::new(rule))),
            presence: None,
            waiting: rule.queue.map(|rule| Box::new(Waiting::new(Queue::new(rule, in_use.clone())))),
            turn: OpenTurn::default(),
            sealed_early: false,
            idle: 0,
            meter: rule.rate.map(|limit| Box::new(Meter::new(limit))),
            joining: 0,
            judging: 0,
            cached: None,
            told: None,
            timers: None,
            graces: None,
            rule,
        }
    }

    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }

    /// Do its messages show their offsets?
    pub fn is_numbered(&self) -> bool {
        self.rule.offsets || self.rule.history.is_some() || !self.chain.is_empty()
    }

    /// The epoch that goes with the offsets of its messages, where they show them.
    pub(super) fn numbered(&self) -> Option<Epoch> {
        self.is_numbered().then_some(self.epoch)
    }

    /// Subscribers on all shards.
    pub fn subscribed(&self) -> u64 {
        self.subscribers.iter().map(|count| u64::from(*count)).sum()
    }

    pub fn has_subscribers(&self) -> bool {
        self.subscribers.iter().any(|count| *count > 0)
    }

    pub fn has_open_turn(&self) -> bool {
        !self.turn.is_empty()
    }

    pub fn used(&mut self) {
        self.idle = 0;
    }

    /// Called with every sweep, `elapsed` seconds after the one before. True: nobody has used it
    /// for as long as its rule says, and it keeps nothing.
    pub fn is_forgotten(&mut self, now: UnixMillis, elapsed: u32) -> bool {
        self.expire(now);
        let keeps = self.history.as_ref().is_some_and(|history| !history.is_empty())
            || self.presence.as_ref().is_some_and(|presence| !presence.is_empty())
            || self.waiting.as_ref().is_some_and(|waiting| !waiting.is_idle())
            || self.cached.is_some();
        let timers = self.timers.as_ref().is_some_and(|timers| !timers.is_empty());
        let graces = self.graces.as_ref().is_some_and(|graces| !graces.is_empty());
        let handled = self.joining > 0 || self.judging > 0 || timers || graces;
        if keeps || handled || limits::owes(self) || self.has_subscribers() || self.has_open_turn() {
            self.idle = 0;
            return false;
        }
        let forgotten = self.idle >= self.rule.expire_after;
        self.idle = self.idle.saturating_add(elapsed);
        forgotten
    }

    /// What a new subscriber gets, where its handler gives this.
    pub fn response(&self, given: Option<Response>) -> Option<Response> {
        let constant = || self.rule.constant_response.as_deref().cloned();
        given.filter(|_| self.rule.default_response).or_else(constant)
    }

    /// Counts a subscriber of a shard out.
    pub fn forget(&mut self, shard: ShardId) {
        let count = &mut self.subscribers[shard.index()];
        *count = count.saturating_sub(1);
    }

    /// Gives a message its place in the channel's order, and in its history.
    pub fn place(
        &mut self,
        at: UnixMillis,
        sender: Option<Sender>,
        event: Bytes,
        payload: Payload,
        except: Option<ClientId>,
    ) -> Message {
        self.offset = self.offset.next();
        self.used();
        let message = Message { offset: self.offset, at, sender, event, payload, except };
        if let Some(history) = &mut self.history {
            history.push(&message);
        }
        self.remember(&message);
        message
    }

    /// Gives a message its place for those who ask for the past, and for nobody else. False: no past
    /// is kept.
    pub fn keep(&mut self, event: Bytes, payload: Payload) -> bool {
        let Some(history) = &mut self.history else { return false };
        self.offset = self.offset.next();
        let (offset, at) = (self.offset, UnixMillis::now());
        history.push(&Message { offset, at, sender: None, event, payload, except: None });
        self.used();
        true
    }

    /// Keeps a message that is not a client's, where the rule says so.
    fn remember(&mut self, message: &Message) {
        let by_client = message.sender.as_ref().is_some_and(|sender| sender.client != ClientId::NOBODY);
        let Some(cached) = self.rule.cached.filter(|_| !by_client) else { return };
        // Of its own: what came may be a piece of a larger buffer.
        let payload = Payload { bytes: Bytes::copy_from_slice(&message.payload.bytes), ..message.payload };
        let until = UnixMillis(message.at.0 + cached.as_millis() as u64);
        let message = Message { payload, except: None, ..message.clone() };
        self.cached = Some(Box::new(Cached { message, until }));
    }

    // === the open turn ===

    /// Puts a message into the open turn.
    pub fn push(&mut self, wires: Wires, message: Message, post: &Post) {
        if !self.turn.takes(Content::Messages) {
            self.seal(post);
        }
        if let Some(pointer) = &self.rule.latest_key {
            self.turn.push_key(pointer.find(&message.payload));
        }
        if self.turn.push(wires, &self.name, self.numbered(), message) {
            self.seal(post);
        }
    }

    /// The same for a message that only these clients get, and that has no place.
    pub fn push_aside(
        &mut self,
        wires: Wires,
        event: Bytes,
        payload: Payload,
        to: Box<[ClientId]>,
        post: &Post,
    ) {
        if !self.turn.takes(Content::Messages) {
            self.seal(post);
        }
        if self.turn.push_aside(wires, &self.name, event, payload, to) {
            self.seal(post);
        }
        self.used();
    }

    /// The same for a message whose fate is counted: it goes alone.
    pub fn push_counted(&mut self, wires: Wires, message: Message, tally: Tally, post: &Post) {
        self.seal(post);
        self.turn.count(tally);
        self.push(wires, message, post);
        self.seal(post);
    }

    pub fn push_presence(&mut self, wires: Wires, event: PresenceEvent, post: &Post) {
        if !self.turn.takes(Content::Presence) {
            self.seal(post);
        }
        if self.turn.push_presence(wires, &self.name, event) {
            self.seal(post);
        }
    }

    pub fn push_count(&mut self, wires: Wires, subscribers: u64, post: &Post) {
        if !self.turn.takes(Content::Count) {
            self.seal(post);
        }
        self.turn.set_subscribers(wires, &self.name, subscribers);
    }

    /// Closes the open turn before the time and sends it to the shards with subscribers.
    pub fn seal(&mut self, post: &Post) {
        self.sealed_early |= !self.turn.is_empty();
        self.send_turn(None, post);
    }

    /// The same when it is time. What comes next is delivered later, on this shard: others may be handed
    /// several turns at once.
    pub fn seal_last(&mut self, post: &Post) {
        let is_only = !std::mem::take(&mut self.sealed_early);
        self.send_turn(is_only.then_some(post.me()), post);
    }

    fn send_turn(&mut self, alone_at: Option<ShardId>, post: &Post) {
        if self.turn.is_empty() {
            return;
        }
        let mut turn = self.turn.seal(&self.name);
        turn.alone_at = alone_at;
        let turn = Arc::new(turn);
        for (shard, count) in post.mesh().shards().zip(&self.subscribers) {
            if *count > 0 && turn.concerns(shard) {
                post.send(shard, Letter::Deliver(turn.clone()));
            }
        }
    }

    // === the past ===

    pub fn expire(&mut self, now: UnixMillis) {
        if let Some(history) = &mut self.history {
            history.expire(now);
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.expire(now);
        }
        self.cached.take_if(|cached| cached.until <= now);
    }

    /// What it remembers, and until when.
    pub fn cached(&mut self) -> Option<(&Message, UnixMillis)> {
        self.expire(UnixMillis::now());
        self.cached.as_ref().map(|cached| (&cached.message, cached.until))
    }

    /// Forgets what it has kept, and what waits.
    pub fn clear(&mut self) {
        if let Some(history) = &mut self.history {
            history.clear();
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.clear();
        }
    }

    /// What a subscriber asks to see of the past. Every message up to the channel's offset is in
    /// it or was delivered before; the next one goes to the subscriber as it comes.
    pub fn past(&mut self, wires: Wires, wishes: &Wishes, mesh: &Mesh) -> Past {
        if self.waiting.is_some() {
            return self.past_and_waiting(wires, wishes, mesh);
        }
        self.expire(UnixMillis::now());
        if wishes.cached {
            let last = self.cached.iter().map(|cached| &cached.message);
            return Past { since: None, recovered: None, replay: self.replay(wires, last) };
        }
        let Some(since) = wishes.recover else {
            let last = self.history.iter().flat_map(|history| history.last(wishes.history));
            return Past { since: None, recovered: None, replay: self.replay(wires, last) };
        };
        let Some(history) = &self.history else {
            return Past { since: None, recovered: Some(since == self.position()), replay: None };
        };
        if since.epoch != self.epoch {
            let all = history.last(usize::MAX);
            return Past { since: None, recovered: Some(false), replay: self.replay(wires, all) };
        }
        let (missed, complete) = history.since(since.offset, self.offset);
        Past { since: None, recovered: Some(complete), replay: self.replay(wires, missed) }
    }

    fn replay<'a>(&self, wires: Wires, messages: impl Iterator<Item = &'a Message>) -> Option<Arc<Turn>> {
        let mut turn = OpenTurn::default();
        for message in messages {
            // Its size is the history's bound, not a turn's.
            turn.push(wires, &self.name, self.numbered(), message.clone());
        }
        (!turn.is_empty()).then(|| Arc::new(turn.seal(&self.name)))
    }
}

/// Not a secret: only never the same twice for a channel, also across restarts.
fn fresh_epoch() -> Epoch {
    use std::hash::{BuildHasher, RandomState};
    Epoch(RandomState::new().hash_one(UnixMillis::now().0).max(1))
}
