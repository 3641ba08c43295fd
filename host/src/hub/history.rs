//! What a channel keeps of its past: a ring bounded in messages, bytes and age.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::core::clock::UnixMillis;
use crate::core::{Message, Offset, Payload};

/// How much a channel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRule {
    pub messages: usize,
    /// Of all messages together, each with [`OVERHEAD`]. One replay is as much.
    pub bytes: usize,
    pub ttl: Duration,
}

/// What a kept message costs beside its payload and event, in bytes, roughly.
pub const OVERHEAD: usize = 192;

pub struct History {
    rule: HistoryRule,
    ring: VecDeque<Message>,
    bytes: usize,
}

impl History {
    pub fn new(rule: HistoryRule) -> Self {
        Self { rule, ring: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a message, whose offset follows the last one's, and lets go of what is too much.
    pub fn push(&mut self, message: &Message) {
        if self.ring.is_empty() {
            // Most channels are small: no more room than for what comes.
            self.ring.reserve_exact(1);
        }
        self.bytes += weight(message);
        self.ring.push_back(own(message));
        while self.ring.len() > self.rule.messages || self.bytes > self.rule.bytes {
            self.drop_oldest();
        }
    }

    /// Lets go of what is too old.
    pub fn expire(&mut self, now: UnixMillis) {
        let ttl = u64::try_from(self.rule.ttl.as_millis()).unwrap_or(u64::MAX);
        while self.ring.front().is_some_and(|oldest| oldest.at.0.saturating_add(ttl) <= now.0) {
            self.drop_oldest();
        }
        if self.ring.is_empty() {
            self.ring.shrink_to_fit();
        }
    }

    pub fn clear(&mut self) {
        self.ring = VecDeque::new();
        self.bytes = 0;
    }

    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// What came after `since`, oldest first, and whether that is all that ever did.
    /// `current` is the channel's offset.
    pub fn since(&self, since: Offset, current: Offset) -> (impl Iterator<Item = &Message>, bool) {
        let oldest = self.ring.front().map_or(current.next(), |oldest| oldest.offset);
        let complete = since <= current && since.next() >= oldest;
        let skip = match complete {
            true => since.next().0.saturating_sub(oldest.0),
            // Gone, or never was: all that is kept.
            false => 0,
        };
        (self.ring.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)), complete)
    }

    /// The last so many messages, oldest first.
    pub fn last(&self, count: usize) -> impl DoubleEndedIterator<Item = &Message> {
        self.ring.iter().skip(self.ring.len().saturating_sub(count))
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.ring.pop_front() {
            self.bytes -= weight(&oldest);
        }
    }
}

pub(super) fn weight(message: &Message) -> usize {
    message.payload.bytes.len() + message.event.len() + OVERHEAD
}

/// Bytes of its own: those of a message on its way are a piece of a reader's larger buffer.
pub(super) fn own(message: &Message) -> Message {
    Message {
        payload: Payload {
            kind: message.payload.kind,
            bytes: Bytes::copy_from_slice(&message.payload.bytes),
        },
        event: Bytes::copy_from_slice(&message.event),
        ..message.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: HistoryRule =
        HistoryRule { messages: 4, bytes: 4 * (OVERHEAD + 10), ttl: Duration::from_secs(10) };

    fn message(offset: u64, at: u64, bytes: usize) -> Message {
        Message {
            offset: Offset(offset),
            at: UnixMillis(at),
            sender: None,
            event: Bytes::new(),
            payload: Payload::binary(vec![0; bytes]),
            except: None,
        }
    }

    fn offsets<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<u64> {
        messages.map(|message| message.offset.0).collect()
    }

    #[test]
    fn an_empty_ring_is_complete_only_for_who_missed_nothing() {
        let history = History::new(RULE);
        assert!(history.since(Offset(3), Offset(3)).1);
        assert!(!history.since(Offset(2), Offset(3)).1);
        assert!(!history.since(Offset(u64::MAX), Offset(3)).1, "from the future");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { bytes: usize },
        Wait { ms: u64 },
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..40_usize).prop_map(|bytes| Step::Push { bytes }),
            3 => (0..6_000_u64).prop_map(|ms| Step::Wait { ms }),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        /// Beside a list that keeps everything and works out what must be left of it.
        #[test]
        fn keeps_what_a_plain_list_would(steps in proptest::collection::vec(step(), 0..60), ask in 0..70_u64) {
            let mut history = History::new(RULE);
            let (mut all, mut now, mut current): (Vec<Message>, u64, u64) = (Vec::new(), 0, 0);
            for step in steps {
                match step {
                    Step::Push { bytes } => {
                        current += 1;
                        let new = message(current, now, bytes);
                        history.push(&new);
                        all.push(new);
                        let fits = |from: usize| {
                            let kept = &all[from..];
                            kept.len() <= RULE.messages && kept.iter().map(weight).sum::<usize>() <= RULE.bytes
                        };
                        let from = (0..=all.len()).find(|from| fits(*from)).unwrap_or(all.len());
                        all.drain(..from);
                    }
                    Step::Wait { ms } => {
                        now += ms;
                        history.expire(UnixMillis(now));
                        all.retain(|message| message.at.0 + 10_000 > now);
                    }
                    Step::Clear => {
                        history.clear();
                        all.clear();
                    }
                }
                let wanted: Vec<u64> = all.iter().map(|message| message.offset.0).collect();
                prop_assert_eq!(offsets(history.last(usize::MAX)), wanted.clone());
                let (after, complete) = history.since(Offset(ask), Offset(current));
                let missed: Vec<u64> = (ask + 1..=current).collect();
                let has_all = ask <= current && missed.iter().all(|offset| wanted.contains(offset));
                prop_assert_eq!(complete, has_all);
                prop_assert_eq!(offsets(after), if has_all { missed } else { wanted });
            }
        }
    }
}
