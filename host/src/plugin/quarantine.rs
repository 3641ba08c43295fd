//! A version whose calls are ended again and again, on whatever channel: each of them has cost its
//! shard milliseconds, so all of the version's calls pause. A new file is another version.
//!
//! Traps are not counted here: they cost next to nothing, and are the matter of the channel, filter
//! or instance that they happen in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::failure::PluginFailure;
use super::health::Health;

/// Calls ended within a minute that are borne.
const PATIENCE: usize = 16;

pub struct Quarantine {
    health: Mutex<Health>,
    /// Milliseconds of this process; 0: never.
    until: AtomicU64,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { health: Mutex::new(Health::with_patience(PATIENCE)), until: AtomicU64::new(0) }
    }
}

/// Milliseconds from the first call on.
fn now_ms(now: Instant) -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    now.saturating_duration_since(*BEGAN.get_or_init(Instant::now)).as_millis() as u64
}

impl Quarantine {
    /// `Err` while it lasts. Otherwise it costs a look at one number.
    pub fn check(&self) -> Result<(), PluginFailure> {
        match self.until.load(Relaxed) {
            0 => Ok(()),
            until => match until.saturating_sub(now_ms(Instant::now())) {
                0 => Ok(()),
                retry_ms => Err(PluginFailure::Degraded { retry_ms }),
            },
        }
    }

    /// Milliseconds that it will last, if this failure begins it or makes it longer.
    pub fn failed(&self, failure: &PluginFailure) -> Option<u64> {
        let is_costly = matches!(
            failure,
            PluginFailure::Deadline { .. } | PluginFailure::Memory { .. } | PluginFailure::Table { .. }
        );
        if !is_costly {
            return None;
        }
        let now = Instant::now();
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has been well for a while begins anew. Calls that were under way when it began
        // count once, with the one that began it.
        if health.check(|| now).is_err() {
            return None;
        }
        health.failed(now);
        let pause = health.check(|| now).err()?;
        let PluginFailure::Degraded { retry_ms } = pause else { return None };
        self.until.store((now_ms(now) + retry_ms).max(1), Relaxed);
        Some(retry_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::failure::Place;

    #[test]
    fn calls_that_are_ended_again_and_again_begin_it_and_traps_do_not() {
        let quarantine = Quarantine::default();
        for _ in 0..100 {
            assert_eq!(quarantine.failed(&PluginFailure::Panic("in f".into())), None);
        }
        for _ in 1..PATIENCE {
            assert_eq!(quarantine.failed(&PluginFailure::Deadline { ms: 20, at: Place::default() }), None);
            assert_eq!(quarantine.check(), Ok(()));
        }
        assert!(quarantine.failed(&PluginFailure::Memory { limit: 1, at: Place::default() }).is_some());
        assert!(matches!(quarantine.check(), Err(PluginFailure::Degraded { .. })));
        assert_eq!(
            quarantine.failed(&PluginFailure::Deadline { ms: 20, at: Place::default() }),
            None,
            "one that was under way"
        );
    }
}
