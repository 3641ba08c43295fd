//! Timers that handlers set for their channels. They are kept here and not in the plugin, so
//! that they go on over a reload, and while their channel hibernates.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::chain::LinkId;
use super::channel::Home;
use super::{Homes, Request};
use crate::core::ChannelName;
use crate::core::clock::UnixMillis;
use crate::hub::letter::Letter;
use crate::hub::post::{Event, LocalQueue, Post};
use crate::hub::shard::AbortOnDrop;
use crate::plugin::Job;
use crate::plugin::saved::SavedTimer;

/// Of one channel; one more is not set.
const MOST: usize = 64;
/// A timer that sets itself again leaves the shard time for others.
const SHORTEST: Duration = Duration::from_millis(10);

/// What runs in one channel, by its handlers and their ids.
#[derive(Default)]
pub struct Timers {
    running: HashMap<(LinkId, u32), Running>,
    serial: u64,
}

struct Running {
    rings: UnixMillis,
    /// Which of those with the same id: one that was cancelled may have rung already.
    serial: u64,
    _clock: AbortOnDrop,
}

impl Timers {
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// False: there are as many as there may be.
    fn set(
        &mut self,
        channel: &ChannelName,
        by: LinkId,
        id: u32,
        after: Duration,
        queue: &Rc<LocalQueue>,
    ) -> bool {
        if self.running.len() >= MOST && !self.running.contains_key(&(by, id)) {
            return false;
        }
        self.serial += 1;
        let (serial, channel, queue) = (self.serial, channel.clone(), queue.clone());
        let clock = tokio::task::spawn_local(async move {
            tokio::time::sleep(after.max(SHORTEST)).await;
            queue.push(Event::Letter(Letter::Timer { channel, id, serial }));
        });
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let rings = UnixMillis(UnixMillis::now().0.saturating_add(millis));
        self.running.insert((by, id), Running { rings, serial, _clock: AbortOnDrop(clock) });
        true
    }

    /// Those of one handler.
    pub fn of(&self, handler: LinkId) -> Vec<SavedTimer> {
        let running = self.running.iter().filter(|((by, _), _)| *by == handler);
        running.map(|((_, id), running)| SavedTimer { id: *id, rings: running.rings }).collect()
    }

    fn cancel(&mut self, by: LinkId, id: u32) {
        self.running.remove(&(by, id));
    }

    /// It is over, and whose it is. None: it was cancelled, or set again. There are few.
    fn over(&mut self, id: u32, serial: u64) -> Option<LinkId> {
        let is = |((_, one), running): &(&(LinkId, u32), &Running)| *one == id && running.serial == serial;
        let (by, _) = *self.running.iter().find(is)?.0;
        self.running.remove(&(by, id));
        Some(by)
    }
}

impl Home {
    /// Of the handlers that it still has.
    pub(super) fn keep_timers(&mut self) {
        let Self { timers, chain, .. } = self;
        if let Some(timers) = timers {
            timers.running.retain(|(by, _), _| chain.get(*by).is_some());
        }
    }
}

impl Homes {
    pub(super) fn set_timer(
        &mut self,
        channel: &ChannelName,
        by: LinkId,
        id: u32,
        after_ms: u32,
        post: &Post,
    ) {
        let Some(home) = self.homes.get_mut(channel).filter(|home| home.chain.get(by).is_some()) else {
            return;
        };
        let timers = home.timers.get_or_insert_default();
        if !timers.set(channel, by, id, Duration::from_millis(after_ms.into()), &post.queue) {
            tracing::warn!(%channel, timer = id, "the channel has {MOST} timers already: this one is not set");
        }
    }

    pub(super) fn cancel_timer(&mut self, channel: &ChannelName, by: LinkId, id: u32) {
        if let Some(timers) = self.homes.get_mut(channel).and_then(|home| home.timers.as_mut()) {
            timers.cancel(by, id);
        }
    }

    /// A timer rings, for the handler that has set it.
    pub fn timer(&mut self, channel: ChannelName, id: u32, serial: u64) {
        if self.unheard.is_some() {
            // It is for the next server.
            return;
        }
        let Some(home) = self.homes.get_mut(&channel) else { return };
        let Some(by) = home.timers.as_mut().and_then(|timers| timers.over(id, serial)) else { return };
        if let Some(link) = home.chain.get(by) {
            home.judging += 1;
            link.ask(Job::Timer { id }, Request::Timer { channel }, None);
        }
    }
}
