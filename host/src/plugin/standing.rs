//! Whether a version is called: one number, looked at before each of its calls.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::failure::PluginFailure;

/// Called; pausing as a whole until a time; or in quarantine.
#[derive(Debug, Default)]
pub struct Standing(AtomicU64);

const CALLED: u64 = 0;
/// Anything between the two is the end of a pause, in milliseconds of this process.
const QUARANTINED: u64 = u64::MAX;

/// Milliseconds from the first pause on.
fn millis(now: Instant) -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    now.saturating_duration_since(*BEGAN.get_or_init(Instant::now)).as_millis() as u64
}

impl Standing {
    /// # Errors
    /// [`PluginFailure::Paused`] or [`PluginFailure::Quarantined`]. Otherwise it costs a look at one
    /// number.
    pub fn check(&self) -> Result<(), PluginFailure> {
        match self.0.load(Relaxed) {
            CALLED => Ok(()),
            QUARANTINED => Err(PluginFailure::Quarantined),
            until => match until.saturating_sub(millis(Instant::now())) {
                0 => Ok(()),
                retry_ms => Err(PluginFailure::Paused { retry_ms }),
            },
        }
    }

    pub fn is_quarantined(&self) -> bool {
        self.0.load(Relaxed) == QUARANTINED
    }

    /// A pause changes nothing of a quarantine.
    pub fn pause(&self, now: Instant, time: Duration) {
        let until = millis(now) + (time.as_millis() as u64).max(1);
        let change = |state| (state != QUARANTINED).then_some(until);
        // Of what it is already there is nothing to do.
        let _ = self.0.fetch_update(Relaxed, Relaxed, change);
    }

    pub fn quarantine(&self) {
        self.0.store(QUARANTINED, Relaxed);
    }

    pub fn reopen(&self) {
        self.0.store(CALLED, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_by_itself_and_a_quarantine_does_not() {
        let (standing, now) = (Standing::default(), Instant::now());
        assert_eq!(standing.check(), Ok(()));
        standing.pause(now, Duration::from_secs(60));
        assert!(matches!(standing.check(), Err(PluginFailure::Paused { retry_ms }) if retry_ms <= 60_000));
        standing.pause(now, Duration::ZERO);
        while standing.check().is_err() {}
        standing.quarantine();
        standing.pause(now, Duration::from_secs(60));
        assert_eq!(standing.check(), Err(PluginFailure::Quarantined));
        standing.reopen();
        assert_eq!(standing.check(), Ok(()));
    }
}
