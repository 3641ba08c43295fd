//! The channels whose home is this shard: their order, their handlers, and the turns
//! that carry their messages to every shard with subscribers.

mod effects;
mod limits;
mod plugins;

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::clock::UnixMillis;
use crate::core::meter::Meter;
use crate::core::{ChannelName, Message, Offset, PluginName, Refusal, Sender, ShardId};
use crate::hub::letter::{
    Accepted, Letter, Origin, PUBLICATIONS_A_MESSAGE, Publish, Published, Subscribe, Subscribed,
};
use crate::hub::post::{Post, Verdicts};
use crate::hub::rules::{ChannelRule, Rules, WhoMayPublish};
use crate::hub::turn::OpenTurn;
use crate::hub::wire::{Epoch, Position, RequestId, Wire};
use crate::plugin::{
    Actor, Actors, Answer, Generation, Job, Outcome, PluginFailure, Registry, Route, Verdict,
};

/// A channel without subscribers and without a message for this many sweeps is forgotten.
const IDLE_SWEEPS: u8 = 6;

/// What a handler's answer belongs to.
pub enum Ticket {
    Publish(Publish),
    Subscribe(Subscribe),
    Unsubscribe { channel: ChannelName, sender: Sender, request: Option<Option<RequestId>> },
}

struct Home {
    name: ChannelName,
    epoch: Epoch,
    offset: Offset,
    rule: ChannelRule,
    /// The plugin that handles the channel, and the channel's place in it.
    handler: Option<(PluginName, Actor<Verdicts>)>,
    /// Subscribers by shard.
    subscribers: Vec<u32>,
    turn: OpenTurn,
    idle: u8,
    /// What clients may still publish, where the rule has a rate.
    meter: Option<Box<Meter>>,
    /// Subscriptions that the handler judges: their places are taken.
    joining: u32,
}

pub struct Homes {
    wires: &'static [&'static dyn Wire],
    rules: Rules,
    limit: usize,
    registry: Arc<Registry>,
    actors: Actors<Verdicts>,
    homes: HashMap<ChannelName, Home>,
    /// Channels with an open turn.
    dirty: Vec<ChannelName>,
    /// Messages in open turns, or in turns that were sealed early since the last time.
    open_messages: usize,
    /// Acknowledgements held back while some shard lags behind.
    withheld: Vec<(ShardId, Letter)>,
}

