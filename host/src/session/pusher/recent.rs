//! So many events in any second: a bucket would let through nearly twice as many in its first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Recent {
    most: usize,
    /// Of the last second's events, at most `most`.
    times: VecDeque<Instant>,
}

impl Recent {
    pub fn new(most: usize) -> Self {
        Self { most, times: VecDeque::new() }
    }

    /// One more. False: there were as many as there may be, and it does not count.
    pub fn take(&mut self, now: Instant) -> bool {
        while self.times.front().is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.times.pop_front();
        }
        let takes = self.times.len() < self.most;
        if takes {
            self.times.push_back(now);
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_pass_in_any_second() {
        let mut recent = Recent::new(10);
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        assert!((0..10).all(|n| recent.take(at(n * 90))));
        assert!(!recent.take(at(999)));
        assert!(recent.take(at(1000)));
        assert!(!recent.take(at(1000)));
        assert!(recent.take(at(1090)));
    }
}
