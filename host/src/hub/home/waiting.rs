//! Channels whose messages wait until somebody takes them. A message is taken when a subscriber's
//! outbox has it, its filter refused it, or its publisher left it out: what is sent is counted,
//! and what reached nobody, because the last subscriber had gone meanwhile, waits again. Until the
//! count of all that is under way is known, newcomers wait, and what is published behind them: so
//! what waited comes to one of them, once and in order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Homes;
use super::channel::{Home, Past};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Message, Offset, Refusal};
use crate::hub::letter::{Fate, Letter, Origin, Publish, Published, Settled, Subscribe, Wishes};
use crate::hub::mesh::Mesh;
use crate::hub::post::Post;
use crate::hub::queue::Queue;
use crate::hub::tally::{Receipt, Tally};
use crate::hub::turn::OpenTurn;
use crate::hub::wire::Wires;
use crate::plugin::Response;

/// Requests of one channel that wait for a count; one more is refused with `rate_limited`. A count
/// takes as long as a letter to another shard and back, or as a filter's judgement.
const HELD: usize = 256;

pub struct Waiting {
    queue: Queue,
    /// Messages, and replays of such, of which it is not known yet whether they reached anybody.
    under_way: usize,
    held: VecDeque<Held>,
}

enum Held {
    Publish(Publish),
    /// With its handler's response.
    Subscribe(Subscribe, Option<Response>),
}

impl Waiting {
    pub fn new(queue: Queue) -> Self {
        Self { queue, under_way: 0, held: VecDeque::new() }
    }

    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.under_way == 0 && self.held.is_empty()
    }

    pub fn expire(&mut self, now: UnixMillis) {
        self.queue.expire(now);
    }

    pub fn clear(&mut self) {
        self.queue.take(UnixMillis::now());
    }
}

impl Homes {
    /// [`Homes::accept`] in such a channel.
    pub(super) fn accept_or_hold(&mut self, publish: Publish, post: &Post) {
        let waiting = self.homes.get_mut(&publish.channel).and_then(|home| home.waiting.as_mut());
        match waiting {
            Some(waiting) if !waiting.held.is_empty() => {
                if waiting.held.len() < HELD {
                    return waiting.held.push_back(Held::Publish(publish));
                }
                let refusal = Refusal::RateLimited { retry_after_secs: 1.0 };
                self.answer(publish.channel, publish.origin, Err(refusal), post);
            }
            _ => self.send_or_keep(publish, post),
        }
    }

    /// A subscription that may be admitted now; none: it waits, or was refused.
    pub(super) fn hold(
        &mut self,
        subscribe: Subscribe,
        response: Option<Response>,
        post: &Post,
    ) -> Option<(Subscribe, Option<Response>)> {
        let Some(home) = self.homes.get_mut(&subscribe.channel) else { return Some((subscribe, response)) };
        match &mut home.waiting {
            Some(waiting) if waiting.under_way > 0 || !waiting.held.is_empty() => {
                if waiting.held.len() < HELD {
                    home.joining += 1;
                    waiting.held.push_back(Held::Subscribe(subscribe, response));
                } else {
                    let refusal = Refusal::RateLimited { retry_after_secs: 1.0 };
                    super::subscribers::refuse_subscription(subscribe, refusal, post);
                }
                None
            }
            _ => Some((subscribe, response)),
        }
    }

    fn send_or_keep(&mut self, publish: Publish, post: &Post) {
        if publish.fate != Fate::Deliver {
            return self.accept_aside(publish, post);
        }
        let Publish { channel, origin, event, payload, except, receipt, .. } = publish;
        let (full, limit) = (self.in_use.get() >= self.queues, self.queues);
        let Some(home) = self.homes.get_mut(&channel) else {
            let refusal = Refusal::ChannelNotFound(channel.clone());
            return self.answer(channel, origin, Err(refusal), post);
        };
        let is_heard = home.has_subscribers();
        if full && !is_heard && home.waiting.as_ref().is_some_and(|waiting| waiting.queue.is_empty()) {
            let refusal = Refusal::LimitExceeded { limit, what: "users with messages waiting on a shard" };
            return self.answer(channel, origin, Err(refusal), post);
        }
        self.published += 1;
        let message = home.place(self.now, origin.sender().cloned(), event, payload, except);
        let mut published =
            Published { epoch: home.epoch, offset: Some(message.offset), receipt: None, queued: false };
        let Some(waiting) = &mut home.waiting else { return };
        if !is_heard {
            published.queued = waiting.queue.put(&message, UnixMillis::now());
            published.receipt = receipt.then(Receipt::default);
            return self.answer(channel, origin, Ok(published), post);
        }
        waiting.under_way += 1;
        let (answer, told) = if receipt { (Some((origin, published)), None) } else { (None, Some(origin)) };
        let tally = settle(post.mesh(), home, vec![message.clone()], answer);
        home.push_counted(self.wires, message, tally, post);
        if let Some(origin) = told {
            self.answer(channel, origin, Ok(published), post);
        }
    }

