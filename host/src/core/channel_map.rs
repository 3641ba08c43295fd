//! Maps by channels' names. A message looks its channel up several times on its way; so a name's hash
//! is taken once, when the name is made, and goes with it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

use super::names::ChannelName;

pub type ChannelMap<V> = HashMap<ChannelName, V, BuildHasherDefault<Carried>>;
pub type ChannelSet = HashSet<ChannelName, BuildHasherDefault<Carried>>;

/// Keyed once a process, so that nobody outside can choose names that meet in a map, or aim them all
/// at one shard.
static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

pub(super) fn hash(name: &str) -> u64 {
    KEYED.hash_one(name)
}

/// Hands on the hash that a name has already.
#[derive(Default)]
pub struct Carried(u64);

impl Hasher for Carried {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Names write one number. Anything else is hashed as anywhere.
        self.0 ^= KEYED.hash_one(bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one_entry_and_others_are_others() {
        let name = |text: &str| ChannelName::parse(text).unwrap();
        let mut map: ChannelMap<usize> = (0..1000).map(|n| (name(&format!("room:{n}")), n)).collect();
        assert_eq!(map.insert(name("room:7"), 7007), Some(7));
        assert_eq!((map.len(), map.get(&name("room:7"))), (1000, Some(&7007)));
        assert_eq!(map.get(&name("room:1000")), None);
    }
}
