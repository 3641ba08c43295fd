//! Whether a plugin's calls of `on-publish` are quick, all of them. One that is needs no stack of its own, which it could leave in the
//! middle so that others run; and without one a quick call costs a sixth less.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls in a row, before it is believed.
const ENOUGH: u32 = 1000;
/// So long after one that was not, nothing is believed: at most so often does a plugin hold up its shard.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// Of one version of a plugin, on all shards.
#[derive(Debug, Default)]
pub struct Quick {
    in_a_row: AtomicU32,
    not_before: Mutex<Option<Instant>>,
}

impl Quick {
    /// A call begins. Will it be quick, by all that is known?
    pub fn expects(&self) -> bool {
        let in_a_row = self.in_a_row.load(Relaxed);
        in_a_row >= ENOUGH || self.one_more(in_a_row, Instant::now)
    }

    #[cold]
    fn one_more(&self, in_a_row: u32, now: impl FnOnce() -> Instant) -> bool {
        let mut next = in_a_row + 1;
        if next == ENOUGH
            && let Some(not_before) = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
            && now() < not_before
        {
            next = 0;
        }
        // Where another shard has just counted one, or had a long one, that stands.
        let _ = self.in_a_row.compare_exchange(in_a_row, next, Relaxed, Relaxed);
        false
    }

    /// A call has had more than a slice.
    #[cold]
    pub fn was_long(&self) {
        self.not_till_after(Instant::now());
    }

    fn not_till_after(&self, now: Instant) {
        *self.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + AFTERWARDS);
        self.in_a_row.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls until one is expected to be quick, at a time.
    fn until_expected(quick: &Quick, now: Instant) -> Option<u32> {
        (0..3 * ENOUGH).find(|_| {
            let in_a_row = quick.in_a_row.load(Relaxed);
            in_a_row >= ENOUGH || quick.one_more(in_a_row, || now)
        })
    }

    #[test]
    fn many_that_were_quick_are_believed_and_one_that_was_not_for_a_minute() {
        let (quick, now) = (Quick::default(), Instant::now());
        assert_eq!(until_expected(&quick, now), Some(ENOUGH));
        assert!(quick.expects());
        quick.not_till_after(now);
        assert!(!quick.expects());
        assert_eq!(until_expected(&quick, now + AFTERWARDS - Duration::from_millis(1)), None);
        let then = until_expected(&quick, now + AFTERWARDS).unwrap();
        assert!((1..=ENOUGH).contains(&then), "{then}");
    }
}
