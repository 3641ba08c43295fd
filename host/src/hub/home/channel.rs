//! One channel at its home: its order, its past, who is in it, and the turn that it is about
//! to send.

use std::sync::Arc;

use bytes::Bytes;

use super::{count, limits};
use crate::core::clock::UnixMillis;
use crate::core::meter::Meter;
use crate::core::{ChannelName, ClientId, Message, Offset, Payload, PluginName, ShardId};
use crate::hub::history::History;
use crate::hub::letter::{Letter, Wishes};
use crate::hub::post::{Post, Verdicts};
use crate::hub::presence::{Presence, PresenceEvent};
use crate::hub::rules::ChannelRule;
use crate::hub::tally::Tally;
use crate::hub::turn::{Content, OpenTurn, Turn};
use crate::hub::wire::{Epoch, Position, Wires};
use crate::plugin::Actor;

/// A channel without subscribers and without a message for this many sweeps is forgotten.
const IDLE_SWEEPS: u8 = 6;

pub struct Home {
    pub name: ChannelName,
    pub epoch: Epoch,
    pub offset: Offset,
    pub rule: ChannelRule,
    /// The plugin that handles the channel, and the channel's place in it.
    pub handler: Option<(PluginName, Actor<Verdicts>)>,
    /// Subscribers by shard.
    pub subscribers: Vec<u32>,
    /// Boxed: most channels have neither.
    pub history: Option<Box<History>>,
    pub presence: Option<Box<Presence>>,
    turn: OpenTurn,
    idle: u8,
    /// What clients may still publish, where the rule has a rate.
    pub meter: Option<Box<Meter>>,
    /// Subscriptions that the handler judges: their places are taken.
    pub joining: u32,
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
    pub recovered: Option<bool>,
    pub replay: Option<Arc<Turn>>,
}

impl Home {
    pub fn new(
        name: ChannelName,
        rule: ChannelRule,
        handler: Option<(PluginName, Actor<Verdicts>)>,
        shards: usize,
    ) -> Self {
        Self {
            name,
            epoch: fresh_epoch(),
            offset: Offset(0),
            rule,
            handler,
            subscribers: vec![0; shards],
            history: rule.history.map(|rule| Box::new(History::new(rule))),
            presence: None,
            turn: OpenTurn::default(),
            idle: 0,
            meter: rule.rate.map(|limit| Box::new(Meter::new(limit))),
            joining: 0,
            cached: None,
            told: None,
        }
    }

    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }

    /// Do its messages show their offsets?
    pub fn is_numbered(&self) -> bool {
        self.rule.offsets || self.rule.history.is_some() || self.handler.is_some()
    }

    /// The epoch that goes with the offsets of its messages, where they show them.
    fn numbered(&self) -> Option<Epoch> {
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

    /// Called with every sweep. True: nobody has used it for a while, and it keeps nothing.
    pub fn is_forgotten(&mut self, now: UnixMillis) -> bool {
        self.expire(now);
        let keeps = self.history.as_ref().is_some_and(|history| !history.is_empty())
            || self.presence.as_ref().is_some_and(|presence| !presence.is_empty());
        if keeps
            || self.cached.is_some()
            || limits::owes(self)
            || self.has_subscribers()
            || self.has_open_turn()
        {
            self.idle = 0;
        }
        self.idle += 1;
        self.idle > IDLE_SWEEPS
    }

    /// Counts a subscriber of a shard out.
    pub fn forget(&mut self, shard: ShardId) {
        let count = &mut self.subscribers[shard.index()];
        *count = count.saturating_sub(1);
    }

    // === the open turn ===

    /// Puts a message into the open turn.
    pub fn push(&mut self, wires: Wires, message: Message, post: &Post) {
        if !self.turn.takes(Content::Messages) {
            self.seal(post);
        }
        if self.turn.push(wires, &self.name, self.numbered(), message) {
            self.seal(post);
        }
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

    /// Closes the open turn and sends it to the shards with subscribers.
    pub fn seal(&mut self, post: &Post) {
        if self.turn.is_empty() {
            return;
        }
        let turn = Arc::new(self.turn.seal(&self.name));
        for (shard, count) in post.mesh().shards().zip(&self.subscribers) {
            if *count > 0 {
                post.send(shard, Letter::Deliver(turn.clone()));
            }
        }
    }

    // === the past ===

    pub fn expire(&mut self, now: UnixMillis) {
        if let Some(history) = &mut self.history {
            history.expire(now);
        }
        self.cached.take_if(|cached| cached.until <= now);
    }

    /// A message has got its place.
    pub fn keep(&mut self, message: &Message) {
        if let Some(history) = &mut self.history {
            history.push(message);
        }
        let by_client = message.sender.as_ref().is_some_and(|sender| sender.client != ClientId::NOBODY);
        if let Some(cached) = self.rule.cached.filter(|_| !by_client) {
            // Of its own: what came may be a piece of a larger buffer.
            let payload =
                Payload { bytes: Bytes::copy_from_slice(&message.payload.bytes), ..message.payload };
            let until = UnixMillis(message.at.0 + cached.as_millis() as u64);
            let message = Message { payload, except: None, ..message.clone() };
            self.cached = Some(Box::new(Cached { message, until }));
        }
    }

    /// What it remembers, and until when.
    pub fn cached(&mut self) -> Option<(&Message, UnixMillis)> {
        self.expire(UnixMillis::now());
        self.cached.as_ref().map(|cached| (&cached.message, cached.until))
    }

    /// What a subscriber asks to see of the past. Every message up to the channel's offset is in
    /// it or was delivered before; the next one goes to the subscriber as it comes.
    pub fn past(&mut self, wires: Wires, wishes: &Wishes) -> Past {
        self.expire(UnixMillis::now());
        if wishes.cached {
            let last = self.cached.iter().map(|cached| &cached.message);
            return Past { recovered: None, replay: self.replay(wires, last) };
        }
        let Some(since) = wishes.recover else {
            let last = self.history.iter().flat_map(|history| history.last(wishes.history));
            return Past { recovered: None, replay: self.replay(wires, last) };
        };
        let Some(history) = &self.history else {
            return Past { recovered: Some(since == self.position()), replay: None };
        };
        if since.epoch != self.epoch {
            let all = history.last(usize::MAX);
            return Past { recovered: Some(false), replay: self.replay(wires, all) };
        }
        let (missed, complete) = history.since(since.offset, self.offset);
        Past { recovered: Some(complete), replay: self.replay(wires, missed) }
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
