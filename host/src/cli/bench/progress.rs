//! A line that says how far it is, on a terminal only.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(200);

pub struct Progress {
    label: String,
    next: Option<Instant>,
}

impl Progress {
    pub fn new(label: String) -> Self {
        Self { label, next: stderr().is_terminal().then(Instant::now) }
    }

    /// Shows how far it is, if it is time to.
    pub fn tick(&mut self, how_far: impl FnOnce() -> String) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now >= next {
            self.next = Some(now + EVERY);
            let _ = write!(stderr(), "\r\x1b[K{}: {}", self.label, how_far());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.next.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
