//! The channels whose home is this shard: their order, their handlers, and the turns
//! that carry their messages to every shard with subscribers.

mod answers;
mod census;
mod chain;
mod channel;
mod count;
mod departures;
mod effects;
mod limits;
mod notices;
mod occupancy;
mod plugins;
mod questions;
mod reads;
mod repeats;
mod saved;
mod subscribers;
mod timers;
mod verdicts;
mod waiting;

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use answers::{Answers, report};
use bytes::{Bytes, BytesMut};
use chain::{Chain, LinkId, Passed};
use channel::Home;

use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelMap, ChannelName, Pattern, Refusal, TraceParent};
use crate::hub::groups::{GroupInquiry, GroupName, Groups};
use crate::hub::letter::{Fate, Origin, Publish, Published, Subscribe, Unsubscribe};
use crate::hub::notice::Board;
use crate::hub::post::{Post, Verdicts};
use crate::hub::queue::InUse;
use crate::hub::rules::{ChannelRule, Rules, WhoMayPublish};
use crate::hub::tally::Tally;
use crate::hub::wire::{Reply, RequestId, WireId, Wires};
use crate::plugin::{Actors, Generation, Registry, Route};

use repeats::{Met, Repeats};

pub use census::ChannelFacts;
pub use occupancy::Occupancy;
pub use repeats::RepeatKey;
pub use saved::Lost;

/// What a handler's answer belongs to.
pub struct Ticket {
    /// Which of the channel's handlers is asked.
    link: LinkId,
    /// What those before it have answered; none for the first, and most channels have no other.
    passed: Option<Box<Passed>>,
    /// Boxed: it would make the shard's queue, which messages go through twice, wider than they are.
    request: Box<Request>,
}

/// What handlers are asked about.
pub enum Request {
    Publish(Publish),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Timer {
        channel: ChannelName,
    },
    /// A subscription that it has let pass was refused by another: it hears that the subscriber is gone.
    Undone,
}

impl Request {
    /// Of the request that it came with.
    fn trace(&self) -> Option<TraceParent> {
        match self {
            Self::Publish(publish) => publish.trace,
            Self::Subscribe(subscribe) => subscribe.trace,
            Self::Unsubscribe(unsubscribe) => unsubscribe.trace,
            Self::Timer { .. } | Self::Undone => None,
        }
    }
}

pub struct Homes {
    wires: Wires,
    rules: Rules,
    limit: usize,
    registry: Arc<Registry>,
    actors: Actors<Verdicts>,
    homes: ChannelMap<Home>,
    /// Handlers' calls about subscribers that have left, under way.
    departures: usize,
    /// Those that they have not heard, once the server ends and its channels are saved.
    unheard: Option<Vec<Unsubscribe>>,
    groups: Groups,
    /// Channels with an open turn.
    dirty: Vec<ChannelName>,
    /// Messages in open turns, or in turns that were sealed early since the last time.
    open_messages: usize,
    /// To publishers, for later.
    answers: Answers,
    repeats: Repeats,
    /// Channels where messages wait, and how many there may be.
    in_use: InUse,
    queues: usize,
    /// Messages that got a place in their channel since the start.
    published: u64,
    /// When the turn began: the time of all its messages.
    now: UnixMillis,
    /// Channels whose subscribers will be told later how many they are.
    uncounted: Vec<ChannelName>,
    /// Where what happens is told outside of channels.
    board: Option<Board>,
}