    /// It is known whom they reached.
    pub fn settled(&mut self, settled: Settled, post: &Post) {
        let Settled { channel, epoch, messages, receipt, answer } = settled;
        let mut queued = false;
        let home = self.homes.get_mut(&channel).filter(|home| home.epoch == epoch);
        if let Some(waiting) = home.and_then(|home| home.waiting.as_mut()) {
            waiting.under_way = waiting.under_way.saturating_sub(1);
            if receipt == Receipt::default() {
                let now = UnixMillis::now();
                for message in &messages {
                    // Beyond the bound of queues, too: at most as many as there were connections.
                    queued = waiting.queue.put(message, now);
                }
            }
        }
        if let Some((origin, published)) = answer {
            let published = Published { receipt: Some(receipt), queued, ..published };
            self.answer(channel.clone(), origin, Ok(published), post);
        }
        self.let_go_on(&channel, post);
    }

    /// Those who waited for the count.
    fn let_go_on(&mut self, channel: &ChannelName, post: &Post) {
        while let Some(home) = self.homes.get_mut(channel)
            && let Some(waiting) = &mut home.waiting
            && waiting.goes_on()
        {
            match waiting.held.pop_front() {
                Some(Held::Publish(publish)) => self.send_or_keep(publish, post),
                Some(Held::Subscribe(subscribe, response)) => {
                    home.joining = home.joining.saturating_sub(1);
                    self.admit_now(subscribe, response, post);
                }
                None => return,
            }
        }
    }

    /// The channel has gone, with those who waited for a count.
    pub(super) fn refuse_held(&mut self, home: &mut Home, post: &Post) {
        let held = home.waiting.take().map(|waiting| waiting.held).unwrap_or_default();
        for held in held {
            let refusal = Refusal::ChannelNotFound(home.name.clone());
            match held {
                Held::Subscribe(subscribe, _) => {
                    super::subscribers::refuse_subscription(subscribe, refusal, post)
                }
                Held::Publish(publish) => self.answer(publish.channel, publish.origin, Err(refusal), post),
            }
        }
    }
}

impl Waiting {
    fn goes_on(&self) -> bool {
        match self.held.front() {
            Some(Held::Publish(_)) => true,
            Some(Held::Subscribe(..)) => self.under_way == 0,
            None => false,
        }
    }
}

impl Home {
    /// [`Home::past`] in such a channel: whoever comes takes what waits, beside what it asks to see.
    pub(super) fn past_and_waiting(&mut self, wires: Wires, wishes: &Wishes, mesh: &Mesh) -> Past {
        let now = UnixMillis::now();
        self.expire(now);
        let taken = self.waiting.as_mut().map(|waiting| waiting.queue.take(now)).unwrap_or_default();
        let history = self.history.as_deref();
        let kept = |count| history.into_iter().flat_map(move |history| history.last(count));
        let (recovered, replay) = match wishes.recover {
            None => (None, merge(kept(wishes.history), &taken)),
            Some(since) => {
                let known = merge(kept(usize::MAX), &taken);
                let missed = self.offset.0.checked_sub(since.offset.0).filter(|_| since.epoch == self.epoch);
                let first = known.partition_point(|message| message.offset <= since.offset);
                let complete = missed.is_some_and(|missed| missed == (known.len() - first) as u64);
                (Some(complete), if complete { known[first..].to_vec() } else { known })
            }
        };
        // Whoever breaks off before it has got any of this can come back from there.
        let taken_from = replay.first().filter(|_| recovered.is_none() && !taken.is_empty());
        let since = taken_from.map(|first| Offset(first.offset.0 - 1));
        let mut turn = OpenTurn::default();
        for message in replay {
            turn.push(wires, &self.name, self.numbered(), message.clone());
        }
        if turn.is_empty() {
            return Past { since, recovered, replay: None };
        }
        if !taken.is_empty() {
            turn.count(settle(mesh, self, taken, None));
            if let Some(waiting) = &mut self.waiting {
                waiting.under_way += 1;
            }
        }
        Past { since, recovered, replay: Some(Arc::new(turn.seal(&self.name))) }
    }
}

/// Both in the order of their offsets, each message once.
fn merge<'a>(kept: impl Iterator<Item = &'a Message>, taken: &'a [Message]) -> Vec<&'a Message> {
    let mut all: Vec<&Message> = kept.chain(taken).collect();
    // Two runs that are in order: a merge.
    all.sort_by_key(|message| message.offset);
    all.dedup_by_key(|message| message.offset);
    all
}

/// Counts whom these messages reach, and tells their home.
fn settle(mesh: &Mesh, home: &Home, messages: Vec<Message>, answer: Option<(Origin, Published)>) -> Tally {
    let (mesh, channel, epoch) = (mesh.clone(), home.name.clone(), home.epoch);
    Tally::new(move |receipt| {
        let shard = mesh.home(&channel);
        let settled = Settled { channel, epoch, messages, receipt, answer };
        mesh.post(shard, vec![Letter::Settled(settled)]);
    })
}
