//! The own time of a call that may wait in the host: from when it goes on until it waits again. Slices alone
//! would count one for each wait that ends after a slice has, however short it runs then.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::interrupts::SLICE;

/// One instance's.
#[derive(Debug)]
pub struct Stint {
    zero: Instant,
    /// When the call went on, or was last counted, in nanoseconds from zero; 0: nobody measures it.
    since: AtomicU64,
    /// Ended, and not counted.
    ran: AtomicU64,
}

impl Default for Stint {
    fn default() -> Self {
        Self { zero: Instant::now(), since: AtomicU64::new(0), ran: AtomicU64::new(0) }
    }
}

impl Stint {
    pub fn call_begins(&self) {
        self.since.store(0, Relaxed);
        self.ran.store(0, Relaxed);
    }

    /// What the call has run since this was last asked, if it is measured. No more of the stint under way than the slice
    /// that has ended: where its thread waited for a processor, nobody knows who had that.
    pub fn count(&self, slice: Duration) -> Option<Duration> {
        let since = self.since.load(Relaxed);
        (since != 0).then(|| {
            let now = self.now();
            self.since.store(now, Relaxed);
            Duration::from_nanos(self.ran.swap(0, Relaxed)) + between(since, now).min(slice)
        })
    }

    /// The call, measured.
    pub async fn of<F: Future>(&self, mut call: Pin<&mut F>) -> F::Output {
        poll_fn(|context| {
            self.since.store(self.now(), Relaxed);
            let polled = call.as_mut().poll(context);
            if polled.is_pending() {
                let ran = between(self.since.load(Relaxed), self.now());
                self.ran.fetch_add(u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX), Relaxed);
            }
            polled
        })
        .await
    }

    fn now(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

/// A slice at most.
fn between(since: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(since)).min(SLICE)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    fn spin(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {}
    }

    #[test]
    fn what_waits_does_not_run() {
        let (stint, tenth) = (Stint::default(), SLICE / 10);
        assert_eq!(stint.count(SLICE), None, "nobody measures it");
        let mut call = pin!(async {
            spin(tenth);
            tokio::task::yield_now().await;
            spin(tenth);
            let counted = stint.count(SLICE).unwrap();
            assert!(counted >= tenth * 2, "both stints: {counted:?}");
            spin(SLICE * 5);
            assert_eq!(stint.count(SLICE), Some(SLICE));
            spin(SLICE * 5);
            assert_eq!(stint.count(tenth), Some(tenth));
            tokio::task::yield_now().await;
            stint.count(SLICE).unwrap()
        });
        let mut call = pin!(stint.of(call.as_mut()));
        assert!((&mut call).now_or_never().is_none());
        spin(SLICE * 5);
        assert!((&mut call).now_or_never().is_none());
        // Far less than a slice, unless the processor was somebody else's just then.
        spin(SLICE * 5);
        assert!((&mut call).now_or_never().unwrap() <= SLICE * 2);
        stint.call_begins();
        assert_eq!(stint.count(SLICE), None);
    }
}
