//! `tidegate:plugin/log`: lines to the server's log, cut and counted.

use std::time::{Duration, Instant};

use crate::plugin::bindings::log::{Host, Level};
use crate::plugin::limits::line;
use crate::plugin::store::{Owner, StoreData};

const LINE_BYTES: usize = 1024;
const LINES_A_SECOND: u32 = 200;

/// Lines of the current second.
#[derive(Default)]
pub struct LogBudget {
    second: Option<Instant>,
    lines: u32,
}

impl LogBudget {
    /// May one more line be written? With the lines that were left out of the last second.
    pub fn take(&mut self, now: Instant) -> (bool, u32) {
        let fresh = self.second.is_none_or(|began| now - began >= Duration::from_secs(1));
        let left_out = if fresh { self.lines.saturating_sub(LINES_A_SECOND) } else { 0 };
        if fresh {
            (self.second, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        (self.lines <= LINES_A_SECOND, left_out)
    }
}

impl Host for StoreData {
    fn write(&mut self, level: Level, text: String) {
        write(&self.owner, &mut self.log, level, text);
    }
}

/// Writes a line of a plugin, if its budget allows.
pub fn write(owner: &Owner, budget: &mut LogBudget, level: Level, text: String) {
    let (allowed, left_out) = budget.take(Instant::now());
    let Owner { plugin, version, .. } = owner;
    if left_out > 0 {
        tracing::warn!(target: "plugin", plugin, version, "{left_out} lines were left out");
    }
    if !allowed {
        return;
    }
    let text = line(text, LINE_BYTES);
    match level {
        Level::Trace => tracing::trace!(target: "plugin", plugin, version, "{text}"),
        Level::Debug => tracing::debug!(target: "plugin", plugin, version, "{text}"),
        Level::Info => tracing::info!(target: "plugin", plugin, version, "{text}"),
        Level::Warn => tracing::warn!(target: "plugin", plugin, version, "{text}"),
        Level::Error => tracing::error!(target: "plugin", plugin, version, "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines() {
        let (mut budget, start) = (LogBudget::default(), Instant::now());
        assert!((0..LINES_A_SECOND).all(|_| budget.take(start).0));
        assert_eq!(budget.take(start), (false, 0));
        assert_eq!(budget.take(start), (false, 0));
        assert_eq!(budget.take(start + Duration::from_secs(1)), (true, 2));
    }
}
