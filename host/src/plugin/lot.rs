//! Which version a channel or a client draws while two of a plugin's are in use.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

/// A whole percentage, 1 to 99, of channels, clients or calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

/// 0 to 99, the same for the same thing as long as the process lives: so a channel or a client
/// stays with the version that it has drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lot(u8);

impl Share {
    /// None outside 1 to 99.
    pub fn new(percent: u8) -> Option<Self> {
        (1..=99).contains(&percent).then_some(Self(percent))
    }

    pub fn percent(self) -> u8 {
        self.0
    }

    pub fn takes(self, lot: Lot) -> bool {
        lot.0 < self.0
    }
}

impl Lot {
    /// Independent of the hash by which channels find their shards.
    pub fn of(thing: impl Hash) -> Self {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(("lot", thing));
        Self((hash % 100) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        for percent in [1, 10, 50, 99] {
            let share = Share::new(percent).unwrap();
            let taken = (0..10_000).filter(|n| share.takes(Lot::of(format!("room:{n}")))).count();
            let wanted = usize::from(percent) * 100;
            assert!(taken.abs_diff(wanted) < 200, "{taken} of 10000 for {percent} %");
        }
        assert_eq!((Share::new(0), Share::new(100)), (None, None));
    }

    #[test]
    fn the_same_thing_draws_the_same() {
        assert_eq!(Lot::of("chat:lobby"), Lot::of("chat:lobby"));
    }
}
