//! Of a plugin's calls that run long, one at a time goes on for a shard, a slice each in turn. Without it
//! each of them had a slice between two steps of everybody else's work, however many they were.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A plugin's on a shard.
#[derive(Clone, Debug)]
pub struct Lane(Arc<Semaphore>);

impl Default for Lane {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// An instance's place in its lane. Held only while a call of it runs that has used up its first slice.
#[derive(Debug)]
pub struct Turn {
    lane: Lane,
    /// Looked at after each call.
    is_held: AtomicBool,
    /// That the call under way has used up.
    slices: AtomicU32,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turn {
    pub fn new(lane: Lane) -> Arc<Self> {
        Arc::new(Self {
            lane,
            is_held: AtomicBool::new(false),
            slices: AtomicU32::new(0),
            permit: Mutex::default(),
        })
    }

    pub fn call_begins(&self) {
        self.slices.store(0, Relaxed);
    }

    pub fn slice_ends(&self) {
        self.slices.fetch_add(1, Relaxed);
    }

    /// A short call may be under way when a slice ends, but not when two do.
    pub fn is_long(&self) -> bool {
        self.slices.load(Relaxed) >= 2
    }

    /// Its slice is over: until the next one is its own.
    pub fn next(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        self.over();
        let this = self.clone();
        async move {
            // A lane is never closed.
            let permit = this.lane.0.clone().acquire_owned().await.ok();
            *this.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
            this.is_held.store(true, Relaxed);
            // Last, so that there is something between any two slices; tokio's, because it lets the
            // sockets be looked at too.
            tokio::task::yield_now().await;
        }
    }

    /// Another's may begin.
    pub fn over(&self) {
        if self.is_held.load(Relaxed) {
            self.is_held.store(false, Relaxed);
            *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn two_that_run_long_take_turns() {
        let lane = Lane::default();
        let [a, b] = [(); 2].map(|()| Turn::new(lane.clone()));
        a.next().await;
        let mut next = pin!(b.next());
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert!((&mut next).now_or_never().is_none(), "a's slice is not over");
        }
        let again = a.next();
        next.await;
        let mut again = pin!(again);
        tokio::task::yield_now().await;
        assert!((&mut again).now_or_never().is_none());
        b.over();
        again.await;
        drop(a);
        Turn::new(lane).next().await;
    }
}
