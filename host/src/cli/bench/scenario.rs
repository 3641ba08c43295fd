//! What all scenarios of traffic have in common: options, a server, runs, a report.

use anyhow::{Result, ensure};
use serde_json::json;

use super::mark;
use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::pace::{Length, Pace};
use super::plan::Plan;
use super::report::{self, Subject};
use super::target::{Needs, Target};
use super::traffic;

/// What a scenario publishes if its options do not say.
pub struct Defaults {
    pub window: u64,
    pub messages: u64,
}

pub fn run(
    scenario: &'static str,
    words: String,
    plan: &Plan,
    needs: Needs<'_>,
    defaults: Defaults,
    (target, load, output): (&TargetOptions, &LoadOptions, &OutputOptions),
) -> Result<()> {
    ensure!(
        plan.rooms * plan.publishers <= mark::STREAMS,
        "at most {} publishers, of all rooms together",
        mark::STREAMS
    );
    let pace = Pace::of(load, defaults.window);
    let length = Length::of(load, defaults.messages);
    let words = format!("{words}, {pace}, {length} of {} bytes", load.bytes);
    let subject = Subject {
        scenario,
        words,
        settings: json!({
            "dialect": target.dialect.name(), "rooms": plan.rooms, "subscribers": plan.members,
            "publishers": plan.publishers, "channels": plan.channels, "slow": plan.slow, "filters": plan.filters, "bytes": load.bytes,
            "window": pace.window(), "rate": load.rate, "messages": length.messages(), "seconds": load.seconds,
        }),
    };
    crate::cli::descriptors::raise_limit();
    report::runs(&subject, output, |label| {
        let server = Target::reach(target, needs)?;
        traffic::run(plan, &server, target, pace, length, load.bytes as usize, label)
    })
}
