//! A queue with a bound: what is too much pushes out what has waited longest, and is counted.

use std::collections::VecDeque;

/// At most so many items, and so many bytes of them.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub items: usize,
    pub bytes: usize,
}

/// First in, first out.
#[derive(Debug)]
pub struct Bounded<T> {
    bound: Bound,
    items: VecDeque<(T, usize)>,
    bytes: usize,
    dropped: u64,
}

impl<T> Bounded<T> {
    pub fn new(bound: Bound) -> Self {
        Self { bound, items: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// `bytes`: how many it takes. One that is larger than the bound is dropped itself.
    pub fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        while self.items.len() > self.bound.items || self.bytes > self.bound.bytes {
            if self.pop().is_none() {
                break;
            }
            self.dropped += 1;
        }
    }

    pub fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }

    /// The first items that fit into a bound; at least one, if there is any.
    pub fn take(&mut self, most: Bound) -> Vec<T> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some((_, next)) = self.items.front() {
            bytes += next;
            if !taken.is_empty() && (taken.len() >= most.items || bytes > most.bytes) {
                break;
            }
            taken.extend(self.pop());
        }
        if self.items.is_empty() {
            // After a time of much the room is not kept.
            self.items = VecDeque::new();
        }
        taken
    }

    /// How many were pushed out since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_are_counted() {
        let mut queue = Bounded::new(Bound { items: 3, bytes: 10 });
        (0..5).for_each(|n| queue.push(n, 1));
        assert_eq!((queue.take_dropped(), queue.take_dropped()), (2, 0));
        assert_eq!(queue.pop(), Some(2));
        queue.push(9, 9);
        assert_eq!(queue.take(Bound { items: 9, bytes: 99 }), [4, 9], "bytes count too");
        queue.push(7, 11);
        assert!(queue.is_empty() && queue.take_dropped() == 2);
        queue.push(1, 10);
        assert_eq!(queue.take(Bound { items: 9, bytes: 1 }), [1], "one is always taken");
    }

    #[test]
    fn a_part_of_it_fits_into_a_bound() {
        let mut queue = Bounded::new(Bound { items: 100, bytes: 100 });
        (0..10).for_each(|n| queue.push(n, 2));
        assert_eq!(queue.take(Bound { items: 3, bytes: 99 }), [0, 1, 2]);
        assert_eq!(queue.take(Bound { items: 9, bytes: 5 }), [3, 4]);
        assert_eq!(queue.take(Bound { items: 9, bytes: 4 }), [5, 6]);
        assert_eq!(queue.take(Bound { items: 99, bytes: 99 }).len(), 3);
        assert!(queue.is_empty() && queue.take(Bound { items: 1, bytes: 1 }).is_empty());
    }
}
