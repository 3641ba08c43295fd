//! Components run a slice at a time, and deadlines are counted in slices: between two of them the
//! shard's other work goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wasmtime::Engine;

/// Most calls end within one.
const SLICE: Duration = Duration::from_millis(1);
/// While some call needs more than one: a neighbour's message waits for several before it is where it
/// belongs. The kernel adds some 50 µs.
const SHORT: Duration = Duration::from_micros(50);
/// So long after the last such call slices stay short: one that runs long is seldom alone.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// Ends slices, on a thread of its own.
#[derive(Debug)]
pub struct Interrupts {
    began: Instant,
    /// Microseconds from then on; 0: never.
    short_until: AtomicU64,
    /// How long the last slice was, in microseconds.
    slice: AtomicU64,
}

impl Interrupts {
    /// The thread ends with the engine.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(engine: &Engine) -> Result<Arc<Self>> {
        let interrupts = Arc::new(Self {
            began: Instant::now(),
            short_until: AtomicU64::new(0),
            slice: AtomicU64::new(0),
        });
        let (engine, this) = (engine.weak(), interrupts.clone());
        std::thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || {
                let mut last = this.now();
                while let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::park_timeout(if last < this.short_until.load(Relaxed) {
                        SHORT
                    } else {
                        SLICE
                    });
                    let now = this.now();
                    this.slice.store(now - last, Relaxed);
                    last = now;
                }
            })
            .context("cannot start the plugins' clock")?;
        Ok(interrupts)
    }

    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// A call needs another slice. How long the one was that it has had, at most: where the clock itself
    /// had to wait for a processor, nobody knows who had that.
    pub fn needs_another(&self) -> Duration {
        self.short_until.store(self.now() + micros(AFTERWARDS), Relaxed);
        Duration::from_micros(self.slice.load(Relaxed)).min(SLICE)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_short_for_a_while_after_a_call_that_ran_long() {
        let mut config = wasmtime::Config::new();
        let engine = Engine::new(config.epoch_interruption(true)).unwrap();
        let interrupts = Interrupts::start(&engine).unwrap();
        assert_eq!(interrupts.short_until.load(Relaxed), 0);
        assert!(interrupts.needs_another() <= SLICE);
        let (until, now) = (interrupts.short_until.load(Relaxed), interrupts.now());
        assert!(until > now && until <= now + micros(AFTERWARDS), "{until} after {now}");
    }
}
