//! `tidegate bench`: a load, and what it costs. One thread, so that on a machine with two cores
//! the server has the other; every subscriber checks that it gets each message once and in order.

mod check;
mod connect;
mod dialect;
mod entrance;
mod fan_out;
mod figures;
mod filters;
mod frame;
mod latency;
mod mark;
mod options;
mod pace;
mod plan;
mod plugin;
mod presence;
mod process;
mod progress;
mod publish;
mod recovery;
mod report;
mod rooms;
mod scenario;
mod slow;
mod stream;
mod swarm;
mod target;
mod traffic;
mod usage;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Args)]
#[command(after_help = "\
Without --url a server is started for each run, from this program's own file. The exit code says
whether every subscriber got each message once and in order; what was slow is for you to judge.")]
pub struct Bench {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// One publisher, many subscribers
    FanOut(fan_out::FanOut),
    /// Many rooms, in each a publisher and some subscribers
    Rooms(rooms::Rooms),
    /// Many publishers, hardly anybody who listens
    Publish(publish::Publish),
    /// A storm of connections, and what each of them holds afterwards
    Connect(connect::Connect),
    /// Members that come and go, and watchers who are told
    Presence(presence::Presence),
    /// Everybody comes back at once and asks for what was missed
    Recovery(recovery::Recovery),
    /// A fan-out in which every subscriber has a filter
    Filters(filters::Filters),
    /// A fan-out whose every message a plugin handles first
    Plugin(plugin::Plugin),
    /// A fan-out among whose subscribers are some that never read
    Slow(slow::Slow),
}

impl Bench {
    pub fn run(self) -> Result<()> {
        match self.scenario {
            Scenario::FanOut(scenario) => scenario.run(),
            Scenario::Rooms(scenario) => scenario.run(),
            Scenario::Publish(scenario) => scenario.run(),
            Scenario::Connect(scenario) => scenario.run(),
            Scenario::Presence(scenario) => scenario.run(),
            Scenario::Recovery(scenario) => scenario.run(),
            Scenario::Filters(scenario) => scenario.run(),
            Scenario::Plugin(scenario) => scenario.run(),
            Scenario::Slow(scenario) => scenario.run(),
        }
    }
}
