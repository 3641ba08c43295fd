//! What is left out of an outbox, and how its client comes to know.
//!
//! Where messages are missing stands a gap, one a channel, no later than the first of them would.
//! Its frame, with their number, is made when the socket takes bytes again; what is left out once
//! the frame is on the wire makes the next gap.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::chain::Handle;
use super::{Kind, Outbox, Run, TooSlow};
use crate::core::{ChannelName, MessageKey};
use crate::hub::frames::Frames;

/// By channel. One that has nothing to say is not in it, so there are at most as many as there
/// are runs.
pub type Lanes = HashMap<Rc<ChannelName>, Lane>;

#[derive(Default)]
pub struct Lane {
    /// Not yet on the wire.
    gap: Option<Handle>,
    /// What waits of [`Kind::Latest`], by key; without a key, one for all.
    latest: HashMap<Option<MessageKey>, Handle>,
}

impl Outbox {
    /// Leaves out the oldest of what may be left out until no more waits than may.
    pub(super) fn keep_bound(&mut self) -> Result<(), TooSlow> {
        let limit = self.limit.saturating_add(self.replayed);
        while self.bytes > limit {
            let Some(oldest) = self.runs.first_marked() else { return Err(TooSlow) };
            self.leave_out(oldest);
        }
        Ok(())
    }

    /// Messages while the socket is full: of each key only the last waits.
    pub(super) fn push_latest(&mut self, bytes: &Bytes, channel: &Rc<ChannelName>, frames: &Arc<Frames>) {
        let first = self.take_places(frames.len());
        let lasts = frames.lasts();
        self.count(channel, (frames.len() - lasts.len()) as u64, first, None);
        for last in lasts {
            let key = frames.key(*last as usize);
            let run = Run {
                bytes: bytes.slice(frames.range(*last as usize)),
                place: first + u64::from(*last),
                kind: Kind::Latest { channel: channel.clone(), key },
            };
            let at = self.append(run);
            self.replace(channel, key, at);
        }
    }

    /// The socket is full: what came before it was is treated as what comes now.
    pub(super) fn sort(&mut self) {
        if !std::mem::take(&mut self.unsorted) {
            return;
        }
        if let Some(front) = self.runs.front().filter(|_| self.front_started) {
            self.sort_run(front);
        }
        let mut next = self.runs.first_marked();
        while let Some(at) = next {
            next = self.runs.next_marked(at);
            self.sort_run(at);
        }
    }

    /// Puts a run's last messages of each key into its place. A frame that has begun goes on.
    fn sort_run(&mut self, at: Handle) {
        let run = self.runs.get(at);
        let Kind::Unsorted { channel, frames } = &run.kind else { return };
        let (channel, frames, bytes, place) = (channel.clone(), frames.clone(), run.bytes.clone(), run.place);
        let written = frames.bytes() - bytes.len();
        let begun = frames.begun(written);
        if written > 0 {
            let rest = bytes.slice(..frames.end(begun) - written);
            self.front_started = !rest.is_empty();
            if self.front_started {
                self.runs.insert_before(at, Run { bytes: rest, place, kind: Kind::Kept });
            }
            self.runs.mark_first(at);
        }
        let lasts = frames.lasts();
        let lasts = &lasts[lasts.partition_point(|last| (*last as usize) < begun)..];
        let missing = frames.len() - begun - lasts.len();
        self.count(&channel, missing as u64, place + begun as u64, Some(at));
        for last in lasts {
            let (frame, key) = (frames.range(*last as usize), frames.key(*last as usize));
            let run = Run {
                bytes: bytes.slice(frame.start - written..frame.end - written),
                place: place + u64::from(*last),
                kind: Kind::Latest { channel: channel.clone(), key },
            };
            let new = self.runs.insert_before(at, run);
            self.replace(&channel, key, new);
        }
        self.runs.remove(at);
        let kept = lasts.iter().map(|last| frames.range(*last as usize).len()).sum::<usize>();
        self.bytes -= frames.bytes() - frames.end(begun) - kept;
    }

