//! What a shard has done since it began. Kept by its one thread and added up when somebody asks.

use std::collections::BTreeMap;

/// Counts since the start: they only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were let in.
    pub opened: u64,
    /// Connections that have ended, by the code that the server gave; none: the client ended it.
    pub closed: BTreeMap<Option<u16>, u64>,
    /// Messages from clients, pings among them.
    pub received: u64,
    pub received_bytes: u64,
    /// Messages that have got a place in their channel.
    pub published: u64,
    /// Messages put into subscribers' queues: one of a thousand subscribers counts a thousand.
    pub delivered: u64,
    /// Of those, left out of the queues of slow subscribers; changes of presence too.
    pub dropped: u64,
    /// Messages times distinct filters that filter plugins were asked about.
    pub judged: u64,
    /// Refusals by their code, also those that a dialect has no words for.
    pub refused: BTreeMap<&'static str, u64>,
}

impl Counters {
    pub fn received(&mut self, bytes: usize) {
        self.received += 1;
        self.received_bytes += bytes as u64;
    }

    pub fn closed(&mut self, code: Option<u16>) {
        *self.closed.entry(code).or_default() += 1;
    }

    pub fn refused(&mut self, code: &'static str) {
        *self.refused.entry(code).or_default() += 1;
    }

    /// Of two shards together.
    pub fn and(mut self, other: Self) -> Self {
        self.opened += other.opened;
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.published += other.published;
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.judged += other.judged;
        for (code, count) in other.closed {
            *self.closed.entry(code).or_default() += count;
        }
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_two_shards_add_up() {
        let mut one = Counters { opened: 1, published: 2, delivered: 3, ..Counters::default() };
        one.received(10);
        one.closed(None);
        one.refused("bad_json");
        let mut other = one.clone();
        other.closed(Some(4008));
        let both = one.and(other);
        assert_eq!((both.opened, both.published, both.delivered), (2, 4, 6));
        assert_eq!((both.received, both.received_bytes), (2, 20));
        assert_eq!(both.closed, BTreeMap::from([(None, 2), (Some(4008), 1)]));
        assert_eq!(both.refused, BTreeMap::from([("bad_json", 2)]));
    }
}
