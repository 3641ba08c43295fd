//! Token buckets: how much may pass in how much time. Time is passed in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::clock::Nanos;

/// So many units a second on average, and so many seconds' worth of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time that one unit takes, in picoseconds: rounded down, so that a whole burst fits.
    unit_ps: u64,
    burst_ns: u64,
}

impl Rate {
    /// Units a second.
    pub const PER_SEC: std::ops::RangeInclusive<f64> = 0.0001..=1e9;
    /// Seconds.
    pub const BURST: std::ops::RangeInclusive<f64> = 0.001..=3600.0;

    /// None: outside [`Rate::PER_SEC`] or [`Rate::BURST`].
    pub fn new(per_sec: f64, burst_secs: f64) -> Option<Self> {
        let fits = Self::PER_SEC.contains(&per_sec) && Self::BURST.contains(&burst_secs);
        // At most 1e16 and 3.6e12.
        fits.then(|| Self { unit_ps: (1e12 / per_sec) as u64, burst_ns: (burst_secs * 1e9) as u64 })
    }

    /// How long so many units take, in nanoseconds.
    fn time_of(self, units: u64) -> u64 {
        let nanos = u128::from(units) * u128::from(self.unit_ps) / 1000;
        // 146 years: sums of two still fit.
        u64::try_from(nanos).unwrap_or(u64::MAX).min(u64::MAX / 4)
    }
}

/// A bucket that any thread may take from. It begins full; what it holds follows from one
/// number, the time at which it is full again, so that taking is one compare-and-swap.
#[derive(Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// Nanoseconds of [`Nanos`].
    full_at: AtomicU64,
}

