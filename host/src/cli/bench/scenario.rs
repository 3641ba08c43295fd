//! What all scenarios of traffic have in common: options, a server, runs, a report.

use anyhow::{Result, ensure};
use serde_json::json;

use super::mark;
use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::report::{self, Subject};
use super::target::{Needs, Target};
use super::traffic::{self, Pace, Plan};

/// So long an open loop goes on if nobody says how many messages it has.
const OPEN_SECONDS: u64 = 10;

/// What a scenario publishes if its options do not say.
pub struct Defaults {
    pub window: u64,
    pub messages: u64,
}

pub fn run(
    scenario: &'static str,
    words: String,
    plan: &Plan,
    needs: Needs,
    defaults: Defaults,
    (target, load, output): (&TargetOptions, &LoadOptions, &OutputOptions),
) -> Result<()> {
    ensure!(
        plan.rooms * plan.publishers <= mark::STREAMS,
        "at most {} publishers, of all rooms together",
        mark::STREAMS
    );
    let pace = Pace::of(load, defaults.window);
    let usual = load.rate.map_or(defaults.messages, |rate| rate * OPEN_SECONDS);
    let messages = load.messages.unwrap_or(usual).min(mark::MESSAGES);
    let words = match pace {
        Pace::Window(window) => {
            format!("{words}, window {window}, {messages} messages of {} bytes", load.bytes)
        }
        Pace::Rate(rate) => {
            format!("{words}, {rate} messages/s for {} s, {} bytes", messages / rate, load.bytes)
        }
    };
    let subject = Subject {
        scenario,
        words,
        settings: json!({
            "dialect": format!("{:?}", target.dialect).to_lowercase(), "rooms": plan.rooms,
            "subscribers": plan.members, "publishers": plan.publishers, "slow": plan.slow,
            "filters": plan.filters, "window": load.rate.is_none().then(|| load.window.unwrap_or(defaults.window)),
            "rate": load.rate, "messages": messages, "bytes": load.bytes,
        }),
    };
    super::raise_descriptor_limit();
    report::runs(&subject, output, |label| {
        let server = Target::reach(target, needs)?;
        traffic::run(plan, &server, target, pace, messages, load.bytes as usize, label)
    })
}
