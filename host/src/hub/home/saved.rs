//! What channels' handlers have when the server ends, and get back when the next one begins.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Homes;
use super::chain::LinkId;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, PluginName, Refusal};
use crate::hub::letter::{PUBLICATIONS_A_MESSAGE, Unsubscribe};
use crate::hub::post::Post;
use crate::plugin::LastWord;
use crate::plugin::saved::{SavedChannel, SavedDeparture, SavedHandler};

/// A channel whose handlers have been asked for what is to be kept of it.
pub struct Ending {
    channel: ChannelName,
    asked: Vec<(LinkId, LastWord)>,
}

/// What they have answered.
pub struct Ended {
    channel: ChannelName,
    snapshots: Vec<(LinkId, Option<Bytes>)>,
    /// Of those that have not, there is nothing to keep.
    pub late: bool,
}

impl Ending {
    pub async fn answered(self, deadline: Instant) -> Ended {
        let Self { channel, asked } = self;
        let (mut snapshots, mut late) = (Vec::with_capacity(asked.len()), false);
        for (link, answer) in asked {
            let answer = timeout_at(deadline, answer).await.ok().and_then(Result::ok);
            late |= answer.is_none();
            snapshots.push((link, answer.flatten().map(Bytes::from)));
        }
        Ended { channel, snapshots, late }
    }
}

/// Channels that begin anew.
#[derive(Default)]
pub struct Lost {
    /// By plugins that do not handle them.
    pub unhandled: HashMap<PluginName, usize>,
    /// Because there are as many as there may be.
    pub beyond_limit: usize,
}

impl Homes {
    /// The server ends, and is saved: handlers have their last word. What comes after it is refused, timers do
    /// not ring any more, and departures that are not heard are kept for [`Homes::saved`].
    pub fn end(&mut self) -> Vec<Ending> {
        let handled = self.homes.values_mut().filter(|home| !home.chain.is_empty());
        let mut unheard = Vec::new();
        let mut ending = Vec::new();
        for home in handled {
            unheard.extend(home.graces.take().into_iter().flat_map(|mut graces| graces.take()));
            let asked = home.chain.iter().map(|link| (link.id, link.actor.end())).collect();
            ending.push(Ending { channel: home.name.clone(), asked });
        }
        self.unheard = Some(unheard);
        ending
    }

    /// Once the last words have come.
    pub fn saved(&mut self, ended: Vec<Ended>) -> Vec<SavedChannel> {
        let mut departures: HashMap<ChannelName, Vec<SavedDeparture>> = HashMap::new();
        let unheard = self.unheard.as_mut().map(std::mem::take).unwrap_or_default();
        for Unsubscribe { channel, sender, why, .. } in unheard {
            departures.entry(channel).or_default().push(SavedDeparture::new(&sender, why));
        }
        let channel = |Ended { channel, snapshots, .. }| {
            let departures = departures.remove(&channel).unwrap_or_default();
            let home = self.homes.get(&channel)?;
            let handler = |(link, snapshot)| {
                let timers = home.timers.as_ref().map(|timers| timers.of(link)).unwrap_or_default();
                Some(SavedHandler { plugin: home.chain.get(link)?.plugin.clone(), snapshot, timers })
            };
            SavedChannel::of(channel, snapshots.into_iter().filter_map(handler), departures)
        };
        ended.into_iter().filter_map(channel).collect()
    }

    /// A channel goes on from what it had when the server before this one ended. Who has left it is
    /// told of as if it were just now: with its time to come back.
    pub fn restore(&mut self, saved: SavedChannel, lost: &mut Lost, post: &Post) {
        let SavedChannel { name: channel, handlers, departures } = saved;
        if let Err(Refusal::LimitExceeded { .. }) = self.open(&channel, self.shards(post)) {
            lost.beyond_limit += 1;
            return;
        }
        let now = UnixMillis::now();
        for SavedHandler { plugin, snapshot, timers } in handlers {
            let home = self.homes.get(&channel);
            let link = home.and_then(|home| home.chain.iter().find(|link| link.plugin == plugin));
            let Some(link) = link else {
                *lost.unhandled.entry(plugin).or_default() += 1;
                continue;
            };
            if let Some(snapshot) = snapshot {
                link.actor.restore(Vec::from(snapshot).into_boxed_slice());
            }
            let id = link.id;
            for timer in timers {
                let left = timer.rings.0.saturating_sub(now.0);
                self.set_timer(&channel, id, timer.id, u32::try_from(left).unwrap_or(u32::MAX), post);
            }
        }
        for departure in departures {
            let unsubscribe = Unsubscribe {
                channel: channel.clone(),
                sender: departure.who(),
                request: None,
                subscribed: true,
                why: departure.why,
                budget: PUBLICATIONS_A_MESSAGE,
                trace: None,
            };
            self.depart(unsubscribe, post);
        }
    }
}
