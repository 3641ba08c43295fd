//! Components run a slice at a time, and deadlines are counted in slices: between two of them the
//! shard's other work goes on.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wasmtime::{Engine, EngineWeak};

/// Most calls end within one.
pub const SLICE: Duration = Duration::from_millis(1);
/// While some call needs more than one: a shard has two of each before it goes on beside it. The kernel adds
/// some 50 µs.
const SHORT: Duration = Duration::from_micros(50);
/// So long after the last such call slices stay short: one that runs long is seldom alone.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// Slices that nobody has had after which the clock stops: the next call sets it going, which costs
/// that one a wake-up.
const IDLE: u32 = 100;
/// A clock that stands looks so often whether its engine is still there, and ends slices that it has missed.
const LOOK: Duration = Duration::from_secs(1);

/// Whether calls come.
#[repr(u8)]
enum Pulse {
    /// One has come, or gone on, since the last slice's end.
    Beats,
    Rests,
    /// And the clock stands.
    Stands,
}

/// Ends slices, on a thread of its own.
#[derive(Debug)]
pub struct Interrupts {
    began: Instant,
    /// Microseconds from then on; 0: never.
    short_until: AtomicU64,
    /// How long the last slice was, in microseconds.
    slice: AtomicU64,
    /// A [`Pulse`]. Read by every call, written once a slice.
    pulse: AtomicU8,
    clock: OnceLock<Thread>,
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
            pulse: AtomicU8::new(Pulse::Rests as u8),
            clock: OnceLock::new(),
        });
        let (engine, this) = (engine.weak(), interrupts.clone());
        let clock = std::thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || this.run(&engine))
            .context("cannot start the plugins' clock")?;
        // Set once, here.
        let _ = interrupts.clock.set(clock.thread().clone());
        Ok(interrupts)
    }

    fn run(&self, engine: &EngineWeak) {
        let (mut last, mut idle) = (self.now(), 0);
        while let Some(alive) = engine.upgrade() {
            alive.increment_epoch();
            drop(alive);
            idle =
                if self.pulse.swap(Pulse::Rests as u8, AcqRel) == Pulse::Beats as u8 { 0 } else { idle + 1 };
            if idle >= IDLE && self.stops() {
                self.stand(engine);
                // Whoever has set it going begins a slice of its own.
                (last, idle) = (self.now(), 0);
            }
            let is_short = last < self.short_until.load(Relaxed);
            std::thread::park_timeout(if is_short { SHORT } else { SLICE });
            let now = self.now();
            self.slice.store(now - last, Relaxed);
            last = now;
        }
    }

    /// Until a call begins, or nobody is left to make one.
    fn stand(&self, engine: &EngineWeak) {
        while self.pulse.load(Acquire) == Pulse::Stands as u8 {
            let Some(alive) = engine.upgrade() else { break };
            // A call whose thread had no processor for as long as the clock takes to stop, after it was said to
            // be needed and before its deadline was set, would else never end.
            alive.increment_epoch();
            drop(alive);
            std::thread::park_timeout(LOOK);
        }
    }

    /// Unless a call has begun.
    fn stops(&self) -> bool {
        self.pulse.compare_exchange(Pulse::Rests as u8, Pulse::Stands as u8, AcqRel, Relaxed).is_ok()
    }

    /// A call begins, or goes on: its slices must end. Said once its deadline is set, and with each slice that
    /// it needs, so that the clock does not stand while one runs.
    pub fn needed(&self) {
        if self.pulse.load(Relaxed) != Pulse::Beats as u8 {
            self.beat();
        }
    }

    #[cold]
    fn beat(&self) {
        if self.pulse.swap(Pulse::Beats as u8, AcqRel) == Pulse::Stands as u8
            && let Some(clock) = self.clock.get()
        {
            clock.unpark();
        }
    }

    fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }

    /// How long the slice was that has just ended, at most [`SLICE`]: where the clock itself had to wait for a processor, nobody knows who
    /// had that.
    pub fn last_slice(&self) -> Duration {
        Duration::from_micros(self.slice.load(Relaxed)).min(SLICE)
    }

    /// A call needs another slice, having used so much of its time before the last one, and so much of that. What
    /// it has used now.
    ///
    /// Every call that is under way when a slice ends comes here, however short it is: only one that has
    /// had more than a whole slice runs long.
    pub fn needs_another(&self, used: Duration, own: Duration) -> Duration {
        self.needed();
        let used = used + own;
        if used > SLICE {
            self.short_until.store(self.now() + micros(AFTERWARDS), Relaxed);
        }
        used
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
        assert!(interrupts.needs_another(Duration::ZERO, interrupts.last_slice()) <= SLICE);
        assert_eq!(interrupts.short_until.load(Relaxed), 0, "it may have begun just then");
        assert!(interrupts.needs_another(SLICE + SHORT, interrupts.last_slice()) <= 2 * SLICE + SHORT);
        let (until, now) = (interrupts.short_until.load(Relaxed), interrupts.now());
        assert!(until > now && until <= now + micros(AFTERWARDS), "{until} after {now}");
    }

    fn until(mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "in vain");
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_clock_stands_while_nobody_calls_and_goes_when_somebody_does() {
        let mut config = wasmtime::Config::new();
        let engine = Engine::new(config.epoch_interruption(true)).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        let looping = wat::parse_str(r#"(module (func (export "f") (loop (br 0))))"#).unwrap();
        let looping = wasmtime::Module::new(&engine, looping).unwrap();
        let looping = wasmtime::Instance::new(&mut store, &looping, &[]).unwrap();
        let looping = looping.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        let interrupts = Interrupts::start(&engine).unwrap();
        for _ in 0..3 {
            until(|| interrupts.pulse.load(Relaxed) == Pulse::Stands as u8);
            interrupts.needed();
            store.set_epoch_deadline(1);
            looping.call(&mut store, ()).unwrap_err();
        }
    }

    #[test]
    fn a_call_that_nobody_spoke_of_ends_all_the_same() {
        let mut config = wasmtime::Config::new();
        let engine = Engine::new(config.epoch_interruption(true)).unwrap();
        let looping = wat::parse_str(r#"(module (func (export "f") (loop (br 0))))"#).unwrap();
        let looping = wasmtime::Module::new(&engine, looping).unwrap();
        let interrupts = Interrupts::start(&engine).unwrap();
        until(|| interrupts.pulse.load(Relaxed) == Pulse::Stands as u8);
        let (done, ends) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut store = wasmtime::Store::new(&engine, ());
            store.set_epoch_deadline(1);
            let looping = wasmtime::Instance::new(&mut store, &looping, &[]).unwrap();
            let looping = looping.get_typed_func::<(), ()>(&mut store, "f").unwrap();
            done.send(looping.call(&mut store, ()).is_err()).unwrap();
        });
        assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok(true));
    }

    #[test]
    fn a_clock_without_an_engine_ends() {
        let mut config = wasmtime::Config::new();
        let engine = Engine::new(config.epoch_interruption(true)).unwrap();
        let interrupts = Interrupts::start(&engine).unwrap();
        until(|| interrupts.pulse.load(Relaxed) == Pulse::Stands as u8);
        drop(engine);
        interrupts.needed();
        until(|| Arc::strong_count(&interrupts) == 1);
    }
}
