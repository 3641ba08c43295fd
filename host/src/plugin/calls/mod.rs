//! What is counted of a plugin's calls: how many, how they failed, how long they took, and what its
//! instances take of memory. It outlives the plugin's versions, and is added up when somebody asks.
//!
//! Each thread counts in a [`Tally`] of its own, with no atomic operation but loads and stores: a
//! call costs an addition, and one in so many two looks at the clock.

mod times;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

pub use times::Times;
use times::TimesTally;

use super::lane::Lane;

/// What can be called of a component, beside what ends things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// Making an instance, and what is asked of it once: `describe`, `names`.
    Start,
    Authenticate,
    Authorize,
    Open,
    Save,
    OnSubscribe,
    OnPublish,
    OnUnsubscribe,
    OnTimer,
    /// The channel's resource is dropped.
    Close,
    FilterAdd,
    FilterRemove,
    FilterEvaluate,
    Action,
}

impl Function {
    pub const ALL: [Self; 14] = [
        Self::Start,
        Self::Authenticate,
        Self::Authorize,
        Self::Open,
        Self::Save,
        Self::OnSubscribe,
        Self::OnPublish,
        Self::OnUnsubscribe,
        Self::OnTimer,
        Self::Close,
        Self::FilterAdd,
        Self::FilterRemove,
        Self::FilterEvaluate,
        Self::Action,
    ];

    /// As the contract calls it, with its interface where the name alone says too little.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Authenticate => "authenticate",
            Self::Authorize => "authorize",
            Self::Open => "open",
            Self::Save => "save",
            Self::OnSubscribe => "on-subscribe",
            Self::OnPublish => "on-publish",
            Self::OnUnsubscribe => "on-unsubscribe",
            Self::OnTimer => "on-timer",
            Self::Close => "close",
            Self::FilterAdd => "filter-add",
            Self::FilterRemove => "filter-remove",
            Self::FilterEvaluate => "filter-evaluate",
            Self::Action => "action",
        }
    }

    /// Of so many calls on a thread one is timed, the first among them.
    fn timed(self) -> u64 {
        match self {
            Self::OnPublish => 64,
            _ => 1,
        }
    }
}

/// The counts of one plugin.
#[derive(Debug, Default)]
pub struct Calls {
    tallies: Mutex<Vec<(ThreadId, Arc<Tally>)>>,
    /// By class; only what fails comes here.
    failures: Mutex<BTreeMap<(Function, &'static str), u64>>,
    instances: AtomicUsize,
    /// Bytes of linear memory of all instances.
    memory: AtomicUsize,
    memory_peak: AtomicUsize,
}

/// Of one thread, which alone writes to it.
#[derive(Debug, Default)]
pub struct Tally {
    functions: [FunctionTally; Function::ALL.len()],
    /// Of that thread's calls that run long.
    pub lane: Lane,
}

#[derive(Debug, Default)]
pub struct FunctionTally {
    calls: AtomicU64,
    times: TimesTally,
}

impl Tally {
    fn of(&self, function: Function) -> &FunctionTally {
        // As many as there are functions.
        &self.functions[function as usize]
    }

    /// Counts a call. Is it one that is to be timed?
    pub fn begins(&self, function: Function) -> bool {
        let calls = &self.of(function).calls;
        let before = calls.load(Ordering::Relaxed);
        calls.store(before + 1, Ordering::Relaxed);
        before.is_multiple_of(function.timed())
    }

    pub fn took(&self, function: Function, nanos: u64) {
        self.of(function).times.add(nanos);
    }
}

impl Calls {
    /// This thread's.
    pub fn tally(&self) -> Arc<Tally> {
        let me = std::thread::current().id();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tally)) = tallies.iter().find(|(thread, _)| *thread == me) {
            return tally.clone();
        }
        let tally = Arc::new(Tally::default());
        tallies.push((me, tally.clone()));
        tally
    }

    /// `class` is that of a [`PluginFailure`](super::PluginFailure).
    pub fn failed(&self, function: Function, class: &'static str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry((function, class)).or_default() += 1;
    }

    pub fn instance_made(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    /// With the memory that it had.
    pub fn instance_gone(&self, bytes: usize) {
        self.instances.fetch_sub(1, Ordering::Relaxed);
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn memory_grew(&self, bytes: usize) {
        let memory = self.memory.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.memory_peak.fetch_max(memory, Ordering::Relaxed);
    }

    pub fn counted(&self) -> Counted {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let functions = Function::ALL.into_iter().filter_map(|function| {
            let mut counted = FunctionCounted::default();
            for (_, tally) in tallies.iter() {
                let tally = tally.of(function);
                counted.calls += tally.calls.load(Ordering::Relaxed);
                tally.times.add_to(&mut counted.times);
            }
            let of_it = failures.iter().filter(|((failed, _), _)| *failed == function);
            counted.failures = of_it.map(|((_, class), times)| (*class, *times)).collect();
            (counted.calls > 0).then_some((function, counted))
        });
        Counted {
            functions: functions.collect(),
            instances: self.instances.load(Ordering::Relaxed),
            memory: self.memory.load(Ordering::Relaxed),
            memory_peak: self.memory_peak.load(Ordering::Relaxed),
        }
    }
}

/// All threads together, since the start.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Those that have been called.
    pub functions: BTreeMap<Function, FunctionCounted>,
    pub instances: usize,
    pub memory: usize,
    pub memory_peak: usize,
}

#[derive(Clone, Debug, Default)]
pub struct FunctionCounted {
    pub calls: u64,
    pub failures: BTreeMap<&'static str, u64>,
    pub times: Times,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_stand_in_their_order() {
        for (index, function) in Function::ALL.into_iter().enumerate() {
            assert_eq!(function as usize, index, "{function:?}");
        }
    }

    #[test]
    fn threads_add_up() {
        let calls = Calls::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let tally = calls.tally();
                    for call in 0..130 {
                        assert_eq!(
                            tally.begins(Function::OnPublish),
                            call % 64 == 0,
                            "one in 64, the first too"
                        );
                    }
                    assert!(tally.begins(Function::Open) && tally.begins(Function::Open));
                    tally.took(Function::Open, 1000);
                });
            }
        });
        calls.failed(Function::Open, "panic");
        let counted = calls.counted();
        assert_eq!(
            counted.functions.keys().copied().collect::<Vec<_>>(),
            [Function::Open, Function::OnPublish]
        );
        assert_eq!(counted.functions[&Function::OnPublish].calls, 390);
        let open = &counted.functions[&Function::Open];
        assert_eq!((open.calls, open.times.count(), open.failures["panic"]), (6, 3, 1));
    }

    #[test]
    fn memory_has_a_peak() {
        let calls = Calls::default();
        for bytes in [10, 20] {
            calls.instance_made();
            calls.memory_grew(bytes);
        }
        calls.instance_gone(20);
        calls.memory_grew(5);
        let counted = calls.counted();
        assert_eq!((counted.instances, counted.memory, counted.memory_peak), (1, 15, 30));
    }
}