impl Homes {
    pub fn new(
        wires: &'static [&'static dyn Wire],
        rules: Rules,
        limit: usize,
        registry: Arc<Registry>,
        actors: Actors<Verdicts>,
    ) -> Self {
        Self {
            wires,
            rules,
            limit,
            registry,
            actors,
            homes: HashMap::new(),
            dirty: Vec::new(),
            open_messages: 0,
            withheld: Vec::new(),
        }
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub fn len(&self) -> usize {
        self.homes.len()
    }

    // === requests ===

    /// A message arrives: its channel's handler sees it first, where there is one.
    pub fn publish(&mut self, publish: Publish, post: &Post) {
        let shards = self.shards(post);
        let home = match self.open(&publish.channel, shards) {
            Ok(home) => home,
            Err(refusal) => return self.answer(publish.channel, publish.origin, Err(refusal), post),
        };
        if let Err(refusal) = may_publish(&publish, home.rule) {
            return self.answer(publish.channel, publish.origin, Err(refusal), post);
        }
        if let Err(excess) = limits::take(home, &publish) {
            return self.exceeded(publish, excess, post);
        }
        match &home.handler {
            None => self.accept(publish, post),
            Some((_, actor)) => {
                let job = Job::Publish {
                    sender: publish.origin.sender().cloned(),
                    event: publish.event.clone(),
                    payload: publish.payload.clone(),
                    at: UnixMillis::now(),
                };
                actor.send(job, Ticket::Publish(publish));
            }
        }
    }

    pub fn subscribe(&mut self, subscribe: Subscribe, post: &Post) {
        let shards = self.shards(post);
        match self.open(&subscribe.channel, shards) {
            Err(refusal) => refuse_subscription(subscribe, refusal, post),
            Ok(home) => match (limits::place(home, &subscribe), &home.handler) {
                (Err(refusal), _) => refuse_subscription(subscribe, refusal, post),
                (Ok(()), Some((_, actor))) => {
                    home.joining += 1;
                    let (who, params) = (subscribe.sender.clone(), subscribe.params.clone());
                    actor.send(Job::Subscribe { who, params }, Ticket::Subscribe(subscribe));
                }
                (Ok(()), None) => self.admit(subscribe, post),
            },
        }
    }

    /// `request`: the client asked and hears of it; without, its connection has ended.
    pub fn unsubscribe(
        &mut self,
        channel: ChannelName,
        sender: Sender,
        request: Option<Option<RequestId>>,
        subscribed: bool,
        post: &Post,
    ) {
        let handler = self.homes.get_mut(&channel).and_then(|home| {
            if subscribed {
                forget(home, sender.client.shard());
            }
            home.handler.as_ref().filter(|_| subscribed)
        });
        match handler {
            Some((_, actor)) => {
                let job = Job::Unsubscribe { who: sender.clone() };
                actor.send(job, Ticket::Unsubscribe { channel, sender, request });
            }
            None => confirm_unsubscribed(channel, &sender, request, post),
        }
    }

    pub fn forget_one(&mut self, channel: &ChannelName, shard: ShardId) {
        if let Some(home) = self.homes.get_mut(channel) {
            forget(home, shard);
        }
    }

    // === verdicts ===

    /// A handler has answered.
    pub fn decided(&mut self, ticket: Ticket, answer: Result<Answer, PluginFailure>, post: &Post) {
        if let Ticket::Subscribe(subscribe) = &ticket
            && let Some(home) = self.homes.get_mut(&subscribe.channel)
        {
            home.joining = home.joining.saturating_sub(1);
        }
        match (ticket, answer) {
            (Ticket::Publish(publish), Ok(Answer::Published(outcome))) => self.judged(publish, outcome, post),
            (Ticket::Subscribe(subscribe), Ok(Answer::Subscribed(result))) => match result {
                Ok(effects) => {
                    let channel = subscribe.channel.clone();
                    self.admit(subscribe, post);
                    self.apply(&channel, effects, PUBLICATIONS_A_MESSAGE, post);
                }
                Err(denial) => {
                    let refusal = Refusal::Rejected { reason: denial.reason, code: denial.code };
                    refuse_subscription(subscribe, refusal, post);
                }
            },
            (Ticket::Unsubscribe { channel, sender, request }, Ok(Answer::Unsubscribed(effects))) => {
                confirm_unsubscribed(channel.clone(), &sender, request, post);
                self.apply(&channel, effects, PUBLICATIONS_A_MESSAGE, post);
            }
            // A client that leaves has left, whatever its channel's handler makes of it.
            (Ticket::Unsubscribe { channel, sender, request }, _) => {
                confirm_unsubscribed(channel, &sender, request, post);
            }
            (Ticket::Publish(publish), Err(failure)) => {
                let refusal = self.failed(&publish.channel, &failure);
                self.answer(publish.channel, publish.origin, Err(refusal), post);
            }
            (Ticket::Subscribe(subscribe), Err(failure)) => {
                let refusal = self.failed(&subscribe.channel, &failure);
                refuse_subscription(subscribe, refusal, post);
            }
            (Ticket::Publish(_) | Ticket::Subscribe(_), Ok(_)) => {
                debug_assert!(false, "an actor answers the job that it was given");
            }
        }
    }

    fn judged(&mut self, mut publish: Publish, outcome: Outcome, post: &Post) {
        let (channel, budget) = (publish.channel.clone(), publish.budget);
        match outcome.verdict {
            Verdict::Pass => self.accept(publish, post),
            Verdict::Replace(bytes) => {
                publish.payload.bytes = bytes;
                self.accept(publish, post);
            }
            Verdict::Drop => self.answer(publish.channel, publish.origin, Ok(None), post),
            Verdict::Deny { code, reason } => {
                let refusal = Refusal::Rejected { reason, code };
                self.answer(publish.channel, publish.origin, Err(refusal), post);
            }
        }
        self.apply(&channel, outcome.effects, budget, post);
    }

    fn failed(&self, channel: &ChannelName, failure: &PluginFailure) -> Refusal {
        match (failure, self.homes.get(channel).and_then(|home| home.handler.as_ref())) {
            (PluginFailure::Busy, _) => Refusal::RateLimited { retry_after_secs: 1.0 },
            (_, Some((plugin, _))) => Refusal::PluginFailed(plugin.clone()),
            (_, None) => Refusal::ChannelNotFound(channel.clone()),
        }
    }

    // === the channel's order ===

    /// Gives a message its place and puts it into the channel's open turn.
    fn accept(&mut self, publish: Publish, post: &Post) {
        let Some(home) = self.homes.get_mut(&publish.channel) else {
            // Its handler was removed while it judged.
            let refusal = Refusal::ChannelNotFound(publish.channel.clone());
            return self.answer(publish.channel, publish.origin, Err(refusal), post);
        };
        home.offset = home.offset.next();
        home.idle = 0;
        let (offset, epoch) = (home.offset, home.epoch);
        if home.subscribers.iter().any(|count| *count > 0) {
            self.open_messages += 1;
            if home.turn.is_empty() {
                self.dirty.push(home.name.clone());
                post.queue.wake();
            }
            let message = Message {
                offset,
                at: UnixMillis::now(),
                sender: publish.origin.sender().cloned(),
                event: publish.event,
                payload: publish.payload,
                except: publish.except,
            };
            let numbered = is_numbered(home);
            if home.turn.push(self.wires, &home.name, numbered, message) {
                seal(home, post);
            }
        }
        self.answer(publish.channel, publish.origin, Ok(Some((epoch, offset))), post);
    }

    /// Counts a subscriber in. What was published before goes out first.
    fn admit(&mut self, subscribe: Subscribe, post: &Post) {
        let Some(home) = self.homes.get_mut(&subscribe.channel) else {
            let refusal = Refusal::ChannelNotFound(subscribe.channel.clone());
            return refuse_subscription(subscribe, refusal, post);
        };
        seal(home, post);
        home.idle = 0;
        let shard = subscribe.sender.client.shard();
        home.subscribers[shard.index()] += 1;
        let accepted = Accepted {
            position: Position { epoch: home.epoch, offset: home.offset },
            numbered: is_numbered(home),
            slow: home.rule.slow,
        };
        let answer = Subscribed {
            channel: subscribe.channel,
            sender: subscribe.sender,
            request: subscribe.request,
            filter: subscribe.filter,
            result: Ok(accepted),
        };
        post.send(shard, Letter::Subscribed(answer));
    }

    /// Messages that wait for [`Homes::seal_all`].
    pub fn open_messages(&self) -> usize {
        self.open_messages
    }

    /// Closes every open turn and sends it to the shards with subscribers.
    pub fn seal_all(&mut self, post: &Post) {
        self.open_messages = 0;
        for name in self.dirty.drain(..) {
            if let Some(home) = self.homes.get_mut(&name) {
                seal(home, post);
            }
        }
    }

    fn answer(
        &mut self,
        channel: ChannelName,
        origin: Origin,
        result: Result<Option<(Epoch, Offset)>, Refusal>,
        post: &Post,
    ) {
        match origin {
            Origin::Client { sender, request, .. } => {
                let result = result.map(|place| place.map(|(_, offset)| offset));
                let shard = sender.client.shard();
                let letter = Letter::Published { channel, client: sender.client, request, result };
                if post.mesh().is_congested() {
                    self.withheld.push((shard, letter));
                } else {
                    post.send(shard, letter);
                }
            }
            Origin::Server { answer } => {
                let epoch = self.homes.get(&channel).map_or(Epoch(0), |home| home.epoch);
                // The caller may have hung up.
                let _ = answer.send(result.map(|place| Published { epoch, offset: place.map(|p| p.1) }));
            }
            Origin::Plugin => {
                if let Err(refusal) = result {
                    tracing::warn!(%channel, %refusal, "a plugin's publication was refused");
                }
            }
        }
    }

    /// Sends the acknowledgements that were held back. False: still congested.
    pub fn release_withheld(&mut self, post: &Post) -> bool {
        if self.withheld.is_empty() {
            return true;
        }
        if post.mesh().is_congested() {
            return false;
        }
        for (shard, letter) in self.withheld.drain(..) {
            post.send(shard, letter);
        }
        true
    }

    fn shards(&self, post: &Post) -> usize {
        post.mesh().shards().count()
    }

    fn open(&mut self, name: &ChannelName, shards: usize) -> Result<&mut Home, Refusal> {
        // Looked up twice for a new channel only: the borrow checker does not yet see
        // that an early return ends the first look.
        if !self.homes.contains_key(name) {
            let rule = self.rules.find(name.as_str());
            let handler = match self.registry.route(name.as_str()) {
                Route::Handler(generation) => Some(generation),
                Route::None if rule.is_some() => None,
                Route::Retired | Route::None => return Err(Refusal::ChannelNotFound(name.clone())),
            };
            if self.homes.len() >= self.limit {
                return Err(Refusal::LimitExceeded { limit: self.limit, what: "channels on a shard" });
            }
            let rule = rule.unwrap_or_default();
            let home = Home {
                name: name.clone(),
                epoch: fresh_epoch(),
                offset: Offset(0),
                rule,
                handler: handler.map(|generation| attach(&self.actors, generation, name)),
                subscribers: vec![0; shards],
                turn: OpenTurn::default(),
                idle: 0,
                meter: rule.rate.map(|limit| Box::new(Meter::new(limit))),
                joining: 0,
            };
            self.homes.insert(name.clone(), home);
        }
        self.homes.get_mut(name).ok_or_else(|| Refusal::ChannelNotFound(name.clone()))
    }
}

