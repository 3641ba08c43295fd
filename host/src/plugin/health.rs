//! Pauses: who fails again and again is not called for a while. A channel, a filter or an instance,
//! so that no new one is made each time; and a version as a whole, whose calls cost time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::failure::PluginFailure;

const FAILURES: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// The failures of one: so many within a minute start pauses of 1, 2, 4 … 30 s; ten seconds
/// without a failure after a pause end the matter.
#[derive(Debug)]
pub struct Health {
    patience: usize,
    failures: VecDeque<Instant>,
    pause: Option<Duration>,
    in_a_row: u32,
    until: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self::with_patience(FAILURES)
    }
}

impl Health {
    /// Pauses after this many failures within a minute.
    pub fn with_patience(patience: usize) -> Self {
        Self { patience, failures: VecDeque::new(), pause: None, in_a_row: 0, until: None }
    }

    /// Pauses since it was last well.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// `Err` while it pauses.
    pub fn check(&mut self, now: impl FnOnce() -> Instant) -> Result<(), PluginFailure> {
        // The usual case asks no clock.
        let Some(until) = self.until else { return Ok(()) };
        let now = now();
        if now < until {
            return Err(PluginFailure::Paused { retry_ms: (until - now).as_millis() as u64 });
        }
        if now >= until + HEALTHY_AFTER {
            *self = Self::with_patience(self.patience);
        }
        Ok(())
    }

    /// Some: it pauses from now on, for so long.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now - *at > WITHIN) {
            self.failures.pop_front();
        }
        if self.failures.len() < self.patience {
            return None;
        }
        let pause = self.pause.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        (self.pause, self.until) = (Some(pause), Some(now + pause));
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn three_failures_pause_and_pauses_double() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.failed(start);
        health.failed(start);
        assert!(health.check(|| start).is_ok());
        health.failed(start);
        assert!(health.check(|| start + seconds(0.9)).is_err());
        assert!(health.check(|| start + seconds(1.1)).is_ok());
        health.failed(start + seconds(1.1));
        assert!(health.check(|| start + seconds(3.0)).is_err());
        assert!(health.check(|| start + seconds(3.2)).is_ok());
    }

    #[test]
    fn old_failures_are_forgotten() {
        let (mut health, start) = (Health::default(), Instant::now());
        health.failed(start);
        health.failed(start + seconds(1.0));
        health.failed(start + seconds(61.5));
        assert!(health.check(|| start + seconds(61.5)).is_ok());
    }

    #[test]
    fn ten_healthy_seconds_end_the_matter() {
        let (mut health, start) = (Health::default(), Instant::now());
        for _ in 0..3 {
            health.failed(start);
        }
        assert!(health.check(|| start + seconds(11.5)).is_ok());
        health.failed(start + seconds(12.0));
        assert!(health.check(|| start + seconds(12.0)).is_ok());
    }
}
