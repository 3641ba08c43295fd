//! Calls as they were, for those who listen: a recording, or a version in the shadow. Where
//! nobody listens, a call costs one look at a flag; where somebody does, it never waits for them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

use super::failure::PluginFailure;
use super::offline::Call;
use crate::core::ChannelName;

/// Calls that wait for a listener, and bytes of what they were asked; what is beyond is missed, and
/// counted.
const WAITING: usize = 1024;
const WAITING_BYTES: usize = 16 << 20;

/// What a call gave, in the words of the tools, or the class and text of its failure.
pub type Said = Result<Value, (&'static str, String)>;

#[derive(Clone)]
pub enum Observed {
    Called(Arc<Called>),
    /// A channel of the plugin's is gone, and its state with it.
    Left(ChannelName),
}

/// One call, and what came of it.
pub struct Called {
    pub call: Call,
    pub said: Said,
    /// The first of its channel for the newest listener, or since the channel has lost its state:
    /// it has the state that the channel had before it, if it had any that can be saved.
    pub begins: bool,
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
    sender: mpsc::Sender<Observed>,
    shared: Arc<Between>,
}

/// What a listener and those who tell it share.
#[derive(Debug, Default)]
struct Between {
    missed: AtomicU64,
    /// Of what waits.
    bytes: AtomicUsize,
}

/// What a listener gets. Dropped, it listens no more.
pub struct Tap {
    observed: mpsc::Receiver<Observed>,
    shared: Arc<Between>,
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
        let (number, shared) = (NUMBER.fetch_add(1, Relaxed), Arc::<Between>::default());
        let mut listeners = self.listeners();
        listeners.push(Listener { number, sender, shared: shared.clone() });
        self.newest.store(number, Relaxed);
        drop(listeners);
        Tap { observed, shared, number, taps: self.clone() }
    }

    /// A call that is not a channel's.
    pub fn tell(&self, call: Call, said: Said) {
        self.tell_until(u64::MAX, &Observed::Called(Arc::new(Called { call, said, begins: false })));
    }

    /// What is a channel's, for those who were there when it began: who came while it was under way
    /// has not seen the state before it, and sees that with the next.
    pub fn tell_until(&self, newest: u64, observed: &Observed) {
        for listener in self.listeners().iter().filter(|listener| listener.number <= newest) {
            listener.tell(observed);
        }
    }
}

impl Listener {
    fn tell(&self, observed: &Observed) {
        let (weight, shared) = (observed.weight(), &self.shared);
        let fits = shared.bytes.fetch_add(weight, Relaxed).saturating_add(weight) <= WAITING_BYTES;
        if !fits || self.sender.try_send(observed.clone()).is_err() {
            shared.bytes.fetch_sub(weight, Relaxed);
            shared.missed.fetch_add(1, Relaxed);
        }
    }
}

impl Observed {
    /// Bytes of what was asked.
    fn weight(&self) -> usize {
        match self {
            Self::Called(called) => called.call.weight(),
            Self::Left(_) => 0,
        }
    }
}

impl Tap {
    /// Waits for the next.
    pub async fn next(&mut self) -> Observed {
        match self.observed.recv().await {
            Some(observed) => {
                self.shared.bytes.fetch_sub(observed.weight(), Relaxed);
                observed
            }
            // Its sender is among the listeners until this is dropped.
            None => std::future::pending().await,
        }
    }

    /// What came while too much waited. What is missed is counted before anything that comes after
    /// it on the same thread can be had.
    pub fn missed(&self) -> u64 {
        self.shared.missed.load(Relaxed)
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
    use crate::core::{Payload, Sender};
    use crate::plugin::offline;

    fn waiting(tap: &mut Tap) -> Option<Observed> {
        use std::future::Future;
        let mut next = std::pin::pin!(tap.next());
        match next.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(observed) => Some(observed),
            std::task::Poll::Pending => None,
        }
    }

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
        assert!(matches!(waiting(&mut tap), Some(Observed::Called(first)) if first.said == Ok(0.into())));
        drop(other);
        assert!(taps.newest().is_some());
        drop(tap);
        assert_eq!(taps.newest(), None);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let taps = Arc::new(Taps::default());
        let mut tap = taps.listen();
        let large = || {
            let payload = Payload::binary(vec![0; WAITING_BYTES / 4]);
            let message = offline::Judged { event: bytes::Bytes::new(), payload };
            Call::Filter { params: bytes::Bytes::new(), messages: vec![message] }
        };
        (0..5).for_each(|_| taps.tell(large(), Ok(Value::Null)));
        assert_eq!(tap.missed(), 1);
        assert!(waiting(&mut tap).is_some());
        taps.tell(large(), Ok(Value::Null));
        assert_eq!(tap.missed(), 1, "there is room again");
    }

    #[test]
    fn who_comes_while_a_channels_call_is_under_way_hears_of_the_next() {
        let taps = Arc::new(Taps::default());
        let mut before = taps.listen();
        let newest = taps.newest().unwrap();
        let mut later = taps.listen();
        taps.tell_until(newest, &Observed::Left(ChannelName::parse("a").unwrap()));
        assert!(waiting(&mut before).is_some());
        assert!(waiting(&mut later).is_none());
    }
}
