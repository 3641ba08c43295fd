//! What waits for a store: the work of its channels, each in its order, and the channels by turns. So what
//! many want of one channel delays the others that share its store by a turn only; and where stores wait
//! for one another, one that is shared is served as much as its channels would be by themselves.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::Work;

/// What a store may have waiting. Publishers have bounded credit, so this is rarely met.
const WAITING: usize = 65_536;
const WAITING_BYTES: usize = 16 << 20;
/// Of one channel, after which the next one has its turn. After as much of a store it looks whether others
/// are to be served.
const A_TURN: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// There is no work.
    #[default]
    Idle,
    /// There is some, and none of it is under way: who has been told says when it is.
    Ready,
    /// The same, and not all channels have had their turn.
    Paused,
    Busy,
}

/// The work of one channel.
pub struct Queue<T>(RefCell<VecDeque<Work<T>>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Queue<T> {
    /// Gives back the memory of what waited once.
    pub fn shrink(&self) {
        self.0.borrow_mut().shrink_to_fit();
    }
}

pub struct Mailbox<T> {
    /// Channels that have work; the first has its turn.
    channels: RefCell<VecDeque<Rc<Queue<T>>>>,
    waiting: Cell<usize>,
    bytes: Cell<usize>,
    standing: Cell<Standing>,
    /// Work that has been begun, ever.
    begun: Cell<u64>,
    /// In this turn.
    of_turn: Cell<usize>,
    /// Channels that have a turn yet, before others are served.
    turns: Cell<usize>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        let (channels, waiting, bytes, standing, begun, of_turn, turns) = Default::default();
        Self { channels, waiting, bytes, standing, begun, of_turn, turns }
    }
}

impl<T> Mailbox<T> {
    pub fn standing(&self) -> Standing {
        self.standing.get()
    }

    pub fn stands(&self, standing: Standing) {
        self.standing.set(standing);
    }

    /// Grows with all work that is begun.
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes.get() + bytes <= WAITING_BYTES && self.waiting.get() < WAITING
    }

    pub fn push(&self, queue: &Rc<Queue<T>>, work: Work<T>) {
        self.waiting.update(|waiting| waiting + 1);
        self.bytes.update(|bytes| bytes + work.weight());
        let mut of_channel = queue.0.borrow_mut();
        if of_channel.is_empty() {
            self.channels.borrow_mut().push_back(queue.clone());
        }
        of_channel.push_back(work);
    }

    /// The next work. None: there is none, and the store stands idle.
    pub fn next(&self) -> Option<Work<T>> {
        let mut channels = self.channels.borrow_mut();
        let Some(queue) = channels.front() else {
            self.standing.set(Standing::Idle);
            return None;
        };
        let mut of_channel = queue.0.borrow_mut();
        // Who is there has some.
        let work = of_channel.pop_front()?;
        let has_more = !of_channel.is_empty();
        drop(of_channel);
        if self.turns.get() == 0 {
            self.turns.set(channels.len());
        }
        self.of_turn.update(|of_turn| of_turn + 1);
        if !has_more || self.of_turn.get() == A_TURN {
            self.of_turn.set(0);
            self.turns.update(|turns| turns - 1);
            if has_more {
                channels.rotate_left(1);
            } else {
                channels.pop_front();
            }
        }
        self.begun.update(|begun| begun + 1);
        self.waiting.update(|waiting| waiting - 1);
        self.bytes.update(|bytes| bytes - work.weight());
        Some(work)
    }

    /// After some work: is it for others to say when the next is begun?
    pub fn pauses(&self) -> bool {
        let standing = if self.channels.borrow().is_empty() {
            return false;
        } else if self.turns.get() == 0 {
            Standing::Ready
        } else if self.begun.get().is_multiple_of(A_TURN as u64) {
            Standing::Paused
        } else {
            return false;
        };
        self.standing.set(standing);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Channels with so much work each, each told by its number.
    fn with(work: &[usize]) -> (Mailbox<usize>, Vec<Rc<Queue<usize>>>) {
        let (mailbox, queues) = (Mailbox::default(), work.iter().map(|_| Rc::default()).collect::<Vec<_>>());
        for (channel, of_channel) in work.iter().enumerate() {
            (0..*of_channel)
                .for_each(|_| mailbox.push(&queues[channel], Work::Retry { channel: channel as u32 }));
        }
        (mailbox, queues)
    }

    /// The channels of a row, each with its work in a row.
    fn row(mailbox: &Mailbox<usize>) -> Vec<(u32, usize)> {
        let mut done: Vec<(u32, usize)> = Vec::new();
        let mut since_pause = 0;
        while let Some(work) = mailbox.next() {
            let Work::Retry { channel } = work else { unreachable!() };
            match done.last_mut() {
                Some((last, work)) if *last == channel => *work += 1,
                _ => done.push((channel, 1)),
            }
            since_pause += 1;
            assert!(since_pause <= A_TURN);
            if mailbox.pauses() {
                since_pause = 0;
                if mailbox.standing() == Standing::Ready {
                    break;
                }
            }
        }
        done
    }

    #[test]
    fn each_channel_has_its_turn_before_other_stores_do() {
        let (mailbox, queues) = with(&[1, 200, 64, 65]);
        assert_eq!(row(&mailbox), [(0, 1), (1, 64), (2, 64), (3, 64)]);
        mailbox.push(&queues[0], Work::Retry { channel: 0 });
        assert_eq!(row(&mailbox), [(1, 64), (3, 1), (0, 1)]);
        assert_eq!(row(&mailbox), [(1, 64)]);
        assert_eq!((row(&mailbox), mailbox.standing()), (vec![(1, 8)], Standing::Idle));
        assert!(row(&mailbox).is_empty());
        mailbox.push(&queues[1], Work::Retry { channel: 1 });
        assert_eq!(row(&mailbox), [(1, 1)], "who was idle begins anew");
    }

    #[test]
    fn there_is_room_for_so_much() {
        let (mailbox, queues) = with(&[WAITING - 1]);
        assert!(mailbox.has_room_for(WAITING_BYTES) && !mailbox.has_room_for(WAITING_BYTES + 1));
        mailbox.push(&queues[0], Work::Retry { channel: 0 });
        assert!(!mailbox.has_room_for(0));
        assert!(mailbox.next().is_some() && mailbox.has_room_for(0));
    }
}