    /// A message is the last of its key now.
    fn replace(&mut self, channel: &Rc<ChannelName>, key: Option<MessageKey>, at: Handle) {
        let lane = self.lanes.get_or_insert_default().entry(channel.clone()).or_default();
        if let Some(before) = lane.latest.insert(key, at) {
            self.leave_out(before);
        }
    }

    fn leave_out(&mut self, at: Handle) {
        let run = self.runs.get(at);
        let (channel, messages) = match &run.kind {
            Kind::Oldest { channel, messages } => (channel.clone(), *messages),
            Kind::Unsorted { channel, frames } => (channel.clone(), frames.len()),
            Kind::Latest { channel, .. } => (channel.clone(), 1),
            Kind::Kept | Kind::Gap { .. } => return,
        };
        let place = run.place;
        self.count(&channel, messages as u64, place, Some(at));
        self.settle(at);
        self.bytes -= self.runs.remove(at).bytes.len();
    }

    /// So many messages are missing from this place on: before a run, or at the end.
    fn count(&mut self, channel: &Rc<ChannelName>, messages: u64, place: u64, before: Option<Handle>) {
        if messages == 0 {
            return;
        }
        self.dropped += messages;
        self.untold = true;
        let lane = self.lanes.get_or_insert_default().entry(channel.clone()).or_default();
        let mut count = messages;
        if let Some(gap) = lane.gap {
            let known = self.runs.get_mut(gap);
            if let Kind::Gap { count: told, .. } = &mut known.kind {
                count += *told;
                if known.place <= place {
                    *told = count;
                    return;
                }
            }
            self.bytes -= self.runs.remove(gap).bytes.len();
        }
        let gap = Run { bytes: Bytes::new(), place, kind: Kind::Gap { channel: channel.clone(), count } };
        let gap = match before {
            Some(next) => self.runs.insert_before(next, gap),
            None => self.runs.push_back(gap, false),
        };
        self.runs.unmark(gap);
        lane.gap = Some(gap);
    }

    /// A run is on the wire, or left out: nothing leads to it any more.
    pub(super) fn settle(&mut self, at: Handle) {
        self.runs.unmark(at);
        let (channel, key) = match &self.runs.get(at).kind {
            Kind::Latest { channel, key } => (channel, Some(key)),
            Kind::Gap { channel, .. } => (channel, None),
            Kind::Kept | Kind::Oldest { .. } | Kind::Unsorted { .. } => return,
        };
        let Some(lanes) = &mut self.lanes else { return };
        let Some(lane) = lanes.get_mut(channel) else { return };
        match key {
            Some(key) if lane.latest.get(key) == Some(&at) => {
                lane.latest.remove(key);
            }
            None if lane.gap == Some(at) => lane.gap = None,
            _ => {}
        }
        if lane.is_empty() {
            lanes.remove(channel);
        }
    }

    /// The socket may take bytes: gaps become frames, where the dialect has words for them.
    pub(super) fn tell(&mut self) {
        if !std::mem::take(&mut self.untold) {
            return;
        }
        let Self { lanes: Some(known), runs, bytes, wire, .. } = self else { return };
        known.retain(|channel, lane| {
            if let Some(gap) = lane.gap
                && let Kind::Gap { count, .. } = runs.get(gap).kind
            {
                let mut frame = BytesMut::new();
                wire.dropped(channel, count, &mut frame);
                *bytes += frame.len();
                *bytes -= runs.get(gap).bytes.len();
                if frame.is_empty() {
                    runs.remove(gap);
                    lane.gap = None;
                } else {
                    runs.get_mut(gap).bytes = frame.freeze();
                }
            }
            !lane.is_empty()
        });
        if known.is_empty() {
            self.lanes = None;
        }
    }
}

impl Lane {
    fn is_empty(&self) -> bool {
        self.gap.is_none() && self.latest.is_empty()
    }
}
