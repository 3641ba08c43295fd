//! How many lines of the log something may fill a second.

use std::time::{Duration, Instant};

/// Lines of the current second, and how many it may have.
#[derive(Debug)]
pub struct LogBudget {
    most: u32,
    second: Option<Instant>,
    lines: u32,
}

impl LogBudget {
    /// `most` lines a second.
    pub fn new(most: u32) -> Self {
        Self { most, second: None, lines: 0 }
    }

    /// May one more line be written? With the lines that were left out of the last second.
    pub fn take(&mut self, now: Instant) -> (bool, u32) {
        let fresh = self.second.is_none_or(|began| now - began >= Duration::from_secs(1));
        let left_out = if fresh { self.lines.saturating_sub(self.most) } else { 0 };
        if fresh {
            (self.second, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        (self.lines <= self.most, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines() {
        let (mut budget, start) = (LogBudget::new(20), Instant::now());
        assert!((0..20).all(|_| budget.take(start).0));
        assert_eq!(budget.take(start), (false, 0));
        assert_eq!(budget.take(start), (false, 0));
        assert_eq!(budget.take(start + Duration::from_secs(1)), (true, 2));
    }
}
