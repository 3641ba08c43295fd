//! Timers that handlers set for their channels. They are kept here and not in the plugin, so
//! that they go on over a reload, and while their channel hibernates.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Homes, Ticket};
use crate::core::ChannelName;
use crate::hub::letter::Letter;
use crate::hub::post::{Event, LocalQueue, Post};
use crate::hub::shard::AbortOnDrop;
use crate::plugin::Job;

/// Of one channel; one more is not set.
const MOST: usize = 64;
/// A timer that sets itself again leaves the shard time for others.
const SHORTEST: Duration = Duration::from_millis(10);

/// What runs in one channel, by the handler's ids.
#[derive(Default)]
pub struct Timers {
    running: HashMap<u32, Running>,
    serial: u64,
}

struct Running {
    /// Which of those with the same id: one that was cancelled may have rung already.
    serial: u64,
    _clock: AbortOnDrop,
}

impl Timers {
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// False: there are as many as there may be.
    fn set(&mut self, channel: &ChannelName, id: u32, after: Duration, queue: &Rc<LocalQueue>) -> bool {
        if self.running.len() >= MOST && !self.running.contains_key(&id) {
            return false;
        }
        self.serial += 1;
        let (serial, channel, queue) = (self.serial, channel.clone(), queue.clone());
        let clock = tokio::task::spawn_local(async move {
            tokio::time::sleep(after.max(SHORTEST)).await;
            queue.push(Event::Letter(Letter::Timer { channel, id, serial }));
        });
        self.running.insert(id, Running { serial, _clock: AbortOnDrop(clock) });
        true
    }

    fn cancel(&mut self, id: u32) {
        self.running.remove(&id);
    }

    /// It is over. False: it was cancelled, or set again.
    fn over(&mut self, id: u32, serial: u64) -> bool {
        let is = self.running.get(&id).is_some_and(|running| running.serial == serial);
        if is {
            self.running.remove(&id);
        }
        is
    }
}

impl Homes {
    pub(super) fn set_timer(&mut self, channel: &ChannelName, id: u32, after_ms: u32, post: &Post) {
        let Some(home) = self.homes.get_mut(channel).filter(|home| home.handler.is_some()) else { return };
        let timers = home.timers.get_or_insert_default();
        if !timers.set(channel, id, Duration::from_millis(after_ms.into()), &post.queue) {
            tracing::warn!(%channel, timer = id, "the channel has {MOST} timers already: this one is not set");
        }
    }

    pub(super) fn cancel_timer(&mut self, channel: &ChannelName, id: u32) {
        if let Some(timers) = self.homes.get_mut(channel).and_then(|home| home.timers.as_mut()) {
            timers.cancel(id);
        }
    }

    /// A timer rings.
    pub fn timer(&mut self, channel: ChannelName, id: u32, serial: u64) {
        let Some(home) = self.homes.get_mut(&channel) else { return };
        if !home.timers.as_mut().is_some_and(|timers| timers.over(id, serial)) {
            return;
        }
        if let Some((_, actor)) = &home.handler {
            home.judging += 1;
            actor.send(Job::Timer { id }, Ticket::Timer { channel });
        }
    }
}