impl TokenBucket {
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: AtomicU64::new(0) }
    }

    /// Takes units, all or none. More than the bucket can ever hold pass when it is full, and
    /// are paid off before anything else passes.
    ///
    /// # Errors
    /// With too little in it: how long until the same would pass, if nobody else takes any.
    pub fn take(&self, units: u64, now: Nanos) -> Result<(), Duration> {
        let (cost, burst) = (self.rate.time_of(units), self.rate.burst_ns);
        let missing_for = |full_at: u64| {
            let missing = full_at.saturating_sub(now.0);
            let room = burst.saturating_sub(cost);
            missing.saturating_sub(room)
        };
        let taken = self.full_at.fetch_update(Relaxed, Relaxed, |full_at| {
            (missing_for(full_at) == 0).then(|| full_at.max(now.0).saturating_add(cost))
        });
        taken.map(|_| ()).map_err(|full_at| Duration::from_nanos(missing_for(full_at)))
    }

    /// Undoes a [`TokenBucket::take`].
    pub fn give_back(&self, units: u64) {
        let cost = self.rate.time_of(units);
        let _ = self.full_at.fetch_update(Relaxed, Relaxed, |at| Some(at.saturating_sub(cost)));
    }

    /// Since when, or from when, it is full.
    pub fn full_at(&self) -> Nanos {
        Nanos(self.full_at.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn bucket(per_sec: f64, burst_secs: f64) -> TokenBucket {
        TokenBucket::new(Rate::new(per_sec, burst_secs).unwrap())
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        // Three thirds of a second are not quite a second: the burst is whole all the same.
        for per_sec in [1_u64, 3, 7, 10, 1000] {
            let bucket = bucket(per_sec as f64, 2.0);
            let passed = (0..10_000).take_while(|_| bucket.take(1, Nanos(5)).is_ok()).count();
            assert_eq!(passed as u64, per_sec * 2);
            let wait = bucket.take(1, Nanos(5)).unwrap_err().as_nanos() as u64;
            assert!(wait.abs_diff(SECOND / per_sec) <= per_sec * 2, "{wait}");
        }
    }

    #[test]
    fn more_than_it_holds_passes_when_it_is_full_and_is_paid_off() {
        let bucket = bucket(10.0, 1.0);
        bucket.take(50, Nanos(0)).unwrap();
        assert_eq!(bucket.take(1, Nanos(0)), Err(Duration::from_millis(4100)));
        assert_eq!(bucket.take(50, Nanos(0)), Err(Duration::from_secs(5)));
        assert_eq!(bucket.take(1, Nanos(4_100_000_000)), Ok(()));
    }

    #[test]
    fn what_is_refused_costs_nothing_and_what_is_given_back_is_there() {
        let bucket = bucket(10.0, 1.0);
        bucket.take(10, Nanos(0)).unwrap();
        for _ in 0..100 {
            assert_eq!(bucket.take(5, Nanos(0)), Err(Duration::from_millis(500)));
        }
        bucket.give_back(5);
        assert_eq!(bucket.take(5, Nanos(0)), Ok(()));
    }

    #[test]
    fn senseless_rates_are_none() {
        for (per_sec, burst) in [(0.0, 1.0), (-1.0, 1.0), (f64::NAN, 1.0), (1e10, 1.0), (1.0, 0.0)] {
            assert_eq!(Rate::new(per_sec, burst), None);
        }
        assert_eq!(Rate::new(1.0, f64::INFINITY), None);
    }

    #[test]
    fn nothing_overflows() {
        let bucket = bucket(0.001, 3600.0);
        bucket.take(u64::MAX, Nanos(u64::MAX)).unwrap();
        assert!(bucket.take(u64::MAX, Nanos(0)).is_err());
        bucket.give_back(u64::MAX);
    }

    /// The textbook's bucket: a level that grows with time, in units of 1e-9, exact for rates
    /// that divide a second's nanoseconds.
    struct Naive {
        per_sec: u128,
        capacity: u128,
        level: u128,
        at: u64,
    }

    impl Naive {
        fn take(&mut self, units: u64, now: u64) -> bool {
            self.level = self.capacity.min(self.level + u128::from(now - self.at) * self.per_sec);
            self.at = now;
            let cost = u128::from(units) * u128::from(SECOND);
            let passes = cost <= self.level;
            self.level -= if passes { cost } else { 0 };
            passes
        }
    }

    proptest! {
        #[test]
        fn it_does_what_the_naive_bucket_does(
            per_sec in prop::sample::select(vec![1_u64, 2, 5, 8, 10, 100, 625, 1000, 1_000_000]),
            burst_ms in 1000_u64..5000,
            steps in prop::collection::vec((0_u64..1_500_000_000, 1_u64..4), 1..200),
        ) {
            let bucket = bucket(per_sec as f64, burst_ms as f64 / 1000.0);
            let capacity = u128::from(bucket.rate.burst_ns) * u128::from(per_sec);
            let mut naive = Naive { per_sec: per_sec.into(), capacity, level: capacity, at: 0 };
            let mut now = 0;
            for (later, units) in steps {
                now += later / per_sec;
                // What the bucket can never hold is the other test's.
                if u128::from(units) * u128::from(SECOND) <= capacity {
                    prop_assert_eq!(bucket.take(units, Nanos(now)).is_ok(), naive.take(units, now));
                }
            }
        }

        #[test]
        fn who_waits_as_told_passes_and_who_waits_less_does_not(
            per_sec in 0.0001_f64..1e6,
            burst in 0.001_f64..3600.0,
            takes in prop::collection::vec((1_u64..100_000, 0_u64..SECOND), 1..100),
        ) {
            let bucket = bucket(per_sec, burst);
            let mut now = 0;
            for (units, later) in takes {
                now += later;
                if let Err(wait) = bucket.take(units, Nanos(now)) {
                    let wait = wait.as_nanos() as u64;
                    prop_assert!(wait > 0);
                    prop_assert!(bucket.take(units, Nanos(now + wait - 1)).is_err());
                    now += wait;
                    prop_assert_eq!(bucket.take(units, Nanos(now)), Ok(()));
                }
            }
        }

        #[test]
        fn over_any_time_no_more_passes_than_burst_and_rate_allow(
            per_sec in 0.1_f64..1e5,
            burst in 0.01_f64..10.0,
            laters in prop::collection::vec(0_u64..SECOND / 50, 1..300),
        ) {
            let bucket = bucket(per_sec, burst);
            let (mut now, mut passed) = (0, 0_u64);
            for later in laters {
                now += later;
                passed += u64::from(bucket.take(1, Nanos(now)).is_ok());
            }
            let allowed = per_sec * (burst + now as f64 / 1e9) * 1.001 + 1.0;
            prop_assert!(passed as f64 <= allowed, "{} of {}", passed, allowed);
        }
    }
}
