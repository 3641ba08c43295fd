//! How a version behaves: its calls while somebody compares them, its failures always; and what
//! comes of it. Where nobody compares and nothing fails, a call costs two looks at a number.
//!
//! Things pause: a channel, a filter, an instance, by their own failures; and the version as a
//! whole, when its calls are ended again and again, wherever. A pause is over by itself. When
//! there are too many the version is at fault, and the host's thread takes it back, or puts it
//! into quarantine, which ends only from outside.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::failure::PluginFailure;
use super::health::Health;
use super::standing::Standing;
use super::watcher::Note;
use crate::core::PluginName;

/// Failures further apart than this have nothing to do with each other.
const WINDOW: Duration = Duration::from_secs(60);
/// So many that are paused within a [`WINDOW`] are the version's fault and not theirs.
const CULPRITS: usize = 5;
/// Calls ended within a minute, each of which has cost its shard milliseconds, that are borne
/// before the version pauses as a whole.
const PATIENCE: usize = 16;
/// Pauses of the whole in a row, however many of its calls are well: it would pause for ever.
const WHOLE_PAUSES: u32 = 5;

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
    standing: Standing,
    /// It has left the registry.
    withdrawn: AtomicBool,
    recent: Mutex<Recent>,
    alarm: OnceLock<Alarm>,
}

/// The failures of the window that began with the first of them.
#[derive(Debug)]
struct Recent {
    began: Option<(Instant, Tally)>,
    culprits: HashSet<u64>,
    /// Somebody compares it with another version, whatever else happens.
    compared: bool,
    /// Of its calls that had to be ended.
    whole: Health,
}

impl Default for Recent {
    fn default() -> Self {
        let whole = Health::with_patience(PATIENCE);
        Self { began: None, culprits: HashSet::new(), compared: false, whole }
    }
}

