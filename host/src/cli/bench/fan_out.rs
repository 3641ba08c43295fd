//! `tidegate bench fan-out`: one publisher, many subscribers.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::Plan;
use super::scenario::{self, Defaults};
use super::target::Needs;

/// Lets a client into as many channels as there may be.
const CONFIG: &str = "[limits]\nsubscriptions = 1000000\n[[channel]]\npattern = \"*\"\n";

#[derive(Args)]
pub struct FanOut {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    /// Channels that every subscriber is in, published to in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    channels: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl FanOut {
    pub fn run(&self) -> Result<()> {
        let (members, channels) = (self.subscribers as usize, self.channels as usize);
        let plan = Plan { members, channels, ..Plan::new("bench") };
        let mut words = format!("1 → {members}");
        let mut needs = Needs::default();
        if channels > 1 {
            self.target.dialect.needs_native("a fan-out by several channels")?;
            words += &format!(" by {channels} channels in turn");
            needs.config = CONFIG;
        }
        let defaults = Defaults { window: 64, messages: 20_000 };
        let options = (&self.target, &self.load, &self.output);
        scenario::run("fan-out", words, &plan, needs, defaults, options)
    }
}
