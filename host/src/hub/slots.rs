//! The slots of a shard: its connections by their ids, none of which is ever given twice.

use crate::core::{ClientId, ShardId};

/// What a shard has for each of its connections. A slot that is left serves the next one, with the
/// next serial; one whose serials are used up serves none any more.
pub struct Slots<T> {
    shard: ShardId,
    /// Of those that are there at a time.
    limit: usize,
    last_serial: u32,
    entries: Vec<Option<T>>,
    /// Of each entry, how many it has had.
    serials: Vec<u32>,
    free: Vec<u32>,
    len: usize,
}

/// All slots that there may be are taken, or used up.
#[derive(Debug, thiserror::Error)]
#[error("the server has as many connections as it may")]
pub struct Full;

impl<T> Slots<T> {
    /// At most `limit` at a time, and never more than [`ClientId::MAX_SLOTS`].
    pub fn new(shard: ShardId, limit: usize) -> Self {
        Self {
            shard,
            limit: limit.min(ClientId::MAX_SLOTS),
            last_serial: ClientId::LAST_SERIAL,
            entries: Vec::new(),
            serials: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    /// Takes a place for what `make` makes of its id.
    ///
    /// # Errors
    /// There is none; `make` is not called then.
    pub fn insert(&mut self, make: impl FnOnce(ClientId) -> T) -> Result<&T, Full> {
        if self.len >= self.limit {
            return Err(Full);
        }
        let slot = match self.free.pop() {
            Some(slot) => slot as usize,
            None if self.entries.len() < ClientId::MAX_SLOTS => {
                self.entries.push(None);
                self.serials.push(0);
                self.entries.len() - 1
            }
            None => return Err(Full),
        };
        self.serials[slot] += 1;
        self.len += 1;
        let id = ClientId::new(self.shard, slot, self.serials[slot]);
        Ok(self.entries[slot].insert(make(id)))
    }

    /// Who sits where this client sits, or sat. For ids of which it is known that they are there.
    #[inline]
    pub fn at(&self, client: ClientId) -> Option<&T> {
        self.entries.get(client.slot())?.as_ref()
    }

    /// None if there is none with this very id, and never was or is none any more.
    #[inline]
    pub fn get(&self, client: ClientId) -> Option<&T> {
        let is_its = client == self.id_at(client.slot())?;
        if is_its { self.at(client) } else { None }
    }

    pub fn remove(&mut self, client: ClientId) -> Option<T> {
        self.get(client)?;
        let slot = client.slot();
        if self.serials[slot] < self.last_serial {
            self.free.push(slot as u32);
        }
        self.len -= 1;
        self.entries[slot].take()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The id that was given last at this slot.
    fn id_at(&self, slot: usize) -> Option<ClientId> {
        Some(ClientId::new(self.shard, slot, *self.serials.get(slot)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn slots(limit: usize, last_serial: u32) -> Slots<u32> {
        Slots { last_serial, ..Slots::new(ShardId(3), limit) }
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_no_id_is_given_twice_and_each_leads_to_its_own(
            limit in 1..8_usize,
            last_serial in 1..4_u32,
            steps in prop::collection::vec(any::<Option<prop::sample::Index>>(), 0..200),
        ) {
            let mut slots = slots(limit, last_serial);
            let mut given = HashSet::new();
            let mut there = HashMap::new();
            for (n, step) in (0..).zip(steps) {
                let gone: Vec<ClientId> = there.keys().copied().collect();
                match step.filter(|_| !gone.is_empty()) {
                    None => {
                        let mut id = None;
                        let taken = slots.insert(|its| { id = Some(its); n }).copied();
                        prop_assert_eq!(taken.is_ok(), there.len() < limit);
                        let Some(id) = id else { continue };
                        prop_assert!(given.insert(id), "{} is given again", id);
                        prop_assert_eq!(id.shard(), ShardId(3));
                        there.insert(id, n);
                    }
                    Some(at) => {
                        let id = gone[at.index(gone.len())];
                        prop_assert_eq!(slots.remove(id), there.remove(&id));
                        prop_assert_eq!(slots.remove(id), None);
                    }
                }
                prop_assert_eq!(slots.len(), there.len());
                prop_assert_eq!(slots.iter().count(), there.len());
                for id in &given {
                    prop_assert_eq!(slots.get(*id), there.get(id));
                }
            }
        }
    }

    /// The id of one who came, and is gone.
    fn come_and_go(slots: &mut Slots<u32>) -> ClientId {
        let mut id = ClientId::NOBODY;
        let take = |its| {
            id = its;
            0
        };
        slots.insert(take).unwrap();
        slots.remove(id).unwrap();
        id
    }

    #[test]
    fn a_slot_whose_serials_are_used_up_is_left_empty() {
        let mut slots = slots(1, 2);
        let slots_used = [(); 5].map(|()| come_and_go(&mut slots).slot());
        assert_eq!(slots_used, [0, 0, 1, 1, 2]);
    }

    #[test]
    fn ids_of_others_lead_nowhere() {
        let mut slots = slots(4, 9);
        assert_eq!(slots.get(ClientId::new(ShardId(3), 0, 0)), None);
        slots.insert(|_| 7).unwrap();
        for (shard, slot, serial) in [(2, 0, 1), (3, 1, 1), (3, 0, 2), (3, 0, 0)] {
            assert_eq!(slots.get(ClientId::new(ShardId(shard), slot, serial)), None);
        }
        // The same digits below, others above.
        assert_eq!(slots.get(ClientId(ClientId::new(ShardId(3), 0, 1).0 | 1 << 60)), None);
        assert_eq!(slots.get(ClientId(u64::MAX)), None);
        assert_eq!(slots.get(ClientId::new(ShardId(3), 0, 1)), Some(&7));
    }

    #[test]
    fn past_the_last_slot_nobody_is_let_in() {
        let mut slots = slots(usize::MAX, 1);
        for _ in 0..ClientId::MAX_SLOTS {
            come_and_go(&mut slots);
        }
        assert!(slots.insert(|_| 0).is_err());
    }
}
