//! `tidegate:plugin/log`: lines to the server's log, cut and counted.

use std::time::Instant;

use crate::plugin::bindings::log::{Host, Level};
use crate::plugin::limits::line;
use crate::plugin::log_budget::LogBudget;
use crate::plugin::meter::UnderWay;
use crate::plugin::store::{Owner, StoreData};

const LINE_BYTES: usize = 1024;
/// Of one instance.
pub const LINES_A_SECOND: u32 = 200;

impl Host for StoreData {
    fn write(&mut self, level: Level, text: String) {
        write(&self.owner, &self.under_way, &mut self.log, level, text);
    }
}

/// Writes a line of a plugin, if its budget allows.
pub fn write(owner: &Owner, under_way: &UnderWay, budget: &mut LogBudget, level: Level, text: String) {
    let (allowed, left_out) = budget.take(Instant::now());
    let Owner { plugin, version, .. } = owner;
    if left_out > 0 {
        tracing::warn!(target: "plugin", plugin, version, "{left_out} lines were left out");
    }
    if !allowed {
        return;
    }
    let text = line(text, LINE_BYTES);
    let channel = under_way.channel.as_ref().map(tracing::field::display);
    let client = under_way.client.map(tracing::field::display);
    let trace = under_way.trace.map(tracing::field::display);
    // The level of a line is its place in the program's text.
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(target: "plugin", plugin, version, channel, client, traceparent = trace, "{text}")
        };
    }
    match level {
        Level::Trace => say!(trace),
        Level::Debug => say!(debug),
        Level::Info => say!(info),
        Level::Warn => say!(warn),
        Level::Error => say!(error),
    }
}
