//! How a version behaves: its calls while somebody compares them, its failures always. Where
//! nobody compares and nothing fails, a call costs one look at a flag.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::watcher::Note;
use crate::core::PluginName;

/// Failures further apart than this have nothing to do with each other.
const WINDOW: Duration = Duration::from_secs(60);
/// So many channels, filters or instances that are paused within a [`WINDOW`] are the version's
/// fault and not theirs.
pub const CULPRITS: usize = 5;

/// Calls, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: u64,
    pub failed: u64,
}

#[derive(Debug, Default)]
pub struct Conduct {
    counting: AtomicBool,
    calls: AtomicU64,
    failed: AtomicU64,
    quarantined: AtomicBool,
    /// It has left the registry.
    withdrawn: AtomicBool,
    recent: Mutex<Recent>,
    alarm: OnceLock<Alarm>,
}

/// The failures of the window that began with the first of them.
#[derive(Debug, Default)]
struct Recent {
    began: Option<(Instant, Tally)>,
    culprits: HashSet<u64>,
    /// Somebody compares it with another version, whatever else happens.
    compared: bool,
}

/// Wakes the plugin host's thread.
#[derive(Debug)]
struct Alarm {
    notes: mpsc::Sender<Note>,
    plugin: PluginName,
    rung: AtomicBool,
}

/// Who pauses after repeated failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// A channel or a filter, by a hash of what it is called.
    One(u64),
    /// An instance that all calls of a shard go to: every pause counts.
    Instance,
}

impl Culprit {
    pub fn of(name: impl Hash) -> Self {
        Self::One(BuildHasherDefault::<DefaultHasher>::default().hash_one(name))
    }
}

impl Conduct {
    /// Failures are told of from now on.
    pub fn report_to(&self, notes: mpsc::Sender<Note>, plugin: PluginName) {
        // Told once; a version is installed by one host.
        let _ = self.alarm.set(Alarm { notes, plugin, rung: AtomicBool::new(false) });
    }

    // === on the way of calls ===

    pub fn called(&self) {
        if self.counting.load(Relaxed) {
            self.calls.fetch_add(1, Relaxed);
        }
    }

    pub fn is_quarantined(&self) -> bool {
        self.quarantined.load(Relaxed)
    }

    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Relaxed)
    }

    // === failures ===

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn failed(&self, now: Instant) {
        let before = self.tally();
        self.failed.fetch_add(1, Relaxed);
        let mut recent = self.recent();
        if recent.began.is_none_or(|(began, _)| now >= began + WINDOW) {
            recent.began = Some((now, before));
            recent.culprits.clear();
        }
        drop(recent);
        // From the first failure on it is of interest how many calls do not fail.
        self.counting.store(true, Relaxed);
        self.ring();
    }

    /// Somebody is left alone for a while after too many failures.
    pub fn paused(&self, who: Culprit) {
        static INSTANCES: AtomicU64 = AtomicU64::new(0);
        let id = match who {
            Culprit::One(hash) => hash,
            Culprit::Instance => INSTANCES.fetch_add(1, Relaxed),
        };
        let mut recent = self.recent();
        if recent.culprits.len() < CULPRITS {
            recent.culprits.insert(id);
        }
        drop(recent);
        self.ring();
    }

    fn ring(&self) {
        if let Some(alarm) = self.alarm.get()
            && !alarm.rung.swap(true, Relaxed)
        {
            // The host may be gone.
            let _ = alarm.notes.send(Note::Trouble(alarm.plugin.clone()));
        }
    }

    // === for the host's thread ===

    /// The next failure rings again.
    pub fn heard(&self) {
        if let Some(alarm) = self.alarm.get() {
            alarm.rung.store(false, Relaxed);
        }
    }

    /// Calls since somebody began to count, and failures since it was loaded.
    pub fn tally(&self) -> Tally {
        Tally { calls: self.calls.load(Relaxed), failed: self.failed.load(Relaxed) }
    }

    /// From now on calls are counted, until it says otherwise.
    pub fn compare(&self, compared: bool) {
        let mut recent = self.recent();
        recent.compared = compared;
        self.counting.store(compared || recent.began.is_some(), Relaxed);
    }

    /// Within a minute enough of it has failed for the version itself to be at fault: it paused in
    /// [`CULPRITS`] places, and at least so many percent of its calls failed.
    pub fn is_at_fault(&self, percent: u8) -> Option<Tally> {
        let recent = self.recent();
        let (_, before) = recent.began?;
        if recent.culprits.len() < CULPRITS {
            return None;
        }
        let since = self.tally().since(before);
        (since.failed * 100 >= since.calls * u64::from(percent)).then_some(since)
    }

    /// A minute after the first failure the matter is over, if it was not one for the host.
    pub fn calm(&self, now: Instant) {
        let mut recent = self.recent();
        if recent.began.is_some_and(|(began, _)| now >= began + WINDOW) {
            recent.began = None;
            recent.culprits.clear();
            self.counting.store(recent.compared, Relaxed);
        }
    }

    pub fn quarantine(&self, quarantined: bool) {
        self.quarantined.store(quarantined, Relaxed);
        let mut recent = self.recent();
        recent.began = None;
        recent.culprits.clear();
    }

    pub fn withdraw(&self, withdrawn: bool) {
        self.withdrawn.store(withdrawn, Relaxed);
    }
}

impl Tally {
    /// Not less than its failures: what is made for a call can fail before it.
    pub fn since(self, before: Self) -> Self {
        let failed = self.failed.saturating_sub(before.failed);
        Self { calls: self.calls.saturating_sub(before.calls).max(failed), failed }
    }

    /// A greater part of its calls failed.
    pub fn is_worse_than(self, other: Self) -> bool {
        u128::from(self.failed) * u128::from(other.calls.max(1))
            > u128::from(other.failed) * u128::from(self.calls.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_culprit_is_not_the_versions_fault() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        for _ in 0..100 {
            conduct.failed(now);
            conduct.paused(Culprit::One(7));
        }
        assert_eq!(conduct.is_at_fault(10), None);
        (0..4).for_each(|n| conduct.paused(Culprit::One(n)));
        assert_eq!(conduct.is_at_fault(10), Some(Tally { calls: 100, failed: 100 }));
    }

    #[test]
    fn few_failures_among_many_calls_are_no_fault() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        for _ in 0..5 {
            conduct.failed(now);
            conduct.paused(Culprit::Instance);
        }
        assert!(conduct.is_at_fault(10).is_some());
        (0..100).for_each(|_| conduct.called());
        assert_eq!(conduct.is_at_fault(10), None);
    }

    #[test]
    fn failures_of_another_minute_are_forgotten() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        for n in 0..5 {
            conduct.failed(now + n * WINDOW);
            conduct.paused(Culprit::Instance);
        }
        assert_eq!(conduct.is_at_fault(10), None);
        conduct.calm(now + 5 * WINDOW);
        conduct.called();
        assert_eq!(conduct.tally(), Tally { calls: 0, failed: 5 }, "nobody counts any more");
    }

    #[test]
    fn rates_are_compared_and_not_numbers() {
        let tally = |failed, calls| Tally { calls, failed };
        assert!(tally(2, 10).is_worse_than(tally(10, 100)));
        assert!(!tally(1, 10).is_worse_than(tally(10, 100)));
        assert!(tally(1, 1).is_worse_than(tally(0, 0)));
        assert!(!tally(0, 0).is_worse_than(tally(0, 5)));
    }
}
