//! When a plugin's instance fails again and again: refuse its calls for a while instead of
//! making a new instance each time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::failure::PluginFailure;

const FAILURES: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// The failures of one instance slot: three within a minute start pauses of 1, 2, 4 … 30 s;
/// ten seconds without a failure after a pause end the matter.
#[derive(Debug)]
pub struct Health {
    patience: usize,
    failures: VecDeque<Instant>,
    pause: Option<Duration>,
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
        Self { patience, failures: VecDeque::new(), pause: None, until: None }
    }

    /// `Err` while the slot pauses.
    pub fn check(&mut self, now: impl FnOnce() -> Instant) -> Result<(), PluginFailure> {
        // The usual case asks no clock.
        let Some(until) = self.until else { return Ok(()) };
        let now = now();
        if now < until {
            return Err(PluginFailure::Degraded { retry_ms: (until - now).as_millis() as u64 });
        }
        if now >= until + HEALTHY_AFTER {
            *self = Self::with_patience(self.patience);
        }
        Ok(())
    }

    /// True: it pauses now.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now - *at > WITHIN) {
            self.failures.pop_front();
        }
        let pauses = self.failures.len() >= self.patience;
        if pauses {
            let pause = self.pause.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
            self.pause = Some(pause);
            self.until = Some(now + pause);
        }
        pauses
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
