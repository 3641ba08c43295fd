//! Messages of one channel that wait for somebody to take them: in order, bounded in messages,
//! bytes and age. The first subscriber that comes takes them all.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::history::{own, weight};
use crate::core::Message;
use crate::core::clock::UnixMillis;

/// How much may wait in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRule {
    pub messages: usize,
    /// Of all messages together, each with [`super::history::OVERHEAD`].
    pub bytes: usize,
    pub ttl: Duration,
}

/// How many queues of a shard have something in them.
#[derive(Clone, Debug, Default)]
pub struct InUse(Rc<Cell<usize>>);

impl InUse {
    pub fn get(&self) -> usize {
        self.0.get()
    }
}

pub struct Queue {
    rule: QueueRule,
    /// By offset.
    waiting: VecDeque<Message>,
    bytes: usize,
    in_use: InUse,
}

impl Queue {
    pub fn new(rule: QueueRule, in_use: InUse) -> Self {
        Self { rule, waiting: VecDeque::new(), bytes: 0, in_use }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a message into its place, and lets go of the oldest where there are too many. False:
    /// it does not stay, because it alone is more than may wait, or the oldest of too many.
    pub fn put(&mut self, message: &Message, now: UnixMillis) -> bool {
        self.changed(|this| {
            this.let_go_of_old(now);
            if weight(message) > this.rule.bytes || this.is_old(message, now) {
                return false;
            }
            let at = this.waiting.partition_point(|waiting| waiting.offset < message.offset);
            this.bytes += weight(message);
            this.waiting.insert(at, own(message));
            while this.waiting.len() > this.rule.messages || this.bytes > this.rule.bytes {
                this.let_go();
            }
            this.waiting.front().is_some_and(|oldest| oldest.offset <= message.offset)
        })
    }

    /// Lets go of what is too old.
    pub fn expire(&mut self, now: UnixMillis) {
        self.changed(|this| this.let_go_of_old(now));
    }

    /// All that waits, in its order.
    pub fn take(&mut self, now: UnixMillis) -> Vec<Message> {
        self.changed(|this| {
            this.let_go_of_old(now);
            this.bytes = 0;
            std::mem::take(&mut this.waiting).into()
        })
    }

    fn is_old(&self, message: &Message, now: UnixMillis) -> bool {
        let ttl = u64::try_from(self.rule.ttl.as_millis()).unwrap_or(u64::MAX);
        message.at.0.saturating_add(ttl) <= now.0
    }

    fn let_go_of_old(&mut self, now: UnixMillis) {
        while self.waiting.front().is_some_and(|oldest| self.is_old(oldest, now)) {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        if let Some(oldest) = self.waiting.pop_front() {
            self.bytes -= weight(&oldest);
        }
    }

    fn changed<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let before = usize::from(!self.is_empty());
        let result = change(self);
        let after = usize::from(!self.is_empty());
        self.in_use.0.set(self.in_use.0.get() + after - before);
        result
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.changed(|this| this.waiting.clear());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::core::{Offset, Payload};
    use crate::hub::history::OVERHEAD;

    const RULE: QueueRule =
        QueueRule { messages: 4, bytes: 3 * (OVERHEAD + 10), ttl: Duration::from_secs(10) };

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

    #[derive(Clone, Debug)]
    enum Step {
        Put {
            bytes: usize,
        },
        /// The taken one of this number, newest first, comes back: nobody was there after all.
        Back {
            which: usize,
        },
        Wait {
            ms: u64,
        },
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        let large = 2 * OVERHEAD..4 * OVERHEAD;
        prop_oneof![
            6 => (0..40_usize).prop_map(|bytes| Step::Put { bytes }),
            1 => large.prop_map(|bytes| Step::Put { bytes }),
            3 => (0..4_usize).prop_map(|which| Step::Back { which }),
            3 => (0..6_000_u64).prop_map(|ms| Step::Wait { ms }),
            1 => Just(Step::Take),
        ]
    }

    /// What a plain list would keep of a message and those that it has.
    fn put(list: &mut Vec<Message>, new: Message, now: u64) -> bool {
        let fits = |list: &[Message]| {
            list.len() <= RULE.messages && list.iter().map(weight).sum::<usize>() <= RULE.bytes
        };
        let young = |message: &Message| message.at.0 + 10_000 > now;
        list.retain(young);
        if !fits(std::slice::from_ref(&new)) || !young(&new) {
            return false;
        }
        let offset = new.offset;
        list.push(new);
        list.sort_by_key(|message| message.offset);
        while !fits(list) {
            list.remove(0);
        }
        list.iter().any(|message| message.offset == offset)
    }

    proptest! {
        #[test]
        fn keeps_what_a_plain_list_would(steps in proptest::collection::vec(step(), 0..80)) {
            let in_use = InUse::default();
            let mut queue = Queue::new(RULE, in_use.clone());
            let (mut list, mut gone): (Vec<Message>, Vec<Message>) = Default::default();
            let (mut now, mut offset) = (0, 0);
            for step in steps {
                match step {
                    Step::Put { bytes } => {
                        offset += 1;
                        let new = message(offset, now, bytes);
                        prop_assert_eq!(queue.put(&new, UnixMillis(now)), put(&mut list, new, now));
                    }
                    Step::Back { which } => {
                        if let Some(at) = gone.len().checked_sub(which + 1) {
                            let back = gone.remove(at);
                            prop_assert_eq!(queue.put(&back, UnixMillis(now)), put(&mut list, back, now));
                        }
                    }
                    Step::Wait { ms } => {
                        now += ms;
                        queue.expire(UnixMillis(now));
                        list.retain(|message| message.at.0 + 10_000 > now);
                    }
                    Step::Take => {
                        let taken = queue.take(UnixMillis(now));
                        let offsets = |list: &[Message]| list.iter().map(|m| m.offset).collect::<Vec<_>>();
                        prop_assert_eq!(offsets(&taken), offsets(&list));
                        gone.append(&mut list);
                    }
                }
                prop_assert_eq!(queue.is_empty(), list.is_empty());
                prop_assert_eq!(in_use.get(), usize::from(!list.is_empty()));
                prop_assert_eq!(queue.bytes, list.iter().map(weight).sum::<usize>());
            }
            drop(queue);
            prop_assert_eq!(in_use.get(), 0);
        }
    }
}