fn attach(
    actors: &Actors<Verdicts>,
    generation: &Arc<Generation>,
    channel: &ChannelName,
) -> (PluginName, Actor<Verdicts>) {
    (generation.name.clone(), actors.attach(generation, channel))
}

fn may_publish(publish: &Publish, rule: ChannelRule) -> Result<(), Refusal> {
    let Origin::Client { sender, subscribed, .. } = &publish.origin else { return Ok(()) };
    let allowed = match rule.publish {
        WhoMayPublish::Anyone => true,
        WhoMayPublish::Subscribers => *subscribed,
        WhoMayPublish::Server => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Refusal::PermissionDenied { user: sender.named().cloned(), channel: publish.channel.clone() })
}

fn is_numbered(home: &Home) -> bool {
    home.rule.offsets || home.handler.is_some()
}

fn seal(home: &mut Home, post: &Post) {
    if home.turn.is_empty() {
        return;
    }
    let turn = home.turn.seal(&home.name);
    for (shard, count) in post.mesh().shards().zip(&home.subscribers) {
        if *count > 0 {
            post.send(shard, Letter::Deliver(turn.clone()));
        }
    }
}

fn forget(home: &mut Home, shard: ShardId) {
    let count = &mut home.subscribers[shard.index()];
    *count = count.saturating_sub(1);
}

fn refuse_subscription(subscribe: Subscribe, refusal: Refusal, post: &Post) {
    let answer = Subscribed {
        channel: subscribe.channel,
        sender: subscribe.sender.clone(),
        request: subscribe.request,
        filter: subscribe.filter,
        result: Err(refusal),
    };
    post.send(subscribe.sender.client.shard(), Letter::Subscribed(answer));
}

fn confirm_unsubscribed(
    channel: ChannelName,
    sender: &Sender,
    request: Option<Option<RequestId>>,
    post: &Post,
) {
    if let Some(request) = request {
        post.send(sender.client.shard(), Letter::Unsubscribed { channel, client: sender.client, request });
    }
}

/// Not a secret: only never the same twice for a channel, also across restarts.
fn fresh_epoch() -> Epoch {
    use std::hash::{BuildHasher, RandomState};
    Epoch(RandomState::new().hash_one(UnixMillis::now().0))
}
