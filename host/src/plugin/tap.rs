//! Calls as they were, for those who listen: a recording, or a version in the shadow. Where
//! nobody listens, a call costs one look at a flag; where somebody does, it never waits for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

use super::failure::PluginFailure;
use super::offline::Call;

/// Calls that wait for a listener; what is beyond is missed, and counted.
const WAITING: usize = 1024;

/// What a call gave, in the words of the tools, or the class and text of its failure.
pub type Said = Result<Value, (&'static str, String)>;

/// One call, and what came of it.
pub struct Observed {
    pub call: Call,
    pub said: Said,
}

/// The listeners of one plugin, whatever its version.
#[derive(Debug, Default)]
pub struct Taps {
    /// The number of the newest listener; 0: there is none.
    newest: AtomicU64,
    listeners: Mutex<Vec<Listener>>,
}

#[derive(Clone, Debug)]
struct Listener {
    number: u64,
    sender: mpsc::Sender<Arc<Observed>>,
    missed: Arc<AtomicU64>,
}

/// What a listener gets. Dropped, it listens no more.
pub struct Tap {
    pub observed: mpsc::Receiver<Arc<Observed>>,
    missed: Arc<AtomicU64>,
    number: u64,
    taps: Arc<Taps>,
}

impl Taps {
    /// The newest listener; `None`: nobody listens. Who has seen a channel for this one need not
    /// show its state again.
    pub fn newest(&self) -> Option<u64> {
        let newest = self.newest.load(Relaxed);
        (newest != 0).then_some(newest)
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn listen(self: &Arc<Self>) -> Tap {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let (sender, observed) = mpsc::channel(WAITING);
        let (number, missed) = (NUMBER.fetch_add(1, Relaxed), Arc::new(AtomicU64::new(0)));
        let mut listeners = self.listeners();
        listeners.push(Listener { number, sender, missed: missed.clone() });
        self.newest.store(number, Relaxed);
        drop(listeners);
        Tap { observed, missed, number, taps: self.clone() }
    }

    pub fn tell(&self, call: Call, said: Said) {
        let observed = Arc::new(Observed { call, said });
        for listener in self.listeners().iter() {
            if listener.sender.try_send(observed.clone()).is_err() {
                listener.missed.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Tap {
    /// Calls that came while too many waited.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut listeners = self.taps.listeners();
        listeners.retain(|listener| listener.number != self.number);
        let newest = listeners.iter().map(|listener| listener.number).max();
        self.taps.newest.store(newest.unwrap_or(0), Relaxed);
    }
}

/// A failure as it is told.
pub fn failed(failure: &PluginFailure) -> (&'static str, String) {
    (failure.class(), failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Sender;

    fn call() -> Call {
        let client = crate::core::ClientId(1);
        let who = Sender { client, user: crate::core::UserId("ada".into()) };
        Call::Action { name: "echo".into(), who, data: "1".into() }
    }

    #[test]
    fn who_does_not_keep_up_misses_and_nobody_waits() {
        let taps = Arc::new(Taps::default());
        assert_eq!(taps.newest(), None);
        let (mut tap, other) = (taps.listen(), taps.listen());
        for n in 0..WAITING + 3 {
            taps.tell(call(), Ok(n.into()));
        }
        assert_eq!((tap.missed(), other.missed()), (3, 3));
        assert_eq!(tap.observed.try_recv().unwrap().said, Ok(0.into()));
        drop(other);
        assert!(taps.newest().is_some());
        drop(tap);
        assert_eq!(taps.newest(), None);
    }
}