impl Homes {
    pub fn new(
        wires: Wires,
        rules: Rules,
        limit: usize,
        queues: usize,
        registry: Arc<Registry>,
        actors: Actors<Verdicts>,
    ) -> Self {
        Self {
            wires,
            rules,
            limit,
            registry,
            actors,
            homes: ChannelMap::default(),
            departures: 0,
            unheard: None,
            groups: Groups::new(limit),
            dirty: Vec::new(),
            open_messages: 0,
            answers: Answers::default(),
            repeats: Repeats::default(),
            in_use: InUse::default(),
            queues,
            published: 0,
            now: UnixMillis::now(),
            uncounted: Vec::new(),
            board: None,
        }
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub fn group(&mut self, group: GroupName, inquiry: GroupInquiry) {
        self.groups.inquiry(group, inquiry);
    }

    pub fn len(&self) -> usize {
        self.homes.len()
    }

    pub fn begin_turn(&mut self) {
        self.now = UnixMillis::now();
    }

    // === requests ===

    /// A message arrives: its channel's handler sees it first, where there is one.
    pub fn publish(&mut self, publish: Publish, post: &Post) {
        let now = self.now;
        let home = match self.homes.get_mut(&publish.channel) {
            Some(home) => home,
            None => match self.open(&publish.channel, self.shards(post)) {
                Ok(home) => home,
                Err(refusal) => return self.answer(publish.channel, publish.origin, Err(refusal), post),
            },
        };
        if let Err(refusal) = may_publish(&publish, &home.rule) {
            return self.answer(publish.channel, publish.origin, Err(refusal), post);
        }
        // Before its key is looked at: a repeat asks the channel for work too.
        if let Err(excess) = limits::take(home, &publish) {
            return self.exceeded(publish, excess, post);
        }
        if publish.key.is_some() {
            return self.publish_once(publish, post);
        }
        match home.chain.first() {
            None => self.accept(publish, post),
            Some(link) => {
                home.judging += 1;
                link.ask(verdicts::job(&publish, now), Request::Publish(publish), None);
            }
        }
    }

    fn publish_once(&mut self, publish: Publish, post: &Post) {
        match self.repeats.meet(publish, Instant::now()) {
            Met::First(publish) => self.publish(publish, post),
            Met::Answered(channel, origin, result) => self.answer(channel, origin, result, post),
            Met::Waits => {}
        }
    }

    // === verdicts ===

    // === the channel's order ===

    /// Gives a message its place and puts it into the channel's open turn.
    fn accept(&mut self, publish: Publish, post: &Post) {
        let Some(home) = self.homes.get_mut(&publish.channel) else {
            // Its handler was removed while it judged.
            let refusal = Refusal::ChannelNotFound(publish.channel.clone());
            return self.answer(publish.channel, publish.origin, Err(refusal), post);
        };
        if home.waiting.is_some() {
            return self.accept_or_hold(publish, post);
        }
        if publish.fate != Fate::Deliver {
            return self.accept_aside(publish, post);
        }
        self.published += 1;
        let sender = publish.origin.sender().cloned();
        let message = home.place(self.now, sender, publish.event, publish.payload, publish.except);
        if let Some(board) = &self.board {
            notices::message(board, &home.name, &message);
        }
        let published =
            Published { epoch: home.epoch, offset: Some(home.offset), receipt: None, queued: false };
        if publish.receipt {
            let report = report(publish.channel, publish.origin, published, post.mesh().clone());
            return home.push_counted(self.wires, message, Tally::new(report), post);
        }
        if home.has_subscribers() {
            self.open_messages += 1;
            if !home.has_open_turn() {
                self.dirty.push(home.name.clone());
                post.queue.wake();
            }
            home.push(self.wires, message, post);
        }
        self.answer(publish.channel, publish.origin, Ok(published), post);
    }

    /// Messages that wait for [`Homes::seal_all`].
    pub fn open_messages(&self) -> usize {
        self.open_messages
    }

    /// Does anything wait for [`Homes::seal_all`], answers to the API included?
    pub fn has_unsealed(&self) -> bool {
        !self.dirty.is_empty() || self.answers.are_behind()
    }

    /// Closes every open turn and sends it to the shards with subscribers. Other shards have theirs before
    /// this one delivers, which may write to many sockets.
    pub fn seal_all(&mut self, post: &Post) {
        self.open_messages = 0;
        for name in self.dirty.drain(..) {
            if let Some(home) = self.homes.get_mut(&name) {
                home.seal_last(post);
            }
        }
        post.dispatch();
        self.answers.send_behind();
    }

    fn shards(&self, post: &Post) -> usize {
        post.mesh().shards().count()
    }

    fn open(&mut self, name: &ChannelName, shards: usize) -> Result<&mut Home, Refusal> {
        let channels = self.homes.len();
        let vacant = match self.homes.entry(name.clone()) {
            Entry::Occupied(home) => return Ok(home.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let rule = self.rules.find(name.as_str());
        let unmatched = self.rules.unmatched(name.as_str());
        match self.registry.route(name.as_str()) {
            // It would not be among those that are saved.
            Route::Handled if self.unheard.is_some() => {
                return Err(Refusal::RateLimited { retry_after_secs: 1.0 });
            }
            Route::Handled => {}
            Route::None if rule.is_some() || unmatched.is_some() => {}
            Route::Retired | Route::None => return Err(Refusal::ChannelNotFound(name.clone())),
        }
        if channels >= self.limit {
            return Err(Refusal::LimitExceeded { limit: self.limit, what: "channels on a shard" });
        }
        let mut chain = Chain::default();
        let rule_pattern = rule.map(|(pattern, _)| pattern);
        handle(&mut chain, &self.registry, &self.actors, rule_pattern, name);
        let rule = match (rule, chain.is_empty()) {
            (Some((_, rule)), _) => rule.clone(),
            (None, false) => ChannelRule::default(),
            (None, true) => unmatched.unwrap_or_default(),
        };
        let rule = self.rules.complete(name.as_str(), rule);
        let home = Home::new(name.clone(), rule, chain, shards, &self.in_use);
        Ok(vacant.insert(home))
    }
}

/// Gives a channel the handlers that the registry has for it. Of captures the operator's pattern counts before
/// the plugin's.
fn handle(
    chain: &mut Chain,
    registry: &Registry,
    actors: &Actors<Verdicts>,
    rule: Option<&Pattern>,
    channel: &ChannelName,
) {
    let captures = |route| Captures::of(rule.into_iter().chain([route]), channel.as_str());
    chain.install(
        registry.chain(channel.as_str()).map(|(generation, route)| (generation, captures(route))),
        |generation: &Arc<Generation>| &generation.name,
        |actor, generation, captures| actor.swap(generation, captures),
        |generation, captures| actors.attach(generation, channel, captures),
    );
}

fn may_publish(publish: &Publish, rule: &ChannelRule) -> Result<(), Refusal> {
    let Origin::Client { sender, subscribed, .. } = &publish.origin else { return Ok(()) };
    let allowed = match rule.publish {
        WhoMayPublish::Anyone => true,
        WhoMayPublish::Subscribers => *subscribed,
        WhoMayPublish::Server => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Refusal::PermissionDenied {
        user: sender.named().cloned(),
        channel: publish.channel.clone(),
        reason: None,
    })
}

/// A frame for one client.
fn frame(wires: Wires, wire: WireId, request: Option<&RequestId>, reply: Reply<'_>) -> Bytes {
    let mut out = BytesMut::new();
    wires[usize::from(wire.0)].reply(request, reply, &mut out);
    out.freeze()
}