/// Why a version is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It paused in [`CULPRITS`] places within a minute, in which so many of its calls failed.
    Places(Tally),
    /// It paused as a whole, so many times in a row.
    Whole(u32),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Places(Tally { calls, failed }) => {
                write!(f, "{failed} of {calls} calls failed within a minute, in many places")
            }
            Self::Whole(times) => {
                write!(f, "it paused as a whole {times} times in a row: its calls had to be ended")
            }
        }
    }
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
    /// An instance that all calls of a shard go to, or the version as a whole: every pause counts.
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

    /// May it be called?
    ///
    /// # Errors
    /// It pauses, or is in quarantine.
    pub fn check(&self) -> Result<(), PluginFailure> {
        self.standing.check()
    }

    pub fn is_quarantined(&self) -> bool {
        self.standing.is_quarantined()
    }

    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Relaxed)
    }

    // === failures ===

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Some: the version pauses as a whole from now on, for so long. Traps are no reason for that:
    /// they cost next to nothing, and are the matter of where they happen. Of a stack that has overflowed every
    /// frame is walked, tens of thousands of them: half a millisecond.
    pub fn failed(&self, failure: &PluginFailure, now: Instant) -> Option<Duration> {
        let was_costly = matches!(
            failure,
            PluginFailure::Deadline { .. }
                | PluginFailure::Memory { .. }
                | PluginFailure::Table { .. }
                | PluginFailure::StackOverflow(_)
        );
        let before = self.tally();
        self.failed.fetch_add(1, Relaxed);
        let mut recent = self.recent();
        if recent.began.is_none_or(|(began, _)| now >= began + WINDOW) {
            recent.began = Some((now, before));
            recent.culprits.clear();
        }
        // Calls that were under way when a pause began count once, with the one that began it.
        let pauses = was_costly && recent.whole.check(|| now).is_ok();
        let pause = if pauses { recent.whole.failed(now) } else { None };
        drop(recent);
        // From the first failure on it is of interest how many calls do not fail.
        self.counting.store(true, Relaxed);
        match pause {
            Some(time) => {
                self.standing.pause(now, time);
                self.paused(Culprit::Instance);
            }
            None => self.ring(),
        }
        pause
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

    /// Has so much of it failed that the version itself is at fault? Within a minute it paused in
    /// [`CULPRITS`] places, and at least so many percent of its calls failed; or it paused as a whole
    /// [`WHOLE_PAUSES`] times in a row.
    pub fn is_at_fault(&self, percent: u8) -> Option<Fault> {
        let recent = self.recent();
        let whole = recent.whole.in_a_row();
        if whole >= WHOLE_PAUSES {
            return Some(Fault::Whole(whole));
        }
        let (_, before) = recent.began?;
        if recent.culprits.len() < CULPRITS {
            return None;
        }
        let since = self.tally().since(before);
        let is_at_fault = since.failed * 100 >= since.calls * u64::from(percent);
        is_at_fault.then_some(Fault::Places(since))
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

    /// It is not called until it is reopened.
    pub fn quarantine(&self) {
        self.standing.quarantine();
    }

    /// It is called again, and its past is no news.
    pub fn reopen(&self) {
        let mut recent = self.recent();
        *recent = Recent { compared: recent.compared, ..Recent::default() };
        self.counting.store(recent.compared, Relaxed);
        self.standing.reopen();
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
    use crate::plugin::failure::Place;

    fn trap() -> PluginFailure {
        PluginFailure::Panic("in f".into())
    }

    fn ended() -> PluginFailure {
        PluginFailure::Deadline { ms: 20, at: Place::default() }
    }

    #[test]
    fn calls_that_are_ended_again_and_again_pause_the_whole_and_traps_do_not() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(conduct.failed(&trap(), now), None);
        }
        let memory = PluginFailure::Memory { limit: 1, at: Place::default() };
        for n in 1..PATIENCE {
            let failure = if n % 2 == 0 { memory.clone() } else { ended() };
            assert_eq!(conduct.failed(&failure, now), None);
            assert_eq!(conduct.check(), Ok(()));
        }
        assert!(conduct.failed(&PluginFailure::StackOverflow(Place::default()), now).is_some());
        assert!(matches!(conduct.check(), Err(PluginFailure::Paused { .. })));
        assert_eq!(conduct.failed(&ended(), now), None, "one that was under way");
    }

    #[test]
    fn a_version_that_pauses_as_a_whole_in_a_row_is_at_fault_however_well_most_calls_are() {
        let (conduct, mut now) = (Conduct::default(), Instant::now());
        conduct.compare(true);
        (0..10_000).for_each(|_| conduct.called());
        let mut pauses = 0;
        while conduct.is_at_fault(100).is_none() {
            match conduct.failed(&ended(), now) {
                Some(pause) => {
                    pauses += 1;
                    now += pause + Duration::from_secs(1);
                }
                None => assert!(pauses < WHOLE_PAUSES),
            }
        }
        assert_eq!(conduct.is_at_fault(100), Some(Fault::Whole(WHOLE_PAUSES)));
        assert_eq!(pauses, WHOLE_PAUSES);
        conduct.quarantine();
        assert_eq!(conduct.check(), Err(PluginFailure::Quarantined));
        conduct.reopen();
        assert_eq!((conduct.check(), conduct.is_at_fault(1)), (Ok(()), None));
    }

    #[test]
    fn pauses_of_the_whole_with_well_times_between_are_not_in_a_row() {
        let (conduct, mut now) = (Conduct::default(), Instant::now());
        (0..1000).for_each(|_| conduct.called());
        for _ in 0..3 * WHOLE_PAUSES {
            (0..PATIENCE).for_each(|_| _ = conduct.failed(&ended(), now));
            assert_eq!(conduct.is_at_fault(100), None);
            now += Duration::from_secs(61);
        }
    }

    #[test]
    fn a_pause_of_the_whole_is_a_place_among_others() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        (0..PATIENCE).for_each(|_| _ = conduct.failed(&ended(), now));
        (1..CULPRITS - 1).for_each(|n| conduct.paused(Culprit::of(n)));
        assert_eq!(conduct.is_at_fault(10), None);
        conduct.paused(Culprit::of(0));
        assert!(matches!(conduct.is_at_fault(10), Some(Fault::Places(_))));
    }

    #[test]
    fn one_culprit_is_not_the_versions_fault() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        for _ in 0..100 {
            conduct.failed(&trap(), now);
            conduct.paused(Culprit::One(7));
        }
        assert_eq!(conduct.is_at_fault(10), None);
        (0..4).for_each(|n| conduct.paused(Culprit::One(n)));
        assert_eq!(conduct.is_at_fault(10), Some(Fault::Places(Tally { calls: 100, failed: 100 })));
    }

    #[test]
    fn few_failures_among_many_calls_are_no_fault() {
        let (conduct, now) = (Conduct::default(), Instant::now());
        for _ in 0..5 {
            conduct.failed(&trap(), now);
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
            conduct.failed(&trap(), now + n * WINDOW);
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
