//! Times in classes that are an eighth of a power of two wide: a quantile is right to an eighth.

use std::sync::atomic::{AtomicU64, Ordering};

/// The first class has everything up to 2^6 ns, the last everything from 2^36 ns (69 s) on.
const FIRST: u32 = 6;
const LAST: u32 = 36;
const PARTS: usize = 8;
const CLASSES: usize = (LAST - FIRST) as usize * PARTS + 2;

/// Written to by one thread.
#[derive(Debug)]
pub struct TimesTally {
    classes: [AtomicU64; CLASSES],
    nanos: AtomicU64,
}

impl Default for TimesTally {
    fn default() -> Self {
        Self { classes: [const { AtomicU64::new(0) }; CLASSES], nanos: AtomicU64::new(0) }
    }
}

impl TimesTally {
    pub fn add(&self, nanos: u64) {
        let class = &self.classes[class(nanos)];
        class.store(class.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.nanos.store(self.nanos.load(Ordering::Relaxed).saturating_add(nanos), Ordering::Relaxed);
    }

    pub fn add_to(&self, times: &mut Times) {
        for (sum, class) in times.classes.iter_mut().zip(&self.classes) {
            *sum += class.load(Ordering::Relaxed);
        }
        times.nanos = times.nanos.saturating_add(self.nanos.load(Ordering::Relaxed));
    }
}

/// Times of several threads.
#[derive(Clone, Debug)]
pub struct Times {
    classes: Vec<u64>,
    nanos: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { classes: vec![0; CLASSES], nanos: 0 }
    }
}

impl Times {
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Seconds of all of them together.
    pub fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// Nanoseconds that this part of them (0 to 1) did not take longer than, to an eighth; none of
    /// none.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let rank = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.classes.iter().position(|class| {
            seen += class;
            seen >= rank
        });
        found.map(end)
    }

    /// How many took no longer than each power of four nanoseconds from 256 ns to 17 s, and in the end
    /// all: the bound in seconds, the count up to it.
    pub fn cumulated(&self) -> Vec<(f64, u64)> {
        let powers = (8..=34).step_by(2).map(|power| 1u64 << power);
        let up_to = powers.map(|bound| {
            let below = self.classes.iter().take(class(bound - 1) + 1).sum();
            (bound as f64 / 1e9, below)
        });
        up_to.chain([(f64::INFINITY, self.count())]).collect()
    }
}

fn class(nanos: u64) -> usize {
    let power = nanos.checked_ilog2().unwrap_or(0);
    if power < FIRST {
        return 0;
    }
    if power >= LAST {
        return CLASSES - 1;
    }
    let part = (nanos >> (power - PARTS.ilog2())) as usize % PARTS;
    1 + (power - FIRST) as usize * PARTS + part
}

/// The longest time of a class.
fn end(class: usize) -> u64 {
    if class == 0 {
        return 1 << FIRST;
    }
    if class == CLASSES - 1 {
        return 1 << LAST;
    }
    let (power, part) = ((class - 1) / PARTS + FIRST as usize, (class - 1) % PARTS);
    (1 << power) + ((part as u64 + 1) << (power - PARTS.ilog2() as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(nanos: impl IntoIterator<Item = u64>) -> Times {
        let (tally, mut times) = (TimesTally::default(), Times::default());
        nanos.into_iter().for_each(|nanos| tally.add(nanos));
        tally.add_to(&mut times);
        times
    }

    #[test]
    fn quantiles_are_right_to_an_eighth() {
        assert_eq!(Times::default().quantile(0.5), None);
        let times = of((1..=1000).map(|micros| micros * 1000));
        for (part, exact) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000), (0.0, 1000)] {
            let found = times.quantile(part).unwrap();
            assert!((exact..=exact + exact / 8).contains(&found), "{part}: {found}");
        }
        assert_eq!(times.count(), 1000);
        assert!((times.seconds() - 0.5005).abs() < 1e-9);
    }

    #[test]
    fn counts_cumulate() {
        let times = of([0, 255, 256, 1023, 1024, u64::MAX]);
        let cumulated = times.cumulated();
        assert_eq!(cumulated[..3], [(256e-9, 2), (1024e-9, 4), (4096e-9, 5)]);
        assert_eq!(cumulated.last(), Some(&(f64::INFINITY, 6)));
        assert_eq!(cumulated[cumulated.len() - 2].1, 5);
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_class(nanos in prop_oneof![0..10_000u64, any::<u64>()]) {
            let class = class(nanos);
            prop_assert!(class < CLASSES);
            if class > 0 && class < CLASSES - 1 {
                prop_assert!(nanos < end(class) && nanos >= end(class - 1), "{nanos} in {class}");
            }
        }
    }
}
